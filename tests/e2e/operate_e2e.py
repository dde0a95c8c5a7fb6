#!/usr/bin/env python3
"""What an operator does: users and passwords, metrics and probes, a drain under clients, a second start, ctl check."""

import imaplib
import os
import signal
import stat
import subprocess
import threading
import time

import case
import mail
import pillarbox


class Operating(case.ServerCase):
    def test_metrics_and_probes_answer(self):
        self.wire_imap("alice").must("NOOP")
        self.assertEqual(self.server.get("/healthz")[0], 200)
        self.assertEqual(self.server.get("/readyz")[0], 200)
        self.assertEqual(self.server.get("/nothing")[0], 404)
        status, text = self.server.get("/metrics")
        self.assertEqual(status, 200)
        for line in text.splitlines():
            self.assertRegex(line, r'^(# (HELP|TYPE) \S+.*|[a-zA-Z_:][\w:]*(\{[^}]*\})? -?[\d.e+]+(Inf)?)$')
        self.assertIn("pillarbox_io_backend", text)

    def test_users_are_listed_given_new_passwords_and_removed(self):
        user = self.new_user("temp")
        self.assertIn(user, self.server.ctl("user", "list").stdout)
        self.server.ctl("user", "passwd", user, stdin="changed\n")
        with self.assertRaises(imaplib.IMAP4.error):
            imaplib.IMAP4("127.0.0.1", self.server.ports["imap"]).login(user, "pw-temp")
        c = imaplib.IMAP4("127.0.0.1", self.server.ports["imap"])
        self.closing(c, c.shutdown)
        c.login(user, "changed")
        self.server.ctl("user", "remove", user)
        s = self.wire_smtp()
        s.ask("MAIL FROM:<a@example.org>")
        self.assertEqual(s.ask(f"RCPT TO:<{user}>")[0], 550)

    def test_mistakes_are_refused_with_a_reason(self):
        for argv in (["user", "add", "alice@example.test"], ["user", "add", "nodomain"], ["user", "add", "x@other.example"], ["frob"],
                     ["user", "remove", "nobody@example.test"], ["alias", "add", "a@example.test"]):
            r = self.server.ctl(*argv, stdin="pw\n", check=False)
            self.assertNotEqual(r.returncode, 0, argv)
            self.assertTrue(r.stderr.strip(), argv)

    def test_many_users_share_one_hash_and_can_all_log_in(self):
        self.server.ctl("user", "add-many", "example.test", "300", stdin="pw\n")
        for name in ("u0001", "u0150", "u0300"):
            c = imaplib.IMAP4("127.0.0.1", self.server.ports["imap"])
            self.closing(c, c.shutdown)
            c.login(f"{name}@example.test", "pw")

    def test_status_and_the_rights_of_the_data_directory(self):
        self.assertTrue(self.server.ctl("status").stdout.strip())
        if not self.server.split:
            self.assertEqual(stat.S_IMODE(os.stat(self.server.data).st_mode) & 0o077, 0)

    def test_a_second_server_on_the_same_data_is_refused(self):
        role = "storage" if self.server.split else "all"
        r = subprocess.run([self.server.program, role] + self.server.options(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                           timeout=60)
        self.assertNotEqual(r.returncode, 0, r.stdout)
        self.wire_imap("alice").must("NOOP")


class Configuration(case.unittest.TestCase):
    def run_with(self, *sets):
        return subprocess.run([pillarbox.binary(), "config"] + [w for s in sets for w in ("--set", s)], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=60)

    def test_unknown_keys_and_bad_values_are_refused_with_what_is_allowed(self):
        r = self.run_with("imap.lsten=x")
        self.assertNotEqual(r.returncode, 0)
        self.assertIn("imap.lsten", r.stderr)
        r = self.run_with("storage.shards=0")
        self.assertNotEqual(r.returncode, 0)
        self.assertIn("1 to", r.stderr)

    def test_what_config_prints_is_a_file_that_it_reads(self):
        first = self.run_with("hostname=mx.example.test")
        self.assertEqual(first.returncode, 0, first.stderr)
        with case.pillarbox.tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
            f.write(first.stdout)
            f.flush()
            second = subprocess.run([pillarbox.binary(), "config", "--config", f.name], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                    text=True, timeout=60)
        self.assertEqual(second.stdout, first.stdout, second.stderr)


class Drain(case.ServerCase):
    def test_sigterm_lets_commands_finish_says_bye_and_loses_nothing(self):
        idle = self.wire_imap("alice", "INBOX")
        smtp = self.wire_smtp()
        acknowledged = []
        stop = threading.Event()

        def load(number):
            try:
                c = imaplib.IMAP4("127.0.0.1", self.server.ports["imap"])
                c.login(self.address("bob"), self.password("bob"))
                i = 0
                while not stop.is_set():
                    marker = f"drain{number}x{i}"
                    if c.append("INBOX", None, None, mail.made(i, marker=marker))[0] != "OK":
                        break
                    acknowledged.append(f"{marker}-{i}")
                    i += 1
            except (OSError, imaplib.IMAP4.error):
                pass

        threads = [threading.Thread(target=load, args=(n,), daemon=True) for n in range(3)]
        for t in threads:
            t.start()
        time.sleep(1.5)
        # Frontends drain before the storage that they need.
        front = self.server.processes[-1]
        front.process.send_signal(signal.SIGTERM)
        self.assertTrue(idle.closed())
        self.assertIn(b"* BYE", idle.pending)
        self.assertTrue(smtp.closed())
        self.assertIn(b"421", smtp.pending)
        stop.set()
        for t in threads:
            t.join(30)
        self.assertEqual(front.process.wait(pillarbox.STOP_S), 0)
        for p in self.server.processes[:-1]:
            self.assertEqual(p.terminate(), 0)
        code, text = self.server.check()
        self.assertEqual(code, 0, text)
        self.server.restart()
        c = self.imap("bob", "INBOX")
        stored = b"".join(r[1] for r in self.ok(c.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (X-Marker)])")) if isinstance(r, tuple))
        self.assertGreater(len(acknowledged), 0)
        for marker in acknowledged:
            self.assertEqual(stored.count(f"X-Marker: {marker}\r\n".encode()), 1, marker)


if __name__ == "__main__":
    case.main()
