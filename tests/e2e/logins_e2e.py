#!/usr/bin/env python3
"""Logins under pressure and with old hashes: what is imported is upgraded, guessing is slowed down, a full queue is temporary."""

import imaplib
import os
import threading

import case

# crypt(3) of "pass word".
HASHES = [
    "$6$saltsalt$cc1KsgmlKYtCcnNH8.sv7Fe8mca8fAso5fHlNrb1VZa5WYQ.L3ChTcx06ID.LoaXZAf9CZNraK43XCp7LxKHl1",
    "$5$saltsalt$9Wp9Qw4Ze8Jxq5F1Z3UnS47KFhc8AqhCRyxFDa8e660",
    "$2b$05$CCCCCCCCCCCCCCCCCCCCC.i.eZGeK4cu9eHTekgko4I5gZ3MMQi6K",
    "$y$j9T$saltsalt$ZxZy8nF5m8an8O84H/k65Z/HP8u9aSUnN7tG9yAAcBD",
]


class Logins(case.ServerCase):
    users = ()

    def answer(self, address, password):
        """"OK" or the text of the refusal."""
        c = imaplib.IMAP4("127.0.0.1", self.server.ports["imap"])
        self.closing(c, c.shutdown)
        try:
            return c.login(address, password)[0]
        except imaplib.IMAP4.error as e:
            return e.args[0].decode()

    def hashes(self):
        return [int(line.split()[1]) for line in self.server.get("/metrics")[1].splitlines() if line.startswith("pillarbox_auth_hashes_total ")]


class Imported(Logins):
    def in_store(self, octets):
        with open(os.path.join(self.server.data, "volume.mdb"), "rb") as f:
            return octets in f.read()

    def test_an_imported_hash_logs_in_and_is_replaced_by_argon2id(self):
        self.assertFalse(self.in_store(b"$argon2id$"))
        for number, old in enumerate(HASHES):
            user = f"old{number}@example.test"
            self.server.ctl("user", "import", user, stdin="{CRYPT}" + old + "\n")
            self.assertIn("AUTHENTICATIONFAILED", self.answer(user, "pass wore"))
            self.assertEqual(self.answer(user, "pass word"), "OK")
            self.assertTrue(self.in_store(b"$argon2id$"))
            self.assertEqual(self.answer(user, "pass word"), "OK")
            self.assertIn("AUTHENTICATIONFAILED", self.answer(user, "pass wore"))
        self.assertEqual(self.server.ctl("user", "import", "x@example.test", stdin="{SSHA}abc\n", check=False).returncode, 1)
        self.assertEqual(self.server.ctl("user", "import", "x@example.test", stdin="$6$saltsalt$cut\n", check=False).returncode, 1)
        self.assertNotIn("x@example.test", self.server.ctl("user", "list").stdout)


class Guessing(Logins):
    users = ("alice", "bob")
    settings = {"auth.failures_per_minute_user": "3"}

    def test_after_its_failures_a_user_is_refused_for_a_while_without_a_hash_and_others_are_not(self):
        for _ in range(3):
            self.assertIn("AUTHENTICATIONFAILED", self.answer("alice@example.test", "guess"))
        before = self.hashes()
        for _ in range(5):
            said = self.answer("alice@example.test", "guess")
            self.assertNotEqual(said, "OK")
        self.assertEqual(self.hashes(), before, said)
        self.assertEqual(self.answer("bob@example.test", "pw-bob"), "OK")


class FullQueue(Logins):
    users = ("alice",)
    settings = {"auth.threads": "1", "auth.queue_max": "1", "auth.failures_per_minute_user": "1000", "auth.failures_per_minute_ip": "1000"}

    def test_logins_beyond_the_queue_are_a_temporary_failure_and_a_verified_one_needs_no_hash(self):
        self.assertEqual(self.answer("alice@example.test", "pw-alice"), "OK")
        before = self.hashes()
        said = []
        start = threading.Barrier(12)

        def guess(number):
            start.wait()
            said.append(self.answer("alice@example.test", f"guess{number}"))

        threads = [threading.Thread(target=guess, args=(n,)) for n in range(12)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(60)
        self.assertEqual(len(said), 12)
        refused = [s for s in said if "AUTHENTICATIONFAILED" not in s]
        self.assertTrue(refused, said)
        for s in refused:
            self.assertIn("UNAVAILABLE", s)
        self.assertLess(self.hashes()[0] - before[0], 12)
        hashed = self.hashes()
        self.assertEqual(self.answer("alice@example.test", "pw-alice"), "OK")
        self.assertEqual(self.hashes(), hashed)


if __name__ == "__main__":
    case.main()
