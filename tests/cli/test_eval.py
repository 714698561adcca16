"""`clm eval ppl` against the same numbers computed here from `clm eval logits`.

Environment: CLM_BIN (the program), CLM_GOLDEN (folder with the golden files).
"""
import array
import json
import math
import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CLM = os.environ.get("CLM_BIN", os.path.join(ROOT, "build", "clm"))
GOLDEN = os.environ.get("CLM_GOLDEN", os.path.join(ROOT, "..", "shared", "golden"))
DEMO = os.path.join(ROOT, "configs", "demo.gguf")
TEXT = "静夜思\n李白\n床前明月光，疑是地上霜。\n举头望明月，低头思故乡。\n" * 4 + "春眠不觉晓，处处闻啼鸟。\n"


def clm(*args, stdin=b"", code=0):
    done = subprocess.run([CLM, *args], input=stdin, capture_output=True, timeout=300)
    assert done.returncode == code, (args, done.returncode, done.stderr.decode("utf-8", "replace"))
    return done.stdout.decode(), done.stderr.decode()


class Perplexity(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.text = self.path("text")
        with open(self.text, "w", encoding="utf-8") as file:
            file.write(TEXT + "\n")

    def tearDown(self):
        self.folder.cleanup()

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def nlls(self, model, window, first, extra):
        """-log p of the tokens first + 1 .. of one window."""
        with open(self.path("ids"), "w") as file:
            file.write(" ".join(map(str, window)))
        clm("eval", "logits", "-m", model, "--ids", self.path("ids"), "--from", str(first), "-o", self.path("logits"), *extra)
        values = array.array("f")
        with open(self.path("logits"), "rb") as file:
            values.frombytes(file.read())
        vocab = len(values) // (len(window) - first)
        out = []
        for i, target in enumerate(window[first + 1:]):
            row = values[i * vocab:(i + 1) * vocab]
            top = max(row)
            out.append(top + math.log(math.fsum(math.exp(v - top) for v in row)) - row[target])
        return out

    def check(self, model, bos, window, stride=0, extra=()):
        got = json.loads(clm("eval", "ppl", "-m", model, "-f", self.text, "-c", str(window), "--stride", str(stride), "--json", *extra)[0])
        ids = bos + json.loads(clm("tokenize", "-m", model, "--json", stdin=json.dumps(TEXT).encode())[0])
        step, first = (stride, window - stride - 1) if stride else (window, window // 2)
        values = []
        for start in range(0, len(ids) - window + 1, step):
            part = (bos or ids[start:start + 1]) + ids[start + 1:start + window]
            values += self.nlls(model, part, first, extra)
        mean = math.fsum(values) / len(values)
        error = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / len(values) / (len(values) - 1))
        self.assertEqual((got["tokens"], got["counted"], got["window"]), (len(ids), len(values), window))
        self.assertGreater(got["windows"], 1)
        self.assertAlmostEqual(got["nll"], mean, delta=1e-5 * mean)
        self.assertAlmostEqual(got["nll_error"], error, delta=1e-4 * error)
        self.assertAlmostEqual(got["perplexity"], math.exp(mean), delta=1e-4 * math.exp(mean))
        self.assertAlmostEqual(got["perplexity_error"], math.exp(mean) * error, delta=1e-3 * math.exp(mean) * error)
        self.assertGreater(got["tokens_per_second"], 0)
        return got["nll"]

    def test_windows(self):
        exact = self.check(DEMO, [], 40)
        self.assertNotEqual(self.check(DEMO, [], 40, extra=("--kv-cache-type", "int8")), exact)

    def test_odd_window(self):
        self.check(DEMO, [], 33)

    def test_stride(self):
        self.check(DEMO, [], 32, stride=8)

    def test_bos(self):
        """A vocabulary that wants BOS has it in front of each window."""
        if not os.path.isdir(GOLDEN):
            print("GOLDEN FILES ABSENT:", GOLDEN, file=sys.stderr)
            self.skipTest("golden files absent")
        self.check(os.path.join(GOLDEN, "llama-tiny-q5_1.gguf"), [1], 48)

    def test_report(self):
        out, err = clm("eval", "ppl", "-m", DEMO, "-f", self.text, "-c", "40")
        for word in ("perplexity", "+-", "nats", "tokens/s", "windows of 40"):
            self.assertIn(word, out)
        self.assertIn("windows", err)

    def test_refusals(self):
        for words, args in (("do not fill a window", ["-c", "512"]), ("4 to", ["-c", "2"]), ("stride", ["-c", "16", "--stride", "16"])):
            out, err = clm("eval", "ppl", "-m", DEMO, "-f", self.text, *args, code=2)
            self.assertIn(words, err)
            self.assertEqual(out, "")


if __name__ == "__main__":
    unittest.main()
