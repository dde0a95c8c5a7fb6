#!/usr/bin/env python3
"""Shows that every rule of tidy can fail: a small tree in a temporary folder, sound, then broken in one place at a time."""

import os
import shutil
import subprocess
import tempfile
import unittest
import unittest.mock

import rules
import sizes
import tools
from tree import Tree

SOUND = {
    "proto/base/mem.c": '#include "proto/base/mem.h"\n\n#include <stdlib.h>\n\nvoid *mem_new(unsigned long n)\n{\n'
                        '    return malloc(n);\n}\n',
    "proto/base/mem.h": "#ifndef PROTO_BASE_MEM_H\n#define PROTO_BASE_MEM_H\nvoid *mem_new(unsigned long n);\n#endif\n",
    "storage/kv/kv_lmdb.c": '#include <lmdb.h>\n#include "proto/base/mem.h"\n',
    "frontend/net/tls_load.c": "#include <openssl/ssl.h>\n",
    "proto/rpc/tls.c": "#include <openssl/ssl.h>\n",
    "frontend/imap/cmd/noop.c": '#include "frontend/session/auth.h"\n\nIMAP_CMD(noop) = {\n    .name = "NOOP",\n};\n',
    "frontend/imap/cmd/idle.c": "const struct imap_cmd imap_cmd_idle = {0};\n",
    "frontend/imap/CMakeLists.txt": "pb_table(pb_imap frontend/imap/cmd imap_cmd imap_cmd)\n",
    "program/main.c": '/* strcpy( in a comment */\nconst char *text = "malloc(1)";\n',
    "tests/unit/x_test.cc": '#include "storage/kv/kv_lmdb.h"\n',
}


def guarded(text):
    return f"#ifndef STORAGE_X_H\n#define STORAGE_X_H\n{text}#endif\n"


def function_of(lines):
    return "int long_one(int a)\n{\n" + "    a++;\n" * (lines - 2) + "}\n"


class Case(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="pb-tidy-")
        self.addCleanup(shutil.rmtree, self.root)
        for path, text in SOUND.items():
            self.put(path, text)

    def put(self, path, text):
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w") as f:
            f.write(text)

    def found(self, rule, *a):
        return list(rule(Tree(self.root), *a))

    def fails(self, rule, path, text, wanted, *a):
        self.put(path, text)
        problems = self.found(rule, *a)
        self.assertEqual(len(problems), 1, problems)
        self.assertIn(wanted, problems[0])
        self.assertIn(path, problems[0])


