#!/usr/bin/env python3
"""Real command-line clients with certificate verification on: curl, swaks, fetchmail, mbsync. One that is not installed is
a skip (exit 77 when nothing else ran)."""

import os
import re
import shutil
import subprocess
import sys
import unittest

import case
import mail
import pillarbox


def run(argv, timeout=120, **kw):
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout, **kw)


class Tools(case.ServerCase):
    tool = None
    settings = {"auth.insecure": "false"}

    @classmethod
    def setUpClass(cls):
        if shutil.which(cls.tool) is None:
            raise unittest.SkipTest(f"{cls.tool} is not installed")
        super().setUpClass()

    def file(self, name, octets, mode=0o600):
        path = os.path.join(self.server.folder, name)
        with open(path, "wb") as f:
            f.write(octets if isinstance(octets, bytes) else octets.encode())
        os.chmod(path, mode)
        return path

    def must(self, argv, **kw):
        r = run(argv, **kw)
        self.assertEqual(r.returncode, 0, f"{argv}\n{r.stdout.decode(errors='replace')}")
        return r.stdout

    def read(self, user):
        """All bodies of INBOX, over TLS."""
        c = case.imaplib.IMAP4_SSL("localhost", self.server.ports["imaps"], ssl_context=self.tls())
        self.closing(c, c.shutdown)
        c.login(self.address(user), self.password(user))
        self.ok(c.select("INBOX", readonly=True))
        return [self.body_of(c, uid) for uid in self.uids(c)]


class Curl(Tools):
    tool = "curl"

    def curl(self, *argv, user="alice"):
        return self.must(["curl", "-sS", "--max-time", "60", "--cacert", self.server.ca, "-u", f"{self.address(user)}:{self.password(user)}"]
                         + list(argv))

    def url(self, listener, path="", scheme=None):
        return f"{scheme or listener}://localhost:{self.server.ports[listener]}/{path}"

    def test_mail_goes_in_by_smtp_and_out_by_imap_and_pop3(self):
        user = self.new_user("curl1")
        sent = self.file("curl.eml", mail.made(1))
        for listener, scheme, extra in (("submission", "smtp", ["--ssl-reqd"]), ("submissions", "smtps", [])):
            self.curl(self.url(listener, "client.example.test", scheme), *extra, "--mail-from", self.address("alice"), "--mail-rcpt", user,
                      "--upload-file", sent)
        for argv in ([self.url("imaps", "INBOX;UID=2")], ["--ssl-reqd", self.url("imap", "INBOX;UID=2")], [self.url("pop3s", "2")],
                     ["--ssl-reqd", self.url("pop3", "2")]):
            with self.subTest(argv=argv):
                self.assertTrue(self.curl(*argv, user=user).endswith(mail.made(1)))
        self.assertEqual(len(self.curl(self.url("pop3s"), user=user).splitlines()), 2)

    def test_mail_is_appended_searched_and_listed(self):
        user = self.new_user("curl2")
        self.curl(self.url("imaps", "INBOX"), "-T", self.file("append.eml", mail.made(7)), user=user)
        self.assertIn(b"* SEARCH 1", self.curl(self.url("imaps", "INBOX"), "-X", "UID SEARCH SUBJECT 7", user=user))
        self.assertIn(b"INBOX", self.curl(self.url("imaps"), user=user))
        self.assertEqual(self.curl(self.url("imaps", "INBOX;UID=1;SECTION=TEXT"), user=user), mail.made(7).split(b"\r\n\r\n", 1)[1])

    def test_a_wrong_password_is_a_login_failure(self):
        r = run(["curl", "-sS", "--max-time", "60", "--cacert", self.server.ca, "-u", "alice@example.test:wrong", self.url("imaps")])
        self.assertEqual(r.returncode, 67, r.stdout)


