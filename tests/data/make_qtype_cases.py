"""Writes qtype_cases.bin: random blocks of each element type and the floats they stand for.

The floats come from the dequantisation in the PyPI package `gguf` (0.19.0 when the file was made), which shares no
code with clm. Run: pip install gguf numpy && python make_qtype_cases.py

Layout, little-endian: "CLMQ", u32 number of cases, then per case u32 GGUF type, u32 elements, u32 bytes, the blocks,
the elements as float32.
"""

import pathlib
import struct

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants

# Byte offsets of the fp16 fields of a block: random bytes there would be NaN or infinite in one of 32 blocks.
HALVES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
}
SPECIAL = [0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x7BFF, 0xFBFF]  # zeros, subnormals, smallest, largest


def random_blocks(rng, name, count, size):
    if name == "F32":
        return rng.standard_normal(count).astype("<f4").view(np.uint8)
    if name in ("F16", "BF16"):
        halves = rng.integers(0, 1 << 16, count, dtype=np.uint16)
        exponent = 0x7C00 if name == "F16" else 0x7F80
        halves[(halves & exponent) == exponent] ^= 0x4000
        if name == "F16":
            halves[: len(SPECIAL)] = SPECIAL
        return halves.astype("<u2").view(np.uint8)
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    for offset in HALVES[name]:
        halves = rng.standard_normal(count).astype("<f2")
        special = np.array(SPECIAL, dtype="<u2").view("<f2")
        halves[: min(count, 2)] = rng.choice(special, min(count, 2), replace=False)
        blocks[:, offset : offset + 2] = halves.view(np.uint8).reshape(count, 2)
    return blocks.reshape(-1)


def main():
    rng = np.random.default_rng(20240131)
    names = ["F32", "F16", "BF16", *HALVES]
    out = [b"CLMQ", struct.pack("<I", len(names))]
    for name in names:
        kind = GGMLQuantizationType[name]
        elems, size = GGML_QUANT_SIZES[kind]
        count = {1: 96, 32: 12, 256: 4}[elems]
        raw = random_blocks(rng, name, count, size)
        floats = np.ascontiguousarray(quants.dequantize(raw, kind), dtype="<f4").reshape(-1)
        assert floats.size == count * elems and raw.size == count * size
        out += [struct.pack("<III", kind.value, floats.size, raw.size), raw.tobytes(), floats.tobytes()]
    pathlib.Path(__file__).with_name("qtype_cases.bin").write_bytes(b"".join(out))


if __name__ == "__main__":
    main()
