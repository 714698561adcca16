"""tools/compare_peers.py: its arithmetic and its command line; the comparison itself takes a quiet machine and an hour."""
import contextlib
import io
import json
import os
import subprocess
import sys
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOL = os.path.join(ROOT, "tools", "compare_peers.py")
sys.path.insert(0, os.path.dirname(TOOL))
import compare_peers  # noqa: E402


class FakeEngine:
    def __init__(self, rewinds=True):
        self.calls, self.position, self.rewinds = [], 0, rewinds

    def feed(self, n):
        self.calls.append(n)
        self.position += n

    def rewind(self, n):
        if self.rewinds:
            self.calls.append(f"rewind {n}")
            self.position = n
        return self.rewinds

    def clear(self):
        self.calls.append("clear")
        self.position = 0


class Arithmetic(unittest.TestCase):
    def test_sizes(self):
        # 13.26 G weights in blocks of 32 with 18 bytes, and 81 norms in f32.
        weights = 2 * 64000 * 5120 + 40 * (4 * 5120 * 5120 + 3 * 5120 * 13696)
        self.assertEqual(compare_peers.model_file.size(40), weights // 32 * 18 + 81 * 5120 * 4)

    def test_derive(self):
        # 3 s for the rest and 0.5 s a layer: 23 s for 40 layers.
        result = [{"median": {name: 3 + 0.5 * layers for name in compare_peers.TURNS}, "version": "x"} for layers in (8, 4)]
        whole = compare_peers.derive(result[0], result[1], 8)
        self.assertEqual((whole["median"]["pp512"], whole["version"]), (23.0, "x"))

    def test_workload(self):
        engine = FakeEngine()
        answers = self.served(engine, "pp512\ntg2@d512\ntg2@d512\ntg1@d64\n")
        self.assertEqual(answers[0], {"version": "1", "notes": "x"})
        self.assertEqual(len(answers), 5)
        self.assertTrue(all(answer["seconds"] >= 0 and answer["peak_bytes"] > 0 for answer in answers[1:]))
        # Contexts are not filled again where they can be shortened.
        self.assertEqual(engine.calls, [32, 1, "rewind 0", 512, "rewind 512", 1, 1, 1, "rewind 512", 1, 1, 1, "rewind 64", 1])

    def test_workload_without_rewind(self):
        engine = FakeEngine(rewinds=False)
        self.served(engine, "tg1@d3\ntg1@d3\n")
        self.assertEqual(engine.calls, [32, 1, 1, "clear", 3, 1, 1, "clear", 3, 1])

    def served(self, engine, lines):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            compare_peers.workload.serve(engine, "1", "x", io.StringIO(lines))
        return [json.loads(line) for line in out.getvalue().splitlines()]

    def test_names(self):
        self.assertEqual(compare_peers.workload.parse("tg8@d64"), (0, 8, 64))
        self.assertEqual(compare_peers.workload.parse("pp512"), (512, 0, 0))
        for name in ("pp", "tg8@", "pp5tg5", "x", ""):
            with self.assertRaises(SystemExit):
                compare_peers.workload.parse(name)

    def test_quartiles(self):
        self.assertEqual(compare_peers.quartiles([4.0]), (4.0, 4.0, 4.0))
        self.assertEqual(compare_peers.quartiles([1.0, 5.0, 2.0, 4.0, 3.0]), (2.0, 3.0, 4.0))

    def test_ratios(self):
        turns = [{"test": "pp512", "seconds": {"clm": 2.0, "other": seconds}} for seconds in (3.0, 4.0, 5.0)]
        self.assertEqual(compare_peers.ratio_cells("other", ["pp512"], turns), ["2.00 x (1.75 to 2.25)"])

    def test_watch(self):
        busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        try:
            with_it, without = compare_peers.Watch([busy.pid]), compare_peers.Watch([])
            time.sleep(1.0)
            self.assertGreater(without.others(), with_it.others())
        finally:
            busy.kill()
            busy.wait()


class CommandLine(unittest.TestCase):
    def check(self, word, *args):
        done = subprocess.run([sys.executable, TOOL, *args], capture_output=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn(word, done.stderr.decode())

    def test_refusals(self):
        for value in ("3", "0", "42", "-2", "x"):
            self.check("--layers", "--layers", value)
        self.check("--rounds", "--rounds", "0")
        self.check("nothing.cpp", "--peers", "nothing.cpp")
        self.check("--tests", "--tests", "pp513")


if __name__ == "__main__":
    unittest.main(verbosity=1)
