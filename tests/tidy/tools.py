"""The rules that need a tool: clang-format, the compilers, ldd. Each yields problems; Unavailable says why it cannot run."""

import concurrent.futures
import os
import re
import shutil
import subprocess

from tree import PROGRAM

JOBS = 2
CLANG_FORMAT = 14
OPENSSL = re.compile(r"\blib(ssl|crypto)\.so\.[1-9]")  # Debian's BoringSSL is .so.0


class Unavailable(Exception):
    pass


def run(argv, **kw):
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                          timeout=240, **kw)


def formatter():
    for name in (f"clang-format-{CLANG_FORMAT}", "clang-format"):
        if shutil.which(name) and re.search(rf"version {CLANG_FORMAT}\.", run([name, "--version"]).stdout):
            return name
    raise Unavailable(f"clang-format {CLANG_FORMAT} is not installed (others wrap lines differently)")


def parallel(work, items):
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for found in pool.map(work, items):
            yield from found


def layout(tree):
    """Every C and C++ file is as clang-format leaves it."""
    tool = formatter()
    files = tree.all_code()
    chunks = [files[i:i + 20] for i in range(0, len(files), 20)]

    def check(chunk):
        r = run([tool, "--dry-run", "--ferror-limit=1"] + chunk, cwd=tree.root)
        return [f"{m}: not formatted (clang-format -i)" for m in re.findall(r"^(\S+?:\d+):\d+: \w+: code should be", r.stdout, re.M)]

    yield from parallel(check, chunks)


def compile_flags(build):
    """The -I, -isystem and -D of the whole build, from its compilation database."""
    import json
    path = os.path.join(build, "compile_commands.json")
    if not os.path.exists(path):
        raise Unavailable(f"{path}: no build")
    with open(path) as f:
        words = {}
        for entry in json.load(f):
            argv = entry["command"].split()
            for i, w in enumerate(argv):
                if w.startswith("-I"):
                    words[w] = 1
                elif w == "-isystem" and "boringssl" not in argv[i + 1]:
                    words["-isystem" + argv[i + 1]] = 1
    # Our own folders first, third-party ones after.
    return sorted(words, key=lambda w: w.startswith("-isystem")) + ["-D_GNU_SOURCE", '-DPB_VERSION="0"']


def headers(tree, build):
    """Every header compiles alone, included twice, as C17 without a warning; and as C++17, those of a folder together."""
    flags = compile_flags(build)
    paths = tree.select((".h",), PROGRAM)
    work = [(p, [p], ["gcc", "-xc", "-std=gnu17", "-Wpedantic"]) for p in paths]
    for folder in sorted({os.path.dirname(p) for p in paths}):
        work.append((folder, [p for p in paths if os.path.dirname(p) == folder], ["g++", "-xc++", "-std=gnu++17"]))

    def check(item):
        name, included, language = item
        source = "".join(f'#include "{p}"\n' for p in included * 2) + "extern int not_empty;\n"
        argv = language + ["-fsyntax-only", "-Wall", "-Wextra", "-Werror"] + flags + ["-"]
        r = subprocess.run(argv, input=source, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                           errors="replace", timeout=120, cwd=tree.root)
        return [] if r.returncode == 0 else [f"{name}: does not compile alone with {language[2]}:\n{r.stdout[:1500]}"]

    yield from parallel(check, work)


def openssl(tree, binary):
    """The program loads BoringSSL and no OpenSSL (deploy/docs/ARCHITECTURE.md, section 4)."""
    if not os.path.exists(binary):
        yield f"{binary}: not built"
        return
    r = run(["ldd", binary])
    if r.returncode != 0 or "libc.so" not in r.stdout:
        yield f"{binary}: ldd says {r.stdout.strip()}"
    for line in r.stdout.splitlines():
        if OPENSSL.search(line):
            yield f"{binary}: loads {line.strip()}"
