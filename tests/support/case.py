"""The base of the suites: one server for the tests of a class, with users alice, bob and carol, checked when it stops."""

import imaplib
import os
import poplib
import smtplib
import socket
import ssl
import sys
import unittest

import pillarbox
from wire import Imap, Pop3, Smtp

socket.setdefaulttimeout(120)
imaplib._MAXLINE = 10 * 1000 * 1000
poplib._MAXLINE = 100 * 1000


class ServerCase(unittest.TestCase):
    settings = {}
    users = ("alice", "bob", "carol")
    maxDiff = 4000

    @classmethod
    def setUpClass(cls):
        cls.server = pillarbox.Server(cls.settings)
        cls.server.start()
        try:
            cls.server.add_domain()
            for user in cls.users:
                cls.server.add_user(user)
        except BaseException:
            cls.server.abandon()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    # --- clients, closed with the test ---

    @classmethod
    def address(cls, user):
        return user if "@" in user else f"{user}@{pillarbox.DOMAIN}"

    @classmethod
    def password(cls, user):
        return cls.server.passwords[cls.address(user)]

    @classmethod
    def tls(cls, alpn=None):
        context = ssl.create_default_context(cafile=cls.server.ca)
        if alpn:
            context.set_alpn_protocols(alpn)
        return context

    def new_user(self, name):
        """An account of this test's own."""
        return self.server.add_user(name)

    def closing(self, client, how):
        def quietly():
            try:
                how()
            except (OSError, imaplib.IMAP4.error, smtplib.SMTPException, poplib.error_proto, EOFError):
                pass
        self.addCleanup(quietly)
        return client

    def imap(self, user, mailbox=None):
        c = imaplib.IMAP4("127.0.0.1", self.server.ports["imap"])
        self.closing(c, c.shutdown)
        c.login(self.address(user), self.password(user))
        if mailbox is not None:
            self.ok(c.select(mailbox))
        return c

    def wire_imap(self, user=None, mailbox=None):
        c = Imap(self.server.ports["imap"])
        self.closing(c, c.close)
        if user is not None:
            c.login(self.address(user), self.password(user))
        if mailbox is not None:
            c.must(f'SELECT "{mailbox}"')
        return c

    def pop3(self, user):
        c = poplib.POP3("127.0.0.1", self.server.ports["pop3"])
        self.closing(c, c.close)
        c.user(self.address(user))
        c.pass_(self.password(user))
        return c

    def wire_pop3(self, user=None):
        c = Pop3(self.server.ports["pop3"])
        self.closing(c, c.close)
        self.assertTrue(c.line().startswith(b"+OK"))
        if user is not None:
            self.assertTrue(c.ask(f"USER {self.address(user)}").startswith(b"+OK"))
            self.assertTrue(c.ask(f"PASS {self.password(user)}").startswith(b"+OK"))
        return c

    def smtp(self):
        c = smtplib.SMTP("127.0.0.1", self.server.ports["smtp"], local_hostname="client.example.test")
        return self.closing(c, c.close)

    def submission(self, user=None):
        c = smtplib.SMTP("127.0.0.1", self.server.ports["submission"], local_hostname="client.example.test")
        self.closing(c, c.close)
        if user is not None:
            c.login(self.address(user), self.password(user))
        return c

    def lmtp(self):
        c = smtplib.LMTP("127.0.0.1", self.server.ports["lmtp"], local_hostname="client.example.test")
        return self.closing(c, c.close)

    def wire_smtp(self, listener="smtp", verb="EHLO"):
        c = Smtp.greeted(self.server.ports[listener], verb)
        return self.closing(c, c.close)

    # --- small helpers ---

    def ok(self, answer):
        self.assertEqual(answer[0], "OK", answer)
        return answer[1]

    def deliver(self, user, octets, sender="sender@example.test"):
        """By LMTP: stored when this returns."""
        self.assertEqual(self.lmtp().sendmail(sender, [self.address(user)], octets), {})

    def uids(self, client, *criteria):
        return [int(w) for w in self.ok(client.uid("SEARCH", *(criteria or ("ALL",))))[0].split()]

    def body_of(self, client, uid):
        return self.ok(client.uid("FETCH", str(uid), "(BODY.PEEK[])"))[0][1]


def main():
    """Runs the module's tests; exit 77 when the I/O backend that is asked for is refused here."""
    if os.environ.get("PB_IO_BACKEND") == "io_uring" and pillarbox.io_uring_refused():
        print(f"skipped: io_uring: {pillarbox.io_uring_refused()}")
        sys.exit(pillarbox.SKIP)
    unittest.main(module="__main__", verbosity=2, warnings="ignore")
