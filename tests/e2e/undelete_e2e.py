#!/usr/bin/env python3
"""Expunged messages are kept for storage.undelete_retention, come back by `ctl account undelete`, and free their space after it."""

import re
import time

import case
import mail
import pillarbox


class Undeleting(case.ServerCase):
    users = ()

    def append(self, client, octets, mailbox="INBOX", flags="", date='"20-Nov-2026 10:00:00 +0000"'):
        """The UID."""
        return int(re.search(rb"APPENDUID \d+ (\d+)", self.ok(client.append(mailbox, flags, date, octets))[0]).group(1))

    def expunge(self, client, *uids):
        self.ok(client.uid("STORE", ",".join(map(str, uids)), "+FLAGS.SILENT", r"(\Deleted)"))
        self.ok(client.expunge())

    def facts(self, client, uid):
        """What must be as before: flags, dates, ids, octets."""
        found = self.ok(client.uid("FETCH", str(uid), "(FLAGS INTERNALDATE EMAILID THREADID ENVELOPE BODY.PEEK[])"))
        text, octets = found[0][0].decode(), found[0][1]
        text += b" ".join(x for x in found[1:] if isinstance(x, bytes)).decode()
        flags = set(re.search(r"FLAGS \(([^)]*)\)", text).group(1).split()) - {r"\Recent"}
        return flags, re.search(r'INTERNALDATE "([^"]*)"', text).group(1), re.search(r"EMAILID (\S+)", text).group(1), octets

    def undelete(self, user, *options):
        """How many came back."""
        out = self.server.ctl("account", "undelete", user, *options).stdout
        return int(re.fullmatch(r"(\d+) of \d+ messages are back\n", out).group(1))

    def listed(self, user, *options):
        return [line.split("\t") for line in self.server.ctl("account", "undelete", user, "--list", *options).stdout.splitlines()]

    def metric(self, name):
        # Of the storage role, which has no HTTP of its own here when the roles are two processes.
        m = re.search(rf"(?m)^{name} (\d+)$", self.server.get("/metrics")[1])
        return int(m.group(1)) if m else None

    def until(self, what, seconds, why):
        deadline = time.monotonic() + seconds
        while not what():
            self.assertLess(time.monotonic(), deadline, why)
            time.sleep(0.25)


