"""Perplexity of a text by llama-cpp-python, over the windows of `clm eval ppl`.

usage: perplexity_llama.py MODEL.gguf TEXT [WINDOW]

Prints two lines of JSON: of the same weights as float32 (a copy of the file, made here and deleted) and of the file itself,
for which llama.cpp rounds activations to 8 bits.
"""
import json
import math
import os
import sys
import tempfile

import llama_cpp
import numpy as np

from smollm2_greedy import write_f32


def perplexity(path, text, window):
    model = llama_cpp.Llama(path, n_ctx=window, n_batch=window, logits_all=True, verbose=False, type_k=0, type_v=0)
    bos = model.token_bos() if llama_cpp.llama_vocab_get_add_bos(model._model.vocab) else None
    ids = model.tokenize(text, add_bos=bos is not None, special=False)
    values = []
    for start in range(0, len(ids) - window + 1, window):
        part = list(ids[start:start + window])
        if bos is not None:
            part[0] = bos
        model.reset()
        model.eval(part)
        for position in range(window // 2, window - 1):
            row = model.scores[position].astype(np.float64)
            top = row.max()
            values.append(top + math.log(np.exp(row - top).sum()) - row[part[position + 1]])
    nll = float(np.mean(values))
    error = float(np.std(values) / math.sqrt(len(values) - 1))
    return {"perplexity": math.exp(nll), "perplexity_error": math.exp(nll) * error, "nll": nll, "nll_error": error,
            "tokens": len(ids), "counted": len(values)}


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    window = int(sys.argv[3]) if len(sys.argv) > 3 else 512
    with open(sys.argv[2], "rb") as file:
        text = file.read().removesuffix(b"\n")
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, "f32.gguf")
        write_f32(sys.argv[1], copy)
        print(json.dumps({"weights": "float32", **perplexity(copy, text, window)}))
    print(json.dumps({"weights": "file", **perplexity(sys.argv[1], text, window)}))


if __name__ == "__main__":
    main()
