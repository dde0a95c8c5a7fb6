"""File and function sizes, with a baseline of what is too large already: it may only shrink."""

import os
import re

from tree import line_of

FILE_LINES_MAX = 1000
FUNCTION_LINES_MAX = 70
BASELINE = "tests/tidy/baseline.txt"

# The format of our code (function braces in the first column, all others not) makes functions easy to find.
FUNCTION = re.compile(r"^(?P<head>[A-Za-z_][^;{}]*?\b(?P<name>\w+)\([^;{}]*\)[^;{}]*)\n\{\n(?P<body>.*?)^\}", re.M | re.S)


def functions(code):
    """(name, first line, lines from the opening to the closing brace)"""
    for m in FUNCTION.finditer(code):
        yield m.group("name"), line_of(code, m.start()), m.group("body").count("\n") + 2


def measure(tree):
    """What is over a limit: {"file-lines PATH": (n, where)} and {"function-lines PATH:NAME": (n, where)}."""
    over = {}
    for path in tree.select((".c", ".h", ".cc", ".hh", ".py", ".sh", ".mjs", ".cmake")):
        n = tree.text(path).count("\n")
        if n > FILE_LINES_MAX:
            over[f"file-lines {path}"] = (n, f"{path}:1")
        if os.path.splitext(path)[1] in (".c", ".h"):
            for name, line, lines in functions(tree.code(path)):
                if lines > FUNCTION_LINES_MAX:
                    over[f"function-lines {path}:{name}"] = (lines, f"{path}:{line}")
    return over


def baseline(tree):
    entries = {}
    if BASELINE in tree.paths:
        for line in tree.text(BASELINE).splitlines():
            if line.strip() and not line.startswith("#"):
                key, n = line.rsplit(" ", 1)
                entries[key] = int(n)
    return entries


def sizes(tree):
    """Files have at most 1,000 lines and functions 70, except what the baseline lists with its exact size."""
    known = baseline(tree)
    over = measure(tree)
    for key, (n, where) in over.items():
        if key not in known:
            limit = FILE_LINES_MAX if key.startswith("file") else FUNCTION_LINES_MAX
            yield f"{where}: {key} is {n}, the limit is {limit}"
        elif n > known[key]:
            yield f"{where}: {key} grew from {known[key]} to {n}; the baseline only shrinks"
        elif n < known[key]:
            yield f"{BASELINE}: {key} shrank from {known[key]} to {n}: lower its entry"
    for key in known.keys() - over.keys():
        yield f"{BASELINE}: {key} is not over its limit any more: remove its entry"
