"""The rules that need nothing but the files' text. Each takes a Tree and yields "path:line: what is wrong"."""

import os
import re

from tree import line_of

# Who may include whom (deploy/docs/ARCHITECTURE.md, section 3): the longest prefix of a file's path decides, and lists
# the prefixes that it may include. Files outside of these (tests, bench) may include everything.
EDGES = {
    "proto/base/": ["proto/base/"],
    "proto/message/": ["proto/base/", "proto/message/"],
    "proto/rpc/": ["proto/base/", "proto/schema/", "proto/rpc/"],
    "replication/": ["proto/base/", "replication/"],
    "storage/kv/": ["proto/", "storage/kv/"],
    "storage/": ["proto/", "replication/", "storage/"],
    "frontend/net/": ["proto/", "frontend/net/"],
    "frontend/session/": ["proto/", "frontend/net/", "frontend/session/"],
    "frontend/imap/": ["proto/", "frontend/net/", "frontend/session/", "frontend/imap/"],
    "frontend/smtp/": ["proto/", "frontend/net/", "frontend/session/", "frontend/smtp/"],
    "frontend/pop3/": ["proto/", "frontend/net/", "frontend/session/", "frontend/pop3/"],
    "frontend/relay/": ["proto/", "frontend/net/", "frontend/session/", "frontend/relay/"],
    "frontend/admin/": ["proto/", "frontend/net/", "frontend/session/", "frontend/admin/"],
    "frontend/": ["proto/", "frontend/"],
    "program/": [""],
}

# Each third-party header has one owner: header pattern -> path patterns that may include it.
OWNERS = [
    (r"nng/", [r"proto/rpc/"]),
    (r"lmdb\.h", [r"storage/kv/"]),
    (r"raft(\.h|/)", [r"replication/raft_[^/]*$"]),
    (r"liburing(\.h|/)", [r"frontend/net/"]),
    (r"openssl/", [r"frontend/net/tls[^/]*$", r"frontend/session/(scram|credentials)[^/]*$", r"proto/rpc/tls[^/]*$"]),
    (r"yaml\.h", [r"program/"]),
    (r"(argon2|crypt)\.h", [r"frontend/session/"]),
    (r"utf8proc\.h", [r"proto/message/", r"storage/mailbox/name[^/]*$"]),  # case maps; NFC of mailbox names
    (r"zstd\.h", [r"storage/backup/"]),
    (r"iconv\.h", [r"proto/message/"]),
    (r"idn2\.h", [r"proto/message/", r"frontend/smtp/"]),
]

# Calls that the style forbids: pattern -> (why, path patterns that may).
BANNED = [
    (r"sprintf|vsprintf|strcpy|strcat|gets", "writes without a bound", []),
    (r"strtok", "keeps hidden state", []),
    (r"strtok_r", "belongs to the program's options; parse slices elsewhere", [r"program/"]),
    (r"atoi|atol|atof", "hides errors: slice_u64", []),
    (r"malloc|calloc|realloc|free|strdup|strndup|asprintf|vasprintf", "only proto/base allocates: mem.h",
     [r"proto/base/"]),
    (r"clock_gettime|gettimeofday|time", "only proto/base reads clocks: clock.h", [r"proto/base/"]),
]

# Spelled in two halves, so that this file passes its own rule.
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]) + r")\b")
MACHINE = re.compile("|".join([
    r"(?<![\w.$}])/wo" + "rk/", r"(?<![\w.$}])/ro" + r"ot/", r"registry\." + "npmjs", r"pypi\." + r"org", "python" + "hosted",
    r"crates\." + "io", r"proxy\.golang\." + "org", r"deb\.debian\." + "org", r"ftp\.[a-z.]*debian\." + "org",
    r"docker\." + "io", r"ghcr\." + "io", r"quay\." + "io"]))

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+(?:"([^"\n]+)"|<([^>\n]+)>)', re.M)


def may(path, patterns):
    return any(re.match(p, path) for p in patterns)


def longest_prefix(path):
    prefixes = [p for p in EDGES if path.startswith(p)]
    return max(prefixes, key=len) if prefixes else None


def edges(tree):
    """Includes follow the allowed edges and name a file by its path from the root."""
    for path in tree.program_code():
        allowed = EDGES[longest_prefix(path)] if longest_prefix(path) else []
        text = tree.text(path)
        for m in INCLUDE.finditer(text):
            target = m.group(1)
            if target is None:
                continue
            at = f"{path}:{line_of(text, m.start())}"
            if not target.startswith(tuple(EDGES) + ("proto/schema/",)):
                yield f'{at}: "{target}" is not a path from the root'
            elif not target.startswith(tuple(allowed)):
                yield f'{at}: may not include "{target}" (allowed: {", ".join(allowed)})'


def owners(tree):
    """Third-party headers are included by their owner only."""
    for path in tree.program_code():
        text = tree.text(path)
        for m in INCLUDE.finditer(text):
            for header, where in OWNERS:
                if m.group(2) and re.match(header, m.group(2)) and not may(path, where):
                    yield f"{path}:{line_of(text, m.start())}: <{m.group(2)}> belongs to {' '.join(where)}"


def banned(tree):
    """Banned functions are not called, not even as members of somebody's macro."""
    for path in tree.program_code():
        code = tree.code(path)
        for names, why, where in BANNED:
            if may(path, where):
                continue
            for m in re.finditer(r"(?<![\w.>])(" + names + r")[ \t]*\(", code):
                yield f"{path}:{line_of(code, m.start())}: {m.group(1)}(): {why}"


def guards(tree):
    """A header's guard is its path."""
    for path in tree.select((".h", ".hh")):
        want = re.sub(r"[^A-Za-z0-9]", "_", path).upper()
        text = tree.text(path)
        if not re.search(rf"^#ifndef {want}\n#define {want}\n", text, re.M):
            yield f"{path}:1: the include guard is not {want}"


def unfinished(tree):
    """Nothing is left for later."""
    for path in tree.all_text():
        for m in UNFINISHED.finditer(tree.text(path)):
            yield f"{path}:{line_of(tree.text(path), m.start())}: {m.group(0)}"


def machine(tree):
    """No path of one machine and no registry host stands in the project."""
    for path in tree.all_text():
        if os.path.basename(path) == "LICENSE":
            continue
        for m in MACHINE.finditer(tree.text(path)):
            yield f"{path}:{line_of(tree.text(path), m.start())}: {m.group(0)}"


def tables(tree):
    """Every file of a folder that the build makes a table from defines its descriptor."""
    for cmake in [p for p in tree.paths if p.endswith("CMakeLists.txt")]:
        for m in re.finditer(r"pb_table\(\s*\S+\s+(\S+)\s+(\S+)\s+(\S+?)\s*\)", tree.text(cmake)):
            folder, kind, prefix = m.groups()
            files = [p for p in tree.select((".c",), (folder + "/",)) if os.path.dirname(p) == folder]
            if not files:
                yield f"{cmake}:{line_of(tree.text(cmake), m.start())}: {folder} has no files for its table"
            for path in files:
                name = os.path.splitext(os.path.basename(path))[0]
                if not re.search(rf"^(?:[A-Z][A-Z0-9_]*\({name}(?:,[^)]*)?\)|const struct {kind} {prefix}_{name})\s*=",
                                 tree.code(path), re.M):
                    yield f"{path}:1: does not define its descriptor {prefix}_{name} (struct {kind})"


ALL = [edges, owners, banned, guards, unfinished, machine, tables]
