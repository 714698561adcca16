"""The program as a user meets it: answers, exit codes, bad input, tokenizer lines.

Environment: CLM_BIN (the program), CLM_GOLDEN (folder with the golden files).
"""
import glob
import json
import os
import pty
import re
import resource
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CLM = os.environ.get("CLM_BIN", os.path.join(ROOT, "build", "clm"))
GOLDEN = os.environ.get("CLM_GOLDEN", os.path.join(ROOT, "..", "shared", "golden"))
DEMO = os.path.join(ROOT, "configs", "demo.yaml")
QUESTION = "世界上第二高的山峰是哪座"
ANSWER = ("乔戈里峰。世界第二高峰———乔戈里峰西方登山者称其为k2峰,海拔高度是8611米,"
          "位于喀喇昆仑山脉的中巴边境上\n")


def clm(*args, stdin=None, env=None, cwd=None, timeout=120):
    """Runs the program; returns exit code, stdout, stderr."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run([CLM, *args], input=data if data is not None else b"", capture_output=True,
                          env={**os.environ, **(env or {})}, cwd=cwd, timeout=timeout)
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")


def until(terminal, words):
    """What a terminal shows until it has shown `words`."""
    said = b""
    end = time.time() + 120
    while words not in said:
        ready = select.select([terminal], [], [], max(0, end - time.time()))[0]
        assert ready, said
        said += os.read(terminal, 65536)
    return said


def until_asked(terminal):
    """The same, until the next question may be typed: libedit takes the echo off behind its prompt."""
    said = until(terminal, b"\x1b[?2004h> ")
    end = time.time() + 120
    while termios.tcgetattr(terminal)[3] & termios.ECHO:
        assert time.time() < end
        time.sleep(0.005)
    return said


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def expectations(section):
    """(file, expect) rows of a section of golden/bad/README.md."""
    rows = re.findall(r"^\| `(%s/[^`]+)` \|.*?\b(refuse|either)\b \|" % section,
                      read(os.path.join(GOLDEN, "bad", "README.md")), re.M)
    assert len(rows) > 50, section
    return rows


def needs_golden(test):
    def run(self):
        if not os.path.isdir(GOLDEN):
            print("GOLDEN FILES ABSENT:", GOLDEN, file=sys.stderr)
            self.skipTest("golden files absent")
        test(self)
    return run


class Answers(unittest.TestCase):
    def test_model_card_question(self):
        for extra in ([], ["--backend", "ref"], ["--kv-cache-type", "f32"], ["--kv-cache-type", "f16"], ["--kv-cache-type", "int8"]):
            code, out, err = clm("chat", "--config", DEMO, "-p", QUESTION, *extra)
            self.assertEqual((code, out), (0, ANSWER), err)
            self.assertIn("t/s", err)

    def test_model_without_a_template(self):
        plain = ["chat", "-m", os.path.join(ROOT, "configs", "demo.gguf"), "-p", "春", "-n", "1"]
        self.assertIn("--template", clm(*plain)[2])
        for template in ("none", "baichuan-instruction"):
            self.assertNotIn("--template", clm(*plain, "--template", template)[2])

    def test_several_devices(self):
        env = {"POCL_DEVICES": "pthread basic"}
        found = [str(d["index"]) for d in json.loads(clm("devices", "--json", env=env)[1])
                 if d["platform"].startswith("Portable")]
        self.assertEqual(len(found), 2, "PoCL shows two devices when asked")
        ask = ["chat", "--config", DEMO, "-p", QUESTION, "--device"]
        shares = "[{select: %s, share: 3}, {select: %s, share: 1}]" % tuple(found)
        code, out, err = clm(*ask, shares, env=env)
        self.assertEqual((code, out), (0, ANSWER), err)
        self.assertRegex(err, r"device %s \(.*layers 11 to 40 of 40, head, " % found[0])
        self.assertRegex(err, r"device %s \(.*layers 1 to 10 of 40, embeddings, " % found[1])
        code, out, err = clm(*ask, ",".join(found), env=env)
        self.assertEqual((code, out), (0, ANSWER), err)
        self.assertRegex(err, r"device %s \(.*, reads \d+ GB/s\): " % found[0])
        self.assertEqual(clm("devices", "--device", ",".join(found), env=env)[1].count("would be used"), 2)
        for wrong, message in (("[0, 0]", "'0' is named twice"), ("[0, ref]", "'ref' cannot be one of several"),
                               ("[0, 99]", "there is no such device"),
                               ("[{select: %s, share: 1}, %s]" % tuple(found), "a 'share', or none")):
            code, out, err = clm(*ask, wrong, env=env)
            self.assertEqual((code, out), (2, ""), err)
            self.assertIn(message, err)
        code, out, err = clm("tune", "--device", ",".join(found), "--budget", "1", env=env)
        self.assertEqual(code, 2, err)
        self.assertIn("one device at a time", err)

    def test_standard_input(self):
        code, out, err = clm("chat", "--config", DEMO, stdin=QUESTION + "\n")
        self.assertEqual((code, out), (0, ANSWER), err)

    def test_text_before_the_input(self):
        same = clm("generate", "--config", DEMO, "-p", "静夜\n\n思", "-n", "8")[1]
        self.assertEqual(clm("generate", "--config", DEMO, "-p", "静夜", "-f", "-", "-n", "8", stdin="思\n")[1], same)
        self.assertNotEqual(clm("generate", "--config", DEMO, "-p", "静夜", "-n", "8")[1], same)
        self.assertEqual(clm("generate", "--config", DEMO, "-f", "-", "-n", "8", stdin="静夜\n\n思")[1], same)
        code, out, err = clm("chat", "--config", DEMO, "-p", QUESTION, stdin="who reads this?")
        self.assertEqual((code, out), (0, ANSWER), err)
        self.assertIn("standard input is not read: -f -", err)
        self.assertNotIn("standard input", clm("chat", "--config", DEMO, "-p", QUESTION)[2])

    def test_keys_of_terminals(self):
        pid, terminal = pty.fork()
        if pid == 0:
            os.environ["TERM"] = "xterm"
            os.execv(CLM, [CLM, "chat", "--config", DEMO])
        try:
            until_asked(terminal)
            # Ctrl+Left, F1, F5, Page Up, Insert, End: the cursor moves or nothing happens, and no rest of them is typed.
            os.write(terminal, "世界上第二高的山峰".encode() + b"\x1b[1;5D\x1bOP\x1b[15~\x1b[5~\x1b[2~\x1b[4~" +
                     "是哪座\n".encode())
            said = until_asked(terminal)
            self.assertIn(ANSWER.strip(), said.decode("utf-8", "replace"))
            self.assertNotRegex(said.decode("utf-8", "replace").split("\n")[0], r";5D|5~|2~|4~|OP")
            # Lines that are pasted are one question.
            os.write(terminal, b"\x1b[200~" + QUESTION.encode() + b"\x07\r/clear\r\x1b[201~")
            shown = until(terminal, b"/clear")
            self.assertNotIn(b"t/s", shown)
            self.assertNotIn(b"\x07", shown)
            os.write(terminal, b"\n")
            said = until_asked(terminal).decode("utf-8", "replace")
            self.assertEqual(said.count("[prompt "), 1, said)
            self.assertNotIn("forgotten", said)
            os.write(terminal, b"\x04")
            self.assertEqual(os.waitpid(pid, 0)[1], 0)
        finally:
            os.close(terminal)

    def test_no_limits_of_other_programs(self):
        code, out, err = clm("chat", "--config", DEMO, "-p", QUESTION, "-n", "-1", "-s", "-1", "--top-k", "-1")
        self.assertEqual((code, out), (0, ANSWER), err)

    def test_a_user_without_a_home(self):
        if os.geteuid() != 0:
            self.skipTest("only root can become somebody else")
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o777)
            shutil.copy(CLM, folder)
            for name in ("demo.yaml", "demo.gguf"):
                shutil.copy(os.path.join(ROOT, "configs", name), folder)
            env = {"TMPDIR": folder, "POCL_CACHE_DIR": "", "XDG_CACHE_HOME": ""}
            for home in ("/nonexistent", ""):
                done = subprocess.run([os.path.join(folder, "clm"), "chat", "--config", "demo.yaml", "-p", QUESTION],
                                      capture_output=True, stdin=subprocess.DEVNULL, cwd=folder, timeout=120,
                                      user=65534, group=65534, extra_groups=[], env={**os.environ, **env, "HOME": home})
                self.assertEqual((done.returncode, done.stdout.decode()), (0, ANSWER), done.stderr)
            self.assertEqual(os.stat(os.path.join(folder, "clm-pocl-65534")).st_mode & 0o777, 0o700)
            # A folder that is somebody else's is not used.
            shutil.rmtree(os.path.join(folder, "clm-pocl-65534"))
            os.mkdir(os.path.join(folder, "clm-pocl-65534"), 0o777)
            os.chmod(os.path.join(folder, "clm-pocl-65534"), 0o777)
            done = subprocess.run([os.path.join(folder, "clm"), "devices"], capture_output=True, cwd=folder, timeout=120,
                                  user=65534, group=65534, extra_groups=[],
                                  env={**os.environ, **env, "HOME": "/nonexistent"})
            self.assertEqual(os.listdir(os.path.join(folder, "clm-pocl-65534")), [], done.stderr)

    def test_reference_cases(self):
        for case in json.loads(read(os.path.join(ROOT, "tools", "demo_model", "greedy.json"))):
            if case.get("history"):
                continue
            code, out, err = clm("chat", "--config", DEMO, "-p", case["question"])
            self.assertEqual((code, out), (0, case["answer"] + "\n"), err)

    def test_damaged_kernel_cache(self):
        with tempfile.TemporaryDirectory() as cache:
            env = {"XDG_CACHE_HOME": cache}
            code, out, err = clm("chat", "--config", DEMO, "-p", QUESTION, env=env)
            self.assertEqual((code, out), (0, ANSWER), err)
            self.assertIn("warming up", err)
            files = glob.glob(cache + "/clm/kernels/*.bin")
            self.assertGreater(len(files), 5)
            for i, path in enumerate(files):
                with open(path, "rb") as file:
                    data = file.read()
                with open(path, "wb") as file:
                    file.write([b"", data[:len(data) // 2], data[:-1] + bytes([data[-1] ^ 1]), b"noise"][i % 4])
            code, out, err = clm("chat", "--config", DEMO, "-p", QUESTION, env=env)
            self.assertEqual((code, out), (0, ANSWER), err)
            self.assertIn("damaged", err)
            err = clm("chat", "--config", DEMO, "-p", QUESTION, env=env)[2]
            self.assertNotIn("damaged", err)
            self.assertNotIn("warming up", err)
        with tempfile.TemporaryDirectory() as cache:
            env = {"XDG_CACHE_HOME": cache, "CLM_KERNEL_CACHE": "0"}
            self.assertEqual(clm("chat", "--config", DEMO, "-p", QUESTION, env=env)[1], ANSWER)
            self.assertEqual(glob.glob(cache + "/clm/kernels/*"), [])

    def test_interrupt(self):
        run = subprocess.Popen([CLM, "generate", "-m", os.path.join(ROOT, "configs", "demo.gguf"), "-p", "春", "-n", "900",
                                "--temp", "3", "--top-p", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        self.assertTrue(run.stdout.read(1))
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=60)
        self.assertEqual(run.returncode, 130)

    def test_interrupt_at_the_start(self):
        with tempfile.TemporaryDirectory() as cache:
            env = {**os.environ, "XDG_CACHE_HOME": cache, "POCL_CACHE_DIR": os.path.join(cache, "pocl")}
            run = subprocess.Popen([CLM, "chat", "--config", DEMO, "-p", QUESTION], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
            for line in run.stderr:
                if b"compiling" in line:
                    break
            run.send_signal(signal.SIGINT)
            out, err = run.communicate(timeout=20)
            self.assertEqual((run.returncode, out), (130, b""), err)
            self.assertIn(b"interrupted", err)

    def test_ignored_interrupt(self):
        """As a shell starts it in the background."""
        run = subprocess.Popen([CLM, "tokenize", "-m", os.path.join(ROOT, "configs", "demo.gguf")], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
        time.sleep(0.3)
        run.send_signal(signal.SIGINT)
        out, _ = run.communicate("春\n".encode(), timeout=20)
        self.assertEqual(run.returncode, 0)
        self.assertEqual(json.loads(out), [1612])

    def test_missing_prompt_file(self):
        code, _, err = clm("chat", "--config", DEMO, "-f", "/nowhere")
        self.assertEqual(code, 2, err)
        self.assertNotIn("loading", err)

    def test_endless_prompt(self):
        """Not read until memory is full."""
        model = os.path.join(ROOT, "configs", "demo.gguf")
        for args in (["chat", "--config", DEMO], ["generate", "-m", model], ["tokenize", "-m", model]):
            done = subprocess.run([CLM, *args, "-f", "/dev/zero"], stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                                  preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (2 << 30, 2 << 30)))
            err = done.stderr.decode()
            self.assertEqual(done.returncode, 2, err)
            self.assertIn("/dev/zero: it is longer than 1 GB", err)
            self.assertNotIn("loading", err)

    def test_reader_leaves(self):
        run = subprocess.Popen([CLM, "generate", "-m", os.path.join(ROOT, "configs", "demo.gguf"), "-p", "春", "-n", "900",
                                "--temp", "3", "--top-p", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        self.assertTrue(run.stdout.read(1))
        run.stdout.close()
        err = run.stderr.read().decode()
        run.stderr.close()
        self.assertEqual(run.wait(60), 1, err)
        self.assertIn("could not be written", err)
        self.assertNotIn("interrupted", err)
        self.assertLess(int(re.search(r"answer (\d+) tokens", err).group(1)), 900)

    def test_full_disk(self):
        for args in (["--version"], ["--help"], ["devices"], ["chat", "--config", DEMO, "-p", QUESTION]):
            with open("/dev/full", "wb") as full:
                done = subprocess.run([CLM, *args], stdout=full, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
            self.assertEqual(done.returncode, 1, args)


class ExitCodes(unittest.TestCase):
    def check(self, code, word, *args, **more):
        got, out, err = clm(*args, **more)
        self.assertEqual(got, code, err)
        self.assertIn(word, err)
        self.assertEqual(out, "")

    def test_codes(self):
        self.check(2, "--temperature", "chat", "--temprature", "1")
        self.check(2, "no model", "generate", "-p", "x", env={"CLM_MODEL": ""})
        self.check(3, "nofile.gguf", "chat", "-m", "nofile.gguf", "-p", "x")
        self.check(2, "no such device", "chat", "--config", DEMO, "--device", "nothing like this", "-p", "x")
        self.check(2, "empty", "chat", "--config", DEMO, stdin="")
        for name, value, message in (("AMX", "yes", "'yes' is neither 0 nor 1"), ("KERNEL_CACHE", "no", "'no' is neither 0 nor 1"),
                                     ("DOT", "best", "'best' is none of plain, khr, ")):
            self.check(2, "CLM_%s: %s" % (name, message), "chat", "--config", DEMO, "-p", "x", env={"CLM_" + name: value})
        self.check(2, "'many' is not a whole number", "chat", "--config", DEMO, "-c", "many", "-p", "x")

    def test_no_platform(self):
        with tempfile.TemporaryDirectory() as empty:
            env = {"OCL_ICD_VENDORS": empty + "/"}
            self.check(4, "pocl-opencl-icd", "devices", env=env)
            code, out, _ = clm("chat", "--config", DEMO, "--backend", "ref", "-p", QUESTION, env=env)
            self.assertEqual((code, out), (0, ANSWER))

    def test_reports(self):
        devices = json.loads(clm("devices", "--json")[1])
        self.assertTrue(any(d["chosen"] for d in devices))
        report = json.loads(clm("inspect", "--json", os.path.join(ROOT, "configs", "demo.gguf"))[1])
        self.assertEqual((report["layers"], report["positions"]), (40, "alibi"))

    def test_help(self):
        whole = clm("help")
        self.assertEqual(whole, clm("--help"))
        self.assertEqual(clm("help", "chat"), clm("chat", "--help"))
        for words in (("eval", "--help"), ("help", "eval")):
            code, out, err = clm(*words)
            self.assertEqual((code, err), (0, ""))
            self.assertIn("eval cmmlu", out)
            self.assertNotIn("  chat", out)
        self.check(2, "unknown command 'chta'; did you mean 'chat'?", "help", "chta")
        self.check(2, "a command comes first", "-m", "x.gguf", "-p", "x")
        self.check(2, "a model is -m MODEL", "chat", "x.gguf")

    def test_dump_config(self):
        first = clm("chat", "--config", DEMO, "--temp", "0.5", "--dump-config")[1]
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(first)
            file.flush()
            self.assertEqual(clm("chat", "--config", file.name, "--dump-config")[1], first)


class BadFiles(unittest.TestCase):
    @needs_golden
    def test_gguf(self):
        for name, expect in expectations("gguf"):
            path = os.path.join(GOLDEN, "bad", name)
            code, out, err = clm("generate", "-m", path, "-p", "a", "-n", "4", "--temp", "0", "--backend", "ref")
            with self.subTest(name=name, err=err):
                self.assertIn(code, [3] if expect == "refuse" else [0, 1, 3])
                if expect == "refuse":
                    self.assertEqual(len(err.strip().splitlines()), 1)
                    self.assertLess(len(err), 700)
                    self.assertIn(os.path.basename(name), err)

    @needs_golden
    def test_yaml(self):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(os.path.join(GOLDEN, "bad", "base"), os.path.join(folder, "base"))
            for name, expect in expectations("yaml"):
                base = os.path.basename(name)
                shutil.copyfile(os.path.join(GOLDEN, "bad", name), os.path.join(folder, base))
                code, out, err = clm("chat", "--config", base, "--dump-config", cwd=folder)
                with self.subTest(name=name, err=err):
                    self.assertIn(code, [2] if expect == "refuse" else [0, 2])
                    if expect == "refuse":
                        self.assertRegex(err, re.escape(base) + r":\d+:\d+: ")
                        self.assertLess(len(err), 700)


class DamagedWeights(unittest.TestCase):
    """One scale of a matrix is NaN: rounding to int8 must not make numbers of what follows from it."""

    def damage(self, name, path):
        demo = os.path.join(ROOT, "configs", "demo.gguf")
        with open(demo, "rb") as file:
            data = bytearray(file.read())
        end = offset = 0
        for tensor in json.loads(clm("inspect", "--json", demo)[1])["tensors"]:
            key = struct.pack("<Q", len(tensor["name"])) + tensor["name"].encode()
            at = data.index(key) + len(key)
            at += 4 + 8 * struct.unpack_from("<I", data, at)[0] + 4
            end = max(end, at + 8)
            if tensor["name"] == name:
                offset = struct.unpack_from("<Q", data, at)[0]
        struct.pack_into("<H", data, (end + 31) // 32 * 32 + offset, 0x7E00)
        with open(path, "wb") as file:
            file.write(data)

    def test_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "damaged.gguf")
            for name in ("blk.0.ffn_up.weight", "blk.3.attn_v.weight", "blk.3.attn_k.weight"):
                self.damage(name, path)
                for more in (["-p", "春"], ["-p", "春眠不觉晓"], ["-p", "春", "--kv-cache-type", "int8"],
                             ["-p", "春眠不觉晓", "--kv-cache-type", "int8"]):
                    code, out, err = clm("generate", "-m", path, "--temp", "0", "-n", "4", *more)
                    with self.subTest(name=name, more=more):
                        self.assertEqual((code, out), (3, ""), err)
                        self.assertIn("damaged", err)


class Tokenizer(unittest.TestCase):
    def lines(self, model, table, decode=False):
        rows = [line.split("\t") for line in read(os.path.join(GOLDEN, table)).split("\n") if line]
        self.assertGreater(len(rows), 2)
        code, out, err = clm("tokenize", "-m", os.path.join(GOLDEN, model), "--json", *(["--decode"] if decode else []),
                             stdin="".join(row[0] + "\n" for row in rows))
        self.assertEqual(code, 0, err)
        got = [json.loads(line) for line in out.split("\n")[:-1]]
        self.assertEqual(len(got), len(rows))
        for row, ids in zip(rows, got):
            self.assertEqual(ids, json.loads(row[1]), (table, row[0]))

    @needs_golden
    def test_golden_lines(self):
        full = "tokenizer-baichuan"
        for table in ("cases.tsv", "cases-nul.tsv", "published.tsv"):
            self.lines(full, full + "/" + table)
        self.lines(full, full + "/detok.tsv", decode=True)
        self.lines(full + "/plain", full + "/plain/cases.tsv")
        self.lines(full + "/plain", full + "/plain/detok.tsv", decode=True)
        self.lines("vocab-baichuan.gguf", full + "/cases-gguf.tsv")


if __name__ == "__main__":
    unittest.main(verbosity=1)
