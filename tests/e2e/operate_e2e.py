#!/usr/bin/env python3
"""What an operator does: users and passwords, metrics and probes, a drain under clients, a second start, ctl check."""

import imaplib
import json
import os
import pty
import re
import select
import signal
import smtplib
import stat
import subprocess
import termios
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
        self.assertIn("pillarbox_io_backend", self.check_exposition(text))

    def check_exposition(self, text):
        """Prometheus text format 0.0.4, as promtool reads it; the families by name."""
        self.assertTrue(text.endswith("\n"))
        families, series, open_family = {}, set(), None
        for line in text.splitlines():
            if line.startswith("# HELP "):
                _, _, name, words = line.split(" ", 3)
                self.assertNotIn(name, families, "a family stands in one piece")
                self.assertTrue(words.strip(), line)
                families[name], open_family = None, name
            elif line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                self.assertEqual(name, open_family)
                self.assertIn(kind, ("counter", "gauge", "histogram"))
                self.assertEqual(kind == "counter", name.endswith("_total"), line)
                families[name] = kind
            else:
                m = re.fullmatch(r'([a-zA-Z_:][\w:]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)*\})? (-?\d+(?:\.\d+)?|\+Inf|NaN)', line)
                self.assertTrue(m, line)
                name = m.group(1)
                if families[open_family] == "histogram":
                    name = re.sub("_(bucket|sum|count)$", "", name)
                self.assertEqual(name, open_family)
                self.assertFalse(m.group(1) + (m.group(2) or "") in series, f"twice: {line}")
                series.add(m.group(1) + (m.group(2) or ""))
                if families[open_family] == "counter":
                    self.assertGreaterEqual(float(m.group(3)), 0)
        self.check_histograms(text, [n for n, kind in families.items() if kind == "histogram"])
        return families

    def check_histograms(self, text, names):
        for name in names:
            buckets = {}
            for labels, le, n in re.findall(rf'^{name}_bucket{{(.*?),?le="([^"]+)"}} (\d+)$', text, re.M):
                buckets.setdefault(labels, []).append((float(le), int(n)))
            self.assertTrue(buckets, name)
            for labels, rows in buckets.items():
                self.assertEqual(rows, sorted(rows), name)
                self.assertEqual([n for _, n in rows], sorted(n for _, n in rows), name)
                self.assertEqual(rows[-1][0], float("inf"), name)
                count = re.search(rf'^{name}_count{"{" + labels + "}" if labels else ""} (\d+)$', text, re.M)
                self.assertEqual(int(count.group(1)), rows[-1][1], name)

    def test_every_line_of_the_log_is_json_with_its_event_and_no_password(self):
        c = self.wire_imap("alice")
        c.ask('LOGIN "x\x01\x7f\xff" "no-such-password"'.encode("latin-1"))
        c.ask(b"\xff\xfe\x00 nonsense \"")
        s = self.wire_smtp()
        s.ask("MAIL FROM:<evil\u20ac@example.org>")
        for p in self.server.processes:
            lines = p.log().splitlines()
            self.assertGreater(len(lines), 0)
            for line in lines:
                row = json.loads(line)
                self.assertRegex(row["ts"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
                self.assertIn(row["level"], ("debug", "info", "warn", "error"))
                self.assertTrue(row["event"] and row["msg"], line)
        self.assertNotIn("no-such-password", self.server.logs())
        self.assertNotIn(self.password("alice"), self.server.logs())

    def test_help_is_given_wherever_it_is_asked_for(self):
        for argv in (["--help"], ["all", "--help"], ["storage", "-h"], ["ctl", "--help"], ["ctl", "help"], ["ctl", "user", "--help"],
                     ["ctl", "user", "add", "someone", "--help"]):
            r = subprocess.run([self.server.program] + argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
            self.assertEqual((r.returncode, r.stderr), (0, ""), argv)
            self.assertTrue(r.stdout.startswith("usage: pillarbox"), r.stdout)
        group = self.server.ctl("user", check=False)
        self.assertEqual(group.returncode, 2)
        self.assertIn("user passwd", group.stderr)
        self.assertNotIn("domain add", group.stderr)

    def test_a_node_that_is_not_there_is_said_at_once(self):
        start = time.monotonic()
        r = subprocess.run([self.server.program, "ctl", "--data", self.server.folder, "status"], stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertLess(time.monotonic() - start, 15)
        self.assertEqual(r.returncode, 1)
        self.assertIn(self.server.folder, r.stderr)
        self.assertIn("no node runs", r.stderr)

    def at_terminal(self, argv, answers):
        """Runs ctl on a terminal of its own; types each answer when its prompt has come. (exit status, what was seen, echo on?)"""
        pid, fd = pty.fork()
        if pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell that started the tests in the background ignores it, and so would ctl
            where = ["--node", self.server.rpc] if self.server.split else ["--data", self.server.data]
            os.execv(self.server.program, [self.server.program, "ctl"] + where + argv)
        seen = b""
        try:
            for prompt, answer in answers:
                while not seen.rstrip().endswith(prompt):
                    self.assertTrue(select.select([fd], [], [], 30)[0], seen)
                    seen += os.read(fd, 4096)
                self.assertFalse(termios.tcgetattr(fd)[3] & termios.ECHO)
                os.write(fd, answer)
                seen += b"|"
            echo = False
            status = None
            deadline = time.monotonic() + 60
            while status is None and time.monotonic() < deadline:
                if select.select([fd], [], [], 0.05)[0]:
                    try:
                        seen += os.read(fd, 4096)
                    except OSError:
                        pass
                echo = echo or bool(termios.tcgetattr(fd)[3] & termios.ECHO)
                done, raw = os.waitpid(pid, os.WNOHANG)
                status = raw if done else None
            return status, seen, echo
        finally:
            os.close(fd)

    def test_a_password_is_typed_twice_and_never_shown(self):
        user = self.new_user("typist")
        status, seen, _ = self.at_terminal(["user", "passwd", user], [(b"Password:", b"typed-pw\n"), (b"Password again:", b"typed-pw\n")])
        self.assertEqual(status, 0, seen)
        self.assertNotIn(b"typed-pw", seen)
        c = imaplib.IMAP4("127.0.0.1", self.server.ports["imap"])
        self.closing(c, c.shutdown)
        c.login(user, "typed-pw")
        status, seen, _ = self.at_terminal(["user", "passwd", user], [(b"Password:", b"one\n"), (b"Password again:", b"two\n")])
        self.assertEqual(os.waitstatus_to_exitcode(status), 1)
        self.assertIn(b"differ", seen)

    def test_an_interrupted_prompt_leaves_a_terminal_that_echoes(self):
        user = self.new_user("hasty")
        status, seen, echo = self.at_terminal(["user", "passwd", user], [(b"Password:", b"\x03")])
        self.assertEqual(os.waitstatus_to_exitcode(status), -signal.SIGINT, seen)
        self.assertTrue(echo)

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


class Reload(case.ServerCase):
    users = ()

    def hello(self):
        """The certificate that a new client gets, verified."""
        c = imaplib.IMAP4_SSL("127.0.0.1", self.server.ports["imaps"], ssl_context=self.tls())
        self.closing(c, c.shutdown)
        return c.sock.getpeercert(binary_form=True)

    def reload(self, outcome):
        front = self.server.processes[-1]
        before = front.log().count('"event":"tls.reload"')
        front.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 30
        while front.log().count('"event":"tls.reload"') == before and time.monotonic() < deadline:
            time.sleep(0.05)
        line = [json.loads(x) for x in front.log().splitlines() if '"event":"tls.reload"' in x][-1]
        self.assertEqual(line["level"], outcome, line)
        return line

    def test_broken_certificates_are_refused_with_a_reason_and_the_old_ones_stay(self):
        old = self.hello()
        files = {}
        for path in (self.server.certificate, self.server.key):
            with open(path) as f:
                files[path] = f.read()
        other, other_key = self.server.authority.issue("other")
        with open(other_key) as f:
            wrong_key = f.read()
        cases = [(self.server.certificate, ""), (self.server.certificate, "garbage"), (self.server.key, "garbage"),
                 (self.server.key, wrong_key), (self.server.certificate, files[self.server.certificate][:300]), (self.server.key, None)]
        for path, text in cases:
            if text is None:
                os.unlink(path)
            else:
                with open(path, "w") as f:
                    f.write(text)
            line = self.reload("error")
            self.assertIn(os.path.basename(path).split(".")[0], line["why"])
            self.assertEqual(self.hello(), old)
            with open(path, "w") as f:
                f.write(files[path])
        self.reload("info")
        self.assertEqual(self.hello(), old)


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

    def test_every_key_is_documented_and_taken_from_the_environment(self):
        text = self.run_with().stdout
        keys = re.findall(r"^([a-z0-9_.]+): (.*)$", text, re.M)
        self.assertGreater(len(keys), 50)
        for key, value in keys:
            name = "PILLARBOX_" + key.upper().replace(".", "_")
            self.assertRegex(text, rf"(?m)^# .+\n# Allowed: .+ Default: .* Environment: {name}\n{re.escape(key)}: ")
            if value in ("true", "false"):
                other = {"true": "false", "false": "true"}[value]
                r = subprocess.run([pillarbox.binary(), "config"], stdout=subprocess.PIPE, text=True, timeout=60, env=dict(os.environ, **{name: other}))
                self.assertIn(f"\n{key}: {other}\n", r.stdout)
        r = subprocess.run([pillarbox.binary(), "config"], stderr=subprocess.PIPE, text=True, timeout=60,
                           env=dict(os.environ, PILLARBOX_STORAGE_SHARDS="x"))
        self.assertEqual(r.returncode, 2)
        self.assertIn("environment PILLARBOX_STORAGE_SHARDS: bad value 'x' for storage.shards: allowed is 1 to 4096", r.stderr)

    def test_mistakes_in_a_file_are_said_with_file_and_line(self):
        with case.pillarbox.tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
            f.write("hostname: a\nimap:\n  lisen: x\nstorage.shards: 0\nimap.idle_timeout: 20\nhostname: b\n")
            f.flush()
            r = subprocess.run([pillarbox.binary(), "all", "--config", f.name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               timeout=60)
        self.assertEqual(r.returncode, 2)
        for line, words in ((3, "unknown key 'imap.lisen'"), (4, "1 to 4096"), (5, "1 min to 1 d"), (6, "stands twice, first in line 1")):
            self.assertRegex(r.stderr, rf"(?m)^{re.escape(f.name)}:{line}: .*{re.escape(words)}")

    def test_settings_that_cannot_serve_are_refused_at_the_start(self):
        with case.pillarbox.tempfile.TemporaryDirectory() as folder:
            for sets, words in ((["storage.map_size=64 MiB", "storage.reserve=40 MiB"], "hardly any mail would fit"),
                                (["smtp.listen=localhost"], "expected address:port"), (["tls.certificate=/nowhere"], "/nowhere"),
                                (["tls.certificate=/nowhere", "tls.more=x"], "chain:key pairs"), (["imap.listen=300.0.0.1:1"], "IPv4")):
                argv = [pillarbox.binary(), "all", "--set", f"data_dir={folder}/d"] + [w for s in sets for w in ("--set", s)]
                r = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
                self.assertEqual(r.returncode, 1, r.stderr)
                self.assertIn(words, r.stderr)
            r = subprocess.run([pillarbox.binary(), "storage", "--set", f"data_dir={folder}/s", "--set", "storage.listen=tcp://127.0.0.1:1"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
            self.assertEqual(r.returncode, 1, r.stderr)
            self.assertIn("storage.publish", r.stderr)

    def test_what_config_prints_is_a_file_that_it_reads(self):
        first = self.run_with("hostname=mx.example.test")
        self.assertEqual(first.returncode, 0, first.stderr)
        with case.pillarbox.tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
            f.write(first.stdout)
            f.flush()
            second = subprocess.run([pillarbox.binary(), "config", "--config", f.name], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                    text=True, timeout=60)
        self.assertEqual(second.stdout, first.stdout, second.stderr)


class ClosedStreams(case.unittest.TestCase):
    def test_a_closed_stderr_leaves_the_store_alone(self):
        """The store was opened as file 2 and took the log's lines."""
        server = pillarbox.Server(split=False)
        server.wrapper = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
        try:
            server.start()
            server.add_domain()
            user = server.add_user("alice")
            with smtplib.LMTP("127.0.0.1", server.ports["lmtp"]) as c:
                self.assertEqual(c.sendmail("sender@example.test", [user], mail.made(1)), {})
            self.assertEqual(server.processes[0].terminate(), 0)
            code, text = server.check()
            self.assertEqual(code, 0, text)
        finally:
            server.abandon()


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
