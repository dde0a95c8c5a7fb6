"""What clients sent and were told, and the comparison of that with what a server holds.

A client writes a Journal: one line of JSON before each command and one after its answer, so that it is always known what
was acknowledged and what was merely under way when the server died. The Ledger reads the journals of all rounds and judges
a look at the server ({(user, mailbox): Seen}). Nothing here talks to a server: crash_selftest.py feeds it forgeries.

    ["sent", MARKER, [USER...]]             a delivery or an APPEND to INBOX begins
    ["acked", MARKER, [USER...]]            250, OK
    ["refused", MARKER, [USER...], TEXT]    any other answer
    ["told", MARKER, USER, VALIDITY, UID]   APPENDUID
    ["flag", USER, VALIDITY, UID, FLAGS]    a STORE of FLAGS to a message of INBOX begins
    ["flagged", USER, VALIDITY, UID], ["unflagged", USER, VALIDITY, UID, TEXT]
    ["quit", USER, [MARKER...]]             POP3 QUIT begins with these marked
    ["quit-ok", USER], ["quit-no", USER, TEXT]
    ["do", USER, OP], ["done", USER, RESULT], ["no", USER, TEXT]    an operation on folders, crash_tree.py
    ["doubt", USER, TEXT], ["found", USER, {MAILBOX: SEEN}]     one that was refused and may be done; the folders after it
    ["ended", NAME, WHY]
"""

import json

import mail
from crash_tree import Box, Seen, Tree, Wrong, decided


class Journal:
    def __init__(self, path):
        self.file = open(path, "a", buffering=1)

    def __call__(self, *event):
        self.file.write(json.dumps(event) + "\n")


def size_of(number):
    """Mostly small; some that fill an entry; some that are staged."""
    return 300000 if number % 40 == 39 else 60000 if number % 10 == 9 else 2000


def message(marker):
    """The octets of a message, from its marker "NAME.NUMBER" alone."""
    name, number = marker.rsplit(".", 1)
    return mail.made(int(number), size_of(int(number)), name)


def delivered(marker):
    return marker.startswith(("lmtp", "smtp"))


class History:
    """What one mailbox (by its UIDVALIDITY) was seen to hold, over all looks."""

    def __init__(self):
        self.uidnext = 1
        self.highest = 0
        self.markers = {}  # uid -> marker, also of messages that are gone
        self.last = {}     # uid -> (flags, modseq) at the last look

    def judge(self, seen):
        if seen.uidnext < self.uidnext:
            yield f"UIDNEXT {seen.uidnext} after {self.uidnext}"
        if seen.highest < self.highest:
            yield f"HIGHESTMODSEQ {seen.highest} after {self.highest}"
        for uid, (marker, flags, modseq, _) in seen.rows.items():
            known = self.markers.get(uid)
            if known is None and uid < self.uidnext:
                yield f"UID {uid} came after UIDNEXT {self.uidnext}: used again"
            if known is not None and known != marker:
                yield f"UID {uid} is {marker}, it was {known}"
            if known is not None and uid not in self.last:
                yield f"UID {uid} was gone and is back"
            had, at = self.last.get(uid, (flags, 0))
            if modseq < at or (flags != had and modseq == at):
                yield f"UID {uid} has MODSEQ {modseq} after {at}"
            if uid < seen.uidnext and modseq > seen.highest:
                yield f"UID {uid} has MODSEQ {modseq} above HIGHESTMODSEQ {seen.highest}"

    def take(self, seen):
        self.uidnext, self.highest = seen.uidnext, seen.highest
        self.markers.update({uid: row[0] for uid, row in seen.rows.items()})
        self.last = {uid: (row[1], row[2]) for uid, row in seen.rows.items()}