class Swaks(Tools):
    tool = "swaks"

    def swaks(self, *argv):
        return self.must(["swaks", "--timeout", "60s", "--helo", "client.example.test", "--from", self.address("alice")] + list(argv))

    def test_swaks_delivers_by_every_way_in(self):
        user = self.new_user("swaks")
        auth = ["--auth-user", self.address("alice"), "--auth-password", self.password("alice"), "--tls-ca-path", self.server.ca,
                "--tls-verify"]
        at = lambda listener: ["--server", f"localhost:{self.server.ports[listener]}", "--to", user]
        self.swaks(*at("smtp"))
        self.swaks(*at("smtp"), "-tls", "--tls-ca-path", self.server.ca, "--tls-verify")
        self.swaks(*at("submission"), "-tls", "--auth", "PLAIN", *auth)
        self.swaks(*at("submission"), "-tls", "--auth", "LOGIN", *auth)
        self.swaks(*at("submissions"), "-tlsc", "--auth", "PLAIN", *auth)
        self.swaks(*at("lmtp"), "--protocol", "LMTP")
        self.swaks(*at("smtp"), "--pipeline")
        self.assertEqual(len(self.read("swaks")), 7)

    def test_swaks_sees_an_unknown_recipient(self):
        r = run(["swaks", "--timeout", "60s", "--helo", "client.example.test", "--from", "a@example.org", "--to", "nobody@example.test",
                 "--server", f"localhost:{self.server.ports['smtp']}"])
        self.assertEqual(r.returncode, 24, r.stdout)


class Fetchmail(Tools):
    tool = "fetchmail"

    def fetch(self, user, protocol, listener):
        out = os.path.join(self.server.folder, f"{user}.{listener}.mbox")
        rc = self.file(f"{user}.{listener}.rc", f'''
poll localhost service {self.server.ports[listener]} protocol {protocol} timeout 60
  user "{self.address(user)}" password "{self.password(user)}" {"ssl" if listener.endswith("s") else 'sslproto "TLS1.2+"'}
  sslcertck sslcertfile "{self.server.ca}" nokeep fetchall no rewrite
  mda "cat >>{out}"
''')
        env = dict(os.environ, HOME=self.server.folder, FETCHMAILHOME=self.server.folder)
        self.must(["fetchmail", "-f", rc, "--nodetach", "--nosyslog", "--idfile", rc + ".ids", "--pidfile", rc + ".pid"], env=env)
        with open(out, "rb") as f:
            return f.read()

    def test_fetchmail_takes_all_mail_and_leaves_none(self):
        for number, (protocol, listener) in enumerate((("imap", "imaps"), ("imap", "imap"), ("pop3", "pop3s"), ("pop3", "pop3"))):
            with self.subTest(listener=listener):
                user = self.new_user(f"fetch{number}").split("@")[0]
                for i in range(5):
                    self.deliver(user, mail.made(i))
                got = self.fetch(user, protocol, listener)
                self.assertEqual(sorted(re.findall(rb"^X-Marker: m-(\d)", got, re.M)), [b"0", b"1", b"2", b"3", b"4"])
                self.assertEqual(self.read(user), [])


