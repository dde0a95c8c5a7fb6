#!/usr/bin/env python3
"""The checker of the crash tests, checked: it is silent about a history that is right, and names every forgery of it."""

import unittest

from crash_ledger import Ledger, message
from crash_tree import Seen, Tree, Wrong

NONE = frozenset()
SEEN = frozenset({"\\Seen"})
# A delivery to two users, an APPEND, two deliveries that POP3 deletes, one that was not answered, one that was refused.
EVENTS = [
    ["sent", "lmtp.0", ["ann", "bob"]], ["acked", "lmtp.0", ["ann"]], ["acked", "lmtp.0", ["bob"]],
    ["sent", "appe.1", ["ann"]], ["acked", "appe.1", ["ann"]], ["told", "appe.1", "ann", 7, 2],
    ["sent", "smtp.2", ["bob"]], ["acked", "smtp.2", ["bob"]], ["sent", "smtp.3", ["bob"]], ["acked", "smtp.3", ["bob"]],
    ["sent", "lmtp.4", ["ann"]], ["sent", "lmtp.5", ["bob"]], ["refused", "lmtp.5", ["bob"], "452 full"],
    ["quit", "bob", ["smtp.2", "smtp.3"]],
]
FOLDERS = [
    ["do", "ann", {"op": "create", "box": "A"}], ["done", "ann", {}],
    ["do", "ann", {"op": "create", "box": "B"}], ["done", "ann", {}],
    ["do", "ann", {"op": "append", "box": "A", "marker": "tree.0", "flags": []}], ["done", "ann", {"validity": 8, "uid": 1}],
    ["do", "ann", {"op": "append", "box": "A", "marker": "tree.1", "flags": []}], ["done", "ann", {"validity": 8, "uid": 2}],
    ["do", "ann", {"op": "store", "box": "A", "uids": [1], "how": "+", "flags": ["\\Seen"]}], ["done", "ann", {"modseq": 5}],
]
MOVE = ["do", "ann", {"op": "move", "box": "A", "uids": [1], "to": "B"}]


def octets(marker):
    trace = b"Return-Path: <x>\r\nReceived: by y\r\n\tz; now\r\n" if marker.startswith(("lmtp", "smtp")) else b""
    return trace + message(marker)


def row(marker, flags=NONE, modseq=1):
    return marker, flags, modseq, octets(marker)


def look():
    return {("ann", "INBOX"): Seen(7, 3, 3, {1: row("lmtp.0"), 2: row("appe.1", modseq=2)}),
            ("ann", "A"): Seen(8, 3, 5, {1: row("tree.0", SEEN, 5), 2: row("tree.1", modseq=4)}),
            ("ann", "B"): Seen(9, 1, 5, {}),
            ("bob", "INBOX"): Seen(7, 5, 9, {1: row("lmtp.0"), 2: row("smtp.2", modseq=2), 3: row("smtp.3", modseq=3)})}


