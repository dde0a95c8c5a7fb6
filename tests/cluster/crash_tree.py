"""What the folders of one account must look like when one client alone changes them.

A Tree takes each acknowledged operation with what the server told about it, and refuses what no server may tell (a UID or
UIDVALIDITY again, a MODSEQ that does not ascend). An operation that was under way when the server died is applied to a
copy without a result: the folders must then equal the tree or that copy, nothing between.
"""

import copy


class Wrong(AssertionError):
    """The server told something that it may not, or holds something that it must not."""


class Seen:
    """One mailbox as it was looked at: rows is {uid: (marker, flags, modseq, octets or None)}."""

    def __init__(self, validity, uidnext, highest, rows):
        self.validity = validity
        self.uidnext = uidnext
        self.highest = highest
        self.rows = rows

    def plain(self):
        """For a journal; without the octets."""
        return [self.validity, self.uidnext, self.highest, [[uid, row[0], sorted(row[1]), row[2]] for uid, row in self.rows.items()]]

    @classmethod
    def of_plain(cls, plain):
        rows = {uid: (marker, frozenset(flags), modseq, None) for uid, marker, flags, modseq in plain[3]}
        return cls(*plain[:3], rows)


class Box:
    def __init__(self, floor=0):
        self.floor = floor    # its UIDVALIDITY is above all that were known when it was made
        self.validity = None  # until the server tells it
        self.uidnext = 1
        self.messages = {}    # uid -> (marker, flags)
        self.fresh = []       # (marker, flags) under UIDs that nobody heard of

    def take(self, items, uids):
        if uids is None:
            self.fresh += items
            return
        for uid, item in zip(uids, items):
            if uid < self.uidnext:
                raise Wrong(f"UID {uid} for {item[0]}, but {self.uidnext} was next")
            self.messages[uid] = item
            self.uidnext = uid + 1

    def difference(self, seen, given):
        if self.validity is None:
            if seen.validity <= self.floor or seen.validity in given:
                return f"UIDVALIDITY {seen.validity} of a new mailbox, {self.floor} was given before"
        elif seen.validity != self.validity:
            return f"UIDVALIDITY {seen.validity}, told was {self.validity}"
        if seen.uidnext < self.uidnext:
            return f"UIDNEXT {seen.uidnext}, {self.uidnext} was next"
        old = {uid: row[:2] for uid, row in seen.rows.items() if uid < self.uidnext}
        if old != self.messages:
            uids = sorted(u for u in old.keys() | self.messages.keys() if old.get(u) != self.messages.get(u))
            return ", ".join(f"UID {u} is {shown(old.get(u))}, not {shown(self.messages.get(u))}" for u in uids[:5])
        new = [row[:2] for uid, row in sorted(seen.rows.items()) if uid >= self.uidnext]
        if new != self.fresh:
            return f"new are {[shown(i) for i in new[:5]]}, not {[shown(i) for i in self.fresh[:5]]}"
        return None


def shown(item):
    return "nothing" if item is None else f"{item[0]} ({' '.join(sorted(item[1]))})"


def inside(name, parent):
    return name == parent or name.startswith(parent + "/")


class Tree:
    def __init__(self):
        self.boxes = {}
        self.given = set()  # every UIDVALIDITY that was told
        self.modseq = 0

    def applied(self, op, result=None):
        """A copy with the operation done."""
        other = copy.deepcopy(self)
        other.apply(op, result)
        return other

    def apply(self, op, result):
        getattr(self, "_" + op["op"])(op, result)

    def _told_validity(self, box, result):
        if result is None:
            return
        validity = result["validity"]
        if box.validity is None:
            if validity <= box.floor or validity in self.given:
                raise Wrong(f"UIDVALIDITY {validity} of a new mailbox, {box.floor} was given before")
            box.validity = validity
            self.given.add(validity)
        elif box.validity != validity:
            raise Wrong(f"UIDVALIDITY {validity} told, it was {box.validity}")

    def _append(self, op, result):
        box = self.boxes[op["box"]]
        self._told_validity(box, result)
        box.take([(op["marker"], frozenset(op["flags"]))], result and [result["uid"]])

    def _store(self, op, result):
        messages = self.boxes[op["box"]].messages
        changed = False
        for uid in op["uids"]:
            marker, flags = messages[uid]
            given = frozenset(op["flags"])
            new = flags | given if op["how"] == "+" else flags - given if op["how"] == "-" else given
            changed = changed or new != flags
            messages[uid] = marker, new
        if result is not None and changed:
            if result["modseq"] <= self.modseq:
                raise Wrong(f"MODSEQ {result['modseq']} of a change after {self.modseq}")
            self.modseq = result["modseq"]

    def _copy(self, op, result):
        source, to = self.boxes[op["box"]], self.boxes[op["to"]]
        uids = sorted(op["uids"])
        if result is not None:
            self._told_validity(to, result)
            if result["source"] != uids or len(result["dest"]) != len(uids):
                raise Wrong(f"COPYUID {result['source']} {result['dest']} for {uids}")
        to.take([source.messages[u] for u in uids], result and result["dest"])

    def _move(self, op, result):
        self._copy(op, result)
        for uid in op["uids"]:
            del self.boxes[op["box"]].messages[uid]

    def _expunge(self, op, _result):
        messages = self.boxes[op["box"]].messages
        for uid in op["uids"]:
            if "\\Deleted" in messages[uid][1]:
                del messages[uid]

    def _create(self, op, _result):
        self.boxes[op["box"]] = Box(max(self.given, default=0))

    def _delete(self, op, _result):
        del self.boxes[op["box"]]

    def _rename(self, op, _result):
        for name in [n for n in self.boxes if inside(n, op["box"])]:
            self.boxes[op["to"] + name[len(op["box"]):]] = self.boxes.pop(name)

    def difference(self, seen):
        """None when the mailboxes {name: Seen} are what they must be, else the first difference."""
        if self.boxes.keys() != seen.keys():
            return f"mailboxes are {sorted(seen)}, not {sorted(self.boxes)}"
        for name, box in self.boxes.items():
            text = box.difference(seen[name], self.given)
            if text:
                return f"{name}: {text}"
        return None

    def adopt(self, seen):
        """After a crash: what is there is what counts from here on."""
        for name, box in self.boxes.items():
            s = seen[name]
            box.validity, box.uidnext, box.fresh = s.validity, s.uidnext, []
            box.messages = {uid: row[:2] for uid, row in s.rows.items()}
            self.given.add(s.validity)
            self.modseq = max([self.modseq, s.highest] + [row[2] for row in s.rows.values()])


def decided(tree, op, seen):
    """The tree after an operation that was done or not (None: there was none), by what is there: {name: Seen}. Raises Wrong."""
    text = tree.difference(seen)
    if text and op:
        tree = tree.applied(op)
        other = tree.difference(seen)
        text = other and f"{text}; with {op} done: {other}"
    if text:
        raise Wrong(text)
    tree.adopt(seen)
    return tree
