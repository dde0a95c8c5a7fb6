#!/usr/bin/env python3
"""Checks the source tree against the rules of deploy/docs/ARCHITECTURE.md and the project's style.

    tidy.py [--root DIR] text                   the rules that read text only
    tidy.py [--root DIR] layout                 clang-format
    tidy.py [--root DIR] headers BUILD          every header alone, as C and as C++
    tidy.py [--root DIR] openssl BINARY         what the program loads

Prints one problem a line; exit 0 clean, 1 problems, 77 when a tool is missing.
"""

import argparse
import os
import sys

import rules
import sizes
import tools
from tree import Tree

HERE = os.path.dirname(os.path.abspath(__file__))


def problems_of(tree, what, argument):
    if what == "text":
        for rule in rules.ALL + [sizes.sizes]:
            yield from rule(tree)
    elif what == "layout":
        yield from tools.layout(tree)
    elif what == "headers":
        yield from tools.headers(tree, argument)
    else:
        yield from tools.openssl(tree, argument)


def main():
    parser = argparse.ArgumentParser(description="Checks the source tree.")
    parser.add_argument("--root", default=os.path.dirname(os.path.dirname(HERE)))
    parser.add_argument("what", choices=["text", "layout", "headers", "openssl"])
    parser.add_argument("argument", nargs="?")
    a = parser.parse_args()
    if a.what in ("headers", "openssl") and a.argument is None:
        parser.error(f"{a.what} needs its argument")
    tree = Tree(a.root)
    try:
        found = list(problems_of(tree, a.what, a.argument))
    except tools.Unavailable as e:
        print(f"tidy: skipped: {e}")
        return 77
    for problem in found:
        print(problem)
    print(f"tidy {a.what}: {len(tree.paths)} files, {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
