"""`clm eval ppl`, `clm eval cmmlu` and `clm eval ceval` against the same numbers computed here from `clm eval logits`.

Environment: CLM_BIN (the program), CLM_GOLDEN (folder with the golden files).
"""
import array
import csv
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CLM = os.environ.get("CLM_BIN", os.path.join(ROOT, "build", "clm"))
GOLDEN = os.environ.get("CLM_GOLDEN", os.path.join(ROOT, "..", "shared", "golden"))
DEMO = os.path.join(ROOT, "configs", "demo.gguf")
DATA = os.path.join(ROOT, "tests", "data")
EXACT = ["--activations", "f32", "--kv-cache-type", "f32"]
TEXT = "静夜思\n李白\n床前明月光，疑是地上霜。\n举头望明月，低头思故乡。\n" * 4 + "春眠不觉晓，处处闻啼鸟。\n"


def clm(*args, stdin=b"", code=0):
    done = subprocess.run([CLM, *args], input=stdin, capture_output=True, timeout=300)
    assert done.returncode == code, (args, done.returncode, done.stderr.decode("utf-8", "replace"))
    return done.stdout.decode(), done.stderr.decode()


def tokenize(model, text):
    return json.loads(clm("tokenize", "-m", model, "--json", stdin=json.dumps(text).encode())[0])


def logits(folder, model, ids, first, extra):
    """Rows of the logits at the positions from `first` on."""
    with open(os.path.join(folder, "ids"), "w") as file:
        file.write(" ".join(map(str, ids)))
    clm("eval", "logits", "-m", model, "--ids", os.path.join(folder, "ids"), "--from", str(first), "-o", os.path.join(folder, "logits"), *extra)
    values = array.array("f")
    with open(os.path.join(folder, "logits"), "rb") as file:
        values.frombytes(file.read())
    vocab = len(values) // (len(ids) - first)
    return [values[i:i + vocab] for i in range(0, len(values), vocab)]


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
        out = []
        for row, target in zip(logits(self.folder.name, model, window, first, extra), window[first + 1:]):
            top = max(row)
            out.append(top + math.log(math.fsum(math.exp(v - top) for v in row)) - row[target])
        return out

    def check(self, model, bos, window, stride=0, extra=()):
        got = json.loads(clm("eval", "ppl", "-m", model, "-f", self.text, "-c", str(window), "--stride", str(stride), "--json", *extra)[0])
        ids = bos + tokenize(model, TEXT)
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
        for words, args in (("do not fill a window", ["-c", "512"]), ("a window (-c) of 1 token is too small: 4 is the least", ["-c", "1"]),
                            ("a window (-c) of 3 tokens is too small", ["-c", "3"]), ("stride", ["-c", "16", "--stride", "16"])):
            out, err = clm("eval", "ppl", "-m", DEMO, "-f", self.text, *args, code=2)
            self.assertIn(words, err)
            self.assertEqual((out, "loading weights" in err), ("", "fill" in words))



