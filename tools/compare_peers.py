#!/usr/bin/env python3
"""Runs clm and other programs in turn on a 13B model with random 4-bit weights, and prints the ratios.

All programs get the same work (tools/peers/workload.py): a prompt of 512 tokens, 16 tokens behind 64, 32 tokens
behind 512, on the processors of this machine. clm and llama.cpp read the same Q4_0 file, which is written first
(7.5 GB; 40 layers also need 10 GB of memory, OpenVINO 16 GB); OpenVINO gets the same shape in its own 4-bit format.

Rounds go through all programs in turn, so that slow changes of the machine hit all alike; medians over all
repetitions are printed. Before and after each program the memory speed is measured with clm's own probe, and a run
beside a slow measurement is thrown away and made again, at most twice; what is busy even then is marked.

  %(prog)s --install ~/clm-peers            once: a Python environment of its own with the other programs
  %(prog)s --python ~/clm-peers             the comparison
  %(prog)s --python ~/clm-peers --layers 8  quick: 8 and 4 layers, from which 40 are derived
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "peers"))
import model_file  # noqa: E402
import workload  # noqa: E402

REPETITIONS = 2  # in one child
QUIET = 0.9  # a probe below this part of what the machine gave at first means that others are busy
TESTS = {"prefill": "pp512", "decode_short": "tg16@d64", "decode_long": "tg32@d512"}
TITLES = {"prefill": "prefill 512", "decode_short": "decode 16 @ 64", "decode_long": "decode 32 @ 512"}
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


def idle_part(seconds=2.0):
    """Part of the processors' time that nobody used."""
    def read():
        with open("/proc/stat", encoding="utf-8") as file:
            values = [int(value) for value in file.readline().split()[1:9]]
        return values[3] + values[4], sum(values)
    idle, total = read()
    time.sleep(seconds)
    idle_after, total_after = read()
    return (idle_after - idle) / max(1, total_after - total)


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


class Probe:
    """Memory speed by clm's many-stream probe, and what the quiet machine gave."""

    def __init__(self, clm, device):
        self.command = [clm, "bench", "--device", device, "--op", "argmax", "-o", "json"]
        self.measure()  # builds the kernels
        self.reference = statistics.median(self.measure() for _ in range(5))

    def measure(self):
        return run_json(self.command)[0]["limit_read_gbps"]


def run_clm(arguments, model):
    command = [arguments.clm, "bench", "-m", model, "--device", arguments.device, "-r", str(REPETITIONS), "-o", "json",
               "-b", "512"]
    command += [word for test in TESTS.values() for word in ("--test", test)] + arguments.clm_flags.split()
    rows = run_json(command)
    seconds = {name: [ns * 1e-9 for ns in row["samples_ns"]] for name, row in zip(TESTS, rows)}
    return {"version": rows[0]["clm_version"], "notes": rows[0]["device"], "seconds": seconds,
            "peak_bytes": rows[0]["host_peak_bytes"],
            "limit_percent": {name: row["memory_percent"] for name, row in zip(TESTS, rows)}}


def run_peer(arguments, model, program, *more):
    return run_json([arguments.python, os.path.join(HERE, "peers", program), "--model", model, "--threads", str(arguments.threads),
                     "--repetitions", str(REPETITIONS), *more])


ENGINES = {
    "clm": run_clm,
    "llama.cpp": lambda a, m: run_peer(a, m, "llama_cpp_peer.py"),
    "openvino": lambda a, m: run_peer(a, m, "openvino_peer.py", "--precision", "default"),
    "openvino-f32": lambda a, m: run_peer(a, m, "openvino_peer.py", "--precision", "f32"),
}


def measure_once(engine, arguments, model, probe):
    """One child between two probes; made again when a probe was slow."""
    for attempt in range(3):
        before = probe.measure()
        result = ENGINES[engine](arguments, model)
        after = probe.measure()
        result["probes"] = [before, after]
        result["quiet"] = min(before, after) >= QUIET * probe.reference
        rates = ", ".join(f"{TITLES[n]} {workload.TOKENS[n] / statistics.median(s):.2f} t/s" for n, s in result["seconds"].items())
        print(f"  {engine}: {rates}; memory {before:.1f} and {after:.1f} GB/s{'' if result['quiet'] else ', BUSY'}", flush=True)
        if result["quiet"]:
            break
    return result


