"""The client processes of the crash tests. Each keeps a journal (crash_ledger.py) and ends when its connection is lost.

LMTP and SMTP deliver into the INBOX of all users; one client appends there; one POP3 client deletes from one of them. Tree
clients have all other folders of an account to themselves, so that the ledger knows exactly what must be in them.
"""

import json
import multiprocessing
import os
import random
import re
import time

from crash_ledger import Journal, message
from crash_look import look_at_box, mailboxes
from crash_tree import Wrong, decided, inside
from wire import Closed, Imap, Pop3, Smtp

DOMAIN = "example.test"
USERS = ["crash0", "crash1", "crash2", "crash3"]
TREE_USERS = ["crash2", "crash3"]
POP_USER = "crash1"
OPERATIONS_MAX = 100000
REFUSED_PAUSE_S = 0.02
TREE_MESSAGES_MAX = 60
FLAGS = ["\\Seen", "\\Answered", "\\Flagged", "\\Draft", "\\Deleted", "$work", "$later"]
LOST = (Closed, OSError, EOFError)
ACKNOWLEDGED = ('["acked"', '["done"', '["quit-ok"')
REFUSED = ('["refused"', '["unflagged"', '["no"', '["doubt"', '["quit-no"')
_stopping = None  # an Event: the load ends although its server lives
_in_doubt = False  # what is refused may be done


def numbers():
    """0, 1, 2 ... until the load is told to stop."""
    for i in range(OPERATIONS_MAX):
        if _stopping is not None and _stopping.is_set():
            return
        yield i


def address(user):
    return f"{user}@{DOMAIN}"


def password(user):
    return f"pw-{user}"


def look(server, ledger, whole):
    """{(user, mailbox): Seen} of everything there is. Bodies of what was not seen before, or of all."""
    out = {}
    for user in USERS:
        def known(validity, user=user):
            history = None if whole else ledger.history.get((user, validity))
            return history.markers if history else {}
        c = Imap(server.ports["imap"])
        c.login(address(user), password(user))
        out.update({(user, box): look_at_box(c, box, known) for box in mailboxes(c)})
        c.close()
    return out


# --- deliveries ---

def recipients(number):
    """One, two in different shards, or all."""
    if number % 20 == 7:
        return USERS
    return [USERS[number % 4], USERS[(number + 1) % 4]] if number % 5 == 0 else [USERS[number % 4]]


def transaction(c, marker, to, journal):
    """One message. LMTP answers for each recipient (RFC 2033, 4.2), SMTP once."""
    lmtp = marker.startswith("lmtp")
    c.send("MAIL FROM:<load@example.test>\r\n" + "".join(f"RCPT TO:<{address(u)}>\r\n" for u in to) + "DATA\r\n")
    replies = [c.reply() for _ in range(len(to) + 2)]
    taken = [u for u, (code, _) in zip(to, replies[1:-1]) if code == 250]
    for user in [u for u in to if u not in taken]:
        journal("refused", marker, [user], replies[1 + to.index(user)][1][-1])
    if replies[-1][0] != 354:
        if taken:
            journal("refused", marker, taken, replies[-1][1][-1])
        return c.ask("RSET")[0] == 250 and False
    c.send(message(marker) + b".\r\n")
    for group in [[u] for u in taken] if lmtp else [taken]:
        code, lines = c.reply()
        if code == 250:
            journal("acked", marker, group)
        else:
            journal("refused", marker, group, lines[-1])
    return code == 250


def deliver_client(listener, verb):
    def run(ports, name, journal, _tree, _rng):
        c = Smtp.greeted(ports[listener], verb)
        for i in numbers():
            marker = f"{name}.{i}"
            to = recipients(i)
            journal("sent", marker, to)
            if not transaction(c, marker, to, journal):
                time.sleep(REFUSED_PAUSE_S)
    return run


def flag(c, journal, user, validity, uid, rng):
    flags = sorted(rng.sample(FLAGS, rng.randint(0, 2)))
    journal("flag", user, validity, uid, flags)
    status, text, _ = c.ask(f"UID STORE {uid} FLAGS ({' '.join(flags)})")
    if status == "OK":
        journal("flagged", user, validity, uid)
    else:
        journal("unflagged", user, validity, uid, text)


