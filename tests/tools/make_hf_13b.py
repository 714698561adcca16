"""Writes a folder shaped like Baichuan-13B as Hugging Face has it: float16, torch shards, random weights.

usage: make_hf_13b.py OUT --tokenizer tokenizer.model [--layers 40] [--shards 3]

For measuring `clm quantize` at full size (docs/quantisation.md). 40 layers take 26.5 GB. Needs nothing but Python: the shards
are what torch.save writes (a zip of stored entries with a pickle), the weights a million normally distributed halves, repeated
from places that differ.
"""
import argparse
import collections
import json
import os
import pickle
import random
import shutil
import struct
import sys
import types
import zipfile

WIDTH, FFN, HEADS, VOCAB = 5120, 13696, 40, 64000
BLOCK = 1 << 20
PIECE = 64 << 20  # bytes written at once


def fake_torch():
    """Modules with the names that the pickle of torch.save refers to."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

    def _rebuild_tensor_v2():
        raise NotImplementedError
    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    torch.HalfStorage = type("HalfStorage", (), {"__module__": "torch"})
    sys.modules.update({"torch": torch, "torch._utils": utils})
    return torch.HalfStorage, _rebuild_tensor_v2


HALF_STORAGE, REBUILD = fake_torch()


class Storage:
    def __init__(self, key, count):
        self.key, self.count = key, count


class Tensor:
    def __init__(self, storage, shape):
        self.storage, self.shape = storage, shape

    def __reduce__(self):
        strides = (1,) if len(self.shape) == 1 else (self.shape[1], 1)
        return REBUILD, (self.storage, 0, self.shape, strides, False, collections.OrderedDict())


class Pickler(pickle.Pickler):
    def persistent_id(self, obj):
        if isinstance(obj, Storage):
            return ("storage", HALF_STORAGE, obj.key, "cpu", obj.count)
        return None


def tensor_shapes(layers):
    yield "model.embed_tokens.weight", (VOCAB, WIDTH)
    for i in range(layers):
        name = "model.layers.%d." % i
        yield name + "self_attn.W_pack.weight", (3 * WIDTH, WIDTH)
        yield name + "self_attn.o_proj.weight", (WIDTH, WIDTH)
        yield name + "mlp.gate_proj.weight", (FFN, WIDTH)
        yield name + "mlp.down_proj.weight", (WIDTH, FFN)
        yield name + "mlp.up_proj.weight", (FFN, WIDTH)
        yield name + "input_layernorm.weight", (WIDTH,)
        yield name + "post_attention_layernorm.weight", (WIDTH,)
    yield "model.norm.weight", (WIDTH,)
    yield "lm_head.weight", (VOCAB, WIDTH)


def count_of(shape):
    return shape[0] * (shape[1] if len(shape) > 1 else 1)


class Noise:
    """Bytes of normally distributed halves; norms are ones."""

    def __init__(self):
        source = random.Random(1)
        values = [source.gauss(0.0, 0.02) for _ in range(BLOCK)]
        self.block = struct.pack("<%de" % BLOCK, *values) * (PIECE // (2 * BLOCK) + 1)
        self.turn = 0

    def write(self, file, shape):
        left = 2 * count_of(shape)
        if len(shape) == 1:
            file.write(struct.pack("<e", 1.0) * shape[0])
            return
        while left > 0:
            self.turn = (self.turn + 7919) % BLOCK
            size = min(left, PIECE)
            file.write(memoryview(self.block)[2 * self.turn:2 * self.turn + size])
            left -= size


def write_shard(path, tensors, noise):
    root = os.path.splitext(os.path.basename(path))[0]
    state = {name: Tensor(Storage(str(i), count_of(shape)), shape) for i, (name, shape) in enumerate(tensors)}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        with archive.open(root + "/data.pkl", "w") as file:
            Pickler(file, 2).dump(state)
        for i, (_, shape) in enumerate(tensors):
            with archive.open("%s/data/%d" % (root, i), "w", force_zip64=True) as file:
                noise.write(file, shape)
        archive.writestr(root + "/version", "3\n")


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2, sort_keys=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out")
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--layers", type=int, default=40)
    parser.add_argument("--shards", type=int, default=3)
    args = parser.parse_args()
    os.makedirs(args.out)
    shutil.copy(args.tokenizer, os.path.join(args.out, "tokenizer.model"))
    write_json(os.path.join(args.out, "config.json"), {
        "architectures": ["BaichuanForCausalLM"], "model_type": "baichuan", "hidden_act": "silu", "hidden_size": WIDTH,
        "intermediate_size": FFN, "num_attention_heads": HEADS, "num_hidden_layers": args.layers, "model_max_length": 4096,
        "rms_norm_eps": 1e-6, "tie_word_embeddings": False, "torch_dtype": "float16", "vocab_size": VOCAB,
        "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0})
    tensors, noise = list(tensor_shapes(args.layers)), Noise()
    total = sum(count_of(shape) for _, shape in tensors)
    weight_map, shard, done = {}, [], 0
    for number in range(1, args.shards + 1):
        name = "pytorch_model-%05d-of-%05d.bin" % (number, args.shards)
        while tensors and (number == args.shards or done < total * number // args.shards):
            shard.append(tensors.pop(0))
            done += count_of(shard[-1][1])
        write_shard(os.path.join(args.out, name), shard, noise)
        weight_map.update({tensor: name for tensor, _ in shard})
        shard = []
    write_json(os.path.join(args.out, "pytorch_model.bin.index.json"),
               {"metadata": {"total_size": 2 * total}, "weight_map": weight_map})


if __name__ == "__main__":
    main()
