#!/usr/bin/env python3
"""Runs clang-tidy (the positive list of .clang-tidy) over the C of the product: `clang_tidy.py BUILD [FILE...]`.

A file that was clean before with the same content, headers, flags and list is not looked at again: the results are kept
in the build folder by a hash of the preprocessed source. Exit 0 clean, 1 findings, 77 without clang-tidy.
"""

import concurrent.futures
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys

JOBS = 2
# The path analyzer costs a second a file, the list of .clang-tidy a fraction: it reads what everything stands on.
ANALYZED = ("proto/",)
ANALYZER = "-*," + ",".join("clang-analyzer-" + c for c in [
    "core.CallAndMessage", "core.DivideZero", "core.StackAddressEscape", "core.VLASize", "core.uninitialized.*",
    "security.insecureAPI.gets", "security.insecureAPI.mktemp", "security.insecureAPI.vfork", "security.FloatLoopCounter",
    "unix.API", "unix.cstring.NullArg"])
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FLAGS_OF_GCC = re.compile(r"-fsanitize.*|-fno-sanitize.*|-W.*")


def tool():
    for name in ("clang-tidy-14", "clang-tidy"):
        if shutil.which(name):
            return name
    return None


def commands(build):
    """{source: its compiler arguments}, of the product's C only."""
    out = {}
    with open(os.path.join(build, "compile_commands.json")) as f:
        for entry in json.load(f):
            rel = os.path.relpath(entry["file"], ROOT)
            if rel.endswith(".c") and rel.split("/")[0] in ("proto", "storage", "replication", "frontend", "program"):
                argv = [w for w in shlex.split(entry["command"]) if not FLAGS_OF_GCC.fullmatch(w)]
                start = next(i for i, w in enumerate(argv) if w.startswith("-"))
                flags = argv[start:]
                cut = flags.index("-o")
                out[entry["file"]] = flags[:cut]
    return out


def fingerprint(source, flags, salt):
    r = subprocess.run(["clang", "-E"] + flags + [source], capture_output=True, timeout=120, cwd=ROOT)
    return hashlib.sha256(salt + " ".join(flags).encode() + r.stdout).hexdigest() if r.returncode == 0 else None


def check(name, source, flags, cache, salt):
    mark = fingerprint(source, flags, salt)
    stamp = os.path.join(cache, mark or "none")
    if mark is not None and os.path.exists(stamp):
        return ""
    lists = [[]]
    if os.path.relpath(source, ROOT).startswith(ANALYZED):
        lists.append(["--checks=" + ANALYZER])
    for checks in lists:
        r = subprocess.run([name, "--quiet"] + checks + [source, "--"] + flags, stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL, text=True, timeout=300, cwd=ROOT)
        if r.returncode != 0 or r.stdout.strip():
            return r.stdout or f"{source}: clang-tidy failed with {r.returncode}\n"
    if mark is not None:
        open(stamp, "w").close()
    return ""


def main():
    name = tool()
    if name is None:
        print("clang-tidy is not installed")
        return 77
    build = os.path.abspath(sys.argv[1])
    todo = commands(build)
    wanted = [os.path.abspath(f) for f in sys.argv[2:]]
    if wanted:
        todo = {f: todo[f] for f in wanted}
    cache = os.path.join(build, "clang-tidy-clean")
    os.makedirs(cache, exist_ok=True)
    with open(os.path.join(ROOT, ".clang-tidy"), "rb") as f:
        salt = f.read() + ANALYZER.encode()
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for found in pool.map(lambda item: check(name, item[0], item[1], cache, salt), sorted(todo.items())):
            if found:
                bad += 1
                sys.stdout.write(found.replace(ROOT + "/", ""))
    print(f"clang-tidy: {len(todo)} files, {bad} with findings")
    return 1 if bad or not todo else 0


if __name__ == "__main__":
    sys.exit(main())