def append_client(ports, name, journal, _tree, rng):
    """Appends to an INBOX where deliveries arrive too, and sets flags there."""
    user, held = USERS[0], []
    c = Imap(ports["imap"])
    c.login(address(user), password(user))
    c.must("SELECT INBOX")
    for i in numbers():
        marker = f"{name}.{i}"
        octets = message(marker)
        journal("sent", marker, [user])
        status, text, _ = c.ask(b"APPEND INBOX {%d+}\r\n" % len(octets) + octets)
        if status != "OK":
            journal("refused", marker, [user], text)
            time.sleep(REFUSED_PAUSE_S)
            continue
        validity, uid = map(int, re.search(r"APPENDUID (\d+) (\d+)", text).groups())
        journal("acked", marker, [user])
        journal("told", marker, user, validity, uid)
        if i % 2 == 0:
            held.append(uid)
            flag(c, journal, user, validity, rng.choice(held[-20:]), rng)


# --- POP3 ---

def pop_login(ports, user):
    """A session in the transaction state, or None: the lock of a session that was dropped takes a moment."""
    c = Pop3(ports["pop3"])
    c.line()
    if c.ask(f"USER {address(user)}").startswith(b"+OK") and c.ask(f"PASS {password(user)}").startswith(b"+OK"):
        return c
    c.close()
    return None


def pop_mark(c, rng):
    """Marks some messages; their markers."""
    total = int(c.ask("STAT").split()[1])
    markers = []
    for number in sorted(rng.sample(range(1, total + 1), min(total, rng.randint(0, 12)))):
        if not c.ask(f"TOP {number} 0").startswith(b"+OK"):
            continue
        name, count = re.search(rb"\nX-Marker: (\S+)-(\d+)", b"\n".join(c.lines())).groups()
        if c.ask(f"DELE {number}").startswith(b"+OK"):
            markers.append(f"{name.decode()}.{count.decode()}")
    return markers


def pop_client(ports, _name, journal, _tree, rng):
    for _ in numbers():
        c = pop_login(ports, POP_USER)
        if c is None:
            time.sleep(REFUSED_PAUSE_S)
            continue
        markers = pop_mark(c, rng)
        if not markers:
            time.sleep(REFUSED_PAUSE_S)
        how = rng.random()
        if how < 0.1:
            c.close()  # deletes nothing
            continue
        if how < 0.2:
            markers = [] if c.ask("RSET").startswith(b"+OK") else markers
        journal("quit", POP_USER, markers)
        answer = c.ask("QUIT")
        if answer.startswith(b"+OK"):
            journal("quit-ok", POP_USER)
        else:
            journal("quit-no", POP_USER, answer.decode())
        c.close()


# --- folders ---

def choose(tree, rng, marker):
    """The next operation on the folders, as crash_tree.py has them."""
    names = sorted(tree.boxes)
    full = [n for n in names if tree.boxes[n].messages]
    total = sum(len(b.messages) for b in tree.boxes.values())
    kinds = {"create": 6 if len(names) < 8 else 0, "append": 20 if names else 0, "store": 20 if full else 0,
             "copy": 8 if full and total < TREE_MESSAGES_MAX else 0, "move": 10 if full else 0,
             "expunge": (30 if total > TREE_MESSAGES_MAX else 6) if full else 0, "rename": 4 if names else 0,
             "delete": 4 if len(names) > 3 else 0}
    kind = rng.choices(list(kinds), list(kinds.values()))[0]
    box = rng.choice(full if kind in ("store", "copy", "move", "expunge") else names or [""])
    op = {"op": kind, "box": box}
    if kind in ("create", "rename"):
        name = free_name(names, rng, box if kind == "rename" else None)
        return dict(op, to=name) if kind == "rename" else dict(op, box=name)
    if kind == "delete":
        return op if not any(inside(n, box) and n != box for n in names) else None
    if kind == "append":
        return dict(op, marker=marker, flags=sorted(rng.sample(FLAGS, rng.randint(0, 3))))
    held = sorted(tree.boxes[box].messages)
    uids = held if kind == "expunge" else sorted(rng.sample(held, rng.randint(1, min(len(held), 12))))
    op["uids"] = uids
    if kind == "store":
        op.update(how=rng.choice("+-="), flags=sorted(rng.sample(FLAGS, rng.randint(1, 2))))
    if kind in ("copy", "move"):
        op["to"] = rng.choice(names)
        if op["to"] == box:
            return None
    return op


