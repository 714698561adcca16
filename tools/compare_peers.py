#!/usr/bin/env python3
"""Runs clm and other programs in turn on a 13B model with random 4-bit weights, and prints the ratios.

All programs get the same work (tools/peers/workload.py): a prompt of 512 tokens, 8 tokens behind 512, 8 tokens behind
64, on the processors of this machine. clm and llama.cpp read the same Q4_0 file, which is written first (7.5 GB);
OpenVINO gets the same shape in its own 4-bit format.

All programs are loaded together (40 layers: 9 GB of memory each, OpenVINO 16 GB; use fewer --layers where that is too much)
and asked in turn, in both orders, one waiting while another works, so that two runs that are compared lie seconds apart
and changes of the machine's speed hit both alike. The ratio is the median of the ratios of neighbours. clm's memory
probe runs between them. A round in which other processes took more than 5 %% of the processors is made again, at most
twice; what is busy even then is marked.

  %(prog)s --install ~/clm-peers            once: a Python environment of its own with the other programs
  %(prog)s --python ~/clm-peers             the comparison
  %(prog)s --python ~/clm-peers --layers 8  quick: 8 and 4 layers, from which 40 are derived
  %(prog)s --python ~/clm-peers --tests pp512  prompts alone
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "peers"))
import model_file  # noqa: E402
import workload  # noqa: E402

BUSY = 0.05  # more of the processors' time than this taken by others spoils a round
TURNS = {"pp512": 1, "tg8@d512": 6, "tg8@d64": 6}  # tests of a round, in an order in which contexts need no refilling
TITLES = {"pp512": "prefill 512", "tg8@d512": "decode 8 @ 512", "tg8@d64": "decode 8 @ 64"}
# llama.cpp's AMX code crashes when gcc 12 removes stores to a tile configuration as dead: llama.cpp#26954.
AMX_FLAGS = "-fno-tree-dse -fno-dse"
LLAMA, OPENVINO = "llama-cpp-python==0.3.36", "openvino==2026.4.1"


def processor_flags():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("flags"):
                return set(line.split(":", 1)[1].split())
    return set()


def install(folder):
    python = os.path.join(folder, "bin", "python")
    if not os.path.exists(python):
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    environment = dict(os.environ)
    if "amx_tile" in processor_flags():
        environment["CFLAGS"] = environment["CXXFLAGS"] = AMX_FLAGS
    subprocess.run([python, "-m", "pip", "install", "gguf", "numpy", OPENVINO], check=True)
    # Compiled here, for this processor; a wheel that pip kept may have been built without the flags.
    subprocess.run([python, "-m", "pip", "install", "--no-cache-dir", "--no-binary", "llama-cpp-python", LLAMA],
                   check=True, env=environment)


def processor_ticks():
    """(idle, all) of the machine so far; what a hypervisor took counts as not idle."""
    with open("/proc/stat", encoding="utf-8") as file:
        values = [int(value) for value in file.readline().split()[1:9]]
    return values[3] + values[4], sum(values)


def own_ticks(pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total


class Watch:
    """What others take of the processors, from its creation on."""

    def __init__(self, pids):
        self.pids = [os.getpid(), *pids]
        self.idle, self.total = processor_ticks()
        self.own = own_ticks(self.pids)

    def others(self):
        idle, total = processor_ticks()
        taken = (total - self.total) - (idle - self.idle) - (own_ticks(self.pids) - self.own)
        return max(0.0, taken / max(1, total - self.total))


def run_json(command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
        raise RuntimeError(f"{os.path.basename(command[0])} ended with {done.returncode}: {last[0]}")
    text = done.stdout.decode()
    try:
        return json.loads(text)
    except ValueError:  # a library printed something first
        return json.loads(text.strip().splitlines()[-1])


def cpu_device(clm):
    """Index of the first usable CPU device."""
    for device in run_json([clm, "devices", "--json"]):
        if device["type"] == "CPU" and not device["unusable"]:
            return str(device["index"])
    raise SystemExit("clm finds no CPU among its OpenCL devices; give one with --device")


class Engine:
    """A program with its model, waiting for the name of a test."""

    def __init__(self, name, arguments, model):
        self.name = name
        self.errors = tempfile.TemporaryFile()
        self.child = subprocess.Popen(command(name, arguments, model), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors)
        self.about = {"version": "?", "notes": "", "peak_bytes": 0}
        if name == "clm":
            self.memory()  # answers when it is loaded
        else:
            self.about.update(self.answer())

    def answer(self):
        while True:
            line = self.child.stdout.readline()
            if not line:
                self.errors.seek(0)
                last = self.errors.read().decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
                raise RuntimeError(f"{self.name} ended with {self.child.wait()}: {last[0]}")
            try:
                return json.loads(line)
            except ValueError:
                continue  # a library prints something of its own

    def ask(self, line):
        try:
            self.child.stdin.write(line.encode() + b"\n")
            self.child.stdin.flush()
        except OSError:
            pass  # it has ended; reading says why
        return self.answer()

    def memory(self):
        """clm's probe of many streams, in GB/s."""
        return self.ask("memory")["limit_read_gbps"]

    def seconds(self, test):
        row = self.ask(test)
        if self.name == "clm":
            self.about = {"version": row["clm_version"], "notes": row["device"], "peak_bytes": row["host_peak_bytes"]}
            self.gbps = row["gbps"]
            return row["samples_ns"][0] * 1e-9
        self.about["peak_bytes"] = row["peak_bytes"]
        return row["seconds"]

    def close(self):
        self.child.stdin.close()
        self.child.stdout.close()
        self.child.wait()
        self.errors.close()