class Checker(unittest.TestCase):
    def setUp(self):
        self.ledger = Ledger(["ann", "bob"], ["ann"])
        self.look = look()

    def judge(self, events=EVENTS, more=()):
        self.ledger.take(events)
        self.ledger.take(FOLDERS + list(more))
        return self.ledger.judge(self.look)

    def right(self, **kw):
        self.assertEqual(self.judge(**kw), ([], []))

    def wrong(self, text, **kw):
        self.judge(**kw)
        self.still_wrong(text)

    def still_wrong(self, text):
        complaints, _ = self.ledger.judge(self.look)
        self.assertTrue(any(text in c for c in complaints), complaints)

    def rows(self, user="ann", box="INBOX"):
        return self.look[user, box].rows

    # --- what is right ---

    def test_a_right_history_is_right(self):
        self.right()

    def test_what_was_not_acknowledged_may_be_there_once(self):
        self.look["ann", "INBOX"].uidnext = 4
        self.rows()[3] = row("lmtp.4", modseq=3)
        self.right()

    def test_an_unanswered_quit_may_have_deleted_all(self):
        del self.rows("bob")[2], self.rows("bob")[3]
        self.right()
        self.ledger.settle(self.look)
        self.rows("bob")[2] = row("smtp.2", modseq=2)
        self.still_wrong("deleted by POP3")

    def test_a_refused_quit_deleted_nothing(self):
        events = EVENTS + [["quit-no", "bob", "-ERR [SYS/TEMP] full"], ["quit", "bob", ["smtp.3"]], ["quit-ok", "bob"]]
        del self.rows("bob")[3]
        self.right(events=events)
        del self.rows("bob")[2]
        self.assertEqual(self.ledger.judge(self.look), ([], [("smtp.2", "bob")]))

    def test_an_operation_under_way_may_have_happened_or_not(self):
        self.right(more=[MOVE])
        self.look["ann", "A"].rows.pop(1)
        self.look["ann", "B"] = Seen(9, 2, 6, {1: row("tree.0", SEEN, 6)})
        self.assertEqual(self.ledger.judge(self.look), ([], []))
        self.ledger.settle(self.look)
        self.assertEqual(list(self.ledger.trees["ann"].boxes["B"].messages), [1])

    def test_without_a_majority_what_was_refused_may_be_there_once(self):
        self.ledger.in_doubt = True
        self.look["bob", "INBOX"].uidnext = 5
        self.rows("bob")[4] = row("lmtp.5", modseq=4)
        self.right()
        self.look["bob", "INBOX"].uidnext = 6
        self.rows("bob")[5] = row("lmtp.5", modseq=5)
        self.still_wrong("lmtp.5 is 2 times")

    def test_without_a_majority_a_refused_quit_deleted_all_or_nothing(self):
        self.ledger.in_doubt = True
        del self.rows("bob")[2]
        self.wrong("done by half", events=EVENTS + [["quit-no", "bob", "-ERR [SYS/TEMP] later"]])
        del self.rows("bob")[3]
        self.assertEqual(self.ledger.judge(self.look), ([], []))

    def test_without_a_majority_a_refused_flag_is_there_or_not(self):
        self.ledger.in_doubt = True
        stored = [["flag", "ann", 7, 2, ["\\Seen"]], ["unflagged", "ann", 7, 2, "[UNAVAILABLE] later"]]
        self.right(events=EVENTS + stored)
        self.look["ann", "INBOX"].highest = 4
        self.rows()[2] = row("appe.1", SEEN, 4)
        self.assertEqual(self.ledger.judge(self.look), ([], []))

    def moved(self, done):
        """A MOVE that was refused, and what was found then."""
        rows = {"A": [[2, "tree.1", [], 4]], "B": [[1, "tree.0", ["\\Seen"], 6]]}
        if not done:
            rows = {"A": [[1, "tree.0", ["\\Seen"], 5], [2, "tree.1", [], 4]], "B": []}
        found = {"A": [8, 3, 6, rows["A"]], "B": [9, 2 if done else 1, 6, rows["B"]]}
        for box, plain in found.items():
            self.look["ann", box] = Seen(*plain[:3], {uid: row(m, frozenset(f), modseq) for uid, m, f, modseq in plain[3]})
        return [MOVE, ["doubt", "ann", "[UNAVAILABLE] later"], ["found", "ann", found]]

    def test_what_was_found_after_a_refusal_counts_from_then_on(self):
        flag = [["do", "ann", {"op": "store", "box": "B", "uids": [1], "how": "=", "flags": []}], ["done", "ann", {"modseq": 7}]]
        more = self.moved(True) + flag
        self.look["ann", "B"].rows[1] = row("tree.0", NONE, 7)
        self.look["ann", "B"].highest = 7
        self.right(more=more)

    def test_a_refused_operation_may_not_have_happened(self):
        self.right(more=self.moved(False))

    # --- what is wrong ---

    def test_a_refused_move_done_by_half(self):
        more = self.moved(False)
        more[-1][2]["B"] = [9, 2, 6, [[1, "tree.0", ["\\Seen"], 6]]]
        self.wrong("after move was refused", more=more)

    def test_a_refused_operation_that_happens_after_it_was_looked_for(self):
        more = self.moved(False)
        self.moved(True)
        self.wrong("UID 1 is nothing, not tree.0", more=more)

    def test_lost_acknowledged_mail_is_missing(self):
        del self.rows()[1]
        self.assertEqual(self.judge()[1], [("lmtp.0", "ann")])

    def test_mail_twice(self):
        self.look["ann", "INBOX"].uidnext = 4
        self.rows()[3] = row("lmtp.0", modseq=3)
        self.wrong("lmtp.0 is 2 times")

    def test_refused_mail_that_is_there(self):
        self.look["bob", "INBOX"].uidnext = 5
        self.rows("bob")[4] = row("lmtp.5", modseq=4)
        self.wrong("was refused for bob and is there")

    def test_mail_for_somebody_else(self):
        self.look["bob", "INBOX"].uidnext = 5
        self.rows("bob")[4] = row("appe.1", modseq=4)
        self.wrong("never sent to bob")

    def test_one_octet_changed(self):
        marker, flags, modseq, body = self.rows()[1]
        self.rows()[1] = marker, flags, modseq, body[:-3] + b"y\r\n"
        self.wrong("came back changed")

    def test_an_octet_too_few(self):
        marker, flags, modseq, body = self.rows()[2]
        self.rows()[2] = marker, flags, modseq, body[:-1]
        self.wrong("came back changed")

    def test_a_quit_done_by_half(self):
        del self.rows("bob")[2]
        self.wrong("done by half")

    def test_a_completed_quit_that_deleted_nothing(self):
        self.wrong("deleted by POP3 and is there", events=EVENTS + [["quit-ok", "bob"]])

    def test_an_append_at_another_uid(self):
        self.rows()[2] = row("lmtp.4", modseq=2)
        self.wrong("UID 2 is lmtp.4, APPENDUID said appe.1")

    def test_another_uidvalidity(self):
        self.look["ann", "INBOX"].validity = 10
        self.wrong("APPENDUID said 7")
        self.look["ann", "A"].validity = 10
        self.still_wrong("told was 8")

    def test_a_uid_that_becomes_another_message_or_is_used_again(self):
        self.right()
        self.rows("bob")[2] = row("smtp.3", modseq=2)
        self.rows("bob")[3] = row("smtp.2", modseq=3)
        self.rows("bob")[4] = row("lmtp.4", modseq=4)
        complaints, _ = self.ledger.judge(self.look)
        self.assertTrue(any("UID 2 is smtp.3, it was smtp.2" in c for c in complaints), complaints)
        self.assertTrue(any("UID 4 came after UIDNEXT 5" in c for c in complaints), complaints)

    def test_a_message_that_comes_back(self):
        self.right()
        gone = self.rows("bob").pop(2)
        self.ledger.judge(self.look)
        self.rows("bob")[2] = gone
        self.assertIn("bob INBOX: UID 2 was gone and is back", self.ledger.judge(self.look)[0])

    def test_counters_that_go_back(self):
        self.right()
        self.look["bob", "INBOX"].uidnext = 4
        self.look["bob", "INBOX"].highest = 8
        complaints, _ = self.ledger.judge(self.look)
        self.assertIn("bob INBOX: UIDNEXT 4 after 5", complaints)
        self.assertIn("bob INBOX: HIGHESTMODSEQ 8 after 9", complaints)

    def test_flags_that_change_without_a_modseq(self):
        self.right()
        self.rows("bob")[2] = row("smtp.2", SEEN, 2)
        self.assertIn("bob INBOX: UID 2 has MODSEQ 2 after 2", self.ledger.judge(self.look)[0])

    def test_a_modseq_above_the_highest(self):
        self.rows()[1] = row("lmtp.0", modseq=4)
        self.wrong("above HIGHESTMODSEQ")

    def test_an_acknowledged_flag_that_is_gone(self):
        self.rows(box="A")[1] = row("tree.0", NONE, 5)
        self.wrong("UID 1 is tree.0 (), not tree.0 (\\Seen)")

    def test_flags_of_an_inbox_are_as_acknowledged_or_as_under_way(self):
        stored = [["flag", "ann", 7, 2, ["\\Seen"]], ["flagged", "ann", 7, 2], ["flag", "ann", 7, 2, ["\\Draft"]]]
        self.wrong("UID 2 has [], not ['\\\\Seen'] or ['\\\\Draft']", events=EVENTS + stored)
        for right in (SEEN, frozenset({"\\Draft"})):
            self.look["ann", "INBOX"].highest = self.look["ann", "INBOX"].highest + 1
            self.rows()[2] = row("appe.1", right, self.look["ann", "INBOX"].highest)
            self.assertEqual(self.ledger.judge(self.look), ([], []))
        self.ledger.settle(self.look)
        self.rows()[2] = row("appe.1", SEEN, 9)
        self.still_wrong("not ['\\\\Draft']")

    def test_a_folder_too_few_or_too_many(self):
        b = self.look.pop(("ann", "B"))
        self.wrong("mailboxes are ['A'], not ['A', 'B']")
        self.look["ann", "B"] = self.look["ann", "C"] = b
        self.still_wrong("mailboxes are ['A', 'B', 'C']")

    def test_a_move_done_by_half(self):
        self.look["ann", "B"] = Seen(9, 2, 6, {1: row("tree.0", SEEN, 6)})
        self.wrong("with {'op': 'move'", more=[MOVE])

    def test_an_account_whose_inbox_is_gone(self):
        del self.look["bob", "INBOX"]
        self.wrong("bob has no INBOX")