def free_name(names, rng, moved):
    """A name that is free, often one that was used before; not below the mailbox that is renamed."""
    tops = [f"T{i}" for i in range(8)]
    below = [f"{n}/S{i}" for n in names if "/" not in n and n != moved for i in range(3)]
    has_children = moved and any(inside(n, moved) and n != moved for n in names)
    return rng.choice([n for n in tops + ([] if has_children else below) if n not in names])


class TreeSession:
    """Sends operations; the result is what crash_tree.py wants, or None when it was refused."""

    def __init__(self, ports, user):
        self.c = Imap(ports["imap"])
        self.c.login(address(user), password(user))
        self.c.must("ENABLE CONDSTORE")
        self.selected = None
        self.text = ""

    def run(self, op):
        if op["op"] in ("store", "copy", "move", "expunge") and self.selected != op["box"]:
            self.selected = op["box"]
            if not self._ask(f"SELECT {op['box']}"):
                self.selected = None
                return None
        if op["op"] in ("rename", "delete") and self.selected and inside(self.selected, op["box"]):
            self.c.must("UNSELECT")
            self.selected = None
        return getattr(self, "_" + op["op"])(op)

    def _ask(self, command):
        status, self.text, untagged = self.c.ask(command)
        return untagged if status == "OK" else None

    def _append(self, op):
        octets = message(op["marker"])
        head = f"APPEND {op['box']} ({' '.join(op['flags'])}) {{{len(octets)}+}}\r\n"
        if self._ask(head.encode() + octets) is None:
            return None
        validity, uid = re.search(r"APPENDUID (\d+) (\d+)", self.text).groups()
        return {"validity": int(validity), "uid": int(uid)}

    def _store(self, op):
        how = "" if op["how"] == "=" else op["how"]
        untagged = self._ask(f"UID STORE {uid_set(op['uids'])} {how}FLAGS ({' '.join(op['flags'])})")
        if untagged is None:
            return None
        return {"modseq": max([int(m) for r in untagged for m in re.findall(rb"MODSEQ \((\d+)\)", r)], default=0)}

    def _copy(self, op, verb="COPY"):
        untagged = self._ask(f"UID {verb} {uid_set(op['uids'])} {op['to']}")
        if untagged is None:
            return None
        m = next(filter(None, (re.search(r"COPYUID (\d+) (\S+) ([\d:,]+)", t)
                               for t in [self.text] + [u.decode("utf-8", "replace") for u in untagged])))
        return {"validity": int(m.group(1)), "source": uid_list(m.group(2)), "dest": uid_list(m.group(3))}

    def _move(self, op):
        return self._copy(op, "MOVE")

    def _plain(self, command):
        return None if self._ask(command) is None else {}

    def _expunge(self, op):
        return self._plain("EXPUNGE" if len(op["uids"]) % 2 else f"UID EXPUNGE {uid_set(op['uids'])}")

    def _create(self, op):
        return self._plain(f"CREATE {op['box']}")

    def _delete(self, op):
        return self._plain(f"DELETE {op['box']}")

    def _rename(self, op):
        return self._plain(f"RENAME {op['box']} {op['to']}")


def uid_set(uids):
    return ",".join(map(str, uids))


def uid_list(text):
    out = []
    for part in text.split(","):
        first, _, last = part.partition(":")
        out += range(int(first), int(last or first) + 1)
    return out


def folders_found(session, journal, user):
    """{mailbox: Seen} after a refusal, as soon as the account can be read again."""
    while session.c.ask("EXAMINE INBOX")[0] != "OK":
        time.sleep(REFUSED_PAUSE_S)
    seen = {box: look_at_box(session.c, box, lambda _: {}) for box in mailboxes(session.c) if box != "INBOX"}
    session.c.must("UNSELECT")
    session.selected = None
    journal("found", user, {box: s.plain() for box, s in seen.items()})
    return seen