def command(name, arguments, model):
    if name == "clm":
        return [arguments.clm, "bench", "-m", model, "--device", arguments.device, "-r", "1", "-o", "jsonl", "-b", "512",
                "--test", "-", *arguments.clm_flags.split()]
    program, *more = PEERS[name]
    return [arguments.python, os.path.join(HERE, "peers", program), "--model", model, "--threads", str(arguments.threads), *more]


PEERS = {
    "llama.cpp": ["llama_cpp_peer.py"],
    "openvino": ["openvino_peer.py", "--precision", "default"],
    "openvino-f32": ["openvino_peer.py", "--precision", "f32"],
}


def run_round(engines, tests):
    """Seconds and clm's part of the memory speed, of every turn: [{"test", "seconds": {engine: s}, "memory": GB/s, "part"}]."""
    turns = []
    clm = next(engine for engine in engines if engine.name == "clm")
    for test in tests:
        for engine in engines if test.startswith("tg") else []:
            engine.seconds(test.replace("tg8", "tg1"))  # fills the context, and warms up
        for number in range(TURNS[test]):
            seconds, before = {}, clm.memory()
            for engine in engines if number % 2 == 0 else engines[::-1]:
                seconds[engine.name] = engine.seconds(test)
            memory = (before + clm.memory()) / 2
            turns.append({"test": test, "seconds": seconds, "memory": memory, "part": clm.gbps / memory})
    return turns


def quiet_round(engines, tests):
    """A round in which others took little; (turns, whether they did after all)."""
    for _ in range(3):
        watch = Watch(engine.child.pid for engine in engines)
        turns = run_round(engines, tests)
        others = watch.others()
        for test in tests:
            seconds = {engine.name: statistics.median(turn["seconds"][engine.name] for turn in turns if turn["test"] == test) for engine in engines}
            print(f"  {TITLES[test]}: {', '.join(f'{name} {tokens(test) / s:.2f} t/s' for name, s in seconds.items())}", flush=True)
        memory = [turn["memory"] for turn in turns]
        print(f"  memory {min(memory):.1f} to {max(memory):.1f} GB/s; others took {100 * others:.1f} %"
              f"{': BUSY' if others > BUSY else ''}", flush=True)
        if others <= BUSY:
            return turns, False
    return turns, True


def tokens(test):
    prompt, generated, _ = workload.parse(test)
    return prompt + generated


def measure(names, arguments, layers):
    """(per engine what it says of itself and the median seconds of each test; all turns; busy rounds)."""
    model = model_file.make(arguments.folder, layers)
    engines, turns, busy = [], [], 0
    try:
        for name in names:
            print(f"{layers} layers: loading {name}", flush=True)
            engines.append(Engine(name, arguments, model))
        for number in range(arguments.rounds):
            print(f"round {number + 1} of {arguments.rounds}", flush=True)
            new, was_busy = quiet_round(engines, arguments.tests)
            turns += new
            busy += was_busy
        found = {engine.name: dict(engine.about) for engine in engines}
    finally:
        for engine in engines:
            engine.close()
    for name, about in found.items():
        about["median"] = {test: statistics.median(turn["seconds"][name] for turn in turns if turn["test"] == test) for test in arguments.tests}
    return found, turns, busy


