#!/usr/bin/env python3
"""SMTP, submission and LMTP, as Python's smtplib speaks them and octet by octet."""

import base64
import smtplib
import time

import case
import mail


class Receiving(case.ServerCase):
    settings = {"message_size_max": "1 MiB", "smtp.errors_max": "10"}

    def count(self, user):
        c = self.imap(user, "INBOX")
        return len(self.uids(c))

    def test_a_message_arrives_with_its_trace_fields(self):
        user = self.new_user("trace")
        self.assertEqual(self.smtp().sendmail("sender@example.org", [user], mail.made(1)), {})
        got = self.body_of(self.imap("trace", "INBOX"), 1)
        self.assertRegex(got, rb"\AReturn-Path: <sender@example.org>\r\nReceived: from client.example.test ")
        self.assertIn(b"by mail.example.test with ESMTP", got)
        self.assertIn(b"for <trace@example.test>", got)
        self.assertTrue(got.endswith(mail.made(1)))

    def test_an_unknown_recipient_is_refused_at_rcpt(self):
        c = self.wire_smtp()
        self.assertEqual(c.ask("MAIL FROM:<a@example.org>")[0], 250)
        code, lines = c.ask("RCPT TO:<nobody@example.test>")
        self.assertEqual((code, lines[0][4:9]), (550, "5.1.1"))
        code, lines = c.ask("RCPT TO:<someone@elsewhere.example>")
        self.assertIn(code, (550, 554))
        self.assertIn(c.ask("DATA")[0], (503, 554))

    def test_one_message_for_many_recipients_reaches_every_one(self):
        users = [self.new_user(f"many{i}") for i in range(12)]
        self.assertEqual(self.smtp().sendmail("a@example.org", users, mail.made(7)), {})
        for user in users:
            deadline = time.monotonic() + 20
            while self.count(user) == 0 and time.monotonic() < deadline:
                time.sleep(0.1)
            self.assertEqual(self.count(user), 1, user)

    def test_aliases_and_details_reach_their_users(self):
        user = self.new_user("target")
        self.server.ctl("alias", "add", "office@example.test", user, self.address("bob"))
        before = self.count("bob")
        self.assertEqual(self.smtp().sendmail("a@example.org", ["office@example.test"], mail.made(1)), {})
        self.assertEqual(self.smtp().sendmail("a@example.org", ["target+list@example.test"], mail.made(2)), {})
        self.assertEqual(self.count("target"), 2)
        deadline = time.monotonic() + 20
        while self.count("bob") == before and time.monotonic() < deadline:
            time.sleep(0.1)
        self.assertEqual(self.count("bob"), before + 1)

    def test_ehlo_announces_what_the_server_does(self):
        caps = self.wire_smtp().capabilities
        for wanted in ("PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "SMTPUTF8", "STARTTLS"):
            self.assertIn(wanted, caps)
        self.assertIn("SIZE 1048576", caps)
        self.assertFalse([c for c in caps if c.startswith("AUTH")], "AUTH on the port for other servers")

    def test_a_message_over_the_limit_is_refused_by_its_size_and_by_its_octets(self):
        c = self.wire_smtp()
        code, lines = c.ask("MAIL FROM:<a@example.org> SIZE=2000000")
        self.assertEqual((code, lines[0][4:9]), (552, "5.3.4"))
        before = self.count("alice")
        with self.assertRaises(smtplib.SMTPException):
            s = self.smtp()
            s.ehlo()
            s.esmtp_features.pop("size")
            s.sendmail("a@example.org", [self.address("alice")], mail.made(1, size=1200000))
        self.assertEqual(self.count("alice"), before)

    def test_only_crlf_dot_crlf_ends_the_data(self):
        for number, end in enumerate((b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\n", b"\r\n.\r", b"\n\n.\r\n")):
            with self.subTest(end=end):
                user = self.new_user(f"smuggle{number}")
                c = self.wire_smtp()
                for command in ("MAIL FROM:<a@example.org>", f"RCPT TO:<{user}>"):
                    self.assertEqual(c.ask(command)[0], 250)
                self.assertEqual(c.ask("DATA")[0], 354)
                smuggled = b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<%s>\r\nDATA\r\nSubject: smuggled\r\n" % user.encode()
                code, _ = c.ask(b"Subject: outer\r\n\r\nbody" + end + smuggled + b"\r\n.\r\n")
                self.assertEqual(code, 550)
                self.assertEqual(c.ask("NOOP")[0], 250)
                self.assertEqual(self.count(user), 0)

    def test_leading_dots_are_unstuffed(self):
        user = self.new_user("dots")
        octets = b"Subject: dots\r\n\r\n.\r\n..\r\n.a\r\n...\r\nend\r\n"
        self.assertEqual(self.smtp().sendmail("a@example.org", [user], octets), {})
        self.assertTrue(self.body_of(self.imap("dots", "INBOX"), 1).endswith(octets))

    def test_a_pipelined_transaction_answers_every_command(self):
        c = self.wire_smtp()
        c.send(b"MAIL FROM:<a@example.org>\r\nRCPT TO:<alice@example.test>\r\nRCPT TO:<nobody@example.test>\r\nDATA\r\n")
        self.assertEqual([c.reply()[0] for _ in range(4)], [250, 250, 550, 354])
        c.send(b"Subject: p\r\n\r\nx\r\n.\r\nRSET\r\nQUIT\r\n")
        self.assertEqual([c.reply()[0] for _ in range(3)], [250, 250, 221])

    def test_a_session_that_comes_one_octet_at_a_time_works(self):
        c = self.wire_smtp()
        c.send_slowly(b"MAIL FROM:<a@example.org>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n")
        self.assertEqual([c.reply()[0] for _ in range(3)], [250, 250, 354])
        c.send_slowly(b"Subject: slow\r\n\r\n.. dots\r\n.\r\n")
        self.assertEqual(c.reply()[0], 250)

    def test_bad_commands_get_precise_codes(self):
        c = self.wire_smtp()
        for command, codes in (("FROB", (500, 502)), ("RCPT TO:<alice@example.test>", (503,)), ("DATA", (503,)),
                               ("MAIL FROM:a@b", (501, 250)), ("MAIL FROM:<a@b> FROB=1", (555,)), ("MAIL", (501,)),
                               ("VRFY alice", (252, 250)), ("HELP", (214,))):
            self.assertIn(c.ask(command)[0], codes, command)
            c.ask("RSET")

    def test_many_errors_end_the_session(self):
        c = self.wire_smtp()
        for _ in range(12):
            try:
                c.send(b"FROB\r\n")
            except ConnectionError:
                break
        self.assertTrue(c.closed())
        self.assertIn(b"421", c.pending)

    def test_octets_that_are_no_protocol_do_no_harm(self):
        for junk in (b"\0\0\0\r\n", b"\xff" * 3000 + b"\r\n", b"\r\n\r\n", b"x" * 100000):
            c = case.Smtp(self.server.ports["smtp"])
            try:
                c.reply()
                c.send(junk + b"\r\nQUIT\r\n")
                c.closed()
            except ConnectionError:
                pass
            finally:
                c.close()
        self.assertEqual(self.wire_smtp().ask("NOOP")[0], 250)

    def test_a_client_that_goes_away_in_data_delivers_nothing(self):
        user = self.new_user("half")
        c = self.wire_smtp()
        for command in ("MAIL FROM:<a@example.org>", f"RCPT TO:<{user}>"):
            self.assertEqual(c.ask(command)[0], 250)
        self.assertEqual(c.ask("DATA")[0], 354)
        c.send(b"Subject: half\r\n\r\nbody\r\n")
        c.close()
        time.sleep(0.3)
        self.assertEqual(self.count("half"), 0)

    def test_a_looping_message_is_refused(self):
        looping = b"Received: from x by y; Fri, 20 Nov 2026 10:00:00 +0000\r\n" * 60 + mail.made(1)
        with self.assertRaises(smtplib.SMTPDataError) as e:
            self.smtp().sendmail("a@example.org", [self.address("alice")], looping)
        self.assertEqual(e.exception.smtp_code, 554)

    def test_addresses_outside_of_ascii_need_smtputf8(self):
        user = self.new_user("utf8")
        c = self.wire_smtp()
        self.assertIn(c.ask("MAIL FROM:<jürgen@example.org>".encode() + b"\r\n")[0], (501, 553, 550))
        self.assertEqual(c.ask("MAIL FROM:<jürgen@example.org> SMTPUTF8".encode() + b"\r\n")[0], 250)
        self.assertEqual(c.ask(f"RCPT TO:<{user}>")[0], 250)
        self.assertEqual(c.ask("DATA")[0], 354)
        self.assertEqual(c.ask("Subject: grüße\r\n\r\nö\r\n.\r\n".encode())[0], 250)
        self.assertIn("Return-Path: <jürgen@example.org>".encode(), self.body_of(self.imap("utf8", "INBOX"), 1))

    def test_over_quota_is_a_temporary_refusal(self):
        user = self.server.add_user("small", "--quota", "2000")
        self.assertEqual(self.smtp().sendmail("a@example.org", [user], mail.made(1)), {})
        with self.assertRaises((smtplib.SMTPDataError, smtplib.SMTPRecipientsRefused)) as e:
            self.smtp().sendmail("a@example.org", [user], mail.made(2, size=5000))
        error = e.exception
        code, text = (error.smtp_code, error.smtp_error) if hasattr(error, "smtp_code") else error.recipients[user]
        self.assertEqual((code, text[:5]), (452, b"4.2.2"))
        self.assertEqual(self.count("small"), 1)


class Submission(case.ServerCase):
    def test_a_user_sends_to_a_local_user_after_login(self):
        bob = self.new_user("bob2")
        s = self.submission("alice")
        self.assertEqual(s.sendmail(self.address("alice"), [bob], b"Subject: hi\r\nFrom: alice@example.test\r\n\r\nhi\r\n"), {})
        got = self.body_of(self.imap("bob2", "INBOX"), 1)
        self.assertRegex(got, rb"(?im)^Date: ")
        self.assertRegex(got, rb"(?im)^Message-ID: ")
        self.assertIn(b"with ESMTPA", got)
        self.assertNotIn(b"127.0.0.1", got)

    def test_without_login_nothing_is_accepted(self):
        c = self.wire_smtp("submission")
        self.assertEqual(c.ask("MAIL FROM:<alice@example.test>")[0], 530)

    def test_somebody_elses_sender_address_is_refused(self):
        s = self.submission("alice")
        code, _ = s.mail("bob@example.test")
        if code == 250:
            code, _ = s.rcpt("carol@example.test")
        self.assertIn(code, (550, 553))

    def test_remote_recipients_are_refused_while_there_is_no_relay(self):
        s = self.submission("alice")
        s.mail("alice@example.test")
        code, text = s.rcpt("someone@elsewhere.example")
        self.assertEqual(code, 550)
        self.assertIn(b"5.7.1", text)

    def test_auth_plain_and_login_work_and_a_wrong_password_does_not(self):
        for method in ("auth_plain", "auth_login"):
            s = self.submission()
            s.ehlo()
            s.user, s.password = self.address("alice"), self.password("alice")
            self.assertEqual(s.auth(method[5:].upper(), getattr(s, method))[0], 235)
        with self.assertRaises(smtplib.SMTPAuthenticationError) as e:
            self.submission().login(self.address("alice"), "wrong")
        self.assertEqual(e.exception.smtp_code, 535)

    def test_a_cancelled_or_broken_sasl_exchange_is_501(self):
        c = self.wire_smtp("submission")
        self.assertEqual(c.ask("AUTH PLAIN")[0], 334)
        self.assertEqual(c.ask("*")[0], 501)
        self.assertEqual(c.ask("AUTH PLAIN !!!!")[0], 501)
        self.assertEqual(c.ask("AUTH FROB")[0], 504)
        token = base64.b64encode(b"\0alice@example.test\0pw-alice").decode()
        self.assertEqual(c.ask(f"AUTH PLAIN {token}")[0], 235)


class Lmtp(case.ServerCase):
    def test_every_recipient_has_its_own_reply(self):
        c = self.wire_smtp("lmtp", "LHLO")
        self.assertEqual(c.ask("MAIL FROM:<a@example.org>")[0], 250)
        self.assertEqual([c.ask(f"RCPT TO:<{u}@example.test>")[0] for u in ("alice", "nobody", "bob")], [250, 550, 250])
        self.assertEqual(c.ask("DATA")[0], 354)
        c.send(mail.made(1) + b".\r\n")
        self.assertEqual([c.reply()[0] for _ in range(2)], [250, 250])
        for user in ("alice", "bob"):
            self.assertEqual(len(self.uids(self.imap(user, "INBOX"), "SUBJECT", '"m 1"')), 1)

    def test_a_full_mailbox_refuses_only_its_own_copy(self):
        full = self.server.add_user("full", "--quota", "100")
        c = self.wire_smtp("lmtp", "LHLO")
        self.assertEqual(c.ask("MAIL FROM:<a@example.org>")[0], 250)
        codes = [c.ask(f"RCPT TO:<{u}>")[0] for u in (full, self.address("carol"))]
        self.assertEqual(c.ask("DATA")[0], 354)
        c.send(mail.made(5) + b".\r\n")
        replies = [c.reply()[0] for code in codes if code == 250]
        self.assertEqual(replies[-1], 250)
        self.assertIn(452, codes + replies)

    def test_helo_and_ehlo_are_not_lmtp(self):
        c = case.Smtp(self.server.ports["lmtp"])
        self.closing(c, c.close)
        c.reply()
        self.assertIn(c.ask("EHLO x.example")[0], (500, 502, 503))
        self.assertEqual(c.ask("LHLO x.example")[0], 250)


if __name__ == "__main__":
    case.main()
