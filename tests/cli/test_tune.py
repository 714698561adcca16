"""`clm tune` as a user meets it: broken candidates, kill -9, damaged files, other devices.

Environment: CLM_BIN (the program), CLM_GOLDEN (folder with the golden files).
"""
import fcntl
import glob
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CLM = os.environ.get("CLM_BIN", os.path.join(ROOT, "build", "clm"))
GOLDEN = os.environ.get("CLM_GOLDEN", os.path.join(ROOT, "..", "shared", "golden"))
DEMO = os.path.join(ROOT, "configs", "demo.yaml")
BROKEN = [os.path.join(ROOT, "tests", "data", "tune", "broken." + end) for end in ("cl", "yaml")]
EXAMPLE = [os.path.join(ROOT, "docs", "examples", "transpose." + end) for end in ("cl", "yaml")]


def own(files):
    return ["--kernel", files[0], "--space", files[1]]


def umask():
    mask = os.umask(0o77)
    os.umask(mask)
    return mask


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def workers(mark):
    """Worker processes that have `mark` in their command line."""
    found = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            line = read(path)
        except (OSError, UnicodeDecodeError):
            continue
        if "tune-worker" in line and mark in line:
            found.append(path)
    return found


class Tune(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="clm-tune-")
        self.env = {**os.environ, "XDG_DATA_HOME": self.folder}
        self.dir = os.path.join(self.folder, "clm", "tuning")

    def tearDown(self):
        shutil.rmtree(self.folder)

    def clm(self, *args, env=None, timeout=300):
        done = subprocess.run([CLM, *args], input=b"", capture_output=True, env={**self.env, **(env or {})},
                              timeout=timeout)
        return done.returncode, done.stdout.decode(), done.stderr.decode("utf-8", "replace")

    def log(self):
        """Results in the log of the user's kernel, by parameters."""
        results = {}
        for path in glob.glob(self.dir + "/kernels/*.log"):
            for line in read(path).splitlines():
                found = re.search(r"params: \{([^}]*)\}, result: (\w+)", line)
                if found and found.group(2) not in ("begin", "stopped"):
                    results.setdefault(found.group(1), []).append(found.group(2))
        return results

    # ---- candidates --------------------------------------------------------------------------

    def test_broken_candidates(self):
        budget = 150  # it ends when all are tried; this is for a busy machine
        start = time.monotonic()
        code, out, err = self.clm("tune", *own(BROKEN), "--strategy", "exhaustive", "--budget", str(budget))
        spent = time.monotonic() - start
        self.assertEqual(code, 0, err)
        self.assertLess(spent, 1.1 * budget)
        want = {0: "ok slow", 1: "wrong", 2: "hang", 3: "wrong", 4: "build", 5: "crash", 6: "wrong", 7: "ok slow"}
        seen = set()
        for params, reasons in self.log().items():
            variant = int(re.search(r"VARIANT: (\d)", params).group(1))
            seen.add(variant)
            self.assertIn(reasons[-1], want[variant].split(), params)
        self.assertEqual(seen, set(want), "the budget did not reach all of them: " + out)
        self.assertRegex(out, r"VARIANT=7 WG=\d+")
        # What failed is not tried again, what worked is taken from the log.
        before = self.log()
        code, out, err = self.clm("tune", *own(BROKEN), "--strategy", "exhaustive", "--budget", str(budget))
        self.assertEqual(code, 0, err)
        self.assertRegex(out, r"VARIANT=7 WG=\d+")
        after = self.log()
        for params in before:
            self.assertEqual(after[params], before[params])

    def test_kill_five_times(self):
        rng = random.Random(20240817)
        mark = os.path.join(self.folder, "transpose.cl")
        files = [mark, os.path.join(self.folder, "transpose.yaml")]
        shutil.copyfile(EXAMPLE[0], files[0])
        with open(files[1], "w", encoding="utf-8") as file:
            text = read(EXAMPLE[1]).replace("N: 2048", "N: 256").replace("[1, 2, 4, 8, 16, 32]", "[1, 4]")
            file.write(text.replace("[1, 8, 16]", "[1, 8]"))
        before = {}
        for _ in range(5):
            run = subprocess.Popen([CLM, "tune", *own(files), "--budget", "60"], env=self.env,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(rng.uniform(0.3, 4.0))
            run.kill()
            run.wait()
            after = self.log()
            for params in before:
                self.assertEqual(after[params], before[params], "measured twice: " + params)
            before = after
        for _ in range(50):
            if not workers(mark):
                break
            time.sleep(0.1)
        self.assertEqual(workers(mark), [], "a worker outlives its parent")
        code, out, err = self.clm("tune", *own(files), "--budget", "150")
        self.assertEqual(code, 0, err)
        for params in before:
            self.assertEqual(self.log()[params], before[params])
        self.assertIn("transpose N=256", self.clm("tune", "show", "--own")[1], out)
        self.assertGreaterEqual(len(self.log()), 10)

    def test_interrupt(self):
        run = subprocess.Popen([CLM, "tune", *own(EXAMPLE), "--budget", "100"], env=self.env, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
        for _ in range(600):
            if any("ok" in r for r in self.log().values()):
                break
            time.sleep(0.1)
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=30)
        self.assertEqual(run.returncode, 130, err)
        self.assertIn(b"Stopped", out)
        # What was being tried then has an end, so that it does not look like a crash of the machine.
        last = {}
        for path in glob.glob(self.dir + "/kernels/*.log"):
            last.update(re.findall(r"params: \{([^}]*)\}, result: (\w+)", read(path)))
        self.assertNotIn("begin", last.values())
        self.assertEqual(self.clm("tune", "show", "--own")[0], 0)

    # ---- files -------------------------------------------------------------------------------

    def tuned_file(self):
        code, _, err = self.clm("tune", "--ops", "add", "--synthetic", "7b", "--budget", "60")
        self.assertEqual(code, 0, err)
        files = glob.glob(self.dir + "/*.yaml")
        self.assertEqual(len(files), 1)
        return files[0]

    def test_files(self):
        path = self.tuned_file()
        copy = os.path.join(self.folder, "copy.yaml")
        code, out, err = self.clm("tune", "show")
        self.assertEqual((code, "add COUNT=4096" in out), (0, True), err)
        code, out, err = self.clm("tune", "show", "--markdown")
        self.assertIn("| add | COUNT=4096 |", out)
        self.assertEqual(self.clm("tune", "export", "-o", copy)[0], 0)
        self.assertEqual(read(copy), read(path))
        self.assertIn("the same", self.clm("tune", "diff", path, copy)[1])
        self.assertEqual(self.clm("tune", "merge", path, copy)[1], read(path))
        link = os.path.join(self.folder, "link.yaml")
        os.symlink("copy.yaml", link)
        for args in (("merge", path, path), ("export",)):
            os.remove(copy)
            self.assertEqual(self.clm("tune", *args, "-o", link)[0], 0)
            self.assertEqual((os.path.islink(link), read(copy)), (True, read(path)))
            self.assertEqual(os.stat(copy).st_mode & 0o777, 0o666 & ~umask())
            self.assertEqual(self.clm("tune", *args, "-o", "/dev/stdout")[1], read(path))

        t4 = json.loads(self.clm("tune", "export", "--format", "t4")[1])
        self.assertEqual(t4["schema_version"], "1.0.0")
        self.assertTrue(t4["results"])
        for result in t4["results"]:
            self.assertEqual(set(result["configuration"]), {"WG", "VW"})
            self.assertIn(result["invalidity"],
                          ["timeout", "compile", "runtime", "correctness", "constraints", "correct"])
            self.assertIn("runtimes", result["times"])

        page = os.path.join(self.folder, "page.html")
        self.assertEqual(self.clm("tune", "show", "--html", page)[0], 0)
        text = read(page)
        self.assertIn("<svg", text)
        self.assertNotRegex(text, r"https?:|src=|@import|<script")

        # What one machine exports another takes, as long as nothing in it was changed.
        shutil.rmtree(os.path.join(self.folder, "clm"))
        code, out, err = self.clm("tune", "import", copy)
        self.assertEqual(code, 0, err)
        self.assertEqual(read(glob.glob(self.dir + "/*.yaml")[0]), read(copy))
        for old, new in ((r"VW: \d+", "VW: 3"), (r"WG: \d+", "WG: -1"), (r"VW: ", "VX: "), (r"op: add", "op: ../add")):
            with open(copy + ".bad", "w", encoding="utf-8") as file:
                file.write(re.sub(old, new, read(copy)))
            code, out, err = self.clm("tune", "import", copy + ".bad")
            self.assertEqual((code, out), (2, ""), new)
            self.assertEqual(len(err.strip().splitlines()), 1)

    def test_writing_while_tuning(self):
        path = self.tuned_file()
        copy = os.path.join(self.folder, "copy.yaml")
        shutil.copyfile(path, copy)
        for args in (("import", copy), ("merge", copy, path, "-o", path)):
            with open(path[:-len("yaml")] + "log", encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # as a tuning run does
                code, out, err = self.clm("tune", *args)
                self.assertEqual((code, out, read(path)), (1, "", read(copy)), err)
                self.assertIn("another clm is tuning this device", err)
            code, _, err = self.clm("tune", *args)
            self.assertEqual(code, 0, err)

    def test_diff_by_time(self):
        path = self.tuned_file()
        text = read(path)
        found = re.search(r"params: \{WG: (\d+), VW: (\d+)\}", text)
        other = os.path.join(self.folder, "other.yaml")
        change = {"WG": "8" if found.group(1) != "8" else "64"}

        def write(params):
            with open(other, "w", encoding="utf-8") as file:
                file.write(text.replace(found.group(0), "params: {" + params + "}"))

        write("WG: %s, VW: %s" % (change["WG"], found.group(2)))
        diff = ["tune", "diff", "--time", "--seconds", "1"]
        code, out, err = self.clm(*diff, self.folder, other)
        self.assertEqual(code, 0, err)
        ratio = re.search(r"add COUNT=4096\n    B to A ([\d.]+) \(([\d.]+) to ([\d.]+)\); to the default", out)
        self.assertTrue(ratio, out)
        low, median, high = (float(ratio.group(i)) for i in (2, 1, 3))
        self.assertTrue(0.0 < low <= median <= high, out)
        self.assertIn("1 launches, 0 with the same choice", out)
        code, out, err = self.clm(*diff, path, self.dir, "--markdown")
        self.assertEqual(code, 0, err)
        self.assertRegex(out, r"\| add COUNT=4096 \| .*same.* \|")
        # The default: the built-in values, which differ from the file where there is a gain.
        code, out, err = self.clm("tune", "diff", "default", other)
        self.assertEqual(code, 0, err)
        self.assertRegex(out, "the same parameters|! add")
        code, out, err = self.clm(*diff, "default", other)
        self.assertEqual((code, "1 launches" in out), (0, True), err)
        # Nothing in a file is believed.
        write("WG: 7, VW: 4")
        code, out, err = self.clm(*diff, path, other)
        self.assertEqual(code, 0, err)
        self.assertRegex(out, "not compared: B: .*\n")
        for sides in (["default", "default"], ["nofile.yaml", path], [path, os.path.join(ROOT, "docs")]):
            code, out, err = self.clm(*diff, *sides)
            self.assertEqual((code, out), (2, ""), sides)
            self.assertEqual(len(err.strip().splitlines()), 1, err)

    def test_damaged_database(self):
        path = self.tuned_file()
        text = read(path)
        for damaged in (text[:len(text) // 2], "", "\x01\x02", text[:-25]):
            with open(path, "w", encoding="utf-8") as file:
                file.write(damaged)
            code, out, err = self.clm("chat", "--config", DEMO, "-p", "春", "-n", "4", "--temp", "0")
            self.assertEqual(code, 0, err)
            self.assertIn("set aside", err)
            code, _, err = self.clm("chat", "--config", DEMO, "-p", "春", "-n", "4", "--temp", "0")
            self.assertEqual((code, "set aside" in err), (0, False), err)
        self.assertEqual(self.clm("tune", "--ops", "add", "--synthetic", "7b", "--budget", "60")[0], 0)

    def test_nothing_damaged_is_lost(self):
        path = self.tuned_file()
        for i in (1, 2, 3):
            with open(path, "w", encoding="utf-8") as file:
                file.write("damaged %d" % i)
            self.assertEqual(self.clm("chat", "--config", DEMO, "-p", "春", "-n", "4", "--temp", "0")[0], 0)
        self.assertEqual([read(path + end) for end in (".damaged", ".damaged-2", ".damaged-3")],
                         ["damaged 1", "damaged 2", "damaged 3"])

    def test_entries_that_are_not_used(self):
        path = self.tuned_file()
        n = read(path).count("op: add")
        self.assertNotIn("not used", self.clm("tune", "show")[1])
        with open(path, "r+", encoding="utf-8") as file:
            text = file.read()
            file.seek(0)
            file.write(re.sub(r'source: "\w{4}', 'source: "0000', text, count=1))
        _, out, _ = self.clm("tune", "show")
        self.assertIn("not used: measured with another version of the kernel", out)
        self.assertIn("of %d entries not used" % n, out)
        page = os.path.join(self.folder, "page.html")
        self.assertEqual(self.clm("tune", "show", "--html", page)[0], 0)
        self.assertEqual(read(page).count("not used: "), 1)
        _, _, err = self.clm("chat", "--config", DEMO, "-p", "春", "-n", "4", "--temp", "0")
        self.assertRegex(err, r"1 entry is not used \(add COUNT=\d+: measured with another version")

    def test_damaged_database_at_first_start(self):
        path = self.tuned_file()
        with open(path, "r+", encoding="utf-8") as file:
            file.truncate(len(file.read()) - 25)
        model = os.path.join(self.folder, "large.gguf")
        shutil.copyfile(os.path.join(ROOT, "configs", "demo.gguf"), model)
        os.truncate(model, 600 << 20)  # a hole: large in name only
        code, _, err = self.clm("generate", "-m", model, "-p", "春", "-n", "4", "-b", "16", "--budget", "1")
        self.assertEqual((code, err.count("set aside")), (0, 1), err)

    def test_golden_bad_files(self):
        files = sorted(glob.glob(os.path.join(GOLDEN, "bad", "tuning", "*.yaml")))
        if not files:
            print("GOLDEN FILES ABSENT:", GOLDEN, file=sys.stderr)
            self.skipTest("golden files absent")
        os.makedirs(self.dir)
        for path in files:
            code, out, err = self.clm("tune", "import", path)
            self.assertEqual((code, out), (2, ""), path)
            self.assertIn(os.path.basename(path), err)
            shutil.copy(path, self.dir)
        code, out, err = self.clm("chat", "--config", DEMO, "-p", "春", "-n", "4", "--temp", "0")
        self.assertEqual(code, 0, err)

    def test_other_device(self):
        devices = json.loads(self.clm("devices", "--json")[1])
        there = [d for d in devices if "Portable" not in d["platform"] and d["type"].upper() == "CPU" and not d["unusable"]]
        here = [d for d in devices if "Portable" in d["platform"]]
        if not there or not here:
            print("SKIPPED: only one CPU runtime is installed (tools/test.sh brings a second)", file=sys.stderr)
            self.skipTest("one CPU runtime")
        code, _, err = self.clm("tune", "--ops", "add", "--synthetic", "7b", "--budget", "60", "--device",
                                str(here[0]["index"]))
        self.assertEqual(code, 0, err)
        exported = os.path.join(self.folder, "pocl.yaml")
        self.assertEqual(self.clm("tune", "export", "--device", str(here[0]["index"]), "-o", exported)[0], 0)
        shutil.rmtree(os.path.join(self.folder, "clm"))
        self.assertEqual(self.clm("tune", "import", exported)[0], 0)
        code, out, err = self.clm("chat", "--config", DEMO, "-p", "春", "-n", "4", "--temp", "0", "--device",
                                  str(there[0]["index"]), env={"CLM_DEBUG": "1"})
        self.assertEqual(code, 0, err)
        self.assertRegex(err, r"tuned values, of a device of the same")
        code, _, err = self.clm("tune", "show", "--device", str(there[0]["index"]))
        self.assertEqual((code, "nothing is tuned for this device" in err), (2, True))

    # ---- at the start of a model -------------------------------------------------------------

    def test_first_start(self):
        small = ["chat", "--config", DEMO, "-p", "春", "-n", "4", "--temp", "0"]
        code, _, err = self.clm(*small, env={"CLM_DEBUG": "1"})
        self.assertEqual((code, "too small" in err, os.path.exists(self.dir)), (0, True, False), err)

        folder = os.path.join(GOLDEN, "hf-baichuan13b-tiny")  # a folder counts by its weights
        if os.path.exists(folder):
            code, _, err = self.clm("generate", "-m", folder, "-p", "春", "-n", "4", env={"CLM_DEBUG": "1"})
            self.assertEqual((code, "too small" in err, os.path.exists(self.dir)), (0, True, False), err)

        model = os.path.join(self.folder, "large.gguf")
        shutil.copyfile(os.path.join(ROOT, "configs", "demo.gguf"), model)
        os.truncate(model, 600 << 20)  # a hole: large in name only
        ask = ["generate", "-m", model, "-p", "春", "-n", "4", "--temp", "0", "-b", "16"]
        self.assertEqual(self.clm(*ask, "--tuning", "off")[0], 0)
        self.assertFalse(os.path.exists(self.dir))
        start = time.monotonic()
        code, first, err = self.clm(*ask, "--budget", "40")
        self.assertEqual(code, 0, err)
        self.assertIn("tuning its kernels, once", err)
        self.assertTrue(glob.glob(self.dir + "/*.yaml"))
        self.assertLess(time.monotonic() - start, 90)
        code, second, err = self.clm(*ask, "--budget", "40")
        self.assertEqual((code, "tuning its kernels" in err, second), (0, False, first), err)

    def test_usage(self):
        for word, *args in (("there is no operator 'nothing'", "--ops", "add,nothing"),
                            ("strategy 'magic'", "--strategy", "magic"), ("belong together", "--kernel", EXAMPLE[0]),
                            ("synthetic model '9000b'", "--synthetic", "9000b"), ("seconds are needed", "--budget", "0"),
                            ("--budget", "--budget", "soon"), ("nofile.cl", "--kernel", "nofile.cl", "--space", EXAMPLE[1]),
                            ("No such file", "-m", "nofile.gguf"), ("--ops", "--ops", ""),
                            ("is called 'transpose'", *own(EXAMPLE), "--ops", "add"),
                            ("a file has its own", "-m", os.path.join(ROOT, "configs", "demo.gguf"), "--type", "q8_0"),
                            ("a file has its own", "--config", DEMO, "--type", "q8_0"),
                            ("converts a model of -m", "--synthetic", "13b", "--weights", "int4"),
                            ("--backend ref has none", "--backend", "ref"),
                            ("-m is for the kernels of a model", *own(EXAMPLE), "-m", "nofile.gguf"),
                            ("--type is for the kernels of a model", *own(EXAMPLE), "--type", "q8_0")):
            code, out, err = self.clm("tune", *args)
            self.assertIn(code, (1, 2, 3), (word, err))
            self.assertIn(word, err)
            self.assertEqual(out, "")

        for args in ([], ["--kernel", EXAMPLE[0]], ["--device", "0", "--kernel", EXAMPLE[0]]):
            code, out, err = self.clm("tune-worker", *args)
            self.assertEqual((code, out, len(err.splitlines())), (2, "", 1), err)
        self.assertEqual(self.clm("tune", "--ops", "")[0], 2)
        self.assertIn("--synthetic 13b [--type q4_0]", self.clm("tune", "--help")[1])

    def test_nothing_works(self):
        kernel = os.path.join(self.folder, "transpose.cl")
        with open(kernel, "w", encoding="utf-8") as file:
            file.write(read(EXAMPLE[0]).replace("in[y * n + x];", "in[y * n + x] + 1.0f;", 1))
        own_kernel = ("--kernel", kernel, "--space", EXAMPLE[1])
        code, _, err = self.clm("tune", *own_kernel, "--strategy", "random", "--budget", "20")
        self.assertEqual(code, 6, err)
        self.assertRegex(err, "no candidate works, not even the default: wrong: .*buffer out is")
        before = self.log()
        self.assertEqual({reason for reasons in before.values() for reason in reasons}, {"wrong"})
        _, _, err = self.clm("tune", *own_kernel, "--strategy", "random", "--budget", "20")
        self.assertIn("known from an earlier run; --again tries it again", err)
        first = next(iter(before))
        self.assertEqual(self.log()[first], ["wrong"])
        _, _, err = self.clm("tune", *own_kernel, "--strategy", "random", "--budget", "20", "--again")
        self.assertNotIn("earlier run", err)
        self.assertEqual(self.log()[first], ["wrong", "wrong"])

    def test_nothing_to_choose(self):
        space = os.path.join(self.folder, "space.yaml")
        with open(space, "w", encoding="utf-8") as file:
            file.write(re.sub(r"(TILE|ROWS|WX|WY): \[1, .*\]", r"\1: [1]", read(EXAMPLE[1])))
        code, out, err = self.clm("tune", "--kernel", EXAMPLE[0], "--space", space)
        self.assertEqual((code, err), (0, ""))
        self.assertIn("nothing leaves a choice", out)
        with open(space, encoding="utf-8") as file:
            text = file.read().replace("WX: [1]", "WX: [2048]").replace("WY: [1]", "WY: [2048]")
        with open(space, "w", encoding="utf-8") as file:
            file.write(text)  # no device has work-groups of 4 million
        code, out, err = self.clm("tune", "--kernel", EXAMPLE[0], "--space", space)
        self.assertEqual((code, "no candidate works" in err), (6, True), err)

    def test_end_while_limits_are_measured(self):
        """Ctrl+C is no warning; a worker that dies is one, and no long time."""
        kernel = os.path.join(self.folder, "transpose.cl")  # the mark of this test's workers
        shutil.copyfile(EXAMPLE[0], kernel)

        def worker(but=None):
            for _ in range(1000):
                found = [path for path in workers(kernel) if path != but]
                if found:
                    return found[0]
                time.sleep(0.01)
            self.fail("no worker was started")

        for dies in (False, True):
            run = subprocess.Popen([CLM, "tune", "--kernel", kernel, "--space", EXAMPLE[1], "--budget", "100"],
                                   env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            first = worker()
            if dies:
                os.kill(int(first.split("/")[2]), signal.SIGKILL)
                worker(but=first)
            run.send_signal(signal.SIGINT)
            out, err = run.communicate(timeout=30)
            self.assertEqual((run.returncode, b"Stopped" in out), (130, True), err)
            if dies:
                self.assertIn(b"the process that measured them died", err)
            else:
                self.assertEqual(err, b"")

    def test_bad_descriptions(self):
        space = os.path.join(self.folder, "space.yaml")
        good = read(EXAMPLE[1])
        for old, new, word in (("kernel: transpose\n", "kernel: 'a b'\n", "cannot be a name"),
                               ("N % (TILE * WX) == 0", "N % (TILE * WZ) == 0", "neither a size nor a parameter"),
                               ("N % (TILE * WX) == 0", "N % (TILE * WX) ==", "ends too early"),
                               ("TILE: [1, 2, 4, 8, 16, 32]", "TILE: []", "1 to"),
                               ("TILE: [1, 2, 4, 8, 16, 32]", "\"TILE=1 -I/etc\": [1]", "cannot be a name"),
                               ("local: [WX, WY]", "local: [WX]", "same number"),
                               ("output: true", "output: maybe", "output"),
                               ("reference:", "referense:", "no such key"),
                               ("bytes: 8 * N * N", "bytes: 0 - 1", "space.yaml:20:8: bytes: it is -1; 0 to 1e+18"),
                               ("bytes: 8 * N * N", "flops: N * N * N * N * 100000", "flops: it is 1759218604441600000"),
                               ("bytes: 8 * N * N", "bytes: 8 * M", "neither a size nor a parameter"),
                               ("type: f32", "type: f64", "one of f32"),
                               ("type: f32, count: N * N, range: [-1, 1]", "type: i32, count: N * N, range: [-1e30, 1e30]",
                                "the range does not fit the buffer's type"),
                               ("global: [N / TILE, N / ROWS]", "global: [N / (TILE - 1), N / ROWS]", "division by zero")):
            self.assertIn(old, good)
            with open(space, "w", encoding="utf-8") as file:
                file.write(good.replace(old, new))
            code, out, err = self.clm("tune", "--kernel", EXAMPLE[0], "--space", space)
            self.assertEqual((code, out), (2, ""), (new, err))
            self.assertIn(word, err)
            self.assertIn("space.yaml", err)


if __name__ == "__main__":
    unittest.main(verbosity=1)
