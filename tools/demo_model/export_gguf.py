"""Writes the trained model as GGUF: matrices in Q8_0, norms in F32, names and keys as in llama.cpp for baichuan."""

import argparse
import os
from pathlib import Path

import gguf
import numpy as np
import torch

import tokenizer

CONTEXT_LENGTH = 1024
LICENSE_NAME = "the licence of clm; the poems are in the public domain (text from Debian's fortunes-zh)"


def separate(state, config):
    """Yields (GGUF name, float32 array); W_pack becomes q, k, v, and gate_up becomes gate and up."""
    for name, value in state.items():
        value = value.numpy()
        if name.endswith("attn_qkv.weight"):
            for letter, part in zip("qkv", np.split(value, 3)):
                yield name.replace("attn_qkv", f"attn_{letter}"), part
        elif name.endswith("ffn_gate_up.weight"):
            for kind, part in zip(("gate", "up"), np.split(value, 2)):
                yield name.replace("ffn_gate_up", f"ffn_{kind}"), part
        else:
            yield name, value


def token_type(processor, token):
    if processor.is_unknown(token):
        return gguf.TokenType.UNKNOWN
    if processor.is_control(token):
        return gguf.TokenType.CONTROL
    if processor.is_byte(token):
        return gguf.TokenType.BYTE
    if processor.id_to_piece(token) in tokenizer.USER_DEFINED:
        return gguf.TokenType.USER_DEFINED
    return gguf.TokenType.NORMAL


def add_metadata(writer, config):
    head_size = config["width"] // config["heads"]
    writer.add_name("clm demo")
    writer.add_description("Recites some poems of the Tang and Song dynasties and answers a few questions")
    writer.add_license("other")
    writer.add_license_name(LICENSE_NAME)
    writer.add_languages(["zh", "en"])
    writer.add_context_length(CONTEXT_LENGTH)
    writer.add_embedding_length(config["width"])
    writer.add_block_count(config["layers"])
    writer.add_feed_forward_length(config["ffn"])
    writer.add_rope_dimension_count(head_size)
    writer.add_head_count(config["heads"])
    writer.add_head_count_kv(config["heads"])
    writer.add_layer_norm_rms_eps(config["eps"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def add_vocabulary(writer, processor):
    count = processor.vocab_size()
    writer.add_tokenizer_model("llama")
    writer.add_token_list([processor.id_to_piece(token) for token in range(count)])
    writer.add_token_scores([processor.get_score(token) for token in range(count)])
    writer.add_token_types([token_type(processor, token) for token in range(count)])
    writer.add_bos_token_id(processor.bos_id())
    writer.add_eos_token_id(processor.eos_id())
    writer.add_unk_token_id(processor.unk_id())
    writer.add_pad_token_id(processor.unk_id())
    writer.add_add_space_prefix(False)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder with model.pt and tokenizer.model")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    checkpoint = torch.load(arguments.work / "model.pt", map_location="cpu")
    config = checkpoint["config"]
    temporary = arguments.out.with_suffix(".tmp")
    writer = gguf.GGUFWriter(str(temporary), "baichuan")
    add_metadata(writer, config)
    add_vocabulary(writer, tokenizer.load(arguments.work))
    for name, value in separate(checkpoint["model"], config):
        if value.ndim == 1:
            writer.add_tensor(name, value)
        else:
            packed = gguf.quants.quantize(value, gguf.GGMLQuantizationType.Q8_0)
            writer.add_tensor(name, packed, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(temporary, arguments.out)
    print(arguments.out, arguments.out.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
