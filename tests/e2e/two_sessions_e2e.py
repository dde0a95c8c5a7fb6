#!/usr/bin/env python3
"""Two sessions on one mailbox see each other's changes at once: by IDLE, by any command, and across protocols."""

import re
import time

import case
import mail

SOON_S = 10


class TwoSessions(case.ServerCase):
    def setUp(self):
        self.user = self.new_user(f"t{int(time.monotonic() * 1e6)}")
        for i in range(3):
            self.deliver(self.user, mail.made(i))
        self.a = self.wire_imap(self.user, "INBOX")
        self.b = self.wire_imap(self.user, "INBOX")

    def idle(self, c):
        tag = c.tag()
        c.send(tag + b" IDLE\r\n")
        while not c.response().startswith(b"+"):
            pass
        return tag

    def done(self, c, tag):
        c.send(b"DONE\r\n")
        return c.finish(tag)

    def until(self, c, pattern):
        """The untagged response that an idling session gets, soon."""
        c.sock.settimeout(SOON_S)
        started = time.monotonic()
        while True:
            r = c.response()
            if re.search(pattern, r):
                self.assertLess(time.monotonic() - started, SOON_S)
                return r

    def test_new_mail_wakes_an_idling_session(self):
        tag = self.idle(self.b)
        self.deliver(self.user, mail.made(4))
        self.until(self.b, rb"^\* 4 EXISTS")
        self.assertEqual(self.done(self.b, tag)[0], "OK")
        self.assertTrue(self.b.must("FETCH 4 (UID)"))

    def test_a_flag_that_one_session_sets_wakes_the_other(self):
        tag = self.idle(self.b)
        self.a.must(r"STORE 2 +FLAGS (\Flagged)")
        self.until(self.b, rb"^\* 2 FETCH .*\\Flagged")
        self.done(self.b, tag)

    def test_an_expunge_wakes_the_other_and_renumbers_it(self):
        tag = self.idle(self.b)
        self.a.must(r"STORE 1 +FLAGS.SILENT (\Deleted)")
        self.a.must("EXPUNGE")
        self.until(self.b, rb"^\* 1 EXPUNGE")
        self.done(self.b, tag)
        self.assertIn(b"UID 2", self.b.must("FETCH 1 (UID)")[0])

    def test_a_move_takes_the_message_from_the_other_session(self):
        self.a.must("CREATE Elsewhere")
        tag = self.idle(self.b)
        self.a.must("MOVE 3 Elsewhere")
        self.until(self.b, rb"^\* 3 EXPUNGE")
        self.done(self.b, tag)

    def test_a_pop3_deletion_wakes_an_idling_session(self):
        tag = self.idle(self.b)
        p = self.pop3(self.user)
        p.dele(2)
        p.quit()
        self.until(self.b, rb"^\* 2 EXPUNGE")
        self.done(self.b, tag)

    def test_every_acknowledged_change_is_seen_by_the_next_command_of_the_other(self):
        for i in range(30):
            sign = "+" if i % 2 == 0 else "-"
            self.a.must(rf"STORE 1 {sign}FLAGS (\Flagged)")
            row = [r for r in self.b.must("FETCH 1 (FLAGS)") if b"FLAGS" in r][-1]
            self.assertEqual(b"\\Flagged" in row, sign == "+", (i, row))

    def test_every_appended_message_is_seen_by_the_next_command_of_the_other(self):
        for i in range(20):
            self.a.append("INBOX", mail.made(100 + i))
            untagged = self.b.must("NOOP")
            self.assertIn(b"* %d EXISTS" % (4 + i), untagged, i)

    def test_expunge_is_not_told_during_fetch_store_and_search(self):
        self.a.must(r"STORE 1 +FLAGS.SILENT (\Deleted)")
        self.a.must("EXPUNGE")
        for command in ("FETCH 1:3 (FLAGS)", r"STORE 2 +FLAGS (\Seen)", "SEARCH ALL"):
            status, _, untagged = self.b.ask(command)
            self.assertIn(status, ("OK", "NO"))
            self.assertFalse([r for r in untagged if b"EXPUNGE" in r], command)
        self.assertIn(b"* 1 EXPUNGE", self.b.must("NOOP"))

    def test_content_of_a_message_that_is_gone_is_expungeissued(self):
        self.a.must(r"STORE 1 +FLAGS.SILENT (\Deleted)")
        self.a.must("EXPUNGE")
        status, text, untagged = self.b.ask("FETCH 1 (BODY.PEEK[])")
        self.assertTrue((status == "NO" and "EXPUNGEISSUED" in text) or not [r for r in untagged if b"BODY[]" in r], (status, text))

    def test_a_mailbox_that_is_deleted_ends_its_sessions(self):
        self.a.must("CREATE Doomed")
        self.b.must("SELECT Doomed")
        self.a.must("DELETE Doomed")
        try:
            status, text, untagged = self.b.ask("NOOP")
            self.assertTrue(any(r.startswith(b"* BYE") for r in untagged) or status in ("NO", "OK"), (status, text))
        except Exception as e:  # a BYE and the end
            self.assertIn("Closed", type(e).__name__)

    def test_recent_is_told_to_one_session_only(self):
        self.deliver(self.user, mail.made(9))
        fresh = [self.wire_imap(self.user), self.wire_imap(self.user)]
        counts = []
        for c in fresh:
            rows = c.must("SELECT INBOX")
            counts.append(int(re.search(rb"\* (\d+) RECENT", b"\r\n".join(rows)).group(1)))
        self.assertEqual(counts[1], 0)


if __name__ == "__main__":
    case.main()