def measure(engines, arguments, layers, probe):
    """Per engine: all seconds of each test, and what the last child said."""
    model = model_file.make(arguments.folder, layers)
    found = {engine: {"seconds": {name: [] for name in TESTS}, "busy": 0} for engine in engines}
    for round_number in range(arguments.rounds):
        print(f"{layers} layers, round {round_number + 1} of {arguments.rounds}", flush=True)
        for engine in list(engines):
            try:
                result = measure_once(engine, arguments, model, probe)
            except RuntimeError as error:
                print(f"  {engine} is left out: {error}", flush=True)
                engines.remove(engine)
                continue
            for name in TESTS:
                found[engine]["seconds"][name] += result["seconds"][name]
            found[engine]["busy"] += not result["quiet"]
            found[engine].update({key: result[key] for key in ("version", "notes", "peak_bytes")})
    for engine in engines:
        found[engine]["median"] = {name: statistics.median(values) for name, values in found[engine]["seconds"].items()}
    return {engine: found[engine] for engine in engines}


def derive(large, small, layers):
    """Medians of the whole model from those of `layers` and half as many."""
    per_layer = {name: (large["median"][name] - small["median"][name]) / (layers - layers // 2) for name in TESTS}
    whole = {name: large["median"][name] + (model_file.LAYERS - layers) * per_layer[name] for name in TESTS}
    return {**large, "median": whole, "busy": large["busy"] + small["busy"]}


def print_table(results, derived):
    print(f"\n| program | {' | '.join(f'{title}, t/s' for title in TITLES.values())} | peak memory | busy runs |")
    print("|---|" + "---:|" * (len(TITLES) + 2))
    for engine, r in results.items():
        rates = [f"{workload.TOKENS[name] / r['median'][name]:.2f}" for name in TITLES]
        print(f"| {engine} {r['version']} ({r['notes']}) | {' | '.join(rates)} | {r['peak_bytes'] / 1e9:.1f} GB | {r['busy']} |")
    if "clm" in results:
        print(f"\n| clm beside | {' | '.join(TITLES.values())} |\n|---|{'---:|' * len(TITLES)}")
        for engine, r in results.items():
            if engine != "clm":
                ratios = [f"{r['median'][name] / results['clm']['median'][name]:.2f} x" for name in TITLES]
                print(f"| {engine} | {' | '.join(ratios)} |")
    if derived:
        print(f"\n40 layers are derived from {derived} and {derived // 2}; memory is that of {derived}.")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--install", metavar="FOLDER", help="make a Python environment with the other programs, and stop")
    parser.add_argument("--python", default=sys.executable, metavar="FOLDER|FILE", help="that environment, or an interpreter")
    parser.add_argument("--clm", default=os.path.join(os.path.dirname(HERE), "build", "clm"), help="the program (default: build/clm)")
    parser.add_argument("--device", help="clm's device, as for clm --device (default: the first CPU)")
    parser.add_argument("--clm-flags", default="", help="more flags for clm bench, in one argument: '--activations int8'")
    parser.add_argument("--peers", default="llama.cpp,openvino,openvino-f32", help="which others, with commas (default: all)")
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
    unknown = set(arguments.peers.split(",")) - set(ENGINES) - {""}
    if unknown:
        parser.error(f"--peers: {', '.join(sorted(unknown))}: there are llama.cpp, openvino, openvino-f32")
    return arguments


def check_memory(layers):
    with open("/proc/meminfo", encoding="utf-8") as file:
        available = next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))
    needed = 1.15 * model_file.size(layers) + 1.2e9
    if available < needed:
        raise SystemExit(f"{needed / 1e9:.1f} GB of memory are needed, {available / 1e9:.1f} GB are free; use fewer --layers")


def main():
    arguments = parse()
    if arguments.install:
        install(arguments.install)
        return
    check_memory(arguments.layers)
    workload.raise_priority()
    idle = idle_part()
    if idle < QUIET and not arguments.force:
        raise SystemExit(f"the processors are only {100 * idle:.0f} % idle: other programs would falsify everything (--force)")
    try:
        import gguf  # noqa: F401
    except ImportError:  # the environment has it
        os.execv(arguments.python, [arguments.python, *sys.argv])
    amx = "with" if "amx_tile" in processor_flags() else "without"
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} processors {amx} AMX, {100 * idle:.0f} % idle")
    if arguments.device is None:
        arguments.device = cpu_device(arguments.clm)
    probe = Probe(arguments.clm, arguments.device)
    print(f"memory: {probe.reference:.1f} GB/s", flush=True)
    engines = ["clm"] + [name for name in arguments.peers.split(",") if name]
    results = measure(engines, arguments, arguments.layers, probe)
    derived = 0
    if arguments.layers < model_file.LAYERS:
        derived = arguments.layers
        half = measure(engines, arguments, derived // 2, probe)
        results = {engine: derive(results[engine], half[engine], derived) for engine in engines}
    print_table(results, derived)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump({"amx": amx == "with", "layers": arguments.layers, "memory_gbps": probe.reference, "results": results}, file, indent=1)


if __name__ == "__main__":
    main()
