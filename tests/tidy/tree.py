"""The project's files as tidy's rules see them: listed once, read once, with comments and strings blanked on demand."""

import os
import re

SKIPPED_DIRS = {".git", "build", "node_modules", "__pycache__", "pillarbox-data", ".cache"}
DATA = "tests/data/"
PROGRAM = ("proto/", "storage/", "replication/", "frontend/", "program/")
C_CODE = (".c", ".h")
CXX_CODE = (".cc", ".hh")
TEXT = C_CODE + CXX_CODE + (".py", ".sh", ".cmake", ".txt", ".md", ".proto", ".json", ".yaml", ".yml", ".js", ".mjs",
                            ".conf", "")

# A comment, a string, a character: what the rules about code must not look into.
NOT_CODE = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def blank(match):
    """Spaces for everything but the line ends, so that offsets and line numbers stay."""
    text = match.group(0)
    if text[0] == "/":
        return re.sub(r"[^\n]", " ", text)
    return text[0] + " " * (len(text) - 2) + text[-1]


class Tree:
    """All text files under root, by their path from the root with '/'."""

    def __init__(self, root):
        self.root = os.path.abspath(root)
        self.paths = sorted(self._walk())
        self._text = {}
        self._code = {}

    def _walk(self):
        for base, dirs, files in os.walk(self.root):
            dirs[:] = [d for d in dirs if d not in SKIPPED_DIRS]
            for name in files:
                yield os.path.relpath(os.path.join(base, name), self.root).replace(os.sep, "/")

    def text(self, path):
        if path not in self._text:
            with open(os.path.join(self.root, path), encoding="utf-8", errors="replace") as f:
                self._text[path] = f.read()
        return self._text[path]

    def code(self, path):
        """The file with comments and the insides of strings blanked."""
        if path not in self._code:
            self._code[path] = NOT_CODE.sub(blank, self.text(path))
        return self._code[path]

    def select(self, suffixes, under=("",)):
        return [p for p in self.paths if p.startswith(tuple(under)) and not p.startswith(DATA)
                and os.path.splitext(p)[1] in suffixes]

    def program_code(self):
        """The C of the product: what the architecture's rules are about."""
        return self.select(C_CODE, PROGRAM)

    def all_code(self):
        return self.select(C_CODE + CXX_CODE)

    def all_text(self):
        return self.select(TEXT)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1
