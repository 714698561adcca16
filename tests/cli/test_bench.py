"""`clm bench` as a user meets it: rows, fields, formats, refusals.

Environment: CLM_BIN (the program).
"""
import csv
import io
import json
import os
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CLM = os.environ.get("CLM_BIN", os.path.join(ROOT, "build", "clm"))
DEMO = ["-m", os.path.join(ROOT, "configs", "demo.gguf")]
# What programs that read llama-bench's JSON look for.
LLAMA_BENCH = ["model_filename", "model_type", "model_size", "model_n_params", "n_batch", "type_k", "type_v", "n_prompt",
               "n_gen", "n_depth", "test_time", "avg_ns", "stddev_ns", "avg_ts", "stddev_ts", "samples_ns", "samples_ts"]
OURS = ["device", "weights", "activations", "median_ns", "median_ts", "gbps", "gops", "memory_percent", "arithmetic_percent", "limit",
        "limit_percent", "limit_read_gbps", "limit_fp32_gflops", "limit_int8_gops", "limit_bf16_gflops", "launch_us", "roundtrip_us",
        "kernel_seconds", "load_seconds", "warmup_seconds", "device_weight_bytes", "device_kv_bytes", "host_peak_bytes"]


def bench(*args):
    done = subprocess.run([CLM, "bench", *args], stdin=subprocess.DEVNULL, capture_output=True, timeout=300,
                          env={**os.environ, "CLM_MODEL": ""})
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class Rows(unittest.TestCase):
    def rows(self, *args):
        code, out, err = bench(*DEMO, *args)
        self.assertEqual(code, 0, err)
        return out

    def test_json(self):
        rows = json.loads(self.rows("-p", "5", "-n", "3", "-pg", "4,2", "-d", "0,9", "-r", "3", "-o", "json"))
        self.assertEqual([(r["n_prompt"], r["n_gen"], r["n_depth"]) for r in rows],
                         [(5, 0, 0), (0, 3, 0), (4, 2, 0), (5, 0, 9), (0, 3, 9), (4, 2, 9)])
        for row in rows:
            for name in LLAMA_BENCH + OURS:
                self.assertIn(name, row)
            self.assertEqual(row["model_type"].split()[0], "baichuan")
            self.assertEqual((row["weights"], row["type_k"]), ("Q8_0", "f16"))
            self.assertEqual(row["model_n_params"], rows[0]["model_n_params"])
            self.assertEqual((len(row["samples_ns"]), len(row["samples_ts"])), (3, 3))
            tokens = row["n_prompt"] + row["n_gen"]
            for ns, ts in zip(row["samples_ns"], row["samples_ts"]):
                self.assertAlmostEqual(ts * ns * 1e-9 / tokens, 1.0, places=3)
            self.assertAlmostEqual(row["avg_ts"] * 3 / sum(row["samples_ts"]), 1.0, places=6)
            self.assertAlmostEqual(row["median_ts"] / sorted(row["samples_ts"])[1], 1.0, places=6)
            self.assertGreater(row["limit_read_gbps"], 0)
            self.assertAlmostEqual(row["limit_percent"], max(row["memory_percent"], row["arithmetic_percent"]))
            self.assertAlmostEqual(row["memory_percent"] * row["limit_read_gbps"] / (100 * row["gbps"]), 1.0, places=5)
            self.assertIn(row["limit"], ("memory", "arithmetic"))
            self.assertGreater(row["device_weight_bytes"], 5e6)
            self.assertGreater(row["host_peak_bytes"], 1e7)

    def test_named(self):
        rows = json.loads(self.rows("--test", "tg2@d5", "--test", "pp3", "--test", "pp4+tg1@d2", "-r", "1", "-o", "json"))
        self.assertEqual([(r["n_prompt"], r["n_gen"], r["n_depth"]) for r in rows], [(0, 2, 5), (3, 0, 0), (4, 1, 2)])

    def test_shares_are_of_the_rate(self):
        """The same work in both rows: what the row says of limits belongs to the tokens per second beside it."""
        a, b = json.loads(self.rows("--test", "tg3", "--test", "tg3", "-r", "5", "-o", "json"))
        for name in ("gbps", "gops"):
            self.assertAlmostEqual(a[name] / a["avg_ts"] * b["avg_ts"] / b[name], 1.0, places=6)

    def test_standard_input(self):
        lines = "memory\ntg2@d5\npp3\ntg2@d5\nmemory\n"
        done = subprocess.run([CLM, "bench", *DEMO, "--test", "-", "-r", "2", "-o", "jsonl"], input=lines.encode(),
                              capture_output=True, timeout=300, env={**os.environ, "CLM_MODEL": ""})
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        first, *rows, last = [json.loads(line) for line in done.stdout.decode().splitlines()]
        self.assertEqual([(r["n_prompt"], r["n_gen"], r["n_depth"], len(r["samples_ns"])) for r in rows],
                         [(0, 2, 5, 2), (3, 0, 0, 2), (0, 2, 5, 2)])
        for memory in (first, last):
            self.assertGreater(memory["limit_read_gbps"], 0)

    def test_warming_up(self):
        """Only a prompt that is run again is warm: with tokens behind it, these are not."""
        named = [word for name in ("pp3", "pp3", "pp3+tg1", "pp3@d4", "tg1", "tg1") for word in ("--test", name)]
        rows = json.loads(self.rows(*named, "-r", "1", "-o", "json"))
        self.assertEqual([r["warmup_seconds"] > 0 for r in rows], [True, False, True, True, True, True])

    def test_answers_come_line_by_line(self):
        child = subprocess.Popen([CLM, "bench", *DEMO, "--test", "-", "-r", "1", "-o", "jsonl"], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, "CLM_MODEL": ""})
        try:
            for name in ("tg1@d3", "pp4"):
                child.stdin.write(name.encode() + b"\n")
                child.stdin.flush()
                self.assertIn("avg_ts", json.loads(child.stdout.readline()))
            child.stdin.close()
            self.assertEqual(child.wait(timeout=60), 0)
        finally:
            child.kill()
            child.wait()
            child.stdout.close()

    def test_bad_lines(self):
        for line, word in (("xx", "'xx' is no test"), ("tg8@d1020", "does not fit a context of 1024")):
            done = subprocess.run([CLM, "bench", *DEMO, "--test", "-", "-r", "1"], input=line.encode(), capture_output=True,
                                  timeout=300, env={**os.environ, "CLM_MODEL": ""})
            self.assertEqual(done.returncode, 2)
            self.assertIn(word, done.stderr.decode())

    def test_table(self):
        out = self.rows("-p", "4", "-n", "2", "-d", "7", "-r", "1")
        lines = out.splitlines()
        self.assertEqual([x.strip() for x in lines[0].split("|")[1:-1]],
                         ["model", "size", "on device", "host peak", "test", "t/s", "of limit"])
        self.assertIn(" pp4 @ d7 ", lines[2])
        self.assertIn(" tg2 @ d7 ", lines[3])
        self.assertIn("±", lines[3])
        self.assertIn("limits: reads ", out)
        self.assertEqual(len({len(line) for line in lines[:4]}), 1)

    def test_lines(self):
        rows = [json.loads(line) for line in self.rows("-p", "3", "-n", "0", "-r", "1", "-o", "jsonl").splitlines()]
        self.assertEqual([(r["n_prompt"], r["n_gen"]) for r in rows], [(3, 0)])
        rows = list(csv.DictReader(io.StringIO(self.rows("-p", "0", "-n", "2,1", "-r", "1", "-o", "csv"))))
        self.assertEqual([r["n_gen"] for r in rows], ["2", "1"])
        self.assertGreater(float(rows[0]["avg_ts"]), 0)
        self.assertEqual(rows[0]["model_filename"], DEMO[1])

    def test_reference(self):
        rows = json.loads(self.rows("-p", "3", "-n", "1", "-r", "1", "-o", "json", "--backend", "ref"))
        self.assertEqual([r["limit"] for r in rows], ["", ""])
        self.assertGreater(rows[0]["avg_ts"], 0)

    def test_says_what_limits(self):
        code, _, err = bench(*DEMO, "-p", "4", "-n", "1", "-r", "1")
        self.assertEqual(code, 0, err)
        self.assertRegex(err, "pp4 is limited by (the kernels|memory|arithmetic)")
        self.assertRegex(err, "tg1 is limited by (the kernels|memory|arithmetic)")


