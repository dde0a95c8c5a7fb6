#!/usr/bin/env python3
"""Input that is too much: endless lines, literals of gigabytes, parentheses without end, MIME bombs. Each gets an answer in time,
the session or at least the server goes on, and memory stays where it was."""

import time

import case
import hostile

MIB = hostile.MIB
LINE_OCTETS = 32 * MIB
PARENTHESES = 100000
PARTS = 100000
DEPTH = 100000
ANSWER_S = 30


class Lines(hostile.HostileCase):
    settings = {"imap.errors_max": "1000"}

    def wire(self, kind, name):
        c = kind(self.server.ports[name], timeout=ANSWER_S)
        self.closing(c, c.close)
        return c

    def pour(self, c, octets, piece=b"x" * 65536):
        """Without a line end. Whether the server took it all."""
        try:
            for _ in range(octets // len(piece)):
                c.send(piece)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def test_an_endless_line_is_skipped_and_refused(self):
        def run():
            for name, verb in (("smtp", "EHLO"), ("submission", "EHLO"), ("lmtp", "LHLO")):
                c = self.wire_smtp(name, verb)
                self.assertTrue(self.pour(c, LINE_OCTETS))
                self.assertEqual(c.ask(b"\r\n")[0], 500)
                self.assertEqual(c.ask("NOOP")[0], 250)
            c = self.wire_pop3()
            self.assertTrue(self.pour(c, LINE_OCTETS))
            self.assertTrue(c.ask("").startswith(b"-ERR"))
            self.assertTrue(c.ask("CAPA").startswith(b"+OK"))
            c = self.wire_imap()
            c.send(b"x1 NOOP ")
            self.pour(c, LINE_OCTETS)
            c.send(b"\r\n")
            self.assertEqual(c.finish(b"x1")[0], "BAD")
            self.assertEqual(c.ask("NOOP")[0], "OK")
        self.attack(run, 16 * MIB)

    def test_many_unfinished_lines_hold_what_their_buffers_may_and_no_more(self):
        n = 100

        def run():
            socks = []
            for name in ("smtp", "pop3", "imap"):
                for s in hostile.dial_many(self.server.ports[name], n):
                    s.sendall(b"a" * 8000)
                    socks.append(s)
            time.sleep(1)
            self.let_go(socks)
        self.attack(run, 3 * n * 16 * 1024 + 8 * MIB)

    def test_a_line_of_data_without_end_is_a_message_too_large(self):
        def run():
            c = self.wire_smtp("lmtp", "LHLO")
            for word in ("MAIL FROM:<a@example.org>", "RCPT TO:<bob@example.test>"):
                self.assertEqual(c.ask(word)[0], 250)
            self.assertEqual(c.ask("DATA")[0], 354)
            self.assertTrue(self.pour(c, 60 * MIB))
            self.assertEqual(c.ask(b"\r\n.\r\n")[0], 552)
            self.assertEqual(c.ask("NOOP")[0], 250)
        self.attack(run)

    def test_literals_of_gigabytes_are_refused_at_their_announcement(self):
        def run():
            for size in ("4294967295", "4294967296", "18446744073709551616", "9" * 40):
                for command in (b"LOGIN", b"LOGIN a", b"AUTHENTICATE"):
                    c = self.wire_imap()
                    self.assertIn(c.ask(command + b" {%s}" % size.encode())[0], ("BAD", "NO"))
                    self.assertEqual(c.ask("NOOP")[0], "OK")
                c = self.wire_imap("bob", "INBOX")
                for command in (b"APPEND INBOX", b"SEARCH SUBJECT", b"SELECT", b"CREATE"):
                    self.assertIn(c.ask(command + b" {%s}" % size.encode())[0], ("BAD", "NO"), (command, size))
                    self.assertEqual(c.ask("NOOP")[0], "OK")
                # A non-synchronising one comes whatever we say: its client is let go.
                c.send(b"y1 APPEND INBOX {%s+}\r\n" % size.encode())
                said = self.until_closed(c)
                self.assertTrue(b"* BYE" in said or b"y1 BAD" in said, said)
        self.attack(run, 16 * MIB)

    def until_closed(self, c):
        c.sock.settimeout(3)
        c.closed()
        return c.pending

    def test_parentheses_without_end_are_bad_and_the_session_goes_on(self):
        def run():
            c = self.wire_imap("bob", "INBOX")
            for head in ("SEARCH ", "FETCH 1 ", "STORE 1 FLAGS ", "LIST ", "STATUS INBOX ", "SEARCH NOT ", "UID SEARCH OR "):
                for n in (200, 20000, PARENTHESES):
                    begin = time.monotonic()
                    self.assertEqual(c.ask(head + "(" * n)[0], "BAD", (head, n))
                    self.assertLess(time.monotonic() - begin, ANSWER_S)
            self.assertEqual(c.ask("SEARCH " + "NOT " * 10000 + "ALL")[0], "BAD")
            self.assertEqual(c.ask("NOOP")[0], "OK")
        self.attack(run, 16 * MIB)


def nested(depth):
    """A multipart in a multipart in a ..."""
    head = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (i, i) for i in range(depth))
    return b"Subject: nested\r\n" + head + b"\r\nthe middle\r\n"