class Ledger:
    def __init__(self, users, tree_users=()):
        self.users = users
        self.sent = {}       # marker -> users
        self.acked = set()   # (marker, user)
        self.refused = {}    # (marker, user) -> text
        self.told = {}       # (user, validity, uid) -> marker
        self.flags = {}      # (user, validity, uid) -> flags that may be there: as acknowledged, then as under way
        self.removed = set()  # (marker, user), by a QUIT that was answered or found done
        self.quits = []      # (user, markers): QUITs without an answer
        self.trees = {u: Tree() for u in tree_users}
        self.pending = {}    # user -> operation under way
        self.history = {}    # (user, validity) -> History
        self.problems = []   # what the server told and may not
        self.refusals = []   # texts, every protocol
        self.in_doubt = False  # what is refused may be done: there was no majority, the one that comes back decides
        self.ended = {}
        self.counts = {}     # operations that were acknowledged, by name

    # --- reading ---

    def read(self, path):
        with open(path) as f:
            self.take([json.loads(line) for line in f])

    def take(self, events):
        """One client's journal of one round."""
        quit_now = None
        for what, *args in events:
            if what == "quit":
                quit_now = args[0], args[1]
            elif what == "quit-ok":
                self.removed |= {(m, quit_now[0]) for m in quit_now[1]}
                if quit_now[1]:
                    self._count("quit")
                quit_now = None
            elif what == "quit-no":
                self.refusals.append(args[1])
                if self.in_doubt:
                    self.quits.append(quit_now)
                quit_now = None  # nothing is deleted otherwise: the next QUIT may have the same marked
            else:
                getattr(self, "_" + what)(*args)
        if quit_now:
            self.quits.append(quit_now)

    def _count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    def _sent(self, marker, users):
        self.sent[marker] = users

    def _acked(self, marker, users):
        self.acked |= {(marker, u) for u in users}
        self._count(marker[:4])

    def _refused(self, marker, users, text):
        if not self.in_doubt:
            self.refused.update({(marker, u): text for u in users})
        self.refusals.append(text)

    def _told(self, marker, user, validity, uid):
        if self.told.setdefault((user, validity, uid), marker) != marker:
            self.problems.append(f"APPENDUID {uid} of {user} for {marker} and for {self.told[user, validity, uid]}")

    def _flag(self, user, validity, uid, flags):
        self.flags.setdefault((user, validity, uid), [frozenset()]).append(frozenset(flags))

    def _flagged(self, user, validity, uid):
        del self.flags[user, validity, uid][:-1]
        self._count("flag")

    def _unflagged(self, user, validity, uid, text):
        if not self.in_doubt:
            self.flags[user, validity, uid].pop()
        self.refusals.append(text)

    def _do(self, user, op):
        self.pending[user] = op

    def _done(self, user, result):
        op = self.pending.pop(user)
        try:
            self.trees[user].apply(op, result)
            self._count(op["op"])
        except Wrong as e:
            self.problems.append(f"{user}, {op['op']}: {e}")

    def _no(self, user, text):
        self.refusals.append(text)
        del self.pending[user]

    def _doubt(self, _user, text):
        self.refusals.append(text)

    def _found(self, user, boxes):
        op = self.pending.pop(user)
        try:
            self.trees[user] = decided(self.trees[user], op, {box: Seen.of_plain(s) for box, s in boxes.items()})
        except Wrong as e:
            self.problems.append(f"{user}, after {op['op']} was refused: {e}")

    def _ended(self, _name, why):
        self.ended[why] = self.ended.get(why, 0) + 1

    # --- judging ---

    def begin(self, look):
        """The mailboxes that new accounts have, all empty."""
        for user, box in look:
            if user in self.trees and box != "INBOX":
                self.trees[user].boxes[box] = Box()
        self.settle(look)

    def judge(self, look):
        """(what is wrong, what is acknowledged and not there: handoffs between shards take a moment)."""
        wrong = list(self.problems)
        count = {}
        for (user, box), seen in look.items():
            known = self.history.setdefault((user, seen.validity), History())
            wrong += [f"{user} {box}: {text}" for text in known.judge(seen)]
            wrong += [f"{user} {box}: {text}" for text in self._contents(seen)]
            if box == "INBOX":
                for marker, *_ in seen.rows.values():
                    count[marker, user] = count.get((marker, user), 0) + 1
            elif user not in self.trees and seen.rows:
                wrong.append(f"{user} {box}: {len(seen.rows)} messages that nobody put there")
            known.take(seen)
        for user in self.users:
            if (user, "INBOX") not in look:
                wrong.append(f"{user} has no INBOX")
        wrong += [*self._mail(count), *self._told_uids(look), *self._stored(look), *self._quits(count)]
        for user in self.trees:
            wrong += self._tree(user, look)
        in_doubt = {(m, user) for user, markers in self.quits for m in markers}
        return wrong, sorted(self.acked - self.removed - in_doubt - count.keys())

    def _contents(self, seen):
        for uid, (marker, _, _, octets) in seen.rows.items():
            if octets is not None:
                got = mail.strip_trace(octets, 2) if delivered(marker) else octets
                if got != message(marker):
                    yield f"UID {uid}: {marker} came back changed"

    def _mail(self, count):
        for (marker, user), n in count.items():
            if user not in self.sent.get(marker, ()):
                yield f"{marker} was never sent to {user}"
            if n > 1:
                yield f"{marker} is {n} times in the INBOX of {user}"
            if (marker, user) in self.removed:
                yield f"{marker} of {user} was deleted by POP3 and is there"
            if (marker, user) in self.refused:
                yield f"{marker} was refused for {user} and is there: {self.refused[marker, user]}"

    def _told_uids(self, look):
        for (user, validity, uid), marker in self.told.items():
            seen = look.get((user, "INBOX"))
            if seen is None or (marker, user) in self.removed:
                continue
            if seen.validity != validity:
                yield f"{user} INBOX: UIDVALIDITY {seen.validity}, APPENDUID said {validity}"
            elif uid in seen.rows and seen.rows[uid][0] != marker:
                yield f"{user} INBOX: UID {uid} is {seen.rows[uid][0]}, APPENDUID said {marker}"
            elif uid not in seen.rows and uid < seen.uidnext and any(r[0] == marker for r in seen.rows.values()):
                yield f"{user} INBOX: {marker} is not at UID {uid} as APPENDUID said"

    def _stored(self, look):
        for (user, validity, uid), allowed in self.flags.items():
            seen = look.get((user, "INBOX"))
            if seen and seen.validity == validity and uid in seen.rows and seen.rows[uid][1] not in allowed:
                yield f"{user} INBOX: UID {uid} has {sorted(seen.rows[uid][1])}, not {' or '.join(str(sorted(f)) for f in allowed)}"

    def _quits(self, count):
        for user, marked in self.quits:
            markers = [m for m in marked if (m, user) not in self.removed]  # by another QUIT
            there = [m for m in markers if (m, user) in count]
            if there and len(there) < len(markers):
                yield f"a QUIT of {user} was done by half: {len(there)} of {len(markers)} are left"

    def _tree(self, user, look):
        seen = {box: s for (u, box), s in look.items() if u == user and box != "INBOX"}
        text = self.trees[user].difference(seen)
        if text and user in self.pending:
            other = self.trees[user].applied(self.pending[user]).difference(seen)
            text = other and f"{text}; with {self.pending[user]} done: {other}"
        return [f"{user}: {text}"] if text else []

    def settle(self, look):
        """The look is right: what was in doubt is decided now."""
        count = {(row[0], u) for (u, box), s in look.items() if box == "INBOX" for row in s.rows.values()}
        for user, markers in self.quits:
            self.removed |= {(m, user) for m in markers if (m, user) not in count}
        self.quits = []
        for (user, validity, uid), allowed in self.flags.items():
            seen = look[user, "INBOX"]
            if seen.validity == validity and uid in seen.rows:
                allowed[:] = [seen.rows[uid][1]]
        for user, tree in self.trees.items():
            seen = {box: s for (u, box), s in look.items() if u == user and box != "INBOX"}
            self.trees[user] = decided(tree, self.pending.get(user), seen)
        self.pending = {}
