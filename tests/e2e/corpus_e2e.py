#!/usr/bin/env python3
"""Every message of tests/data/mail through the whole program: in by SMTP and by LMTP, out by IMAP and POP3, octet for octet;
ENVELOPE, BODYSTRUCTURE and every part of each."""

import re

import bodystructure
import case
import mail


class Corpus(case.ServerCase):
    users = ("smtp", "lmtp", "append")
    settings = {"smtp.recipients_max": "100"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        try:
            cls.messages = mail.corpus()
            cls.sent = {}
            cls.sent["smtp"] = [mail.crlf(octets) for _, octets in cls.messages]
            # LMTP keeps bare line ends; only the end of the data adds a line end to a message that has none.
            cls.sent["lmtp"] = [o if o.endswith(b"\r\n") else o + b"\r\n" for _, o in cls.messages]
            cls.sent["append"] = [octets for _, octets in cls.messages]
            cls.hand_in("smtp", "smtp", "EHLO", cls.sent["smtp"])
            cls.hand_in("lmtp", "lmtp", "LHLO", cls.sent["lmtp"])
        except BaseException:
            cls.server.abandon()
            raise

    @classmethod
    def hand_in(cls, listener, user, verb, messages):
        c = case.Smtp.greeted(cls.server.ports[listener], verb)
        for number, octets in enumerate(messages):
            name = cls.messages[number][0]
            for command in ("MAIL FROM:<sender@example.test> BODY=8BITMIME", f"RCPT TO:<{cls.address(user)}>"):
                code, lines = c.ask(command)
                assert code == 250, (name, lines)
            code, lines = c.ask("DATA")
            assert code == 354, (name, lines)
            stuffed = re.sub(rb"(?:(?<=\r\n)|\A)\.", b"..", octets)
            code, lines = c.ask(stuffed + b".\r\n")
            assert code == 250, (name, lines)
        c.close()

    def same(self, number, got, want, fields):
        got = mail.strip_trace(got, fields)
        self.assertEqual(got, want, f"{self.messages[number][0]}: not the octets that were sent")

    def read_by_imap(self, user):
        c = self.imap(user, "INBOX")
        uids = self.uids(c)
        self.assertEqual(len(uids), len(self.messages))
        return c, uids

    def test_what_came_by_smtp_is_read_by_imap_octet_for_octet(self):
        c, uids = self.read_by_imap("smtp")
        for number, uid in enumerate(uids):
            self.same(number, self.body_of(c, uid), self.sent["smtp"][number], 2)

    def test_what_came_by_lmtp_is_read_by_imap_octet_for_octet(self):
        c, uids = self.read_by_imap("lmtp")
        for number, uid in enumerate(uids):
            self.same(number, self.body_of(c, uid), self.sent["lmtp"][number], 2)

    def test_what_was_appended_is_read_by_imap_octet_for_octet(self):
        c = self.wire_imap("append")
        for number, octets in enumerate(self.sent["append"]):
            if b"\0" in octets or not octets:
                continue
            tag = c.tag()
            c.send(tag + b" APPEND INBOX {%d}\r\n" % len(octets))
            self.assertTrue(c.line().startswith(b"+"), self.messages[number][0])
            c.send(octets + b"\r\n")
            status, text, _ = c.finish(tag)
            self.assertEqual(status, "OK", (self.messages[number][0], text))
        i = self.imap("append", "INBOX")
        wanted = [o for o in self.sent["append"] if o and b"\0" not in o]
        got = [self.body_of(i, uid) for uid in self.uids(i)]
        self.assertEqual(got, wanted)

    def read_by_pop3(self, user):
        c = self.wire_pop3(user)
        self.assertEqual(c.ask("STAT").split()[1], str(len(self.messages)).encode())
        for number in range(len(self.messages)):
            answer = c.ask(f"RETR {number + 1}")
            self.assertTrue(answer.startswith(b"+OK"), answer)
            yield number, b"".join(line + b"\r\n" for line in c.lines())

    def test_what_came_by_smtp_is_read_by_pop3_octet_for_octet(self):
        for number, got in self.read_by_pop3("smtp"):
            self.same(number, got, self.sent["smtp"][number], 2)

    def test_what_came_by_lmtp_is_read_by_pop3_octet_for_octet(self):
        # POP3 has lines only (RFC 1939, 3): where LMTP stored a bare LF, POP3 sends CRLF.
        for number, got in self.read_by_pop3("lmtp"):
            self.same(number, got, re.sub(rb"(?<!\r)\n", b"\r\n", self.sent["lmtp"][number]), 2)

    def test_sizes_that_imap_and_pop3_announce_are_those_of_the_octets(self):
        c, uids = self.read_by_imap("lmtp")
        sizes = {}
        for row in self.ok(c.uid("FETCH", "1:*", "(RFC822.SIZE)")):
            m = re.search(rb"UID (\d+)", row), re.search(rb"RFC822.SIZE (\d+)", row)
            sizes[int(m[0].group(1))] = int(m[1].group(1))
        for uid in uids:
            self.assertEqual(sizes[uid], len(self.body_of(c, uid)))
        p = self.wire_pop3("lmtp")
        self.assertTrue(p.ask("LIST").startswith(b"+OK"))
        self.assertEqual([int(l.split()[1]) for l in p.lines()], [sizes[uid] for uid in uids])

    def test_every_message_has_an_envelope_of_ten_fields(self):
        c = self.wire_imap("smtp", "INBOX")
        for row in c.must("FETCH 1:* (UID ENVELOPE)"):
            envelope = bodystructure.parse(row)[b"ENVELOPE"]
            self.assertEqual(len(envelope), 10, row)
            for addresses in envelope[2:8]:
                self.assertTrue(addresses is None or all(len(a) == 4 for a in addresses), row)

    def test_every_part_that_the_structure_names_can_be_fetched_and_has_its_size(self):
        c = self.wire_imap("smtp", "INBOX")
        rows = c.must("FETCH 1:* (UID BODYSTRUCTURE BODY)")
        self.assertEqual(len(rows), len(self.messages))
        for number, row in enumerate(rows):
            items = bodystructure.parse(row)
            for section, size in bodystructure.leaves(items[b"BODYSTRUCTURE"]):
                with self.subTest(message=self.messages[number][0], section=section):
                    uid = items[b"UID"].decode()
                    got = c.must(f"UID FETCH {uid} (BODY.PEEK[{section}] BODY.PEEK[{section}.MIME])")
                    values = bodystructure.parse(got[0])
                    part = values[f"BODY[{section}]".encode()]
                    self.assertEqual(len(part), size)
                    self.assertIn(part, self.sent["smtp"][number])

    def test_header_and_text_are_the_two_halves_of_the_message(self):
        c = self.wire_imap("smtp", "INBOX")
        for row in c.must("FETCH 1:* (BODY.PEEK[HEADER] BODY.PEEK[TEXT] BODY.PEEK[])"):
            v = bodystructure.parse(row)
            self.assertEqual(v[b"BODY[HEADER]"] + v[b"BODY[TEXT]"], v[b"BODY[]"])

    def test_a_partial_fetch_is_that_piece_of_the_message(self):
        c = self.wire_imap("smtp", "INBOX")
        for row in c.must("FETCH 1:* (BODY.PEEK[]<7.100> BODY.PEEK[])"):
            v = bodystructure.parse(row)
            self.assertEqual(v[b"BODY[]<7>"], v[b"BODY[]"][7:107])


if __name__ == "__main__":
    case.main()
