#!/usr/bin/env python3
"""IMAP as Python's imaplib speaks it: mailboxes, messages, flags, searches, copies, and that they outlive a restart."""

import re
import time

import case
import mail


class Mailboxes(case.ServerCase):
    def names(self, c, pattern="*"):
        return [re.search(rb' "?([^"]*)"?$', row).group(1).decode() for row in self.ok(c.list('""', pattern)) if row]

    def test_a_mailbox_is_made_listed_renamed_and_deleted(self):
        self.new_user("boxes")
        c = self.imap("boxes")
        self.ok(c.create("Work"))
        self.ok(c.create("Work/2026/Q4"))
        self.assertIn("Work/2026", self.names(c))
        self.ok(c.rename("Work", "Job"))
        self.assertEqual([n for n in self.names(c) if n.startswith(("Job", "Work"))], ["Job", "Job/2026", "Job/2026/Q4"])
        self.ok(c.delete("Job/2026/Q4"))
        self.assertNotIn("Job/2026/Q4", self.names(c))
        self.assertEqual(c.select("Job/2026/Q4")[0], "NO")

    def test_names_outside_of_ascii_travel_as_modified_utf7(self):
        self.new_user("names")
        c = self.imap("names")
        self.ok(c.create("Entw&APw-rfe"))
        self.ok(c.create('"R&AOk-sum&AOk-s &- more"'))
        self.assertIn("Entw&APw-rfe", self.names(c))
        self.assertIn(self.wire_imap("names").ask('CREATE "Bad&Jo"')[0], ("NO", "BAD"))

    def test_inbox_cannot_be_deleted_and_has_no_case(self):
        c = self.imap("alice")
        self.assertEqual(c.delete("INBOX")[0], "NO")
        self.ok(c.select("inBox"))

    def test_uidvalidity_changes_when_a_name_is_made_anew(self):
        self.new_user("anew")
        c = self.imap("anew")
        seen = []
        for _ in range(2):
            self.ok(c.create("Box"))
            seen.append(int(re.search(rb"UIDVALIDITY (\d+)", self.ok(c.status("Box", "(UIDVALIDITY)"))[0]).group(1)))
            self.ok(c.delete("Box"))
        self.assertLess(seen[0], seen[1])

    def test_rename_of_inbox_moves_its_messages_and_leaves_an_empty_one(self):
        self.new_user("mover")
        self.deliver("mover", mail.made(1))
        c = self.imap("mover")
        self.ok(c.rename("INBOX", "Old"))
        self.assertIn(b"MESSAGES 1", self.ok(c.status("Old", "(MESSAGES)"))[0])
        self.assertIn(b"MESSAGES 0", self.ok(c.status("INBOX", "(MESSAGES)"))[0])

    def test_subscriptions_outlive_their_mailboxes(self):
        self.new_user("subs")
        c = self.imap("subs")
        self.ok(c.create("News"))
        self.ok(c.subscribe("News"))
        self.ok(c.delete("News"))
        self.assertTrue(any(b"News" in row for row in self.ok(c.lsub()) if row))
        self.ok(c.unsubscribe("News"))
        self.assertFalse(any(b"News" in row for row in self.ok(c.lsub()) if row))

    def test_namespace_and_capability_answer_and_logout_says_bye(self):
        c = self.imap("alice")
        self.assertIn(b'(("" "/"))', self.ok(c.namespace())[0])
        for wanted in ("IMAP4REV1", "IDLE", "UIDPLUS", "MOVE", "CONDSTORE", "UNSELECT", "SPECIAL-USE", "LITERAL+", "SASL-IR",
                       "LIST-EXTENDED", "LIST-STATUS", "CHILDREN", "ESEARCH", "NAMESPACE", "ID", "ENABLE"):
            self.assertIn(wanted, c.capabilities)
        self.assertEqual(c.logout()[0], "BYE")


