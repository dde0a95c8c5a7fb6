#!/usr/bin/env python3
"""Holds the micro-benchmarks to what they cost before: `micro_check.py [--update] [--show NAME] [--program FILE] [NAME...]`.

Runs each benchmark of the program (micro_count of the release build; PB_RELEASE_MICRO says where) under callgrind and compares instructions and
allocations, an operation each, with micro_baseline.json: more than 10 % above it fails; more than 10 % below asks for a
lower baseline and fails too, since a baseline above the truth lets costs grow unnoticed. --update writes what was measured.
A compiler without a baseline is measured and not compared. Exit 0 good, 1 not, 77 without valgrind or the program. bench/MICRO.md
"""

import argparse
import collections
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
BASELINE = os.path.join(HERE, "micro_baseline.json")
PROGRAM = os.path.join(os.path.dirname(HERE), "build", "release", "bench", "micro", "micro_count")
TOLERANCE = 0.10
# Few allocations make coarse percentages: one more or less says nothing.
ALLOCATIONS_SLACK = 1
# The C library's own instructions are left out: they depend on the CPU and the release.
LIBC = re.compile(r"/(libc|libm|libpthread|ld-linux[^/]*|ld)([.-][^/]*)?\.so[^/]*$")


def own_costs(path):
    """Own cost by (object, function) in a callgrind file, the C library left out."""
    own = collections.Counter()
    ob = fn = ""
    inclusive = False  # the line after calls= is the callee's cost
    with open(path, errors="replace") as f:
        for line in f:
            if line.startswith("ob="):
                ob = line[3:].rstrip("\n")
            elif line.startswith("fn="):
                fn = line[3:].rstrip("\n")
            elif line.startswith("calls="):
                inclusive = True
            elif line[:1].isdigit():
                if not inclusive and not LIBC.search(ob):
                    own[(os.path.basename(ob), fn)] += int(line.split()[1])
                inclusive = False
    return own


def measure(program, name, iterations):
    """({what: of one operation}, own costs of all)"""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out")
        r = subprocess.run(["valgrind", "--tool=callgrind", "--toggle-collect=micro_measured", "--compress-strings=no",
                            "--compress-pos=no", f"--callgrind-out-file={out}", program, name, "--iterations",
                            str(iterations)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)
        said = re.search(r"(\d+) allocations in all", r.stdout)
        if r.returncode != 0 or said is None:
            sys.exit(f"micro: {name} failed under callgrind:\n{r.stdout}{r.stderr}")
        own = own_costs(out)
    return {"instructions": round(sum(own.values()) / iterations),
            "allocations": round(int(said.group(1)) / iterations, 1)}, own


def show(own, iterations):
    for (ob, fn), cost in own.most_common(40):
        print(f"{cost / iterations:14.1f}  {fn}  ({ob})")


def compare(name, got, want):
    """What is wrong with one benchmark, a line each."""
    for what, n in got.items():
        before = want.get(what, 0)
        slack = before * TOLERANCE + (ALLOCATIONS_SLACK if what == "allocations" else 0)
        change = f"{name}: {what} {before} -> {n} ({(n - before) * 100 / max(before, 1):+.1f} %)"
        if n > before + slack:
            yield f"{change}: grew. Find out why (bench/micro_check.py --show {name}); if it is worth it: --update, and say why"
        elif n < before - slack:
            yield f"{change}: shrank. Keep it: --update"


def listed(program):
    """{name: iterations}"""
    r = subprocess.run([program], stdout=subprocess.PIPE, text=True, check=True, timeout=60)
    return {line.split()[0]: int(line.split()[1]) for line in r.stdout.splitlines()}


def load():
    if not os.path.exists(BASELINE):
        return {}
    with open(BASELINE) as f:
        return json.load(f)


def save(baseline):
    with open(BASELINE, "w") as f:
        json.dump(baseline, f, indent=1, sort_keys=True)
        f.write("\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--show", metavar="NAME", help="where one benchmark spends its instructions")
    parser.add_argument("--program", default=os.environ.get("PB_RELEASE_MICRO", PROGRAM))
    parser.add_argument("names", nargs="*")
    a = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("valgrind is not installed")
        return 77
    if not os.path.exists(a.program):
        print(f"{a.program} is not built: cmake --preset release && ninja -C build/release micro_count")
        return 77
    benches = listed(a.program)
    if a.show:
        show(measure(a.program, a.show, benches[a.show])[1], benches[a.show])
        return 0
    build = subprocess.run([a.program, "--build"], stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout.strip()
    all_of_them = load()
    baseline = all_of_them.get(build, {})
    got = {}
    for name in a.names or benches:
        got[name] = measure(a.program, name, benches[name])[0]
        print(f"{name:20} {got[name]['instructions']:12,} instructions {got[name]['allocations']:10,} allocations", flush=True)
    if a.update:
        kept = {n: v for n, v in baseline.items() if n in benches}
        all_of_them[build] = {**kept, **got}
        save(all_of_them)
        return 0
    if not baseline:
        print(f"{build} has no baseline: nothing was compared")
        return 0
    wrong = [w for name in got if name in baseline for w in compare(name, got[name], baseline[name])]
    wrong += [f"{n}: has no baseline: --update" for n in got if n not in baseline]
    wrong += [f"{n}: is in the baseline, but no benchmark: --update" for n in baseline if n not in benches]
    for w in wrong:
        print(w)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