class Benchmark(unittest.TestCase):
    """Made-up files in the formats of the benchmarks. Prompts are put together here once more, as their scripts do."""

    FORMS = {
        "cmmlu": ("以下是关于{}的单项选择题，请直接给出正确答案的选项。\n\n", "题目：{}\nA. {}\nB. {}\nC. {}\nD. {}\n答案是：", "dev/{}.csv", "test/{}.csv"),
        "ceval": ("以下是中国关于{}考试的单项选择题，请选出其中的正确答案。\n\n", "{}\nA. {}\nB. {}\nC. {}\nD. {}\n答案：", "dev/{}_dev.csv", "val/{}_val.csv"),
    }

    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.folder = os.path.join(self.scratch.name, "data")
        shutil.copytree(os.path.join(DATA, "cmmlu"), self.folder)

    def tearDown(self):
        self.scratch.cleanup()

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())
        return path

    def lines(self, name):
        with open(os.path.join(self.folder, name), encoding="utf-8") as file:
            return file.read().splitlines()

    def run_json(self, *args, name="cmmlu", folder=None, model=DEMO, ctx=1024):
        return json.loads(clm("eval", name, folder or self.folder, "-m", model, "-c", str(ctx), "--json", *args)[0])

    def rows(self, folder, name):
        with open(os.path.join(folder, name), newline="", encoding="utf-8-sig") as file:
            return [{k.lower(): v for k, v in row.items()} for row in csv.DictReader(file)]

    def prompts(self, name, folder, stem, subject, shots):
        """For each question the prompts with `shots` examples, with fewer ..., with none; and the right letter."""
        instruction, form, dev, test = self.FORMS[name]

        def text(row):
            return form.format(*(row[k] for k in ("question", "a", "b", "c", "d")))

        examples = [text(row) + row["answer"] + "\n\n" for row in self.rows(folder, dev.format(stem))[:shots]]
        for row in self.rows(folder, test.format(stem)):
            beginnings = ["".join(examples[i:]) for i in range(shots + 1)]
            yield [instruction.format(subject) + b + text(row) for b in beginnings], row["answer"]

    def check(self, name, folder, stem, subject, *args, shots=5, ctx=1024, model=DEMO, bos=[]):
        """All of a subject's results against those computed here; returns the subject's report."""
        report = self.run_json(*args, *EXACT, "--subject", stem, "--shots", str(shots), name=name, folder=folder, model=model, ctx=ctx)
        got, = report["subjects"]
        self.assertEqual((got["subject"], got["name"], report["shots"], report["complete"]), (stem, subject, shots, True))
        letters = [tokenize(model, "：" + c)[-1] for c in "ABCD"]
        wanted = list(self.prompts(name, folder, stem, subject, shots))
        self.assertEqual(len(got["answers"]), len(wanted))
        tokens, correct, right = 0, 0, 0.0
        for answer, (texts, letter) in zip(got["answers"], wanted):
            n, ids = next((n, ids) for n, ids in ((shots - i, bos + tokenize(model, t)) for i, t in enumerate(texts)) if len(ids) <= ctx)
            row, = logits(self.scratch.name, model, ids, len(ids) - 1, ["-c", str(ctx), *EXACT])
            weights = [math.exp(row[i] - max(row)) for i in letters]
            p = [w / sum(weights) for w in weights]
            for a, b in zip(answer["probabilities"], p):
                self.assertAlmostEqual(a, b, delta=1e-4)
            self.assertEqual((answer["shots"], answer["answer"], answer["choice"]), (n, letter, "ABCD"[p.index(max(p))]))
            tokens += len(ids)
            correct += answer["choice"] == letter
            right += p["ABCD".index(letter)] / len(wanted)
        accuracy = correct / len(wanted)
        self.assertEqual((got["questions"], got["correct"], report["prompt_tokens"]), (len(wanted), correct, tokens))
        self.assertAlmostEqual(got["accuracy"], accuracy)
        self.assertAlmostEqual(got["error"], math.sqrt(accuracy * (1 - accuracy) / (len(wanted) - 1)))
        self.assertAlmostEqual(got["p_right"], right, delta=1e-4)
        self.assertEqual(report["fewer_examples"], sum(a["shots"] < shots for a in got["answers"]))
        return report

    def test_cmmlu(self):
        report = self.check("cmmlu", self.folder, "astronomy", "天文学")
        self.assertEqual([a["line"] for a in report["subjects"][0]["answers"]], [2, 3, 4, 7, 8])
        self.assertGreater(report["cached_tokens"], report["prompt_tokens"] // 2)  # the examples, once
        self.check("cmmlu", self.folder, "made_up", "made_up", shots=2)

    def test_ceval(self):
        """With a byte order mark, CRLF, explanations, and names of its own."""
        folder = os.path.join(DATA, "ceval")
        self.check("ceval", folder, "law", "法学")
        self.check("ceval", folder, "logic", "逻辑学", shots=0)

    def test_bos(self):
        """A vocabulary that wants BOS has it in front of each prompt."""
        with open(DEMO, "rb") as file:
            data = bytearray(file.read())
        key = b"tokenizer.ggml.add_bos_token"
        at = data.index(key) + len(key) + 4  # behind the type
        self.assertEqual(data[at], 0)
        data[at] = 1
        model = self.write("bos.gguf", bytes(data))
        self.check("cmmlu", self.folder, "made_up", "made_up", model=model, bos=[1], shots=1)

    def test_vocabulary_without_letters(self):
        if not os.path.isdir(GOLDEN):
            print("GOLDEN FILES ABSENT:", GOLDEN, file=sys.stderr)
            self.skipTest("golden files absent")
        model = os.path.join(GOLDEN, "llama-tiny-q5_1.gguf")
        out, err = clm("eval", "cmmlu", self.folder, "-m", model, "-c", "512", code=3)
        self.assertIn(f"clm: {model}: the vocabulary has no piece 'A'\n", err)
        self.assertEqual(out, "")

    def test_small_context(self):
        """As many examples as fit, the last ones."""
        sizes = [len(tokenize(DEMO, t)) for t in next(self.prompts("cmmlu", self.folder, "astronomy", "天文学", 5))[0]]
        report = self.check("cmmlu", self.folder, "astronomy", "天文学", ctx=sizes[2])
        self.assertEqual(report["subjects"][0]["answers"][0]["shots"], 3)
        self.assertEqual(report["fewer_examples"], 5)
        out, _ = clm("eval", "cmmlu", self.folder, "-m", DEMO, "-c", str(sizes[2]))
        self.assertIn(f"fewer examples: more do not fit the context of {sizes[2]} tokens", out)

    def test_question_beyond_the_context(self):
        """Ends the run; what was done before is not lost."""
        header, first, *_ = self.lines("test/made_up.csv")
        path = self.write("test/made_up.csv", "\n".join([header, first, first.replace("二加三", "二加三" * 400)]) + "\n")
        out, err = clm("eval", "cmmlu", self.folder, "-m", DEMO, "-c", "400", "--subject", "made_up", "--json", code=1)
        self.assertRegex(err, f"{path}:3: .* tokens and the context only 400: raise ctx_size\n")
        report = json.loads(out)
        self.assertEqual((report["complete"], report["mean_over_questions"]["questions"]), (False, 1))
        self.assertIsNone(report["mean_over_questions"]["error"])

    def test_choice_of_questions(self):
        report = self.run_json("-n", "2")
        self.assertEqual([(s["subject"], s["questions"]) for s in report["subjects"]], [("astronomy", 2), ("made_up", 2)])
        self.assertEqual(report["mean_over_questions"]["questions"], 4)
        report = self.run_json("--subject", "made_up,astronomy", "--shots", "1")
        parts = report["subjects"]
        self.assertEqual([s["subject"] for s in parts], ["astronomy", "made_up"])
        self.assertAlmostEqual(report["mean_over_subjects"]["accuracy"], sum(s["accuracy"] for s in parts) / 2)
        self.assertAlmostEqual(report["mean_over_subjects"]["error"], math.hypot(*(s["error"] for s in parts)) / 2)
        self.assertAlmostEqual(report["mean_over_questions"]["accuracy"], sum(s["correct"] for s in parts) / 8)
        shutil.rmtree(os.path.join(self.folder, "dev"))
        self.assertEqual(self.run_json("--shots", "0")["mean_over_questions"]["questions"], 8)

    def test_columns_go_by_name(self):
        before = self.run_json("--subject", "made_up", *EXACT)["subjects"]
        for name in ("dev/made_up.csv", "test/made_up.csv"):
            rows = self.rows(self.folder, name)
            path = self.write(name, "")
            with open(path, "w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerow(["answer", "D", "note", "c", "B", "A", "QUESTION"])
                for r in rows:
                    writer.writerow([f" {r['answer'].lower()} ", r["d"], "x", r["c"], r["b"], r["a"], r["question"]])
        self.assertEqual(self.run_json("--subject", "made_up", *EXACT)["subjects"], before)

    def test_table(self):
        out, err = clm("eval", "cmmlu", self.folder, "-m", DEMO, "-c", "1024")
        lines = out.splitlines()
        self.assertEqual(lines[0].split(), ["subject", "questions", "correct", "%", "+-", "p(right)"])
        self.assertEqual([line.split()[0] for line in lines[1:5]], ["astronomy", "made_up", "mean", "mean"])
        self.assertRegex(lines[6], r"^5-shot, 8 of 8 questions, \d+ prompt tokens \(\d+ from the cache\), ")
        self.assertNotIn("fewer examples", out)
        self.assertIn("questions (8)", err)
        out, _ = clm("eval", "cmmlu", self.folder, "-m", DEMO, "-c", "1024", "-n", "1", "--subject", "made_up")
        self.assertEqual(out.splitlines()[1].split()[4], "-")  # of one question there is no error

    def test_interrupt(self):
        """Ctrl+C gives what is done."""
        header, *rows = self.lines("test/made_up.csv")
        self.write("test/made_up.csv", "\n".join([header, *rows * 2000]) + "\n")
        program = subprocess.Popen([CLM, "eval", "cmmlu", self.folder, "-m", DEMO, "-c", "1024", "--json"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for line in program.stderr:
            if line.startswith(b"questions"):
                break
        program.send_signal(signal.SIGINT)
        out, err = program.communicate(timeout=60)
        self.assertEqual(program.returncode, 130, err)
        report = json.loads(out)
        n = report["mean_over_questions"]["questions"]
        self.assertEqual((report["complete"], sum(len(s["answers"]) for s in report["subjects"])), (False, n))
        self.assertTrue(0 < n < 6005)
        self.assertIn(f"interrupted after {n} of 6005 questions".encode(), err)

    def test_bad_files(self):
        """One sentence that names the file and the line, before a model is loaded."""
        name = "test/made_up.csv"
        header = ",Question,A,B,C,D,Answer\n"
        row = "0,q,a,b,c,d,A\n"
        for text, line, words in (
                (header + row + "1,q,a,b,c,d,E\n", 3, "the answer is 'E', which is none of A to D"),
                (header + "1,q,a,b,c,d,AB\n", 2, "the answer is 'AB'"),
                (header + "1,q,a,b,c,d,\n", 2, "the answer is ''"),
                (header + "1,,a,b,c,d,A\n", 2, "the question is empty"),
                (header + row + "1,q,a,b,c,A\n", 3, "the row has 6 fields and the header 7"),
                (header + row + "1,\"q,a,b,c,d,A\n", 3, "a quote in this row is not closed"),
                (header.encode() + b"1,\xc4\xe3,a,b,c,d,A\n", 2, "the line is not UTF-8"),
                (header.encode() + b"1,q\0,a,b,c,d,A\n", 2, "the line holds a NUL byte"),
                ("id,question,A,B,C,answer\n0,q,a,b,c,A\n", 1, "the header has no column 'D'"),
                ("question,A,B,C,D,answer,Answer\nq,a,b,c,d,A,A\n", 1, "the header has more than one column 'answer'"),
                (header, None, "the file has a header and no questions"),
                ("", None, "the file is empty")):
            path = self.write(name, text)
            out, err = clm("eval", "cmmlu", self.folder, "-m", DEMO, code=2)
            place = path if line is None else f"{path}:{line}"
            self.assertIn(f"clm: {place}: {words}", err)
            self.assertEqual((out, err.count("\n")), ("", 1))

    def test_missing(self):
        for words, args in (
                ("No such file or directory; a copy of cmmlu has its examples in dev/SUBJECT.csv and its questions in "
                 "test/SUBJECT.csv", [os.path.join(self.folder, "nowhere")]),
                ("val: No such file or directory; a copy of ceval has its examples in dev/SUBJECT_dev.csv and its questions in "
                 "val/SUBJECT_val.csv", None),
                ("there is no 'astronmy'; did you mean 'astronomy'?", [self.folder, "--subject", "made_up,astronmy"]),
                ("there is no ''", [self.folder, "--subject", "made_up,"]),
                ("--shots", [self.folder, "--shots", "6"]),
                ("-n", [self.folder, "-n", "0"])):
            name = "ceval" if args is None else "cmmlu"
            out, err = clm("eval", name, *(args or [self.folder]), "-m", DEMO, code=2)
            self.assertIn(words, err)
            self.assertEqual((out, err.count("\n")), ("", 1))
        self.assertIn("an argument is missing", clm("eval", "cmmlu", "-m", DEMO, code=2)[1])
        header, *rows = self.lines("dev/made_up.csv")
        path = self.write("dev/made_up.csv", "\n".join([header, *rows[:3]]))
        self.assertIn(f"{path}: the file has 3 examples, and --shots 5 needs 5", clm("eval", "cmmlu", self.folder, "-m", DEMO, code=2)[1])
        os.remove(path)
        self.assertIn(f"{path}: No such file", clm("eval", "cmmlu", self.folder, "-m", DEMO, code=2)[1])
        layout = "; a copy of cmmlu has its examples in dev/SUBJECT.csv"
        shutil.rmtree(os.path.join(self.folder, "dev"))
        self.assertIn("/dev: No such file or directory" + layout, clm("eval", "cmmlu", self.folder, "-m", DEMO, code=2)[1])
        for entry in os.listdir(os.path.join(self.folder, "test")):
            os.remove(os.path.join(self.folder, "test", entry))
        self.assertIn("the folder has no files *.csv" + layout, clm("eval", "cmmlu", self.folder, "-m", DEMO, code=2)[1])


if __name__ == "__main__":
    unittest.main()