class Messages(case.ServerCase):
    def setUp(self):
        self.user = self.new_user(f"m{int(time.monotonic() * 1e6)}")

    def filled(self, n):
        for i in range(n):
            self.deliver(self.user, mail.made(i))
        return self.imap(self.user, "INBOX")

    def flags(self, c, uid):
        return re.search(rb"FLAGS \(([^)]*)\)", self.ok(c.uid("FETCH", str(uid), "(FLAGS)"))[0]).group(1).split()

    def test_append_keeps_flags_and_date_and_tells_the_uid(self):
        c = self.imap(self.user, "INBOX")
        date = '"17-Jul-1996 02:44:25 -0700"'
        answer = self.ok(c.append("INBOX", r"(\Seen \Flagged $Label1)", date, mail.made(1)))
        uid = int(re.search(rb"APPENDUID \d+ (\d+)", answer[0]).group(1))
        self.assertEqual(set(self.flags(c, uid)) - {b"\\Recent"}, {b"\\Seen", b"\\Flagged", b"$Label1"})
        row = self.ok(c.uid("FETCH", str(uid), "(INTERNALDATE RFC822.SIZE)"))[0]
        when = re.search(rb'INTERNALDATE "([^"]*)"', row).group(1).decode()
        self.assertEqual(time.mktime(time.strptime(when[:20].strip(), "%d-%b-%Y %H:%M:%S")) - _zone_s(when[-5:]),
                         time.mktime(time.strptime("17-Jul-1996 02:44:25", "%d-%b-%Y %H:%M:%S")) - _zone_s("-0700"))

    def test_append_to_a_mailbox_that_is_not_there_says_trycreate(self):
        c = self.imap(self.user)
        status, text = c.append("Nowhere", None, None, mail.made(1))
        self.assertEqual(status, "NO")
        self.assertIn(b"[TRYCREATE]", text[0])

    def test_flags_are_set_added_and_removed(self):
        c = self.filled(3)
        self.ok(c.store("1:3", "+FLAGS", r"(\Seen)"))
        self.ok(c.store("2", "FLAGS", r"(\Answered work)"))
        self.ok(c.store("3", "-FLAGS.SILENT", r"(\Seen)"))
        uids = self.uids(c)
        self.assertIn(b"\\Seen", self.flags(c, uids[0]))
        self.assertEqual(set(self.flags(c, uids[1])) - {b"\\Recent"}, {b"\\Answered", b"work"})
        self.assertNotIn(b"\\Seen", self.flags(c, uids[2]))

    def test_expunge_removes_what_is_deleted_and_uid_expunge_only_what_it_names(self):
        c = self.filled(4)
        uids = self.uids(c)
        self.ok(c.store("1:3", "+FLAGS", r"(\Deleted)"))
        self.ok(c.uid("EXPUNGE", str(uids[1])))
        self.assertEqual(self.uids(c), [uids[0], uids[2], uids[3]])
        self.assertEqual(c.response("EXPUNGE")[1], [b"2"])
        self.assertEqual(self.ok(c.expunge()), [b"1", b"1"])
        self.assertEqual(self.uids(c), [uids[3]])

    def test_copy_and_move_tell_source_and_new_uids(self):
        c = self.filled(3)
        self.ok(c.create("To"))
        c.uid("COPY", "1:*", "To")
        self.assertRegex(c.response("COPYUID")[1][0], rb"^\d+ \S+ 1:3$")
        self.ok(c.uid("MOVE", str(self.uids(c)[0]), "To"))
        self.assertEqual(len(self.uids(c)), 2)
        self.ok(c.select("To"))
        self.assertEqual(self.uids(c), [1, 2, 3, 4])
        self.assertEqual(self.body_of(c, 1), self.body_of(c, 4))

    def test_a_uid_is_never_used_again(self):
        c = self.filled(2)
        self.ok(c.store("1:*", "+FLAGS", r"(\Deleted)"))
        self.ok(c.expunge())
        self.deliver(self.user, mail.made(3))
        self.ok(c.noop())
        self.assertEqual(self.uids(c), [3])

    def test_search_by_flags_texts_sizes_and_sets(self):
        c = self.filled(5)
        self.ok(c.store("2", "+FLAGS", r"(\Flagged)"))
        self.assertEqual(self.uids(c, "FLAGGED"), [2])
        self.assertEqual(self.uids(c, "SUBJECT", '"m 3"'), [4])
        self.assertEqual(self.uids(c, "BODY", '"m 4 xxx"'), [5])
        self.assertEqual(self.uids(c, "HEADER", "X-Marker", "m-0"), [1])
        self.assertEqual(self.uids(c, "NOT", "FLAGGED", "UID", "1:3"), [1, 3])
        self.assertEqual(self.uids(c, "OR", "FLAGGED", "4"), [2, 4])
        self.assertEqual(self.uids(c, "LARGER", "100000"), [])

    def test_close_expunges_and_unselect_does_not(self):
        c = self.filled(2)
        self.ok(c.store("1", "+FLAGS", r"(\Deleted)"))
        self.ok(c.unselect())
        self.ok(c.select("INBOX"))
        self.assertEqual(len(self.uids(c)), 2)
        self.ok(c.close())
        self.ok(c.select("INBOX"))
        self.assertEqual(len(self.uids(c)), 1)

    def test_examine_changes_nothing(self):
        c = self.filled(1)
        self.ok(c.select("INBOX", readonly=True))
        self.ok(c.fetch("1", "(BODY[])"))
        self.assertNotIn(b"\\Seen", self.flags(c, 1))
        self.assertEqual(c._simple_command("STORE", "1", "+FLAGS", r"(\Seen)")[0], "NO")

    def test_fetching_a_body_sets_seen_and_peeking_does_not(self):
        c = self.filled(2)
        self.ok(c.fetch("1", "(BODY.PEEK[])"))
        self.assertNotIn(b"\\Seen", self.flags(c, 1))
        self.ok(c.fetch("1", "(BODY[])"))
        self.assertIn(b"\\Seen", self.flags(c, 1))
        self.ok(c.fetch("2", "(RFC822)"))
        self.assertIn(b"\\Seen", self.flags(c, 2))

    def test_a_large_message_survives_appending_and_fetching(self):
        big = mail.made(1, size=6 * 1024 * 1024)
        c = self.imap(self.user, "INBOX")
        self.ok(c.append("INBOX", None, None, big))
        self.assertEqual(self.body_of(c, 1), big)
        self.assertEqual(self.ok(c.uid("FETCH", "1", "(BODY.PEEK[]<5000000.3000>)"))[0][1], big[5000000:5003000])

    def test_a_message_over_the_limit_is_refused_and_the_session_goes_on(self):
        c = self.wire_imap(self.user)
        tag = c.tag()
        c.send(tag + b" APPEND INBOX {999999999}\r\n")
        status, text, _ = c.finish(tag)
        self.assertEqual(status, "NO")
        self.assertIn("TOOBIG", text.upper())
        c.must("NOOP")


class Restart(case.ServerCase):
    def test_everything_is_there_after_a_drain_and_a_kill(self):
        c = self.imap("alice")
        self.ok(c.create("Kept"))
        self.ok(c.append("Kept", r"(\Flagged)", None, mail.made(1)))
        before = self.ok(c.status("Kept", "(MESSAGES UIDNEXT UIDVALIDITY)"))
        for how in ("drain", "kill"):
            if how == "drain":
                for p in self.server.processes:
                    self.assertEqual(p.terminate(), 0)
            else:
                self.server.kill9()
            self.server.restart()
            c = self.imap("alice")
            self.assertEqual(self.ok(c.status("Kept", "(MESSAGES UIDNEXT UIDVALIDITY)")), before, how)
            self.ok(c.select("Kept"))
            self.assertEqual(self.body_of(c, 1), mail.made(1))


def _zone_s(text):
    return (1 if text[0] == "+" else -1) * (int(text[1:3]) * 3600 + int(text[3:5]) * 60)


if __name__ == "__main__":
    case.main()
