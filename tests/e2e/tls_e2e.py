#!/usr/bin/env python3
"""TLS on every port: STARTTLS and STLS, implicit, ALPN, no passwords in the clear, reload of certificates."""

import imaplib
import os
import poplib
import signal
import smtplib
import socket
import ssl
import time

import case
import mail
from certificates import Authority
from wire import Closed, Wire


class Tls(case.ServerCase):
    settings = {"auth.insecure": "false"}

    def peer_of(self, listener, alpn=None, version=None):
        context = self.tls(alpn)
        if version is not None:
            context.minimum_version = context.maximum_version = version
        s = socket.create_connection(("127.0.0.1", self.server.ports[listener]), timeout=30)
        return self.closing(context.wrap_socket(s, server_hostname="localhost"), s.close)

    def test_imap_logs_in_after_starttls_and_on_the_tls_port(self):
        c = imaplib.IMAP4("localhost", self.server.ports["imap"])
        self.closing(c, c.shutdown)
        self.assertIn("LOGINDISABLED", c.capabilities)
        self.ok(c.starttls(self.tls()))
        self.assertNotIn("LOGINDISABLED", c.capabilities)
        self.assertNotIn("STARTTLS", c.capabilities)
        self.ok(c.login(self.address("alice"), self.password("alice")))
        c = imaplib.IMAP4_SSL("localhost", self.server.ports["imaps"], ssl_context=self.tls())
        self.closing(c, c.shutdown)
        self.ok(c.login(self.address("alice"), self.password("alice")))

    def test_pop3_logs_in_after_stls_and_on_the_tls_port(self):
        c = poplib.POP3("localhost", self.server.ports["pop3"])
        self.closing(c, c.close)
        c.stls(self.tls())
        c.user(self.address("alice"))
        c.pass_(self.password("alice"))
        c.quit()
        c = poplib.POP3_SSL("localhost", self.server.ports["pop3s"], context=self.tls())
        self.closing(c, c.close)
        c.user(self.address("alice"))
        c.pass_(self.password("alice"))

    def test_submission_sends_after_starttls_and_on_the_tls_port(self):
        s = smtplib.SMTP("localhost", self.server.ports["submission"], local_hostname="client.example.test")
        self.closing(s, s.close)
        s.ehlo()
        self.assertFalse(s.has_extn("auth"))
        s.starttls(context=self.tls())
        s.login(self.address("alice"), self.password("alice"))
        self.assertEqual(s.sendmail(self.address("alice"), [self.address("bob")], mail.made(1)), {})
        s = smtplib.SMTP_SSL("localhost", self.server.ports["submissions"], local_hostname="client.example.test", context=self.tls())
        self.closing(s, s.close)
        s.login(self.address("alice"), self.password("alice"))

    def test_smtp_receives_over_starttls_and_says_so_in_received(self):
        user = self.new_user("traced")
        s = smtplib.SMTP("localhost", self.server.ports["smtp"], local_hostname="client.example.test")
        self.closing(s, s.close)
        s.starttls(context=self.tls())
        s.sendmail("a@example.org", [user], mail.made(1))
        c = imaplib.IMAP4_SSL("localhost", self.server.ports["imaps"], ssl_context=self.tls())
        self.closing(c, c.shutdown)
        c.login(user, self.server.passwords[user])
        c.select()
        self.assertIn(b"with ESMTPS", self.body_of(c, 1))

    def test_passwords_are_refused_in_the_clear(self):
        c = self.wire_imap()
        status, text, _ = c.ask("LOGIN alice@example.test pw-alice")
        self.assertEqual(status, "NO")
        self.assertIn("PRIVACYREQUIRED", text)
        p = self.wire_pop3()
        self.assertTrue(p.ask("USER alice@example.test").startswith(b"-ERR") or p.ask("PASS pw-alice").startswith(b"-ERR"))
        s = self.wire_smtp("submission")
        self.assertIn(s.ask("AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdABwdy1hbGljZQ==")[0], (538, 523, 530, 503, 502))

    def test_alpn_chooses_the_protocol_of_the_port(self):
        for listener, name in (("imaps", "imap"), ("pop3s", "pop3"), ("submissions", "smtp")):
            with self.subTest(listener=listener):
                self.assertEqual(self.peer_of(listener, ["h2", name]).selected_alpn_protocol(), name)
                self.assertIsNone(self.peer_of(listener).selected_alpn_protocol())

    def test_tls_1_2_and_1_3_are_spoken(self):
        for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
            self.assertEqual(self.peer_of("imaps", version=version).version(), name)

    def test_plaintext_that_is_pipelined_behind_starttls_is_not_executed(self):
        c = self.wire_imap()
        c.send(b"a STARTTLS\r\nb LOGIN alice@example.test pw-alice\r\nc LOGOUT\r\n")
        self.assertIn(b"OK", c.line())
        try:
            c.pending = b""
            c.start_tls(self.tls())
            c.send(b"d NOOP\r\n")
            status, _, untagged = c.finish(b"d")
            self.assertEqual(status, "OK")
            self.assertFalse(untagged)
        except (OSError, Closed):
            pass  # ended with the handshake: the injected commands were not run either
        s = self.wire_smtp()
        s.send(b"STARTTLS\r\nMAIL FROM:<evil@example.org>\r\n")
        code, _ = s.reply()
        if code == 220:
            try:
                s.pending = b""
                s.start_tls(self.tls())
                s.send(b"EHLO x.example\r\n")
                self.assertEqual(s.reply()[0], 250)
                self.assertEqual(s.ask("RCPT TO:<alice@example.test>")[0], 503)
            except (OSError, Closed):
                pass

    def test_a_client_that_speaks_no_tls_on_a_tls_port_is_dropped(self):
        for listener in ("imaps", "pop3s", "submissions"):
            c = Wire(self.server.ports[listener])
            self.closing(c, c.close)
            c.send(b"a1 LOGIN alice@example.test pw-alice\r\n")
            self.assertTrue(c.closed())
            self.assertNotIn(b"OK", c.pending)

    def test_a_large_message_goes_through_tls_both_ways(self):
        big = mail.made(3, size=4 * 1024 * 1024)
        c = imaplib.IMAP4_SSL("localhost", self.server.ports["imaps"], ssl_context=self.tls())
        self.closing(c, c.shutdown)
        c.login(self.address("carol"), self.password("carol"))
        self.ok(c.append("INBOX", None, None, big))
        self.ok(c.select())
        self.assertEqual(self.body_of(c, 1), big)

    def test_sighup_reads_the_certificate_again_and_keeps_connections(self):
        old = self.peer_of("imaps")
        before = old.getpeercert()["serialNumber"]
        other = Authority(self.server.folder)  # a new CA in place of the old
        certificate, key = other.issue("renewed", serial=77)
        os.replace(key, self.server.key)
        os.replace(certificate, self.server.certificate)
        for p in self.server.processes:
            p.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 20
        while True:
            try:
                now = self.peer_of("imaps").getpeercert()["serialNumber"]
                if now != before:
                    break
            except ssl.SSLError:
                pass
            self.assertLess(time.monotonic(), deadline, "the old certificate is still served")
            time.sleep(0.1)
        self.assertEqual(int(now, 16), 77)
        old.sendall(b"a NOOP\r\n")
        self.assertTrue(old.recv(1000))


if __name__ == "__main__":
    case.main()
