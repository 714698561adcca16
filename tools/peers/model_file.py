"""A GGUF file in the shape of Baichuan-13B with random Q4_0 weights, which clm and llama.cpp both read.

The architecture is `llama` (rotary positions), since llama.cpp takes Baichuan files of 32 or 40 layers only.
Written tensor by tensor: memory stays small.
"""
import os
import shutil

WIDTH, HEADS, FFN, VOCAB, LAYERS = 5120, 40, 13696, 64000, 40
BLOCK, BLOCK_BYTES = 32, 18
SIGMA = 0.014  # of the weights: about 1 / sqrt(WIDTH)


def tensors(layers):
    """(name, rows, columns); rows 0: a vector."""
    yield "token_embd.weight", VOCAB, WIDTH
    yield "output_norm.weight", 0, WIDTH
    yield "output.weight", VOCAB, WIDTH
    for i in range(layers):
        for name, rows, columns in (("attn_norm", 0, WIDTH), ("attn_q", WIDTH, WIDTH), ("attn_k", WIDTH, WIDTH),
                                    ("attn_v", WIDTH, WIDTH), ("attn_output", WIDTH, WIDTH), ("ffn_norm", 0, WIDTH),
                                    ("ffn_gate", FFN, WIDTH), ("ffn_up", FFN, WIDTH), ("ffn_down", WIDTH, FFN)):
            yield f"blk.{i}.{name}.weight", rows, columns


def size(layers):
    """Bytes of all tensors."""
    return sum(rows * columns // BLOCK * BLOCK_BYTES if rows else 4 * columns for _, rows, columns in tensors(layers))


def random_blocks(numpy, count):
    random = numpy.random.default_rng(20240817)
    blocks = random.integers(0, 256, size=(count, BLOCK_BYTES), dtype=numpy.uint8)
    scales = SIGMA / 4.61 * random.uniform(0.75, 1.25, count) * random.choice([-1.0, 1.0], count)
    blocks[:, :2] = scales.astype(numpy.float16).view(numpy.uint8).reshape(count, 2)
    return blocks


def vocabulary(writer, gguf):
    kinds = gguf.TokenType
    pieces = [(b"<unk>", kinds.UNKNOWN), (b"<s>", kinds.CONTROL), (b"</s>", kinds.CONTROL)]
    pieces += [(b"<0x%02X>" % i, kinds.BYTE) for i in range(256)]
    pieces += [(b"t%d" % i, kinds.NORMAL) for i in range(VOCAB - len(pieces))]
    writer.add_tokenizer_model("llama")
    writer.add_token_list([text for text, _ in pieces])
    writer.add_token_scores([-float(i) for i in range(VOCAB)])
    writer.add_token_types([kind for _, kind in pieces])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)


def write(path, layers):
    import gguf
    import numpy

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(f"random {layers} layers")
    writer.add_context_length(4096)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(VOCAB)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    vocabulary(writer, gguf)
    for name, rows, columns in tensors(layers):
        if rows == 0:
            writer.add_tensor_info(name, (columns,), numpy.dtype(numpy.float32), 4 * columns)
        else:
            row_bytes = columns // BLOCK * BLOCK_BYTES
            writer.add_tensor_info(name, (rows, row_bytes), numpy.dtype(numpy.uint8), rows * row_bytes,
                                   raw_dtype=gguf.GGMLQuantizationType.Q4_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    pool = random_blocks(numpy, 65521)  # a prime, so that rows differ
    for name, rows, columns in tensors(layers):
        if rows == 0:
            writer.write_tensor_data(numpy.ones(columns, dtype=numpy.float32))
            continue
        count = rows * columns // BLOCK
        repeated = numpy.resize(pool, (count, BLOCK_BYTES))
        writer.write_tensor_data(repeated.reshape(rows, columns // BLOCK * BLOCK_BYTES))
    writer.close()


def make(folder, layers):
    """Path of the file, written if it is not there yet."""
    path = os.path.join(folder, f"random-13b-{layers}-layers-q4_0.gguf")
    if os.path.exists(path) and os.path.getsize(path) > size(layers):
        return path
    os.makedirs(folder, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < size(layers) * 1.05:
        raise SystemExit(f"{folder}: {size(layers) / 1e9:.1f} GB are needed for the model, {free / 1e9:.1f} GB are free; "
                         "choose another --folder or fewer --layers")
    partial = path + ".partial"
    write(partial, layers)
    os.replace(partial, path)
    return path
