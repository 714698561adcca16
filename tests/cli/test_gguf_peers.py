"""GGUF files that clm quantize writes, as llama-cpp-python and the gguf package read them.

Files of f32 and f16 must give the golden arg max at every position. llama.cpp rounds the inputs of products with quantised
weights to 8 bits, which these random networks amplify; so quantised files are opened by it as they are, and for the arg max
their blocks are decoded by the gguf package into a float32 copy, which llama.cpp and clm (on the quantised file) must agree on.

Needs numpy, gguf and llama-cpp-python in the Python that runs it (CMake: -DCLM_PEER_PYTHON=...); says so loudly otherwise.
Environment: CLM_BIN (the program), CLM_GOLDEN (folder with the golden files).
"""
import os
import subprocess
import sys
import tempfile
import unittest

try:
    import gguf
    import llama_cpp
    import numpy as np
except ImportError as error:
    print("########################################################################\n"
          "## PEERS ABSENT: %s\n"
          "## Files that clm quantize writes are not tried in other programs.     ##\n"
          "########################################################################" % error, file=sys.stderr)
    sys.exit(77)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CLM = os.environ.get("CLM_BIN", os.path.join(ROOT, "build", "clm"))
GOLDEN = os.environ.get("CLM_GOLDEN", os.path.join(ROOT, "..", "shared", "golden"))
GPTQ = ["gptq-baichuan13b-tiny", "gptq-baichuan13b-tiny-act", "gptq-llama-tiny"]
SOURCES = ["hf-baichuan13b-tiny", "hf-baichuan7b-tiny-safetensors", "hf-llama-tiny"]


def clm(*args, code=0):
    done = subprocess.run([CLM, *args], capture_output=True, text=True, timeout=600)
    if done.returncode != code:
        raise AssertionError("clm %s: exit code %d: %s" % (args[0], done.returncode, done.stderr))
    return done.stdout


def numbers(name):
    with open(os.path.join(GOLDEN, name), encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def load(path):
    return llama_cpp.Llama(path, n_ctx=128, n_batch=128, logits_all=True, verbose=False, type_k=0, type_v=0,
                           n_threads=1, n_threads_batch=1)


def peer_logits(path, ids):
    model = load(path)
    model.eval(ids)
    return np.array(model.scores[:len(ids)])


def decode(source, target):
    """The same model with all weights as float32, decoded by the gguf package."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, str(reader.fields["general.architecture"].contents()))
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


class Peers(unittest.TestCase):
    def setUp(self):
        self.assertTrue(os.path.isdir(GOLDEN), "GOLDEN FILES ABSENT: " + GOLDEN)
        self.folder = tempfile.TemporaryDirectory()
        self.ids = numbers("ids.txt")

    def tearDown(self):
        self.folder.cleanup()

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def quantize(self, source, kind):
        target = self.path("%s-%s.gguf" % (os.path.basename(source), kind))
        clm("quantize", source, target, "--type", kind, "--force")
        return target

    def own_logits(self, path):
        out = self.path("logits.f32")
        clm("eval", "logits", "-m", path, "--ids", os.path.join(GOLDEN, "ids.txt"), "--from", "0", "-o", out,
            "--backend", "ref")
        return np.fromfile(out, dtype="<f4").reshape(len(self.ids), -1)

    def test_floats(self):
        for source in SOURCES:
            for kind in ("f32", "f16"):
                path = self.quantize(os.path.join(GOLDEN, source), kind)
                with self.subTest(source=source, kind=kind):
                    got = peer_logits(path, self.ids).argmax(1).tolist()
                    self.assertEqual(got, numbers(source + ".argmax.txt"))

    def test_blocks(self):
        for source in SOURCES:
            for kind in ("q4_0", "q4_1", "q8_0"):
                path = self.quantize(os.path.join(GOLDEN, source), kind)
                copy = self.path("decoded.gguf")
                with self.subTest(source=source, kind=kind):
                    self.assertTrue(np.isfinite(peer_logits(path, self.ids)).all())
                    decode(path, copy)
                    self.assertEqual(peer_logits(copy, self.ids).argmax(1).tolist(),
                                     self.own_logits(path).argmax(1).tolist())

    def test_gptq(self):
        """As f16 a GPTQ folder is Q8_0 or F32 in its layers, without loss: the golden arg max."""
        for source in GPTQ:
            path = self.quantize(os.path.join(GOLDEN, source), "f16")
            copy = self.path("decoded.gguf")
            with self.subTest(source=source):
                self.assertTrue(np.isfinite(peer_logits(path, self.ids)).all())
                decode(path, copy)
                self.assertEqual(peer_logits(copy, self.ids).argmax(1).tolist(), numbers(source + ".argmax.txt"))
                self.assertEqual(self.own_logits(path).argmax(1).tolist(), numbers(source + ".argmax.txt"))

    def test_int4_is_refused(self):
        path = self.quantize(os.path.join(GOLDEN, "hf-llama-tiny"), "int4")
        self.assertIn("INT4", clm("inspect", path))
        with self.assertRaises(ValueError):
            load(path)

    def test_tokenizer(self):
        """llama.cpp makes a text of what the model file's own tokenizer makes."""
        path = self.quantize(os.path.join(GOLDEN, "hf-llama-tiny"), "f16")
        model = load(path)
        for text in ("Hello, world", "The sum of 12 and 30 is 42."):
            got = model.tokenize(text.encode(), add_bos=False)
            self.assertEqual(clm("tokenize", "-m", path, "-p", text).strip(), str(got))


if __name__ == "__main__":
    unittest.main(verbosity=2)
