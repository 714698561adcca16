"""What every program is asked to do, and how a child answers.

A child gets a model and a number of threads, loads, warms up and prints a line of JSON with its version. Then it reads names
of tests from standard input, as `clm bench --test -` does, runs each as it comes and answers with a line of JSON:
  pp512      512 tokens at once, logits of the last
  tg8@d64    8 tokens one by one behind 64 that are not timed
"""
import json
import re
import resource
import sys
import time

CONTEXT = 1024


def raise_priority():
    """Processes of other sessions share a core by session, whatever `nice` says, where autogroups are on."""
    try:
        with open("/proc/self/autogroup", "w") as file:
            file.write("-10")
    except OSError:
        pass  # not allowed, or no autogroups


def parse(name):
    """(tokens at once, tokens one by one, tokens before them)."""
    match = re.fullmatch(r"pp(\d+)|tg(\d+)(?:@d(\d+))?", name)
    if not match:
        raise SystemExit(f"'{name}' is no test such as pp512 or tg8@d64")
    return tuple(int(number or 0) for number in match.groups())


def run(engine, name):
    """Seconds of one test. `engine` has feed(n): processes n tokens at once; rewind(n): forgets all but the first n, or
    False if it cannot; clear(): forgets all; position: how many there are."""
    prompt, generated, depth = parse(name)
    if generated and engine.position > depth:
        engine.feed(1)  # wakes threads and clocks that waiting put to sleep; clm bench does the same
    if engine.position < depth or not engine.rewind(depth):
        engine.clear()
        if depth:
            engine.feed(depth)
    start = time.perf_counter()
    if prompt:
        engine.feed(prompt)
    for _ in range(generated):
        engine.feed(1)
    return time.perf_counter() - start


def serve(engine, version, notes, lines=sys.stdin):
    def answer(**fields):
        print(json.dumps(fields), flush=True)

    engine.feed(32)
    engine.feed(1)
    answer(version=version, notes=notes)
    for line in lines:
        seconds = run(engine, line.strip())
        answer(seconds=seconds, peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