class Mbsync(Tools):
    tool = "mbsync"
    MESSAGES = 2000

    def rc(self, user, store):
        return self.file(f"{user}.rc", f'''
IMAPAccount pillarbox
Host localhost
Port {self.server.ports["imaps"]}
User {self.address(user)}
Pass {self.password(user)}
SSLType IMAPS
CertificateFile {self.server.ca}
Timeout 120

IMAPStore far
Account pillarbox

MaildirStore near
Path {store}/
Inbox {store}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
CopyArrivalDate yes
SyncState *
''')

    def sync(self, rc):
        return self.must(["mbsync", "-c", rc, "-a"], timeout=240).decode(errors="replace")

    def names(self, store):
        return [n for part in ("cur", "new") for n in os.listdir(os.path.join(store, "INBOX", part))]

    def test_2000_messages_sync_both_ways_and_a_second_run_finds_nothing_to_do(self):
        user = self.new_user("sync").split("@")[0]
        lmtp = self.lmtp()
        for i in range(self.MESSAGES):
            self.assertEqual(lmtp.sendmail("a@example.org", [self.address(user)], mail.made(i, size=500)), {})
        store = os.path.join(self.server.folder, "maildir")
        os.mkdir(store)
        rc = self.rc(user, store)
        self.sync(rc)
        names = self.names(store)
        self.assertEqual(len(names), self.MESSAGES)
        markers = set()
        for name in names:
            part = "cur" if os.path.exists(os.path.join(store, "INBOX", "cur", name)) else "new"
            with open(os.path.join(store, "INBOX", part, name), "rb") as f:
                markers.add(re.search(rb"X-Marker: m-(\d+)", f.read()).group(1))
        self.assertEqual(len(markers), self.MESSAGES)

        # Changes on both sides: flags and a deletion here and there, a new message here and there, a new folder here.
        c = case.imaplib.IMAP4_SSL("localhost", self.server.ports["imaps"], ssl_context=self.tls())
        self.closing(c, c.shutdown)
        c.login(self.address(user), self.password(user))
        self.ok(c.select("INBOX"))
        self.ok(c.store("1:100", "+FLAGS.SILENT", r"(\Seen)"))
        self.ok(c.store("101:110", "+FLAGS.SILENT", r"(\Deleted)"))
        self.ok(c.expunge())
        self.deliver(user, mail.made(90001))
        new = os.path.join(store, "INBOX", "new")
        cur = os.path.join(store, "INBOX", "cur")
        with open(os.path.join(cur, "1000.local.host:2,FS"), "wb") as f:
            f.write(mail.made(90002).replace(b"\r\n", b"\n"))
        victims = sorted(os.listdir(cur) + os.listdir(new), key=lambda n: n)[-20:]
        gone = 0
        for name in victims:
            path = next((os.path.join(d, name) for d in (cur, new) if os.path.exists(os.path.join(d, name))), None)
            if path and "1000.local" not in path and gone < 5:
                os.rename(path, os.path.join(cur, re.sub(r":2,.*|$", "", name, count=1) + ":2,ST"))
                gone += 1
        os.makedirs(os.path.join(store, "Made here", "cur"))
        os.makedirs(os.path.join(store, "Made here", "new"))
        os.makedirs(os.path.join(store, "Made here", "tmp"))
        self.sync(rc)
        self.ok(c.select("INBOX"))
        expected = self.MESSAGES - 10 + 2 - gone
        # A victim may have been one of the ten that the server lost: then fewer are gone, never more.
        count = len(self.uids(c))
        self.assertTrue(expected <= count <= expected + gone, (count, expected))
        self.assertEqual(len(self.names(store)), count)
        self.assertEqual(len(self.uids(c, "HEADER", "X-Marker", "m-90002")), 1)
        self.assertTrue(any(b"Made here" in row for row in self.ok(c.list())))
        modseq = self.ok(c.status("INBOX", "(HIGHESTMODSEQ)"))

        # Nothing is left to do: no message moves, and the server's counter does not either.
        before = sorted(self.names(store))
        out = self.sync(rc)
        self.assertEqual(sorted(self.names(store)), before)
        self.assertEqual(self.ok(c.status("INBOX", "(HIGHESTMODSEQ)")), modseq)
        self.assertNotRegex(out, r"(?i)error|warning")


def main():
    wanted = [n for n in ("Curl", "Swaks", "Fetchmail", "Mbsync") if len(sys.argv) < 2 or n.lower() in sys.argv[1:]]
    suite = unittest.TestSuite(unittest.defaultTestLoader.loadTestsFromTestCase(globals()[n]) for n in wanted)
    result = unittest.TextTestRunner(verbosity=2, warnings="ignore").run(suite)
    if result.skipped and result.testsRun == 0:
        return pillarbox.SKIP
    return 0 if result.wasSuccessful() and result.testsRun > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