class Rules(Case):
    def test_a_sound_tree_has_no_problems(self):
        for rule in rules.ALL + [sizes.sizes]:
            self.assertEqual(self.found(rule), [], rule.__name__)

    def test_every_edge_of_the_architecture_is_enforced(self):
        for path, target in [("proto/base/a.c", "proto/rpc/client.h"), ("proto/base/a.c", "storage/kv/kv_lmdb.h"),
                             ("replication/a.c", "storage/kv/kv_lmdb.h"), ("storage/a.c", "frontend/net/conn.h"),
                             ("storage/kv/a.c", "storage/node/node.h"), ("frontend/net/a.c", "frontend/session/auth.h"),
                             ("frontend/session/a.c", "frontend/imap/imap.h"), ("frontend/imap/cmd/noop.c", "frontend/smtp/smtp.h"),
                             ("frontend/pop3/a.c", "frontend/imap/imap.h"), ("frontend/smtp/a.c", "storage/node/node.h"),
                             ("frontend/admin/a.c", "frontend/imap/imap.h"), ("frontend/a.c", "replication/volume.h"),
                             ("frontend/a.c", "program/config.h")]:
            with self.subTest(path=path, target=target):
                kept = SOUND.get(path, "")
                self.fails(rules.edges, path, f'{kept}#include "{target}"\n', "may not include")
                self.put(path, kept)

    def test_an_include_that_is_not_a_path_from_the_root_is_found(self):
        self.fails(rules.edges, "storage/a.c", '#include "node.h"\n', "not a path from the root")

    def test_every_third_party_header_has_its_owner(self):
        for header in ["nng/nng.h", "lmdb.h", "raft.h", "raft/uv.h", "liburing.h", "openssl/sha.h", "yaml.h", "argon2.h",
                       "crypt.h", "utf8proc.h", "iconv.h", "idn2.h"]:
            with self.subTest(header=header):
                self.fails(rules.owners, "frontend/pop3/a.c", f"#include <{header}>\n", "belongs to")

    def test_openssl_outside_of_the_tls_files_of_net_and_rpc_is_found(self):
        for path in ["frontend/net/conn.c", "proto/rpc/stream.c"]:
            with self.subTest(path=path):
                self.fails(rules.owners, path, "#include <openssl/ssl.h>\n", "belongs to")
                self.put(path, "")

    def test_every_banned_call_is_found(self):
        for name in ["sprintf", "vsprintf", "strcpy", "strcat", "gets", "strtok", "strtok_r", "atoi", "atol", "atof", "malloc",
                     "calloc", "realloc", "free", "strdup", "clock_gettime", "gettimeofday", "time"]:
            with self.subTest(name=name):
                self.fails(rules.banned, "storage/a.c", f"int x = {name}(0);\n", name)

    def test_members_and_longer_names_are_not_banned_calls(self):
        self.put("storage/a.c", "void f(void)\n{\n    o->free(1);\n    o.time(1);\n    page_free(2);\n    lead_time(3);\n}\n")
        self.assertEqual(self.found(rules.banned), [])

    def test_a_wrong_guard_is_found(self):
        self.fails(rules.guards, "storage/x.h", "#ifndef X_H\n#define X_H\n#endif\n", "STORAGE_X_H")

    def test_every_word_for_unfinished_work_is_found(self):
        for word in ["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]:
            with self.subTest(word=word):
                self.fails(rules.unfinished, "proto/README.md", f"later: {word} write this\n", word)

    def test_paths_of_a_machine_and_registry_hosts_are_found(self):
        for text in ["/wo" + "rk/", "/ro" + "ot/", "registry." + "npmjs", "pypi." + "org", "docker." + "io"]:
            with self.subTest(text=text):
                self.fails(rules.machine, "deploy/x.sh", f"see {text}x/y\n", text)

    def test_a_command_file_without_its_descriptor_is_found(self):
        self.fails(rules.tables, "frontend/imap/cmd/stray.c", "IMAP_CMD(noop) = {0};\n", "imap_cmd_stray")

    def test_a_table_without_files_is_found(self):
        self.fails(rules.tables, "frontend/pop3/CMakeLists.txt", "pb_table(pb_pop3 frontend/pop3/cmd pop3_cmd pop3_cmd)\n",
                   "no files")

    def test_a_file_of_more_than_1000_lines_is_found(self):
        self.fails(sizes.sizes, "storage/big.c", "int x;\n" * 1001, "the limit is 1000")

    def test_a_function_of_more_than_70_lines_is_found(self):
        self.put("storage/long.c", function_of(70))
        self.assertEqual(self.found(sizes.sizes), [])
        self.fails(sizes.sizes, "storage/long.c", function_of(71), "the limit is 70")

    def test_the_baseline_may_neither_grow_nor_be_stale(self):
        self.put(sizes.BASELINE, "# comment\nfunction-lines storage/long.c:long_one 80\n")
        self.put("storage/long.c", function_of(80))
        self.assertEqual(self.found(sizes.sizes), [])
        self.fails(sizes.sizes, "storage/long.c", function_of(81), "grew")
        self.fails(sizes.sizes, "storage/long.c", function_of(79), "lower its entry")
        self.fails(sizes.sizes, "storage/long.c", function_of(10), "remove its entry")


class Tools(Case):
    def test_a_file_that_is_not_formatted_is_found(self):
        try:
            tools.formatter()
        except tools.Unavailable as e:
            self.skipTest(str(e))
        self.put(".clang-format", "BasedOnStyle: LLVM\nSortIncludes: false\n")
        for path in [p for p in SOUND if p.endswith((".c", ".h", ".cc"))]:
            os.remove(os.path.join(self.root, path))
        self.put("storage/a.c", "int x;\n")
        self.assertEqual(self.found(tools.layout), [])
        self.fails(tools.layout, "storage/a.c", "int   x ;\n", "not formatted")

    def test_a_header_that_does_not_compile_alone_is_found(self):
        self.put("build/compile_commands.json", '[{"command": "cc -I%s -c x.c"}]' % self.root)
        build = os.path.join(self.root, "build")
        self.assertEqual(self.found(tools.headers, build), [])
        self.put("storage/x.h", "uint32_t f(void);\n")
        self.assertEqual(len(self.found(tools.headers, build)), 2)
        self.put("storage/x.h", guarded("int f(int class);\n"))
        self.assertIn("gnu++17", self.found(tools.headers, build)[0])
        self.put("storage/x.h", "struct x {\n    int a;\n};\n")
        self.assertIn("redefinition", self.found(tools.headers, build)[0])

    def test_a_program_that_loads_openssl_is_found(self):
        program = os.path.join(self.root, "program.sh")
        self.assertIn("not built", self.found(tools.openssl, program)[0])
        self.assertEqual(self.found(tools.openssl, "/bin/sh"), [])
        with unittest.mock.patch.object(tools, "run", return_value=subprocess.CompletedProcess(
                [], 0, "\tlibc.so.6 => x\n\tlibcrypto.so.3 => /lib/libcrypto.so.3 (0x0)\n")):
            self.assertIn("libcrypto.so.3", self.found(tools.openssl, "/bin/sh")[0])


if __name__ == "__main__":
    unittest.main()