def derive(large, small, layers):
    """Medians of the whole model from those of `layers` and half as many."""
    per_layer = {test: (large["median"][test] - small["median"][test]) / (layers - layers // 2) for test in large["median"]}
    whole = {test: large["median"][test] + (model_file.LAYERS - layers) * each for test, each in per_layer.items()}
    return {**large, "median": whole}


def quartiles(values):
    if len(values) < 2:
        return values[0], values[0], values[0]
    return tuple(statistics.quantiles(values, n=4, method="inclusive"))


def ratio_cells(name, tests, turns):
    """Of each test: how many times as long as clm `name` took, turn by turn."""
    cells = []
    for test in tests:
        low, middle, high = quartiles([turn["seconds"][name] / turn["seconds"]["clm"] for turn in turns if turn["test"] == test])
        cells.append(f"{middle:.2f} x ({low:.2f} to {high:.2f})")
    return cells


def print_table(found, turns, busy, derived, tests):
    titles = [TITLES[test] for test in tests]
    print(f"\n| program | {' | '.join(f'{title}, t/s' for title in titles)} | peak memory |")
    print("|---|" + "---:|" * (len(titles) + 1))
    for name, about in found.items():
        rates = [f"{tokens(test) / about['median'][test]:.2f}" for test in tests]
        print(f"| {name} {about['version']} ({about['notes']}) | {' | '.join(rates)} | {about['peak_bytes'] / 1e9:.1f} GB |")
    print(f"\n| clm beside | {' | '.join(titles)} |\n|---|{'---:|' * len(titles)}")
    for name, about in found.items():
        if name == "clm":
            continue
        if derived:
            cells = [f"{about['median'][test] / found['clm']['median'][test]:.2f} x" for test in tests]
            print(f"| {name} | {' | '.join(cells)} |")
        print(f"| {name}{f', {derived} layers' if derived else ''} | {' | '.join(ratio_cells(name, tests, turns))} |")
    cells = []
    for test in tests:
        low, middle, high = quartiles([100 * turn["part"] for turn in turns if turn["test"] == test])
        cells.append(f"{middle:.0f} % ({low:.0f} to {high:.0f})" if test.startswith("tg") else "")  # prompts calculate
    print(f"| the memory probe | {' | '.join(cells)} |")
    print(f"\nMedians; quartiles in brackets. Turns: {', '.join(str(sum(turn['test'] == test for turn in turns)) for test in tests)}."
          f" Busy rounds: {busy}.")
    if derived:
        print(f"40 layers are derived from {derived} and {derived // 2}; memory is that of {derived}.")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--install", metavar="FOLDER", help="make a Python environment with the other programs, and stop")
    parser.add_argument("--python", default=sys.executable, metavar="FOLDER|FILE", help="that environment, or an interpreter")
    parser.add_argument("--clm", default=os.path.join(os.path.dirname(HERE), "build", "clm"), help="the program (default: build/clm)")
    parser.add_argument("--device", help="clm's device, as for clm --device (default: the first CPU)")
    parser.add_argument("--clm-flags", default="", help="more flags for clm bench, in one argument: '--activations int8'")
    parser.add_argument("--peers", default="llama.cpp", help="which others, with commas: llama.cpp (default), openvino, openvino-f32")
    parser.add_argument("--tests", default=",".join(TURNS), help=f"some of them, with commas (default: {','.join(TURNS)})")
    parser.add_argument("--layers", type=int, default=model_file.LAYERS, help="2 to 40, even; below 40 the result is derived")
    parser.add_argument("--rounds", type=int, default=3, help="through all programs (default 3)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of the others (default: all processors)")
    parser.add_argument("--folder", default="build/peers", help="for the model file (default build/peers)")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--force", action="store_true", help="run although other programs are busy")
    arguments = parser.parse_args()
    if os.path.isdir(arguments.python):
        arguments.python = os.path.join(arguments.python, "bin", "python")
    if not 2 <= arguments.layers <= model_file.LAYERS or arguments.layers % 2 or arguments.rounds < 1 or arguments.threads < 1:
        parser.error("--layers is even, 2 to 40; --rounds and --threads are at least 1")
    wanted = set(arguments.tests.split(","))
    if wanted - set(TURNS):
        parser.error(f"--tests: {', '.join(sorted(wanted - set(TURNS)))}: there are {', '.join(TURNS)}")
    arguments.tests = [test for test in TURNS if test in wanted]
    unknown = set(arguments.peers.split(",")) - set(PEERS) - {""}
    if unknown:
        parser.error(f"--peers: {', '.join(sorted(unknown))}: there are llama.cpp, openvino, openvino-f32")
    return arguments


def check_memory(layers, names):
    with open("/proc/meminfo", encoding="utf-8") as file:
        available = next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))
    needed = sum((2.1 if name.startswith("openvino") else 1.15) * model_file.size(layers) + 1.2e9 for name in names)
    if available < needed:
        raise SystemExit(f"{needed / 1e9:.1f} GB of memory are needed, {available / 1e9:.1f} GB are free; use fewer --layers or --peers")


def check_idle(force):
    watch = Watch([])
    time.sleep(2.0)
    others = watch.others()
    if others > BUSY and not force:
        raise SystemExit(f"other programs take {100 * others:.0f} % of the processors and would falsify everything (--force)")


def main():
    arguments = parse()
    if arguments.install:
        install(arguments.install)
        return
    names = ["clm"] + [name for name in arguments.peers.split(",") if name]
    check_memory(arguments.layers, names)
    workload.raise_priority()
    check_idle(arguments.force)
    try:
        import gguf  # noqa: F401
    except ImportError:  # the environment has it
        os.execv(arguments.python, [arguments.python, *sys.argv])
    amx = "with" if "amx_tile" in processor_flags() else "without"
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} processors {amx} AMX", flush=True)
    if arguments.device is None:
        arguments.device = cpu_device(arguments.clm)
    derived = 0
    try:
        found, turns, busy = measure(names, arguments, arguments.layers)
        if arguments.layers < model_file.LAYERS:
            derived = arguments.layers
            half, _, half_busy = measure(names, arguments, derived // 2)
            found = {name: derive(found[name], half[name], derived) for name in names}
            busy += half_busy
    except RuntimeError as error:
        raise SystemExit(str(error)) from None
    print_table(found, turns, busy, derived, arguments.tests)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump({"amx": amx == "with", "layers": arguments.layers, "results": found, "turns": turns}, file, indent=1)


if __name__ == "__main__":
    main()
