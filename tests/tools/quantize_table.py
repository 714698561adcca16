"""Measures the types of clm quantize and prints the table of docs/quantisation.md.

usage: quantize_table.py CLM GOLDEN SMOLLM2.gguf WINDOWS TEXT...
    CLM      the program
    GOLDEN   folder with the golden models
    WINDOWS  of 512 tokens, of each text

Needs the Python packages gguf and numpy: python3 -m venv FOLDER && FOLDER/bin/pip install gguf numpy

For each model and type: size, root mean square relative error of the weights, relative error of the logits (golden models:
against the golden float64 logits; SmolLM2: against its own), and for SmolLM2 the divergence from its own distributions in nats
a token (mean over the first windows of each text), and the perplexity of WINDOWS windows of each text, with 8-bit activations
and a 16-bit cache. "q4_0 by ggml" has the layers rounded by the gguf package as ggml does it, all else as in our q4_0.
"""
import json
import os
import subprocess
import sys
import tempfile

try:
    import gguf
    import numpy as np
except ImportError as error:
    sys.exit(f"quantize_table.py: {error}\n\n{__doc__.strip()}")

if len(sys.argv) < 6:
    sys.exit(__doc__.strip())
CLM, GOLDEN, SMOLLM2, WINDOWS, *TEXTS = sys.argv[1:]
WINDOW = 512
DIVERGENCE_WINDOWS = 4
SETTINGS = ["--activations", "int8", "--kv-cache-type", "f16"]  # as models run
TYPES = [
    ("f16", ["--type", "f16"]),
    ("int8 (q8_0)", ["--type", "int8"]),
    ("q4_1", ["--type", "q4_1"]),
    ("int4", ["--type", "int4"]),
    ("q4_0", ["--type", "q4_0"]),
    ("q4_0 by ggml", None),
    ("int4, head int4", ["--type", "int4", "--head-type", "int4"]),
    ("int4, embedding int4", ["--type", "int4", "--embedding-type", "int4"]),
]
SMOLLM2_TYPES = ["int8 (q8_0)", "int4", "q4_0", "q4_0 by ggml"]
SOURCES = ["hf-llama-tiny", "hf-baichuan7b-tiny-safetensors", "hf-baichuan13b-tiny"]


