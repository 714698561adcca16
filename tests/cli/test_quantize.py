"""clm quantize as a user meets it: golden logits after conversion, interruption by signals, refusals, the cache of `weights:`.

Environment: CLM_BIN (the program), CLM_GOLDEN (folder with the golden files).
"""
import array
import fcntl
import glob
import json
import math
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CLM = os.environ.get("CLM_BIN", os.path.join(ROOT, "build", "clm"))
GOLDEN = os.environ.get("CLM_GOLDEN", os.path.join(ROOT, "..", "shared", "golden"))
DEMO = os.path.join(ROOT, "configs", "demo.gguf")
FLOATS = ["hf-baichuan13b-tiny", "hf-baichuan7b-tiny-safetensors", "hf-llama-tiny"]
GPTQ = ["gptq-baichuan13b-tiny", "gptq-baichuan13b-tiny-act", "gptq-llama-tiny"]


def clm(*args, env=None, timeout=600):
    done = subprocess.run([CLM, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          env={**os.environ, **(env or {})}, timeout=timeout)
    return done.returncode, done.stdout, done.stderr


def floats(path):
    values = array.array("f")
    with open(path, "rb") as file:
        values.frombytes(file.read())
    if sys.byteorder == "big":
        values.byteswap()
    return values


def relative_error(got, want):
    return math.sqrt(sum((a - b) ** 2 for a, b in zip(got, want)) / sum(b * b for b in want))


def read(path):
    with open(path, "rb") as file:
        return file.read()


def u32s(data):
    values = array.array("I", data)
    if sys.byteorder == "big":
        values.byteswap()
    return values


def in_8_bits(qweight, qzeros, shape, group, symmetric):
    """A layer that GPTQ has packed in 4 bits, in 8: the same q - zero, with the same zeros or with 128 for all."""
    n_words, n_rows = shape
    old, zeros = u32s(qweight), u32s(qzeros)
    zero = [[1 + (zeros[g * (n_rows // 8) + n // 8] >> 4 * (n % 8) & 15) for n in range(n_rows)]
            for g in range(n_words * 8 // group)]
    raised = [[128 - z for z in row] if symmetric else [0] * n_rows for row in zero]
    new = array.array("I")
    for word in range(2 * n_words):  # of four columns
        for n in range(n_rows):
            four, more = old[word // 2 * n_rows + n] >> 16 * (word % 2), raised[word * 4 // group][n]
            new.append(sum(((four >> 4 * i & 15) + more) << 8 * i for i in range(4)))
    new_zeros = array.array("I", (sum((zero[g][n + i] + raised[g][n + i] - 1) << 8 * i for i in range(4))
                                  for g in range(len(zero)) for n in range(0, n_rows, 4)))
    if sys.byteorder == "big":
        new.byteswap()
        new_zeros.byteswap()
    return new.tobytes(), new_zeros.tobytes()


def rewrite(source, target, settings, change):
    """Copies a GPTQ folder with other settings; change(header, parts, old settings) makes the tensors fit them."""
    shutil.copytree(source, target, copy_function=shutil.copyfile)
    os.chmod(target, 0o755)
    with open(os.path.join(target, "quantize_config.json"), encoding="utf-8") as file:
        old = json.load(file)
    with open(os.path.join(target, "quantize_config.json"), "w", encoding="utf-8") as file:
        json.dump({**old, **settings}, file)
    path, = glob.glob(os.path.join(target, "*.safetensors"))
    data = read(path)
    size, = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__")
    parts = {name: data[8 + size + t["data_offsets"][0]:8 + size + t["data_offsets"][1]] for name, t in header.items()}
    change(header, parts, old)
    at = 0
    for name, part in parts.items():
        header[name]["data_offsets"] = [at, at + len(part)]
        at += len(part)
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(parts.values()))


def write_in_8_bits(source, target, symmetric):
    """From 4 bits, with the same weights; symmetric(name) says it of a tensor."""
    def change(header, parts, old):
        for name in [name for name in header if name.endswith(".qweight")]:
            zeros = name.replace(".qweight", ".qzeros")
            parts[name], parts[zeros] = in_8_bits(parts[name], parts[zeros], header[name]["shape"], old["group_size"],
                                                  symmetric(name))
            header[name]["shape"][0] *= 2
            header[zeros]["shape"][1] *= 2
    rewrite(source, target, {"bits": 8}, change)


def write_in_groups_of_16(source, target):
    """The same weights: what a group has is repeated for each of those that it becomes."""
    def change(header, parts, old):
        times = old["group_size"] // 16
        for name in header:
            if name.endswith((".scales", ".qzeros")):
                groups = header[name]["shape"][0]
                row = len(parts[name]) // groups
                parts[name] = b"".join(parts[name][g * row:(g + 1) * row] * times for g in range(groups))
                header[name]["shape"][0] *= times
            elif name.endswith(".g_idx"):
                parts[name] = struct.pack("<%di" % header[name]["shape"][0],
                                          *(k // 16 for k in range(header[name]["shape"][0])))
    rewrite(source, target, {"group_size": 16}, change)


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def run_ok(self, *args, env=None):
        code, out, err = clm(*args, env=env)
        self.assertEqual(code, 0, err)
        return out, err


@unittest.skipUnless(os.path.isdir(GOLDEN), "GOLDEN FILES ABSENT: " + GOLDEN)
class Golden(Case):
    def logits(self, model, *args):
        out = self.path("logits.f32")
        self.run_ok("eval", "logits", "-m", model, "--ids", os.path.join(GOLDEN, "ids.txt"), "--from", "88", "-o", out, *args)
        return floats(out)

    def check_logits(self, model, name):
        """In plain C, and on the device: tokens together, one by one, and both with the plain kernels."""
        want = floats(os.path.join(GOLDEN, name + ".logits.f32"))
        for args in ("--backend ref", "--backend opencl", "--backend opencl -b 1", "--backend opencl --kernels plain",
                     "--backend opencl --kernels plain -b 1"):
            with self.subTest(name=name, args=args):
                error = relative_error(self.logits(model, *args.split()), want)
                print("%-44s %-38s %.1e" % (os.path.basename(model), args, error), file=sys.stderr)
                self.assertLess(error, 1e-4)

    def quantize(self, source, kind):
        """The target, the layers' matrices in the report, and what was said."""
        target = self.path("%s-%s.gguf" % (os.path.basename(source), kind))
        out, err = self.run_ok("quantize", source, target, "--type", kind, "--json")
        tensors = json.loads(out)["tensors"]
        return target, [t for t in tensors if t["name"].startswith("blk.") and t["rows"] > 1], err

    def check(self, names, kind):
        for name in names:
            target, _, _ = self.quantize(os.path.join(GOLDEN, name), kind)
            self.check_logits(target, name)

    def test_f16(self):
        self.check(FLOATS, "f16")

    def test_f32_of_gptq(self):
        self.check(GPTQ, "f32")

    def check_f16_of_gptq(self, source, name, kind, words):
        """A weight scale * (q - zero) has more bits than halves: `kind` is taken, and `words` said once."""
        target, layers, err = self.quantize(source, "f16")
        self.assertEqual({t["type"] for t in layers}, {kind})
        self.assertEqual({t["relative_error"] for t in layers}, {0})
        self.assertEqual(err.count("F16 would round %d matrices" % len(layers)), 1, err)
        self.assertEqual(err.count("\n"), 1, err)
        self.assertIn(words, err)
        self.check_logits(target, name)

    def test_f16_of_gptq(self):
        for name in GPTQ:
            act = name.endswith("-act")
            self.check_f16_of_gptq(os.path.join(GOLDEN, name), name, "F32" if act else "Q8_0",
                                   "stored as F32" if act else "stored as Q8_0, which holds them exactly")

    def test_f16_of_gptq_in_8_bits(self):
        name = "gptq-llama-tiny"
        for symmetric, kind in ((True, "Q8_0"), (False, "F32")):
            source = self.path(kind)
            write_in_8_bits(os.path.join(GOLDEN, name), source, lambda _, yes=symmetric: yes)
            self.assertIn("GPTQ8", self.run_ok("inspect", source)[0])
            self.check_f16_of_gptq(source, name, kind, "stored as " + kind)

    def test_types_mixed_in_a_layer(self):
        """Products of one input in different formats: k beside q and v, up beside gate, as in the file and as f16."""
        name, source, others = "gptq-llama-tiny", self.path("mixed"), ("k_proj", "up_proj")
        write_in_8_bits(os.path.join(GOLDEN, name), source, lambda tensor: not any(part in tensor for part in others))
        target, layers, err = self.quantize(source, "f16")
        for t in layers:
            self.assertEqual(t["type"], "F32" if "attn_k." in t["name"] or "ffn_up." in t["name"] else "Q8_0", t["name"])
        self.assertRegex(err, "20 matrices .* Q8_0.*\\n.*8 matrices .* F32\n$")
        self.check_logits(source, name)
        self.check_logits(target, name)

    def test_groups_of_16(self):
        """Of 4 bits, for which devices have no kernels."""
        name, source = "gptq-llama-tiny", self.path("16")
        write_in_groups_of_16(os.path.join(GOLDEN, name), source)
        self.assertIn("GPTQ4 g16", self.run_ok("inspect", source)[0])
        self.check_logits(source, name)

    def test_int8_of_gptq(self):
        """Exact where Q8_0 can be, else as near as Q8_0 comes."""
        for name in GPTQ:
            _, layers, err = self.quantize(os.path.join(GOLDEN, name), "int8")
            self.assertEqual({t["type"] for t in layers}, {"Q8_0"})
            self.assertEqual(err, "")
            errors = [t["relative_error"] for t in layers]
            if name.endswith("-act"):
                self.assertTrue(1e-3 < min(errors) and max(errors) < 0.01, errors)
            else:
                self.assertEqual(set(errors), {0})

    def test_eval_is_exact_by_default(self):
        """What the logits above are worth depends on it: float activations, unless told otherwise."""
        target, _, _ = self.quantize(os.path.join(GOLDEN, "gptq-llama-tiny"), "f16")
        default = self.logits(target, "--backend", "opencl")
        self.assertEqual(default, self.logits(target, "--backend", "opencl", "--activations", "f32"))
        self.assertNotEqual(default, self.logits(target, "--backend", "opencl", "--activations", "int8"))

    def test_tokenizer_and_template(self):
        for name in FLOATS:
            source, target = os.path.join(GOLDEN, name), self.path(name + ".gguf")
            self.run_ok("quantize", source, target, "--type", "q8_0")
            with open(os.path.join(source, "cases.tsv"), encoding="utf-8") as file:
                cases = [line.rstrip("\n").split("\t") for line in file]
            with open(self.path("texts"), "w", encoding="utf-8") as file:
                file.writelines(text + "\n" for text, _ in cases)
            out, _ = self.run_ok("tokenize", "-m", target, "--json", "-f", self.path("texts"))
            self.assertEqual([json.loads(line) for line in out.splitlines()], [json.loads(ids) for _, ids in cases])
            before = json.loads(self.run_ok("inspect", "--json", source)[0])
            after = json.loads(self.run_ok("inspect", "--json", target)[0])
            for key in ("architecture", "layers", "width", "heads", "kv_heads", "head_dim", "ffn", "vocabulary", "context",
                        "rms_epsilon", "positions", "rope_base", "tied_head", "bos", "eos", "template", "name"):
                self.assertEqual(before[key], after[key], key)

    def test_ends_of_answers(self):
        """All of a list in generation_config.json, in the folder and in what is made of it."""
        source = self.path("folder")
        shutil.copytree(os.path.join(GOLDEN, "hf-llama-tiny"), source, copy_function=shutil.copyfile)
        os.chmod(source, 0o755)

        def answer(ends):
            with open(os.path.join(source, "generation_config.json"), "w", encoding="utf-8") as file:
                json.dump({"eos_token_id": ends}, file)
            self.run_ok("quantize", source, self.path("x.gguf"), "--type", "f32", "--force")
            texts = [self.run_ok("generate", "-m", model, "-p", "Hello", "-n", "3", "--temp", "0", "--backend", "ref")[0]
                     for model in (source, self.path("x.gguf"))]
            self.assertEqual(texts[0], texts[1])
            return texts[0]

        ids = [1] + json.loads(self.run_ok("tokenize", "-m", source, "--json", "-p", '"Hello"')[0])  # begins with BOS
        with open(self.path("ids"), "w", encoding="utf-8") as file:
            file.write(" ".join(str(i) for i in ids))
        self.run_ok("eval", "logits", "-m", source, "--ids", self.path("ids"), "--from", str(len(ids) - 1), "-o",
                    self.path("logits"), "--backend", "ref")
        logits = floats(self.path("logits"))
        first = max(range(len(logits)), key=logits.__getitem__)
        self.assertNotEqual(answer(2), answer(first))
        self.assertNotIn(first, (2, 7, 8, 9))
        for ends in ([2, first], [2, 7, first], [2, 7, 8, 9, first]):
            self.assertEqual(answer(ends), answer(first), ends)


class Cache(Case):
    """`weights: int4` in a configuration: the first run converts, later ones find it."""

    def chat(self, *args, model=DEMO, weights="int4"):
        env = {"XDG_CACHE_HOME": self.path("cache")}
        return self.run_ok("chat", "--config", os.path.join(ROOT, "configs", "demo.yaml"), "-m", model, "--weights", weights,
                           "-p", "静夜思", *args, env=env)

    def entries(self):
        return sorted(glob.glob(self.path("cache/clm/models/*")))

    def test_reuse(self):
        source = self.path("demo f16.gguf")
        self.run_ok("quantize", DEMO, source, "--type", "f16")
        first, err = self.chat(model=source)
        self.assertIn("converted once", err)
        entries = self.entries()
        self.assertEqual(len(entries), 1)
        self.assertRegex(entries[0], r"demo_f16\.gguf-int4-[0-9a-f]{12}-[0-9a-f]{20}\.gguf$")
        self.assertIn("INT4", self.run_ok("inspect", entries[0])[0])
        time_made = os.stat(entries[0]).st_mtime_ns
        again, err = self.chat(model=source)
        self.assertNotIn("converted", err)
        self.assertEqual((again, os.stat(entries[0]).st_mtime_ns), (first, time_made))
        direct, _ = self.chat(model=entries[0], weights="keep")
        self.assertEqual(direct, first)

        whole = read(entries[0])
        for damage in (lambda file: file.truncate(1000), lambda file: (file.seek(-3000, os.SEEK_END), file.write(b"damaged")),
                       lambda file: file.write(b"damaged")):
            with open(entries[0], "r+b") as file:
                damage(file)
            out, err = self.chat(model=source)
            self.assertEqual(out, first)
            self.assertIn("converted", err)
            self.assertEqual(read(entries[0]), whole)

    def test_a_new_entry_replaces_older_ones(self):
        source, other = self.path("demo.gguf"), self.path("other/demo.gguf")
        os.mkdir(self.path("other"))
        for path in (source, other):
            shutil.copyfile(DEMO, path)
        self.chat(model=source)
        first, = self.entries()
        self.chat(model=other)  # of the same name
        self.chat(model=source, weights="f16")
        kept = [path for path in self.entries() if path != first]
        self.assertEqual(len(kept), 2)
        parts = [first[:-25] + "0" * 20 + ".gguf" + end for end in (".part", ".part.journal")]  # interrupted long ago
        busy = first[:-25] + "1" * 20 + ".gguf"
        strange = [first + ".bak", first[:-25] + "2.gguf", first[:-25] + "notes of the user"]
        for path in parts + [busy, busy + ".part"] + strange:
            with open(path, "w", encoding="ascii"):
                pass
        with open(os.path.join(os.path.dirname(busy), "." + os.path.basename(busy) + ".lock"), "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # a clm of another version is making it
            os.utime(source, (1, 1))
            _, err = self.chat(model=source)
        self.assertIn(first + ", of the model as it was before, is removed", err)
        new = [path for path in self.entries() if path not in kept + [busy, busy + ".part"] + strange]
        self.assertEqual(len(new), 1, new)
        self.assertNotIn(new[0], [first] + parts)
        for path in kept + [busy, busy + ".part"] + strange:
            self.assertTrue(os.path.exists(path), path)
        self.assertNotIn("removed", self.chat(model=source)[1])

    def test_two_at_once(self):
        env = {**os.environ, "XDG_CACHE_HOME": self.path("cache")}
        words = ["chat", "--config", os.path.join(ROOT, "configs", "demo.yaml"), "-m", DEMO, "--weights", "int4", "-p", "静夜思"]
        self.chat()
        entry, = self.entries()
        hidden, = glob.glob(self.path("cache/clm/models/.*.lock"))
        os.unlink(entry)
        with open(hidden, "r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # as the first of two that start at once
            second = subprocess.Popen([CLM, *words], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE)
            line = b""
            while b"another clm converts this model: waiting" not in line:
                line = second.stderr.readline()
                self.assertNotEqual(line, b"")
            self.assertFalse(os.path.exists(entry))
        out, err = second.communicate(timeout=120)
        self.assertEqual(second.returncode, 0, err)
        self.assertIn("床前明月光", out.decode())
        self.assertTrue(os.path.exists(entry))

        os.unlink(entry)
        with open(hidden, "r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            third = subprocess.Popen([CLM, *words], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                     stderr=subprocess.PIPE)
            while b"waiting" not in third.stderr.readline():
                self.assertIsNone(third.poll())
            third.send_signal(signal.SIGINT)
            third.communicate(timeout=120)
            self.assertEqual(third.returncode, 130)

    def test_already_so(self):
        q4 = self.path("q4.gguf")
        self.run_ok("quantize", DEMO, q4, "--type", "q4_0")
        for model, weights in ((q4, "int4"), (q4, "int8"), (DEMO, "int8")):
            _, err = self.chat(model=model, weights=weights)
            self.assertNotIn("converted", err)
        self.assertEqual(self.entries(), [])

    def test_no_place(self):
        code, _, err = clm("chat", "-m", DEMO, "--weights", "int4", "-p", "x", env={"XDG_CACHE_HOME": "/proc/nowhere"})
        self.assertEqual(code, 1)
        self.assertEqual(err.count("\n"), 1, err)
        self.assertIn("/proc/nowhere", err)


class Interruption(Case):
    def setUp(self):
        super().setUp()
        # A larger file, so that there is something to interrupt.
        self.source = self.path("source.gguf")
        self.run_ok("quantize", DEMO, self.source, "--type", "f32")
        self.run_ok("quantize", self.source, self.path("whole.gguf"), "--type", "int4")
        self.whole = read(self.path("whole.gguf"))

    def begin(self, target, delay, sig):
        process = subprocess.Popen([CLM, "quantize", self.source, target, "--type", "int4", "-t", "1"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(delay)
        process.send_signal(sig)
        _, err = process.communicate(timeout=60)
        return process.returncode, err

    def test_kill(self):
        """Whenever it is killed: no target, and the next run gives the same bytes."""
        interrupted = 0
        for i in range(12):
            target = self.path("killed-%d.gguf" % i)
            code, _ = self.begin(target, 0.004 * (i + 1), signal.SIGKILL)
            if code == 0:
                self.assertEqual(read(target), self.whole)
                continue
            interrupted += 1
            if os.path.exists(target):  # killed after the rename
                self.assertEqual(read(target), self.whole)
            self.run_ok("quantize", self.source, target, "--type", "int4", "--force")
            self.assertEqual(read(target), self.whole)
            self.assertEqual(glob.glob(target + ".*"), [])
        self.assertGreater(interrupted, 3)

    def test_part_does_not_load(self):
        """Until it is whole, that is."""
        for delay in (0.005, 0.01, 0.015, 0.02, 0.03):
            target = self.path("x-%g.gguf" % delay)
            self.begin(target, delay, signal.SIGKILL)
            for part in glob.glob(target + ".part*"):
                if clm("inspect", part)[0] == 0:  # killed between the header, which comes last, and the renaming
                    self.assertEqual(read(part), self.whole)
                else:
                    self.assertEqual(clm("inspect", part)[0], 3)

    def test_interrupt(self):
        for delay in (0.01, 0.02, 0.04, 0.08):
            target = self.path("y-%g.gguf" % delay)
            code, err = self.begin(target, delay, signal.SIGINT)
            if code == 130 and "kept" in err:
                self.assertIn("the same command goes on from there", err)
                _, err = self.run_ok("quantize", self.source, target, "--type", "int4")
                self.assertEqual(read(target), self.whole)
                return
        self.fail("no run was slow enough to be interrupted")


class Use(Case):
    def test_report(self):
        out, err = self.run_ok("quantize", DEMO, self.path("a.gguf"), "--type", "int4")
        self.assertRegex(out, r"a\.gguf: int4, 363 tensors, 3\.\d MB from 5\.\d MB, relative error 0\.0\d+, ")
        self.assertEqual(err.count("rows of 96 elements"), 1)
        out, _ = self.run_ok("quantize", DEMO, self.path("b.gguf"), "--type", "int8", "--json")
        report = json.loads(out)
        self.assertEqual(report["relative_error"], 0)  # the demo model is Q8_0 already
        self.assertEqual(len(report["tensors"]), 363)
        self.assertEqual(os.path.getsize(self.path("b.gguf")), report["bytes"])

    def test_answers(self):
        """The 8-bit model says what the original says; int4, whose layers are rounded, still finds its poem."""
        for kind, words in (("int8", "床前明月光"), ("f16", "床前明月光"), ("int4", "")):
            self.run_ok("quantize", DEMO, self.path(kind + ".gguf"), "--type", kind)
            out, _ = self.run_ok("chat", "--config", os.path.join(ROOT, "configs", "demo.yaml"), "-m",
                                 self.path(kind + ".gguf"), "-p", "静夜思")
            self.assertIn(words, out)

    def test_verify(self):
        target = self.path("a.gguf")
        self.run_ok("quantize", DEMO, target, "--type", "q4_0")
        self.assertIn("checksums", self.run_ok("inspect", "--verify", target)[0])
        with open(target, "r+b") as file:
            file.seek(-2000, os.SEEK_END)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 1]))
        code, _, err = clm("inspect", "--verify", target)
        self.assertEqual(code, 3)
        self.assertRegex(err, r"tensor '[a-z0-9_.]+' is damaged")
        code, _, err = clm("inspect", "--verify", DEMO)
        self.assertEqual(code, 3)
        self.assertIn("has no checksums", err)

    def test_refusals(self):
        exists = self.path("exists.gguf")
        shutil.copy(DEMO, exists)
        locked = self.path("locked")
        os.mkdir(locked)
        os.chmod(locked, 0o555)
        fifo = self.path("fifo")
        os.mkfifo(fifo)
        own, link = self.path("own.gguf"), self.path("link.gguf")
        shutil.copyfile(DEMO, own)
        os.symlink(own, link)
        cases = [
            (["quantize", own, own, "--type", "int4", "--force"], 2, "is the model itself"),
            (["quantize", own, link, "--type", "int4", "--force"], 2, "is the model itself"),
            (["quantize"], 2, "the model, the file to write and its type are missing: clm quantize SRC DST --type int4"),
            (["quantize", DEMO], 2, "the file to write is missing: clm quantize SRC DST --type int4"),
            (["quantize", DEMO, self.path("x.gguf")], 2,
             r"the type is missing: clm quantize SRC DST --type int4 \(types are int4, int8, q4_0, q4_1, q8_0, f16 or f32\)"),
            (["quantize", DEMO, self.path("x.gguf"), "--type", "q9"], 2, "'q9' is no type"),
            (["quantize", DEMO, exists, "--type", "int4"], 2, "exists already; --force"),
            (["quantize", DEMO, self.folder, "--type", "int4"], 2, "is a folder"),
            (["quantize", DEMO, fifo, "--type", "int4", "--force"], 2, "is no regular file"),
            (["quantize", DEMO, self.path("x.gguf"), "int4", "--type", "int8"], 2, "given twice: 'int4' and --type int8"),
            (["quantize", self.path("none.gguf"), self.path("x.gguf"), "--type", "int4"], 3, "none.gguf"),
            (["quantize", self.folder, self.path("x.gguf"), "--type", "int4"], 3, "config.json"),
            (["quantize", DEMO, self.path("no/folder/x.gguf"), "--type", "q4_0"], 1, "no/folder/x.gguf"),
            (["quantize", DEMO, "/proc/x.gguf", "--type", "q4_0"], 1, "/proc/x.gguf"),
        ]
        if os.geteuid() != 0:
            cases.append((["quantize", DEMO, locked + "/x.gguf", "--type", "int4"], 1, "Permission denied"))
        for args, expected, words in cases:
            with self.subTest(args=args):
                code, out, err = clm(*args)
                self.assertEqual((code, out), (expected, ""), err)
                self.assertEqual(err.count("\n"), 1, err)
                self.assertTrue(re.search(words, err), err)
        self.assertEqual(read(exists), read(DEMO))
        self.assertFalse(os.path.exists(self.path("x.gguf")))

    def test_two_at_once(self):
        """The second run is told, and neither harms the other."""
        source, target = self.path("source.gguf"), self.path("x.gguf")
        self.run_ok("quantize", DEMO, source, "--type", "f32")
        both = [subprocess.Popen([CLM, "quantize", source, target, "--type", "q4_0"], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True) for _ in range(2)]
        results = [(p, *p.communicate(timeout=60)) for p in both]
        self.assertIn(0, [p.returncode for p, _, _ in results])
        for p, _, err in results:
            if p.returncode != 0:
                self.assertRegex(err, "another process|exists already")
        self.run_ok("inspect", "--verify", target)


if __name__ == "__main__":
    unittest.main(verbosity=2)