def tree_client(ports, name, journal, tree, rng):
    user = TREE_USERS[int(name[-1])]
    session = TreeSession(ports, user)
    for i in numbers():
        op = choose(tree, rng, f"{name}.{i}")
        if op is None:
            continue
        journal("do", user, op)
        result = session.run(op)
        if result is None and _in_doubt:
            journal("doubt", user, session.text)
            tree = decided(tree, op, folders_found(session, journal, user))
            continue
        if result is None:
            journal("no", user, session.text)
            time.sleep(REFUSED_PAUSE_S)
            continue
        journal("done", user, result)
        tree.apply(op, result)


# --- processes ---

CLIENTS = [("lmtp", deliver_client("lmtp", "LHLO"), 2), ("smtp", deliver_client("smtp", "EHLO"), 2), ("append", append_client, 1),
           ("pop", pop_client, 1), ("tree", tree_client, 2)]


def _process(run, ports, name, path, tree, seed, stopping, in_doubt):
    global _stopping, _in_doubt
    _stopping, _in_doubt = stopping, in_doubt
    journal = Journal(path)
    try:
        run(ports, name, journal, tree, random.Random(seed))
    except (*LOST, Wrong) as e:  # the ledger finds the same wrong
        journal("ended", name, type(e).__name__)


class Load:
    """All clients of one round, as processes."""

    JOIN_S = 90

    def __init__(self, server, ledger, number, rng, doors=None, in_doubt=False):
        """doors: ports of several frontends, which the clients take in turn (server.ports otherwise). in_doubt: what is
        refused may be done all the same."""
        self.work = []
        self.stopping = multiprocessing.Event()
        for kind, run, copies in CLIENTS:
            for copy in range(copies):
                name = f"{kind}r{number}c{copy}"
                path = os.path.join(server.folder, name + ".journal")
                tree = ledger.trees[TREE_USERS[copy]] if kind == "tree" else None
                ports = doors[len(self.work) % len(doors)] if doors else server.ports
                args = (run, ports, name, path, tree, rng.random(), self.stopping, in_doubt)
                self.work.append((multiprocessing.Process(target=_process, args=args, daemon=True), path))
        for p, path in self.work:
            open(path, "w").close()
            p.start()

    def acknowledged(self):
        """How many changes so far, by the journals of the running clients."""
        return sum(self.count(ACKNOWLEDGED).values())

    def refused(self):
        return sum(self.count(REFUSED).values())

    def count(self, beginnings):
        """{client: lines of its journal}"""
        counts = {}
        for _, path in self.work:
            with open(path) as f:
                counts[os.path.basename(path).removesuffix(".journal")] = sum(line.startswith(beginnings) for line in f)
        return counts

    def ends(self):
        """Where the journals end now."""
        return {path: os.path.getsize(path) for _, path in self.work}

    @staticmethod
    def acknowledged_since(ends):
        """What began after that and was acknowledged, an EXPUNGE apart: one of nothing asks no storage."""
        for path, end in ends.items():
            with open(path) as f:
                f.seek(end)
                begun = set()
                for what, *args in map(json.loads, f):
                    if what in ("sent", "do"):
                        begun = {args[0]} if what == "sent" or args[1]["op"] != "expunge" else set()
                    elif what in ("acked", "done") and args[0] in begun:
                        yield os.path.basename(path), what, args

    def stop(self):
        """Each client ends after the operation that it is in."""
        self.stopping.set()

    def finish(self, ledger):
        """The server is gone, or the load was stopped, so the clients end; their journals are read."""
        deadline = time.monotonic() + self.JOIN_S
        for p, _ in self.work:
            p.join(max(0, deadline - time.monotonic()))
        left = [path for p, path in self.work if p.is_alive()]
        for p, _ in self.work:
            if p.is_alive():
                p.kill()
        assert not left, f"clients did not end: {left}"
        failed = [path for p, path in self.work if p.exitcode != 0]
        assert not failed, f"clients failed: {failed}"
        for _, path in self.work:
            ledger.read(path)
            os.unlink(path)