class Told(unittest.TestCase):
    """What no server may tell is refused at once."""

    def setUp(self):
        self.tree = Tree()
        for _, _, op, result in [a + b[2:] for a, b in zip(FOLDERS[::2], FOLDERS[1::2])]:
            self.tree.apply(op, result)

    def refused(self, op, result):
        with self.assertRaises(Wrong):
            self.tree.apply(op, result)

    def test_a_uid_again(self):
        self.refused({"op": "append", "box": "A", "marker": "tree.2", "flags": []}, {"validity": 8, "uid": 2})

    def test_a_uidvalidity_again(self):
        self.tree.apply({"op": "delete", "box": "A"}, {})
        self.tree.apply({"op": "create", "box": "A"}, {})
        self.refused({"op": "append", "box": "A", "marker": "tree.2", "flags": []}, {"validity": 8, "uid": 1})

    def test_a_modseq_that_does_not_ascend(self):
        self.refused({"op": "store", "box": "A", "uids": [2], "how": "+", "flags": ["\\Seen"]}, {"modseq": 5})

    def test_copies_of_something_else(self):
        self.refused({"op": "copy", "box": "A", "uids": [1, 2], "to": "B"}, {"validity": 9, "source": [1], "dest": [1]})


if __name__ == "__main__":
    unittest.main()
