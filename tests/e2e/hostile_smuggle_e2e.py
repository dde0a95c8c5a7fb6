#!/usr/bin/env python3
"""What looks like the end of a message and is none, plaintext in front of a handshake, connections closed on one side: nothing
said in the wrong place may be taken for a command."""

import base64
import itertools
import socket
import time

import case
import hostile
import mail
from wire import Imap

# Every way to write "line end, dot, line end" with CR, LF and NUL but the one that ends the data.
ENDS = [b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\r", b"\n\n", b"\r\n\x00", b"\x00\r\n", b"\n\r\n"]
SMUGGLED = b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<%s>\r\nDATA\r\nSubject: smuggled\r\n\r\nsmuggled"


def variants():
    for first, second in itertools.product(ENDS, ENDS):
        if b"\r\n.\r\n" not in first + b"." + second:
            yield first + b"." + second


class Smuggling(hostile.HostileCase):
    settings = {"smtp.errors_max": "1000"}

    def stored(self, user):
        c = self.wire_imap(user, "INBOX")
        return [r[r.index(b"}\r\n") + 3:-1] for r in c.must("UID FETCH 1:* (BODY.PEEK[])")]

    def speak(self, listener, verb, user):
        """Each variant in a transaction of its own. {variant: (code, content)}"""
        said = {}
        c = self.wire_smtp(listener, verb)
        sender = "outer@example.org"
        if listener == "submission":
            sender = user
            self.assertEqual(c.ask(f"AUTH PLAIN {self.plain(user)}")[0], 235)
        for end in variants():
            for word in (f"MAIL FROM:<{sender}>", f"RCPT TO:<{user}>"):
                self.assertEqual(c.ask(word)[0], 250)
            self.assertEqual(c.ask("DATA")[0], 354)
            content = b"Subject: outer\r\nDate: now\r\nMessage-ID: <a@b>\r\n\r\nbody" + end + SMUGGLED % user.encode()
            code, lines = c.ask(content + b"\r\n.\r\n")
            said[end] = (code, content)
            # Exactly one reply: the smuggled commands were content.
            self.assertEqual(c.ask("NOOP")[1], ["250 2.0.0 ok"], (end, lines))
        return said

    def plain(self, user):
        return base64.b64encode(f"\0{user}\0{self.password(user)}".encode()).decode()

    def test_nothing_but_crlf_dot_crlf_ends_a_message(self):
        def run():
            for listener, verb in (("smtp", "EHLO"), ("lmtp", "LHLO"), ("submission", "EHLO")):
                user = self.new_user(f"{listener}{int(time.monotonic() * 1e6)}")
                said = self.speak(listener, verb, user)
                self.assertGreater(len(said), 50)
                accepted = [content for code, content in said.values() if code == 250]
                stored = self.stored(user)
                self.assertEqual(len(stored), len(accepted), listener)
                for octets, content in zip(stored, accepted):
                    self.check_stored(listener, octets, content)
                if listener == "smtp":
                    self.assertTrue(all(code == 550 or b"\x00" in end for end, (code, _) in said.items()), said)
                else:
                    self.assertEqual(len(accepted), len(said), listener)
        self.attack(run)

    def check_stored(self, listener, octets, content):
        """The whole content is there, in one message: byte for byte, where submission may set line ends right."""
        rest = mail.strip_trace(octets, 1 if listener == "submission" else 2)
        if listener == "submission":
            self.assertIn(b"smuggled", rest)
            self.assertNotRegex(rest, rb"\r(?!\n)|(?<!\r)\n")
        else:
            self.assertEqual(rest, (content + b"\r\n").replace(b"\r\n.", b"\r\n"))  # a line's first dot is stuffing

    def test_a_dot_at_every_place_comes_back(self):
        user = self.new_user(f"dots{int(time.monotonic() * 1e6)}")
        lines = [b".", b"..", b"...", b".a", b"a.", b"", b". ", b".\t"]
        content = b"Subject: dots\r\n\r\n" + b"\r\n".join(lines) + b"\r\n"
        stuffed = content.replace(b"\r\n.", b"\r\n..")
        c = self.wire_smtp("lmtp", "LHLO")
        for word in ("MAIL FROM:<a@example.org>", f"RCPT TO:<{user}>"):
            self.assertEqual(c.ask(word)[0], 250)
        self.assertEqual(c.ask("DATA")[0], 354)
        c.send_slowly(stuffed + b".\r\n")
        self.assertEqual(c.reply()[0], 250)
        self.assertEqual(mail.strip_trace(self.stored(user)[0], 2), content)

    def test_commands_in_front_of_a_handshake_are_not_run(self):
        cases = (("smtp", b"EHLO x\r\n", b"STARTTLS\r\n", b"MAIL FROM:<evil@example.org>\r\n"),
                 ("submission", b"EHLO x\r\n", b"STARTTLS\r\n", b"AUTH PLAIN AGEAYg==\r\n"),
                 ("lmtp", b"LHLO x\r\n", b"STARTTLS\r\n", b"MAIL FROM:<evil@example.org>\r\n"),
                 ("pop3", b"", b"STLS\r\n", b"USER evil\r\n"),
                 ("imap", b"", b"a STARTTLS\r\n", b"b NOOP\r\n"))

        def run():
            for name, hello, start, injected in cases:
                # Together with the command: the session ends. Behind its reply: the handshake fails.
                for together in (True, False):
                    s = hostile.dial(self.server.ports[name])
                    said = s.recv(4096)
                    if hello:
                        s.sendall(hello)
                        said += s.recv(4096)
                    s.sendall(start + injected if together else start)
                    if not together:
                        s.recv(4096)
                        s.sendall(injected)
                    tail = hostile.answers([s], 30)[s]
                    self.assertIsNotNone(tail[1], (name, together, "not closed"))
                    for word in (b"2.1.0", b"password?", b"b OK", b"235", b"535"):
                        self.assertNotIn(word, tail[0], (name, together))
                    s.close()
        self.attack(run)

    def test_a_client_that_closed_its_side_gets_its_answers_and_nothing_half(self):
        user = self.new_user(f"half{int(time.monotonic() * 1e6)}")
        envelope = b"MAIL FROM:<a@example.org>\r\nRCPT TO:<%s>\r\n" % user.encode()

        def run():
            for tls in (None, self.tls()):
                name = "imaps" if tls else "imap"
                c = Imap(self.server.ports[name], tls=tls)
                self.closing(c, c.close)
                c.send(b'a LOGIN "%s" "%s"\r\nb SELECT INBOX\r\nc NOOP\r\n' % (user.encode(), self.password(user).encode()))
                # What was asked before is owed. (The method of the TLS socket would end TLS as well.)
                socket.socket.shutdown(c.sock, socket.SHUT_WR)
                self.assertTrue(c.closed())
                self.assertIn(b"c OK", c.pending, name)
            for content, end in ((b"Subject: half\r\n\r\nhal", 1), (b"Subject: half\r\n\r\nhalf\r\n.\r\n", 0)):
                c = self.wire_smtp("lmtp", "LHLO")
                c.send(envelope + b"DATA\r\n")
                self.assertEqual([c.reply()[0] for _ in range(3)], [250, 250, 354])
                c.send(content)
                c.sock.shutdown(socket.SHUT_WR)
                self.assertTrue(c.closed())
                self.assertEqual(c.pending.startswith(b"250"), end == 0, c.pending)
            self.assertEqual(len(self.stored(user)), 1)
        self.attack(run)


if __name__ == "__main__":
    case.main()