class Operators(unittest.TestCase):
    def test_rows(self):
        code, out, err = bench("--op", "add", "--op", "argmax", "-o", "json")
        self.assertEqual(code, 0, err)
        rows = json.loads(out)
        self.assertEqual({r["op"] for r in rows}, {"add", "argmax"})
        for row in rows:
            self.assertGreater(row["us"], 0)
            self.assertGreater(row["gbps"], 0)
            self.assertGreater(row["limit_percent"], 0)
        by_shape = {r["shape"]: r for r in rows}
        self.assertEqual(by_shape["COUNT=5120"]["values"], "default")
        self.assertRegex(by_shape["COUNT=5120"]["params"], r"^WG=\d+ VW=\d+$")
        # What stays in the cache is not compared with the memory's speed, and what does not, is.
        self.assertTrue(by_shape["COUNT=5120"]["cached"])
        self.assertEqual(by_shape["COUNT=5120"]["memory_percent"], 0)
        self.assertFalse(by_shape["COUNT=2621440"]["cached"])
        self.assertEqual(by_shape["COUNT=2621440"]["limit"], "memory")

    def test_each_arithmetic_has_its_limit(self):
        code, out, err = bench("--op", "linear_f16", "--op", "linear_q8", "--op", "attention", "-o", "json")
        self.assertEqual(code, 0, err)
        for row in json.loads(out):
            int8 = row["op"] == "linear_q8"
            self.assertEqual(row["arithmetic"], "int8" if int8 else "float", row["shape"])
            limit = row["limit_int8_gops" if int8 else "limit_fp32_gflops"]
            if not row["at_most"]:
                self.assertAlmostEqual(row["arithmetic_percent"], 100 * row["gops"] / limit, places=3)
            self.assertLessEqual(row["at_most"] * row["limit_percent"], 100)

    def test_table(self):
        code, out, err = bench("--op", "add", "--op", "attention_combine")
        self.assertEqual(code, 0, err)
        lines = [line for line in out.splitlines() if line.startswith("|")]
        self.assertEqual([x.strip() for x in lines[0].split("|")[1:-1]],
                         ["operator", "shape", "values", "us", "GB/s", "GOP/s", "of limit"])
        self.assertEqual(len({len(line) for line in lines}), 1, out)
        self.assertRegex(out, r"COUNT=5120 .* % launch, cached \|")
        self.assertRegex(out, r"COUNT=2621440 .* % memory \|")

    def test_tuned_values(self):
        with tempfile.TemporaryDirectory() as folder:
            env = {**os.environ, "XDG_DATA_HOME": folder}
            subprocess.run([CLM, "tune", "--ops", "add", "--synthetic", "13b", "--budget", "20"], env=env, check=True,
                           capture_output=True)
            done = subprocess.run([CLM, "bench", "--op", "add", "-o", "json"], env=env, check=True, capture_output=True)
            self.assertIn("tuned", [row["values"] for row in json.loads(done.stdout)])
            done = subprocess.run([CLM, "bench", "--op", "add", "-o", "json"], env={**env, "CLM_TUNING_MODE": "off"},
                                  check=True, capture_output=True)
            self.assertEqual({row["values"] for row in json.loads(done.stdout)}, {"default"})

    def test_behind_a_model(self):
        code, out, err = bench(*DEMO, "-p", "3", "-n", "0", "-r", "1", "--op", "add")
        self.assertEqual(code, 0, err)
        self.assertIn("| add ", out)
        self.assertIn(" pp3 ", out)


