#!/usr/bin/env python3
"""IMAP octet by octet: literals, pipelines, splits, bad input and limits."""

import base64

import case
import mail


class Wire(case.ServerCase):
    settings = {"imap.errors_max": "10", "imap.login_timeout": "3 s"}

    def test_a_session_that_comes_one_octet_at_a_time_works(self):
        c = self.wire_imap()
        c.send_slowly(b't1 LOGIN {18}\r\n')
        self.assertTrue(c.line().startswith(b"+"))
        c.send_slowly(b'alice@example.test "pw-alice"\r\nt2 SELECT INBOX\r\n')
        self.assertEqual(c.finish(b"t1")[0], "OK")
        self.assertEqual(c.finish(b"t2")[0], "OK")

    def test_pipelined_commands_answer_in_order(self):
        c = self.wire_imap("alice")
        c.send(b"a NOOP\r\nb SELECT INBOX\r\nc FETCH 1:* FLAGS\r\nd CLOSE\r\ne CAPABILITY\r\n")
        for tag in (b"a", b"b", b"c", b"d", b"e"):
            self.assertEqual(c.finish(tag)[0], "OK", tag)

    def test_a_literal_plus_is_not_waited_for(self):
        c = self.wire_imap("alice")
        octets = mail.made(1)
        c.send(b"a APPEND INBOX {%d+}\r\n" % len(octets) + octets + b"\r\nb NOOP\r\n")
        self.assertEqual(c.finish(b"a")[0], "OK")
        self.assertEqual(c.finish(b"b")[0], "OK")

    def test_sasl_plain_with_and_without_an_initial_response(self):
        token = base64.b64encode(b"\0alice@example.test\0pw-alice").decode()
        c = self.wire_imap()
        c.must(f"AUTHENTICATE PLAIN {token}")
        c = self.wire_imap()
        tag = c.tag()
        c.send(tag + b" AUTHENTICATE PLAIN\r\n")
        self.assertTrue(c.line().startswith(b"+"))
        c.send(token.encode() + b"\r\n")
        self.assertEqual(c.finish(tag)[0], "OK")

    def test_a_cancelled_sasl_exchange_is_bad_and_can_be_tried_again(self):
        c = self.wire_imap()
        tag = c.tag()
        c.send(tag + b" AUTHENTICATE PLAIN\r\n")
        self.assertTrue(c.line().startswith(b"+"))
        c.send(b"*\r\n")
        self.assertEqual(c.finish(tag)[0], "BAD")
        c.login(self.address("alice"), self.password("alice"))

    def test_a_wrong_password_and_an_unknown_user_get_the_same_answer(self):
        answers = set()
        for user in ("alice@example.test", "nobody@example.test"):
            c = self.wire_imap()
            status, text, _ = c.ask(f'LOGIN {user} "wrong"')
            self.assertEqual(status, "NO")
            answers.add(text)
        self.assertEqual(len(answers), 1)

    def test_bad_commands_are_bad_and_the_session_goes_on(self):
        c = self.wire_imap("alice", "INBOX")
        for command in ("FROB", "FETCH", "FETCH 0 FLAGS", "FETCH 1:* (", "STORE 1 FLAGS", "SEARCH", "UID", "UID FROB 1", "SELECT",
                        "LIST", "STATUS INBOX (NONSENSE)", "FETCH 1 BODY[", "SEARCH BEFORE 99-Foo-2026", "APPEND INBOX"):
            with self.subTest(command=command):
                status, _, _ = c.ask(command)
                self.assertEqual(status, "BAD")
                c.must("NOOP")

    def test_commands_in_the_wrong_state_are_refused(self):
        c = self.wire_imap()
        for command in ("SELECT INBOX", "LIST \"\" *", "FETCH 1 FLAGS", "IDLE", "APPEND INBOX {3+}\r\nabc"):
            self.assertIn(c.ask(command)[0], ("BAD", "NO"), command)
        c.login(self.address("alice"), self.password("alice"))
        for command in ("FETCH 1 FLAGS", "EXPUNGE", "CLOSE", "SEARCH ALL", "LOGIN a b"):
            self.assertIn(c.ask(command)[0], ("BAD", "NO"), command)

    def test_a_line_without_an_end_is_cut_off(self):
        c = self.wire_imap("alice")
        try:
            c.send(b"a NOOP " + b"x" * 300000)
            c.send(b"\r\n")
            self.assertTrue(c.closed() or b"BAD" in c.pending)
        except (ConnectionError, BrokenPipeError):
            pass

    def test_a_huge_literal_before_login_is_refused_before_it_is_sent(self):
        c = self.wire_imap()
        c.send(b"a LOGIN {99999999}\r\n")
        answer = c.line()
        self.assertFalse(answer.startswith(b"+"), answer)

    def test_many_bad_commands_end_the_session(self):
        c = self.wire_imap()
        for _ in range(30):
            try:
                c.send(b"x FROB\r\n")
            except ConnectionError:
                break
        self.assertTrue(c.closed())
        self.assertIn(b"* BYE", c.pending)

    def test_octets_that_are_no_protocol_do_no_harm(self):
        for junk in (b"\0\0\0\0\r\n", b"\r\n\r\n\r\n", b"\xff\xfe\xfd\r\n", b"GET / HTTP/1.0\r\n\r\n", b"a\r\n", b"{5}\r\n",
                     b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x55" * 200 + b"\r\n"):
            with self.subTest(junk=junk[:20]):
                c = self.wire_imap()
                c.send(junk + b"ok1 LOGOUT\r\n")
                self.assertTrue(c.closed())
        self.wire_imap("alice").must("NOOP")

    def test_a_client_that_goes_away_in_a_literal_stores_nothing(self):
        user = self.new_user("gone")
        c = self.wire_imap(user)
        c.send(b"a APPEND INBOX {1000}\r\n")
        self.assertTrue(c.line().startswith(b"+"))
        c.send(b"Subject: half\r\n\r\n")
        c.close()
        i = self.wire_imap(user, "INBOX")
        self.assertEqual(i.must("SEARCH ALL"), [b"* SEARCH"])

    def test_the_password_never_reaches_the_log(self):
        self.wire_imap("alice").must("NOOP")
        self.wire_imap().ask('LOGIN alice@example.test "s3cret-in-the-log"')
        logs = self.server.logs()
        self.assertNotIn("pw-alice", logs)
        self.assertNotIn("s3cret-in-the-log", logs)


if __name__ == "__main__":
    case.main()
