"""Every malformed model file of golden/bad: one sentence and exit code 3 where it must be refused,
nothing worse than an answer elsewhere, and never a file that a pickle has created.

Environment: CLM_BIN (the program), CLM_GOLDEN (folder with the golden files).
"""
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CLM = os.environ.get("CLM_BIN", os.path.join(ROOT, "build", "clm"))
BAD = os.path.join(os.environ.get("CLM_GOLDEN", os.path.join(ROOT, "..", "shared", "golden")), "bad")
MEMORY = 2 << 30
SECONDS = 30


def sections():
    """{folder of the files: [(file, replaces or None, expect, note)]}: the tables of README.md."""
    found, replaces = {}, None
    with open(os.path.join(BAD, "README.md"), encoding="utf-8") as file:
        for line in file:
            if line.startswith("## "):
                replaces = None
            elif line.startswith("Replaces"):
                replaces = re.search(r"`([^`]+)`", line).group(1)
            row = re.match(r"\| `([^`/]+)/([^`]+)` \|(?: ([\w.]+) \|)? (refuse|either) \| (.*) \|$", line)
            if row:
                folder, name, own, expect, note = row.groups()
                found.setdefault(folder, []).append(
                    (os.path.join(BAD, folder, name), own or replaces, expect, note))
    return found


def limit():
    # Sanitizers reserve address space by the terabyte.
    if "CLM_NO_MEMORY_LIMIT" not in os.environ:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def clm(*args, cwd):
    done = subprocess.run([CLM, *args], stdin=subprocess.DEVNULL, capture_output=True, cwd=cwd,
                          timeout=SECONDS, preexec_fn=limit)
    return done.returncode, done.stderr.decode("utf-8", "replace")


class BadFiles(unittest.TestCase):
    def setUp(self):
        if not os.path.isdir(BAD):
            print("GOLDEN FILES ABSENT:", BAD, file=sys.stderr)
            self.skipTest("golden files absent")
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.folder = self.temporary.name
        self.model = os.path.join(self.folder, "model")

    def use(self, path, replaces):
        """A copy of the sound folder with one file replaced; returns what to open."""
        if replaces is None:
            return path
        shutil.rmtree(self.model, ignore_errors=True)
        shutil.copytree(os.path.join(BAD, "base"), self.model)
        os.chmod(self.model, 0o755)
        if replaces.startswith("pytorch_model.bin"):
            os.remove(os.path.join(self.model, "model.safetensors"))
        target = os.path.join(self.model, replaces)
        if os.path.exists(target):
            os.remove(target)
        shutil.copyfile(path, target)
        return self.model

    def check(self, path, replaces, expect, commands):
        model = self.use(path, replaces)
        refused = 0
        for command in commands:
            with self.subTest(file=path, command=command[0]):
                args = [model if word == "MODEL" else word for word in command]
                code, err = clm(*args, cwd=self.folder)
                self.assertFalse(os.path.exists(os.path.join(self.folder, "clm-was-here")))
                self.assertIn(code, (3,) if expect == "refuse" else (0, 3), err)
                if code == 3:
                    refused += 1
                    lines = [line for line in err.splitlines() if not line.endswith("...")]
                    self.assertTrue(lines and lines[-1].startswith("clm: "), err)
                    self.assertGreater(len(lines[-1]), 20, err)
                    self.assertIn(os.path.basename(model), lines[-1], err)
                self.assertNotIn("Sanitizer", err)
                self.assertNotIn("runtime error", err)
        return refused

    def check_all(self, name, count):
        rows = sections()[name]
        self.assertGreaterEqual(len(rows), count)
        for path, replaces, expect, _ in rows:
            commands = [("inspect", "MODEL"),
                        ("chat", "-m", "MODEL", "-p", "hi", "-n", "2", "--backend", "ref", "-c", "64",
                         "--template", "none")]
            self.check(path, replaces, expect, commands)

    def test_gguf(self):
        self.check_all("gguf", 76)

    def test_safetensors(self):
        self.check_all("safetensors", 35)

    def test_torch(self):
        self.check_all("torch", 52)

    def test_config(self):
        self.check_all("config", 60)

    def test_tokenizer(self):
        self.check_all("tokenizer", 28)

    def test_gptq_settings(self):
        """Those that contradict packed weights, in a folder that has such."""
        source = os.path.join(os.path.dirname(BAD), "gptq-baichuan13b-tiny")
        for path, replaces, _, note in sections()["config"]:
            if "must be refused in a copy of" not in note:
                continue
            shutil.rmtree(self.model, ignore_errors=True)
            shutil.copytree(source, self.model)
            os.chmod(self.model, 0o755)
            os.remove(os.path.join(self.model, replaces))
            shutil.copyfile(path, os.path.join(self.model, replaces))
            with self.subTest(file=path):
                code, err = clm("inspect", self.model, cwd=self.folder)
                self.assertEqual(code, 3, err)

    def test_sound_ones(self):
        for model in ("base", "base.gguf"):
            code, err = clm("inspect", os.path.join(BAD, model), cwd=self.folder)
            self.assertEqual(code, 0, err)

    def test_payloads_are_real(self):
        """The check for clm-was-here can fail: Python's own unpickler creates the file."""
        script = ("import pickle, zipfile; archive = zipfile.ZipFile(%r); "
                  "pickle.loads(archive.read([n for n in archive.namelist() if n.endswith('data.pkl')][0]))")
        subprocess.run([sys.executable, "-c", script % os.path.join(BAD, "torch", "os-system.bin")],
                       cwd=self.folder, capture_output=True, check=False)
        self.assertTrue(os.path.exists(os.path.join(self.folder, "clm-was-here")))


if __name__ == "__main__":
    unittest.main()
