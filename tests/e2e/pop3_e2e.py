#!/usr/bin/env python3
"""POP3 as Python's poplib speaks it and octet by octet: the lock, deletions only at QUIT, and bad input."""

import base64
import poplib
import time

import case
import mail
from wire import Closed


class Maildrop(case.ServerCase):
    def setUp(self):
        self.user = self.new_user(f"p{int(time.monotonic() * 1e6)}")

    def filled(self, n):
        for i in range(n):
            self.deliver(self.user, mail.made(i))
        return self.pop3(self.user)

    def test_stat_list_uidl_retr_and_top_agree(self):
        c = self.filled(3)
        count, octets = c.stat()
        sizes = [int(l.split()[1]) for l in c.list()[1]]
        self.assertEqual((count, octets), (3, sum(sizes)))
        ids = [l.split()[1] for l in c.uidl()[1]]
        self.assertEqual(len(set(ids)), 3)
        whole = b"".join(l + b"\r\n" for l in c.retr(2)[1])
        self.assertEqual(len(whole), sizes[1])
        self.assertTrue(whole.endswith(mail.made(1)))
        head, _, body = whole.partition(b"\r\n\r\n")
        top = b"".join(l + b"\r\n" for l in c.top(2, 3)[1])
        self.assertEqual(top, head + b"\r\n\r\n" + b"".join(l + b"\r\n" for l in body.split(b"\r\n")[:3]))
        self.assertEqual(b"".join(l + b"\r\n" for l in c.top(2, 0)[1]), head + b"\r\n\r\n")

    def test_unique_ids_stay_the_same_over_sessions(self):
        c = self.filled(2)
        ids = c.uidl()[1]
        c.quit()
        self.deliver(self.user, mail.made(9))
        self.assertEqual(self.pop3(self.user).uidl()[1][:2], ids)

    def test_deletions_happen_at_quit(self):
        c = self.filled(3)
        c.dele(1)
        c.dele(3)
        with self.assertRaises(poplib.error_proto):
            c.retr(1)
        self.assertEqual(c.stat()[0], 1)
        c.quit()
        c = self.pop3(self.user)
        self.assertEqual(c.stat()[0], 1)
        self.assertTrue(b"".join(l + b"\r\n" for l in c.retr(1)[1]).endswith(mail.made(1)))

    def test_a_dropped_session_deletes_nothing_and_rset_takes_deletions_back(self):
        c = self.filled(2)
        c.dele(1)
        c.close()
        deadline = time.monotonic() + 20
        while True:
            try:
                c = self.pop3(self.user)
                break
            except poplib.error_proto:
                self.assertLess(time.monotonic(), deadline, "the lock of a dropped session stays")
                time.sleep(0.2)
        self.assertEqual(c.stat()[0], 2)
        c.dele(1)
        c.rset()
        c.quit()
        self.assertEqual(self.pop3(self.user).stat()[0], 2)

    def test_a_second_session_is_locked_out_until_the_first_ends(self):
        first = self.filled(1)
        with self.assertRaises(poplib.error_proto) as e:
            self.pop3(self.user)
        self.assertIn("IN-USE", str(e.exception))
        first.quit()
        self.assertEqual(self.pop3(self.user).stat()[0], 1)

    def test_mail_that_comes_during_a_session_is_seen_by_the_next(self):
        c = self.filled(1)
        self.deliver(self.user, mail.made(2))
        self.assertEqual(c.stat()[0], 1)
        c.quit()
        self.assertEqual(self.pop3(self.user).stat()[0], 2)

    def test_lines_with_dots_come_back_as_they_were(self):
        octets = b"Subject: dots\r\n\r\n.\r\n..\r\n.x\r\nend\r\n"
        self.deliver(self.user, octets)
        got = b"".join(l + b"\r\n" for l in self.pop3(self.user).retr(1)[1])
        self.assertTrue(got.endswith(octets))

    def test_a_maildrop_fetched_in_sequence_is_what_was_delivered(self):
        bodies = [mail.made(i) for i in range(12)]
        bodies[4] = b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n" * 12000
        bodies[7] = b"Subject: dots\r\n\r\n.\r\n..\r\n\r\n.x\r\n"
        for b in bodies:
            self.deliver(self.user, b)
        c = self.wire_pop3(self.user)
        c.send(b"".join(b"RETR %d\r\nDELE %d\r\n" % (i, i) for i in range(1, 13)))
        for b in bodies:
            self.assertTrue(c.line().startswith(b"+OK"))
            got = b"".join(l + b"\r\n" for l in c.lines())
            self.assertTrue(got.endswith(b))
            self.assertTrue(c.line().startswith(b"+OK"))
        self.assertTrue(c.ask("QUIT").startswith(b"+OK"))
        self.assertEqual(self.pop3(self.user).stat()[0], 0)

    def test_a_client_that_pauses_in_its_sequence_goes_on(self):
        c = self.filled(6)
        want = [b"".join(l + b"\r\n" for l in c.retr(n)[1]) for n in (6, 5, 4, 3, 2, 1)][::-1]
        got = []
        for n in range(1, 7):
            got.append(b"".join(l + b"\r\n" for l in c.retr(n)[1]))
            if n == 4:
                time.sleep(3.5)
        self.assertEqual(got, want)

    def test_numbers_that_are_not_there_are_refused(self):
        c = self.wire_pop3(self.user)
        self.deliver(self.user, mail.made(1))
        for command in ("RETR 1", "RETR 0", "RETR -1", "RETR 99999999999999", "DELE x", "TOP 1", "TOP 1 -1", "LIST 7", "UIDL 0", "FROB",
                        "RETR"):
            self.assertTrue(c.ask(command).startswith(b"-ERR"), command)
        self.assertTrue(c.ask("NOOP").startswith(b"+OK"))

    def test_sasl_plain_logs_in(self):
        c = self.wire_pop3()
        token = base64.b64encode(f"\0{self.user}\0{self.server.passwords[self.user]}".encode()).decode()
        self.assertTrue(c.ask(f"AUTH PLAIN {token}").startswith(b"+OK"))
        self.assertTrue(c.ask("QUIT").startswith(b"+OK"))
        c = self.wire_pop3()
        self.assertTrue(c.ask("AUTH PLAIN").startswith(b"+"))
        self.assertTrue(c.ask(token).startswith(b"+OK"))

    def test_capa_tells_what_there_is(self):
        c = self.wire_pop3()
        self.assertTrue(c.ask("CAPA").startswith(b"+OK"))
        lines = c.lines()
        for wanted in (b"TOP", b"UIDL", b"STLS", b"PIPELINING", b"RESP-CODES", b"SASL PLAIN", b"USER"):
            self.assertIn(wanted, lines)

    def test_a_wrong_password_is_refused_with_a_code(self):
        c = self.wire_pop3()
        c.ask(f"USER {self.user}")
        self.assertTrue(c.ask("PASS wrong").startswith(b"-ERR [AUTH]"))

    def test_pipelined_commands_answer_in_order(self):
        self.filled(2).quit()
        c = self.wire_pop3(self.user)
        c.send(b"STAT\r\nLIST 1\r\nDELE 1\r\nNOOP\r\nQUIT\r\n")
        answers = [c.line() for _ in range(5)]
        self.assertTrue(all(a.startswith(b"+OK") for a in answers), answers)

    def test_octets_that_are_no_protocol_do_no_harm(self):
        for junk in (b"\0\0\r\n", b"\xff" * 5000 + b"\r\n", b"\r\n\r\n", b"USER " + b"x" * 70000):
            c = self.wire_pop3()
            try:
                c.send(junk + b"\r\nQUIT\r\n")
                c.closed()
            except (ConnectionError, Closed):
                pass
        self.assertTrue(self.wire_pop3(self.user).ask("NOOP").startswith(b"+OK"))


if __name__ == "__main__":
    case.main()
