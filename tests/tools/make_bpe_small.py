"""Makes tests/data/text/bpe_small.gguf: a byte-level BPE vocabulary of our own, with nothing else in the file.

usage: make_bpe_small.py OUT.gguf

Trained here, by counting pairs, on the texts of bpe_cases.py. As in SmolLM2's a few bytes have no piece. Special pieces:
control, user-defined (two that overlap), unknown and unused ones.
"""
import re
import struct
import sys

import bpe_cases

MERGES = 600
MISSING = [0x04, 0x06, 0xC0, 0xC1, 0xF5, 0xF8, 0xFF]
SPECIAL = [("<|endoftext|>", 2), ("<|im_start|>", 3), ("<|im_end|>", 3), ("<s>", 3), ("<filename>", 4), ("<file", 4), ("lorem ipsum", 4), ("[PAD]", 5)]
STRING, ARRAY, INT32, UINT32, BOOL = 8, 9, 5, 4, 7


def byte_names():
    """One printable character for each byte."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    return {**{b: chr(b) for b in printable}, **{b: chr(0x100 + i) for i, b in enumerate(others)}}


def train(texts, names):
    """The merges, most frequent pair first; words are runs of letters, digits, spaces or other characters."""
    words = {}
    for text in texts:
        for word in re.findall(r" ?[^\W\d_]+| ?\d+| ?[^\s\w]+|\s+|_", text.decode("utf-8", "ignore")):
            key = tuple(names[b] for b in word.encode() if b not in MISSING)
            words[key] = words.get(key, 0) + 1
    merges = []
    while len(merges) < MERGES:
        counts = {}
        for word, n in words.items():
            for pair in zip(word, word[1:]):
                counts[pair] = counts.get(pair, 0) + n
        best = max(counts, key=lambda pair: (counts[pair], pair))
        merges.append(best)
        words = {merged(word, best): n for word, n in sorted(words.items())}
    return merges


def merged(word, pair):
    out = []
    for part in word:
        if out and (out[-1], part) == pair:
            out[-1] += part
        else:
            out.append(part)
    return tuple(out)


def string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def key(name, kind, value):
    return string(name) + struct.pack("<I", kind) + value


def array(kind, items):
    return struct.pack("<IQ", kind, len(items)) + b"".join(items)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    names = byte_names()
    merges = train(bpe_cases.strings(300), names)
    pieces = SPECIAL + [(names[b], 1) for b in range(256) if b not in MISSING]
    known = {text for text, _ in pieces}
    for left, right in merges:
        if left + right not in known:
            pieces.append((left + right, 1))
            known.add(left + right)
    keys = [
        key("general.architecture", STRING, string("llama")),
        key("general.name", STRING, string("bpe-small")),
        key("tokenizer.ggml.model", STRING, string("gpt2")),
        key("tokenizer.ggml.pre", STRING, string("smollm")),
        key("tokenizer.ggml.tokens", ARRAY, array(STRING, [string(text) for text, _ in pieces])),
        key("tokenizer.ggml.token_type", ARRAY, array(INT32, [struct.pack("<i", kind) for _, kind in pieces])),
        key("tokenizer.ggml.merges", ARRAY, array(STRING, [string(" ".join(pair)) for pair in merges])),
        key("tokenizer.ggml.bos_token_id", UINT32, struct.pack("<I", 1)),
        key("tokenizer.ggml.eos_token_id", UINT32, struct.pack("<I", 2)),
        key("tokenizer.ggml.unknown_token_id", UINT32, struct.pack("<I", 0)),
        key("tokenizer.ggml.add_bos_token", BOOL, b"\0"),
    ]
    with open(sys.argv[1], "wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, 0, len(keys)) + b"".join(keys))


if __name__ == "__main__":
    main()