class Refusals(unittest.TestCase):
    def check(self, word, *args):
        code, out, err = bench(*args)
        self.assertEqual((code, out), (2, ""), err)
        self.assertIn(word, err)
        self.assertEqual(len(err.strip().splitlines()), 1, err)

    def test_values(self):
        for flag in ("-p", "-n", "-d"):
            for value in ("-1", "x", "", "1.5", "12,", ",12", "99999999", "99999999999999999999999", "4 5", "+4",
                          ",".join(["1"] * 17)):
                self.check(flag, *DEMO, flag, value)
        for value in ("0", "2,0", "-1", "x"):
            self.check("-np", *DEMO, "-np", value)
        for value in ("0", "-3", "1001", "many"):
            self.check("-r", *DEMO, "-r", value)
        for value in ("4", "0,4", "4,0", "4,4,4", "4;4"):
            self.check("-pg", *DEMO, "-pg", value)
        for value in ("", "pp", "pp0", "tg0", "tg-1", "pp4tg2", "tg4@5", "tg4@d", "pp4+", "xx4", "pp4 ", "@d4", "tg99999999"):
            self.check("--test", *DEMO, "--test", value)
        self.check("nothing to measure", *DEMO, "-p", "0", "-n", "0")
        self.check("1048576", *DEMO, "-p", "1000000", "-d", "100000")
        self.check("-o", *DEMO, "-o", "xml")
        self.check("there is no operator 'gemv_q5'; there are act_bf16, act_quant, ", "--op", "gemv_q5")

    def test_models(self):
        self.check("no model", "-p", "4", "-n", "0", "--backend", "ref")
        self.check("llama13b", "--synthetic", "70b", "--backend", "ref")
        self.check("q9_9", "--synthetic", "13b", "--type", "q9_9", "--backend", "ref")
        self.check("--type", *DEMO, "--type", "q4_0")
        self.check("exclude", *DEMO, "--synthetic", "13b")
        self.check("--type is that of", "--synthetic", "13b", "--weights", "int4")
        code, out, err = bench("-m", "nofile.gguf", "-p", "4", "--backend", "ref")
        self.assertEqual((code, out), (3, ""), err)

    def test_flags_without_effect(self):
        for flag, value in (("-p", "4"), ("-n", "4"), ("-d", "4"), ("-pg", "4,4"), ("-np", "2")):
            self.check("%s is not added to it" % flag, *DEMO, "--test", "pp3", flag, value)
        for flag, value in (("-p", "4"), ("-np", "2"), ("--test", "pp3"), ("-r", "2")):
            self.check("%s is for tests of a model" % flag, "--op", "add", flag, value)
        for model in ([], DEMO):
            self.check("--backend ref has none", *model, "--op", "add", "--backend", "ref")
        self.check("'ref'", "--op", "add", "--device", "ref")

    def test_help(self):
        self.assertIn("--synthetic 13b [--type q4_0]", bench("--help")[1])


if __name__ == "__main__":
    unittest.main(verbosity=1)