class Kept(Undeleting):
    settings = {"storage.undelete_retention": "1 h"}

    def test_a_message_comes_back_as_it_was(self):
        user = self.new_user("whole")
        c = self.imap("whole", "INBOX")
        octets = mail.made(1, marker="whole")
        uid = self.append(c, octets, flags=r"(\Seen \Flagged $Work)")
        other = self.append(c, mail.made(2, marker="whole"))
        before = self.facts(c, uid)
        watching = self.wire_imap("whole", "INBOX")
        self.expunge(c, uid)
        self.assertEqual(self.uids(c), [other])
        rows = self.listed(user)
        self.assertEqual(len(rows), 1)
        self.assertEqual([rows[0][1]] + rows[0][3:], ["INBOX", str(len(octets)), "sender@example.test", "whole 1"])
        self.assertRegex(rows[0][0], r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$")
        self.assertEqual(self.undelete(user), 1)
        self.assertTrue(any(b" EXISTS" in line for line in watching.must("NOOP")), "a session that is open hears of it")
        self.ok(c.noop())
        back = [u for u in self.uids(c) if u != other]
        self.assertEqual(len(back), 1)
        self.assertGreater(back[0], other, "a new UID")
        self.assertEqual(self.facts(c, back[0]), before)
        self.assertEqual(before[3], octets)
        self.assertEqual(self.listed(user), [])
        self.assertEqual(self.undelete(user), 0)

    def test_what_pop3_deleted_comes_back(self):
        user = self.new_user("popper")
        octets = mail.made(1, marker="popper")
        self.deliver("popper", octets)
        p = self.pop3("popper")
        stored = p.retr(1)[1]
        p.dele(1)
        p.quit()
        p = self.pop3("popper")
        self.assertEqual(p.stat()[0], 0)
        p.quit()
        self.assertEqual(self.undelete(user, "--since", "1 h"), 1)
        p = self.pop3("popper")
        self.assertEqual(p.stat()[0], 1)
        self.assertEqual(p.retr(1)[1], stored)

    def test_a_deleted_mailbox_is_made_anew(self):
        user = self.new_user("folders")
        c = self.imap("folders")
        self.ok(c.create('"Work/Gr&APw-n"'))
        before = []
        for i in range(3):
            self.append(c, mail.made(i, marker="folders"), '"Work/Gr&APw-n"', r"(\Answered)")
        self.ok(c.select('"Work/Gr&APw-n"'))
        before = [self.facts(c, u) for u in self.uids(c)]
        self.ok(c.close())
        self.ok(c.delete('"Work/Gr&APw-n"'))
        self.ok(c.delete("Work"))
        self.until(lambda: len(self.listed(user)) == 3, 30, "the mailbox is purged, its messages are kept")
        self.assertEqual({row[1] for row in self.listed(user, "--mailbox", "Work/Grün")}, {"Work/Grün"})
        self.assertEqual(self.listed(user, "--mailbox", "Work"), [])
        self.assertEqual(self.undelete(user, "--mailbox", "Work/Grün"), 3)
        self.ok(c.select('"Work/Gr&APw-n"'))
        self.assertEqual([self.facts(c, u) for u in self.uids(c)], before)

    def test_times_and_folders_are_chosen(self):
        user = self.new_user("chosen")
        c = self.imap("chosen", "INBOX")
        first = self.append(c, mail.made(1, marker="chosen"))
        second = self.append(c, mail.made(2, marker="chosen"))
        self.expunge(c, first)
        time.sleep(2.1)
        between = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.expunge(c, second)
        self.assertEqual([r[5] for r in self.listed(user, "--until", between)], ["chosen 1"])
        self.assertEqual([r[5] for r in self.listed(user, "--since", between)], ["chosen 2"])
        self.assertEqual(self.listed(user, "--until", "1 h"), [])
        self.assertEqual(self.undelete(user, "--since", between, "--into", "Found/Again"), 1)
        self.ok(c.select('"Found/Again"'))
        self.assertEqual(len(self.uids(c)), 1)
        self.assertEqual([r[5] for r in self.listed(user)], ["chosen 1"])

    def test_kept_mail_is_outside_of_the_quota_and_asks_for_it_to_come_back(self):
        user = self.new_user("full")
        self.server.ctl("user", "quota", user, "20 KiB")
        c = self.imap("full", "INBOX")
        self.expunge(c, self.append(c, mail.made(1, 15000, "full")))
        self.append(c, mail.made(2, 15000, "full"))
        self.assertRegex(self.server.ctl("user", "quota", user).stdout, r"(?m)^expunged\t\d+ bytes in 1 messages")
        r = self.server.ctl("account", "undelete", user, check=False)
        self.assertEqual(r.returncode, 1)
        self.assertIn("quota", r.stderr)
        self.server.ctl("user", "quota", user, "40 KiB")
        self.assertEqual(self.undelete(user), 1)

    def test_thousands_come_back_in_steps(self):
        user = self.new_user("many")
        c = self.imap("many", "INBOX")
        for i in range(10):
            self.append(c, mail.made(i, marker="many"))
        for _ in range(8):
            self.ok(c.copy(f"1:{len(self.uids(c))}", "INBOX"))
            self.ok(c.noop())
        self.assertEqual(len(self.uids(c)), 2560)
        self.expunge(c, "1:*")
        self.assertEqual(len(self.listed(user)), 2560)
        self.assertEqual(self.undelete(user), 2560)
        self.ok(c.noop())
        self.assertEqual(len(self.uids(c)), 2560)

    def test_mistakes_are_said(self):
        user = self.new_user("mistaken")
        for argv, status, words in ((["nobody@example.test"], 1, "not found"), ([], 2, "account undelete"), ([user, "--since", "noon"], 2, "'noon' is no time"),
                                    ([user, "--lst"], 2, "usage"), ([user, "--mailbox", "a//b"], 1, "")):
            r = self.server.ctl("account", "undelete", *argv, check=False)
            self.assertEqual(r.returncode, status, (argv, r.stdout, r.stderr))
            self.assertIn(words, r.stderr)

    def test_a_removed_account_keeps_nothing(self):
        user = self.new_user("leaver")
        c = self.imap("leaver", "INBOX")
        self.expunge(c, self.append(c, mail.made(1, marker="leaver")))
        self.server.ctl("user", "remove", user)
        self.server.add_user("leaver")
        self.assertEqual(self.listed(user), [])


class Retention(Undeleting):
    settings = {"storage.undelete_retention": "20 s"}

    def test_space_is_free_when_the_retention_is_over(self):
        self.server.add_user("space")
        c = self.imap("space", "INBOX")
        self.until(lambda: self.metric("pillarbox_store_used_bytes"), 30, "the metric is there")
        before = self.metric("pillarbox_store_used_bytes")
        uids = [self.append(c, mail.made(i, 2 << 20, "space")) for i in range(12)]
        filled = before + (22 << 20)
        self.until(lambda: self.metric("pillarbox_store_used_bytes") >= filled, 30, "24 MiB are stored")
        start = time.monotonic()
        self.expunge(c, *uids)
        self.until(lambda: self.metric("pillarbox_store_kept_messages") == 12, 10, "they are kept")
        self.assertGreater(self.metric("pillarbox_store_kept_bytes"), 23 << 20)
        while time.monotonic() - start < 15:
            self.append(c, mail.made(0, marker="after"))  # the log goes on: it is not what keeps them
            time.sleep(0.05)
        self.assertEqual(len(self.listed(self.address("space"))), 12)
        self.assertGreaterEqual(self.metric("pillarbox_store_used_bytes"), filled)
        self.until(lambda: self.metric("pillarbox_store_kept_messages") == 0, 30, "they are dropped")
        self.assertEqual(self.listed(self.address("space")), [])
        for i in range(300):
            self.append(c, mail.made(0, marker="after"))  # a sole voter's log: then it has forgotten them
        self.until(lambda: self.metric("pillarbox_store_used_bytes") < before + (8 << 20), 60, "their space is free")


class Pressed(Undeleting):
    settings = {"storage.undelete_retention": "1 h", "storage.map_size": "96 MiB", "storage.reserve": "24 MiB"}

    def test_on_a_full_disk_the_oldest_kept_messages_make_room_for_new_mail(self):
        user = self.server.add_user("pressed")
        c = self.imap("pressed", "INBOX")
        for i in range(20):
            self.expunge(c, self.append(c, mail.made(i, 1 << 20, "kept")))
        self.assertEqual(len(self.listed(user)), 20)
        refused, stored = False, 0
        deadline = time.monotonic() + 120
        while stored < 60 or not refused:
            self.assertLess(time.monotonic(), deadline, f"{stored} stored, {len(self.listed(user))} kept\n{self.server.ctl('status').stdout}")
            if c.append("INBOX", "", None, mail.made(stored, 1 << 20, "new"))[0] == "OK":
                stored += 1
            else:
                refused = True
                time.sleep(0.2)
        left = [r[5] for r in self.listed(user)]
        self.assertLess(len(left), 20)
        self.assertEqual(left, [f"kept {i}" for i in range(20)][20 - len(left):], "the oldest went")
        self.ok(c.noop())
        self.assertEqual(len(self.uids(c)), stored)


class Restarted(Undeleting):
    settings = {"storage.undelete_retention": "1 h"}

    def test_it_outlives_a_crash_and_a_lower_retention_lets_go(self):
        user = self.server.add_user("crash")
        c = self.imap("crash", "INBOX")
        self.expunge(c, self.append(c, mail.made(1, marker="crash")), self.append(c, mail.made(2, marker="crash")))
        self.server.kill9()
        status, report = self.server.check()
        self.assertEqual(status, 0, report)
        self.server.restart()
        self.assertEqual(len(self.listed(user)), 2)
        self.server.kill9()
        del self.server.settings["storage.undelete_retention"]
        self.server.restart()
        self.until(lambda: not self.listed(user), 30, "retention 0 lets go of what was kept")
        self.server.kill9()
        status, report = self.server.check()
        self.assertEqual(status, 0, report)
        self.server.restart()


class Off(Undeleting):
    def test_nothing_is_kept_by_default(self):
        user = self.server.add_user("off")
        c = self.imap("off", "INBOX")
        self.expunge(c, self.append(c, mail.made(1, marker="off")))
        self.ok(c.create("Gone"))
        self.append(c, mail.made(2, marker="off"), "Gone")
        self.ok(c.delete("Gone"))
        time.sleep(3)
        self.assertEqual(self.listed(user), [])
        self.assertEqual(self.undelete(user), 0)
        self.assertNotIn("expunged", self.server.ctl("user", "quota", user).stdout)


if __name__ == "__main__":
    case.main()
