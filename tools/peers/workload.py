"""What every program is asked to do, and how a child reports it: one JSON line on standard output.

A child gets a model, a number of threads and a number of repetitions, loads, warms up, and times
  prefill       512 tokens at once, logits of the last
  decode_short  16 tokens one by one behind 64
  decode_long   32 tokens one by one behind 512
"""
import json
import resource
import time

PREFILL = 512
SHORT_CONTEXT, SHORT_TOKENS = 64, 16
LONG_TOKENS = 32
TOKENS = {"prefill": PREFILL, "decode_short": SHORT_TOKENS, "decode_long": LONG_TOKENS}
CONTEXT = 1024


def raise_priority():
    """Processes of other sessions share a core by session, whatever `nice` says, where autogroups are on."""
    try:
        with open("/proc/self/autogroup", "w") as file:
            file.write("-10")
    except OSError:
        pass  # not allowed, or no autogroups


def run(engine, repetitions):
    """`engine` has feed(n): processes n tokens at once, and clear(): forgets all."""
    seconds = {name: [] for name in TOKENS}

    def timed(name, calls, tokens_per_call):
        start = time.perf_counter()
        for _ in range(calls):
            engine.feed(tokens_per_call)
        seconds[name].append(time.perf_counter() - start)

    engine.feed(32)
    engine.feed(1)
    for _ in range(repetitions):
        engine.clear()
        timed("prefill", 1, PREFILL)
        timed("decode_long", LONG_TOKENS, 1)
        engine.clear()
        engine.feed(SHORT_CONTEXT)
        timed("decode_short", SHORT_TOKENS, 1)
    return seconds


def report(version, notes, seconds):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"version": version, "notes": notes, "seconds": seconds, "peak_bytes": peak}), flush=True)