def wide(parts):
    return (b"Subject: wide\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
            + b"--b\r\nContent-Type: text/plain; name=x\r\n\r\nx\r\n" * parts + b"--b--\r\n")


def messages_in_messages(depth):
    return b"Content-Type: message/rfc822\r\n\r\n" * depth + b"Subject: innermost\r\n\r\nx\r\n"


BOMBS = {
    "deep": lambda: nested(DEPTH // 20),
    "deeper than any limit": lambda: nested(DEPTH),
    "one boundary in itself": lambda: b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
                                      + b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" * DEPTH,
    "messages in messages": lambda: messages_in_messages(DEPTH),
    "wide": lambda: wide(PARTS),
    "a header of megabytes": lambda: b"Subject: " + b"x" * (4 * MIB) + b"\r\n\r\nbody\r\n",
    "a header of many fields": lambda: b"".join(b"X-Field-%d: value\r\n" % i for i in range(100000)) + b"\r\nbody\r\n",
    "a field of many lines": lambda: b"Subject: a\r\n" + b" folded\r\n" * 150000 + b"\r\nbody\r\n",
    "encoded words": lambda: b"Subject: " + b"=?utf-8?Q?=C3=A4?=\r\n " * 100000 + b"\r\n\r\nbody\r\n",
    "encoded words that never end": lambda: b"Subject: " + b"=?utf-8?B?" * 150000 + b"\r\n\r\nbody\r\n",
    "addresses": lambda: b"To: " + b"a <a@example.test>,\r\n " * 100000 + b"\r\n\r\nbody\r\n",
    "address groups and comments": lambda: b"To: " + b"g:(" * 150000 + b"\r\n\r\nbody\r\n",
    "parameters": lambda: b"Content-Type: text/plain" + b"; a*0=b;\r\n c=\"d\"" * 100000 + b"\r\n\r\nbody\r\n",
    "references": lambda: b"References: " + b"<a@b>\r\n " * 150000 + b"\r\n\r\nbody\r\n",
}


class MimeBombs(hostile.HostileCase):
    def detonate(self, name):
        octets = BOMBS[name]()
        user = self.new_user(f"bomb{int(time.monotonic() * 1e6)}")
        begin = time.monotonic()
        self.deliver(user, octets)
        delivered = time.monotonic() - begin
        c = self.wire_imap(user, "INBOX")
        begin = time.monotonic()
        for item in ("ENVELOPE", "BODYSTRUCTURE", "BODY.PEEK[HEADER.FIELDS (SUBJECT TO)]", "BODY.PEEK[1.1.1]", "BODY.PEEK[1.MIME]",
                     "BODY.PEEK[100000]"):
            c.must(f"FETCH 1 ({item})")
        for key in ("SUBJECT xyz", "BODY middle", "TEXT nothing", "TO example"):
            c.must(f"SEARCH {key}")
        spent = time.monotonic() - begin
        self.assertLess(max(delivered, spent), ANSWER_S, name)
        # Without the trace fields: as it was.
        stored = c.must("FETCH 1 (BODY.PEEK[])")[0]
        self.assertTrue(stored.endswith(octets + b")"), name)
        pop = self.wire_pop3(user)
        self.assertTrue(pop.ask("TOP 1 0").startswith(b"+OK"))
        self.assertTrue(len(pop.lines()) > 2)
        c.must('STORE 1 +FLAGS (\\Deleted)')
        c.must("EXPUNGE")

    def test_bombs_do_not_go_off(self):
        for name in BOMBS:
            with self.subTest(name):
                print(name, end=": ", flush=True)
                self.attack(lambda: self.detonate(name))


if __name__ == "__main__":
    case.main()
