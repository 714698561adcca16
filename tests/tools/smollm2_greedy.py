"""Writes the greedy continuations of SmolLM2 that tests/cli/test_smollm2.py expects, by llama-cpp-python.

usage: smollm2_greedy.py MODEL.gguf OUT.json

Each item: the prompt, its ids, and two continuations of 64 ids (or fewer, up to the end of the text), with the lead in logits
of each id over the second best:
  exact   of the same weights as float32 (a copy of the file, made here and deleted): no rounding but that of float32
  file    of the file itself: llama.cpp rounds the inputs of products with quantised weights to 8 bits, which changes logits by
          a few tenths and so, where two tokens are that close, the text
"""
import json
import os
import sys
import tempfile

import gguf
import llama_cpp
import numpy as np

PROMPTS = [
    "The capital of France is",
    "Once upon a time, there was a little girl who",
    "def fibonacci(n):\n    ",
    "The three most important inventions of the nineteenth century were",
    "<|im_start|>user\nWhat is the boiling point of water?<|im_end|>\n<|im_start|>assistant\n",
    "<|im_start|>user\nName five animals that live in the sea.<|im_end|>\n<|im_start|>assistant\n",
    "1, 1, 2, 3, 5, 8,",
    "In physics, the second law of thermodynamics states that",
]
LENGTH = 64


def write_f32(source, target):
    """The model with all its weights as float32."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, "llama")
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key in ("general.architecture", "general.file_type"):
            continue
        item = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(key, field.contents(), field.types[0], sub_type=item)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def load(path):
    return llama_cpp.Llama(path, n_ctx=512, logits_all=True, verbose=False, type_k=0, type_v=0)


def continuation(model, ids):
    model.reset()
    model.eval(ids)
    new, gaps = [], []
    while len(new) < LENGTH:
        logits = model.scores[model.n_tokens - 1]
        best, second = np.argsort(logits)[:-3:-1]
        new.append(int(best))
        gaps.append(round(float(logits[best] - logits[second]), 4))
        if llama_cpp.llama_vocab_is_eog(model._model.vocab, int(best)):
            break
        model.eval([int(best)])
    return {"ids": new, "gaps": gaps}


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        write_f32(sys.argv[1], os.path.join(folder, "f32.gguf"))
        exact, file = load(os.path.join(folder, "f32.gguf")), load(sys.argv[1])
    cases = []
    for prompt in PROMPTS:
        ids = file.tokenize(prompt.encode(), add_bos=False, special=True)
        cases.append({"prompt": prompt, "ids": ids, "exact": continuation(exact, ids), "file": continuation(file, ids)})
        text = exact.detokenize(cases[-1]["exact"]["ids"]).decode("utf-8", "replace")
        print(repr(prompt), repr(text), file=sys.stderr)
    with open(sys.argv[2], "w", encoding="utf-8") as out:
        out.write("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")


if __name__ == "__main__":
    main()