def clm(*args):
    done = subprocess.run([CLM, *args], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit("clm %s: %s" % (" ".join(args), done.stderr))
    return done.stdout


def relative(a, b):
    return float(np.linalg.norm(a.astype(np.float64) - b) / np.linalg.norm(b.astype(np.float64)))


def quantize_ggml(f32, ours, target):
    """Layers rounded by the gguf package; the rest as in `ours`. Returns the error of the weights."""
    writer = gguf.GGUFWriter(target, str(gguf.GGUFReader(f32).fields["general.architecture"].contents()))
    kept = {t.name: t for t in gguf.GGUFReader(ours).tensors}
    reader = gguf.GGUFReader(f32)
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key in ("general.architecture", "clm.checksums"):
            continue
        item = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(key, field.contents(), field.types[0], sub_type=item)
    errors = weights = 0
    for tensor in reader.tensors:
        kind = kept[tensor.name].tensor_type
        data = kept[tensor.name].data
        if kind == gguf.GGMLQuantizationType.Q4_0:
            data = gguf.quants.quantize(tensor.data, kind)
        if kind != gguf.GGMLQuantizationType.F32:
            errors += tensor.data.size * relative(gguf.quants.dequantize(data, kind), tensor.data) ** 2
            weights += tensor.data.size
        writer.add_tensor(tensor.name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return (errors / weights) ** 0.5


def variants(source, folder, types):
    """(name, path, error of the weights) of each type."""
    for name, args in TYPES:
        if name not in types:
            continue
        path = os.path.join(folder, "model.gguf")
        if args is not None:
            report = json.loads(clm("quantize", source, path, *args, "--json", "--force"))
            yield name, path, report["relative_error"]
            continue
        f32, ours = os.path.join(folder, "f32.gguf"), os.path.join(folder, "ours.gguf")
        clm("quantize", source, f32, "--type", "f32", "--force")
        clm("quantize", source, ours, "--type", "q4_0", "--force")
        yield name, path, quantize_ggml(f32, ours, path)


def logits(model, ids, start, folder, *settings):
    out = os.path.join(folder, "logits.f32")
    clm("eval", "logits", "-m", model, "--ids", ids, "--from", str(start), "-o", out, *settings)
    return np.fromfile(out, dtype="<f4")


class Text:
    """The windows of a text, cut to as many characters as they need, and the source's distributions in the first ones."""

    def __init__(self, path, folder):
        name = os.path.basename(path)
        with open(path, encoding="utf-8") as file:
            text = file.read(400000)
        ids = json.loads(clm("tokenize", "-m", SMOLLM2, "-p", text[:100000]))
        self.folder, self.path = folder, os.path.join(folder, name)
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(text[:int(len(text[:100000]) / len(ids) * WINDOW * (int(WINDOWS) + 0.5))])
        self.ids = []
        for i in range(DIVERGENCE_WINDOWS):
            self.ids.append(os.path.join(folder, "%s.%d.ids" % (name, i)))
            with open(self.ids[-1], "w", encoding="ascii") as file:
                file.write(" ".join(map(str, ids[i * WINDOW:(i + 1) * WINDOW])))
        self.want = [self.log_probabilities(SMOLLM2, path) for path in self.ids]

    def log_probabilities(self, model, ids):
        values = logits(model, ids, WINDOW // 2, self.folder, *SETTINGS).reshape(WINDOW // 2, -1).astype(np.float64)
        values -= values.max(axis=1, keepdims=True)
        return values - np.log(np.exp(values).sum(axis=1, keepdims=True))

    def divergence(self, model):
        got = [self.log_probabilities(model, path) for path in self.ids]
        return np.mean([(np.exp(p) * (p - q)).sum(axis=1).mean() for p, q in zip(self.want, got)])

    def perplexity(self, model):
        return json.loads(clm("eval", "ppl", "-m", model, "-f", self.path, "-c", str(WINDOW), "--json",
                              *SETTINGS))["perplexity"]


def row(*cells):
    print("| " + " | ".join(cells) + " |", flush=True)


def main():
    with tempfile.TemporaryDirectory() as folder:
        row("model", "type", "size, MB", "weights", "logits", "divergence", *[os.path.basename(path) for path in TEXTS])
        row(*["---"] * (6 + len(TEXTS)))
        for source in SOURCES:
            want = np.fromfile(os.path.join(GOLDEN, source + ".logits.f32"), dtype="<f4")
            for name, path, error in variants(os.path.join(GOLDEN, source), folder, dict(TYPES)):
                got = logits(path, os.path.join(GOLDEN, "ids.txt"), 88, folder)
                row(source, name, "%.2f" % (os.path.getsize(path) / 1e6), "%.2e" % error, "%.2e" % relative(got, want), "",
                    *[""] * len(TEXTS))
        texts = [Text(path, folder) for path in TEXTS]
        ids_path = os.path.join(folder, "ids.txt")
        with open(texts[0].ids[0], encoding="ascii") as file, open(ids_path, "w", encoding="ascii") as out:
            out.write(" ".join(file.read().split()[:128]))
        want = logits(SMOLLM2, ids_path, 64, folder)
        perplexities = ["%.2f" % text.perplexity(SMOLLM2) for text in texts]
        row("SmolLM2-135M", "as it is (Q4_1)", "%.1f" % (os.path.getsize(SMOLLM2) / 1e6), "0", "0", "0", *perplexities)
        for name, path, error in variants(SMOLLM2, folder, SMOLLM2_TYPES):
            got = logits(path, ids_path, 64, folder)
            row("SmolLM2-135M", name, "%.1f" % (os.path.getsize(path) / 1e6), "%.2e" % error, "%.2e" % relative(got, want),
                "%.3f" % np.mean([text.divergence(path) for text in texts]), *["%.2f" % text.perplexity(path) for text in texts])


if __name__ == "__main__":
    main()
