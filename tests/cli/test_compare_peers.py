"""tools/compare_peers.py: its arithmetic and its command line; the comparison itself takes a quiet machine and an hour."""
import os
import subprocess
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOL = os.path.join(ROOT, "tools", "compare_peers.py")
sys.path.insert(0, os.path.dirname(TOOL))
import compare_peers  # noqa: E402


class FakeEngine:
    def __init__(self):
        self.calls = []

    def feed(self, n):
        self.calls.append(n)

    def clear(self):
        self.calls.append("clear")


class Arithmetic(unittest.TestCase):
    def test_sizes(self):
        # 13.26 G weights in blocks of 32 with 18 bytes, and 81 norms in f32.
        weights = 2 * 64000 * 5120 + 40 * (4 * 5120 * 5120 + 3 * 5120 * 13696)
        self.assertEqual(compare_peers.model_file.size(40), weights // 32 * 18 + 81 * 5120 * 4)

    def test_derive(self):
        # 3 s for the rest and 0.5 s a layer: 23 s for 40 layers.
        result = [{"median": {name: 3 + 0.5 * layers for name in compare_peers.TESTS}, "busy": 1, "version": "x"} for layers in (8, 4)]
        whole = compare_peers.derive(result[0], result[1], 8)
        self.assertEqual((whole["median"]["prefill"], whole["busy"], whole["version"]), (23.0, 2, "x"))

    def test_workload(self):
        engine = FakeEngine()
        seconds = compare_peers.workload.run(engine, 2)
        self.assertEqual({name: len(values) for name, values in seconds.items()}, {name: 2 for name in compare_peers.TESTS})
        once = ["clear", 512] + [1] * 32 + ["clear", 64] + [1] * 16
        self.assertEqual(engine.calls, [32, 1] + once + once)


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


if __name__ == "__main__":
    unittest.main(verbosity=1)
