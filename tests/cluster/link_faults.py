#!/usr/bin/env python3
"""The link between a frontend and its storage node fails at every step of every change: link_faults.py [LOAD_SECONDS [CASE...]].

`pillarbox storage` and `pillarbox frontend` with a proxy between them (tests/support/rpc_proxy.py). Each case does one change
by its protocol while the request is refused, torn, done with its reply lost, done while its retry is on its way, sent twice, or
sent again later. The client must get its OK, and the change must have happened exactly once. Then several clients work while
these things happen at random, each checking that its mailboxes are what its commands made them.
"""

import random
import re
import sys
import threading
import time

import mail
import pillarbox
import rpc_proxy
from wire import Imap, Pop3, Smtp

LOAD_S = 15
LOAD_CLIENTS = 4
LOAD_CHANCE = 0.04
RECIPIENTS = 12
LARGE = 300000
COPY_MANY = 1280  # more than an entry takes: in steps

# proto/rpc/method.h
CREATE, DELETE, RENAME, SUBSCRIBE, RECENT = 32, 33, 34, 35, 36
DELIVER, APPEND, STORE, EXPUNGE, COPY, MOVE = 48, 49, 50, 51, 52, 53
STAGE_BEGIN, STAGE_CHUNK, POP3_LOCK = 64, 65, 176


class World:
    def __init__(self):
        self.server = pillarbox.Server(split=True)
        self.proxy = rpc_proxy.Proxy(int(self.server.rpc.rsplit(":", 1)[1]))
        self.server.settings["frontend.storage"] = f"tcp://127.0.0.1:{self.proxy.port}"
        self.number = 0

    def start(self):
        self.server.start()
        self.server.add_domain()
        self.users = [f"user{i}" for i in range(RECIPIENTS)]
        for user in self.users:
            self.server.add_user(user)
        self.c = self.imap(self.users[0])
        self.readers = {}

    def imap(self, user):
        c = Imap(self.server.ports["imap"])
        c.login(self.address(user), self.server.passwords[self.address(user)])
        return c

    def address(self, user):
        return f"{user}@{pillarbox.DOMAIN}"

    def message(self, size=600):
        """A new one, and its marker."""
        self.number += 1
        return mail.made(self.number, size, "link"), f"link-{self.number}"

    def box(self, messages=0):
        """A new mailbox with so many messages, selected."""
        self.number += 1
        name = f"box{self.number}"
        self.c.must(f"CREATE {name}")
        for _ in range(messages):
            self.c.append(name, self.message()[0])
        self.c.must(f"SELECT {name}")
        return name

    def status(self, box, item="MESSAGES"):
        line = [r for r in self.c.must(f"STATUS {box} ({item})") if r.startswith(b"* STATUS")][0]
        return int(re.search(rb"\(%s (\d+)\)" % item.encode(), line).group(1))

    def modseq(self, box):
        return self.status(box, "HIGHESTMODSEQ")

    def bodies(self, user, box, marker):
        """The messages of a mailbox that have the marker."""
        if user and user not in self.readers:
            self.readers[user] = self.imap(user)
        c = self.readers[user] if user else self.c
        c.must(f"SELECT {box}")
        found = c.must(f'UID SEARCH HEADER X-Marker "{marker}"')
        uids = [w.decode() for row in found if row.startswith(b"* SEARCH") for w in row.split()[2:]]
        out = []
        for uid in uids:
            row = [r for r in c.must(f"UID FETCH {uid} (BODY.PEEK[])") if b"BODY[]" in r][0]
            m = re.search(rb"BODY\[\] \{(\d+)\}\r\n", row)
            out.append(row[m.end():m.end() + int(m.group(1))])
        return out

    def flags(self, uid):
        row = [r for r in self.c.must(f"UID FETCH {uid} (FLAGS)") if b"FETCH" in r][-1]
        return set(re.search(rb"FLAGS \(([^)]*)\)", row).group(1).decode().split()) - {"\\Recent"}


def same(got, want, what=""):
    assert got == want, f"{what} is {got!r}, not {want!r}"


# --- cases: yields the methods whose requests are to suffer, does the change, yields, looks ---

def deliver(w, greeting, listener, users, size, methods):
    octets, marker = w.message(size)
    c = Smtp.greeted(w.server.ports[listener], greeting)
    for command in ["MAIL FROM:<a@example.org>"] + [f"RCPT TO:<{w.address(u)}>" for u in users]:
        same(c.ask(command)[0], 250, command)
    same(c.ask("DATA")[0], 354, "DATA")
    yield methods
    c.send(octets + b".\r\n")
    for _ in users if greeting == "LHLO" else [0]:
        same(c.reply()[0], 250, "the reply to the message")
    yield
    c.close()
    deadline = time.monotonic() + 30
    for user in users:
        while not (found := w.bodies(user, "INBOX", marker)) and time.monotonic() < deadline:
            time.sleep(0.05)  # a handoff may take a moment
        same([mail.strip_trace(f, 2) == octets for f in found], [True], f"{marker} of {user}")


def lmtp(w):
    yield from deliver(w, "LHLO", "lmtp", w.users[1:2], 600, {DELIVER})


def lmtp_of_many(w):
    yield from deliver(w, "LHLO", "lmtp", w.users, 600, {DELIVER})


def lmtp_large(w):
    yield from deliver(w, "LHLO", "lmtp", w.users[1:3], LARGE, {STAGE_BEGIN, STAGE_CHUNK, DELIVER})


def smtp_of_many(w):
    yield from deliver(w, "EHLO", "smtp", w.users, 600, {DELIVER})


def smtp_large_of_many(w):
    yield from deliver(w, "EHLO", "smtp", w.users, LARGE, {DELIVER})


def append_of(w, size, methods):
    box = w.box()
    octets, marker = w.message(size)
    before = w.modseq(box)
    yield methods
    w.c.append(box, octets, "(\\Flagged) ")
    yield
    same(w.bodies(None, box, marker), [octets], marker)
    same(w.status(box), 1, "MESSAGES")
    same(w.modseq(box), before + 1, "HIGHESTMODSEQ")


def append(w):
    yield from append_of(w, 600, {APPEND})


def append_large(w):
    yield from append_of(w, LARGE, {APPEND})


def append_large_begun(w):
    yield from append_of(w, LARGE, {STAGE_BEGIN})


def append_large_in_pieces(w):
    yield from append_of(w, LARGE, {STAGE_CHUNK})


def store(w):
    box = w.box(3)
    before = w.modseq(box)
    yield {STORE}
    answer = w.c.must(f"UID STORE 1:2 (UNCHANGEDSINCE {before}) +FLAGS (\\Flagged once)")
    assert not any(b"MODIFIED" in row for row in answer), answer
    yield
    same([w.flags(u) for u in (1, 2, 3)], [{"\\Flagged", "once"}] * 2 + [set()], "FLAGS")
    same(w.modseq(box), before + 1, "HIGHESTMODSEQ")


def store_and_back(w):
    """The first arrives again after the second."""
    w.box(1)
    yield {STORE}
    w.c.must("UID STORE 1 +FLAGS (gone)")
    w.proxy.calm()
    w.c.must("UID STORE 1 -FLAGS (gone)")
    yield
    same(w.flags(1), set(), "FLAGS")


def copy(w):
    to, box = w.box(), w.box(3)
    before = w.modseq(to)
    yield {COPY}
    w.c.must(f"UID COPY 1:3 {to}")
    yield
    same((w.status(to), w.status(box)), (3, 3), "MESSAGES")
    same(w.modseq(to) > before, True, "HIGHESTMODSEQ ascending")


def copy_in_steps(w):
    box = w.box(5)
    while w.status(box) < COPY_MANY:
        w.c.must(f"COPY 1:* {box}")
        w.c.must("NOOP")
    to = f"{box}-all"
    w.c.must(f"CREATE {to}")
    yield {COPY}
    w.c.must(f"COPY 1:* {to}")
    yield
    same(w.status(to), COPY_MANY, "MESSAGES")


def move(w):
    to, box = w.box(), w.box(3)
    yield {MOVE}
    answer = w.c.must(f"UID MOVE 1:2 {to}")
    assert any(b"COPYUID" in row for row in answer), answer
    yield
    same((w.status(to), w.status(box)), (2, 1), "MESSAGES")


def move_and_back(w):
    """The first arrives again when the message is back under its UID's successor."""
    to, box = w.box(), w.box(1)
    yield {MOVE}
    w.c.must(f"UID MOVE 1 {to}")
    w.proxy.calm()
    w.c.must(f"SELECT {to}")
    w.c.must(f"UID MOVE 1 {box}")
    yield
    same((w.status(to), w.status(box)), (0, 1), "MESSAGES")


def expunge(w):
    box = w.box(3)
    w.c.must("UID STORE 1:2 +FLAGS (\\Deleted)")
    before = w.modseq(box)
    yield {EXPUNGE}
    w.c.must("UID EXPUNGE 1")
    yield
    same(w.status(box), 2, "MESSAGES")
    same(w.modseq(box), before + 1, "HIGHESTMODSEQ")


def create(w):
    w.number += 1
    yield {CREATE}
    w.c.must(f"CREATE new{w.number}/sub")
    yield
    same(w.status(f"new{w.number}/sub"), 0, "MESSAGES")


def create_and_delete(w):
    """The first arrives again after the second."""
    w.number += 1
    yield {CREATE}
    w.c.must(f"CREATE brief{w.number}")
    w.proxy.calm()
    w.c.must(f"DELETE brief{w.number}")
    yield
    same(w.c.must(f'LIST "" brief{w.number}'), [], "LIST")


def rename(w):
    box = w.box(2)
    yield {RENAME}
    w.c.must(f"RENAME {box} {box}-new")
    yield
    same(w.status(f"{box}-new"), 2, "MESSAGES")
    same(w.c.must(f'LIST "" {box}'), [], "LIST")


def rename_inbox(w):
    """Twice, it would move the new INBOX as well, or be refused."""
    w.number += 1
    w.c.append("INBOX", w.message()[0])
    many = w.status("INBOX")
    yield {RENAME}
    w.c.must(f"RENAME INBOX was{w.number}")
    yield
    same((w.status(f"was{w.number}"), w.status("INBOX")), (many, 0), "MESSAGES")


def delete(w):
    box = w.box(1)
    w.c.must("UNSELECT")
    yield {DELETE}
    w.c.must(f"DELETE {box}")
    yield
    same(w.c.must(f'LIST "" {box}'), [], "LIST")


def subscribe(w):
    box = w.box()
    yield {SUBSCRIBE}
    w.c.must(f"SUBSCRIBE {box}")
    yield
    same(len(w.c.must(f'LSUB "" {box}')), 1, "LSUB")


def select_recent(w):
    box = w.box()
    for _ in range(2):
        w.c.append(box, w.message()[0])
    c = w.imap(w.users[0])
    yield {RECENT}
    same([r for r in c.must(f"SELECT {box}") if b"RECENT" in r], [b"* 2 RECENT"], "RECENT")
    yield
    same([r for r in c.must(f"SELECT {box}") if b"RECENT" in r], [b"* 0 RECENT"], "RECENT")
    c.close()


def maildrop(w):
    """An IMAP client of a user whose INBOX has three messages."""
    c = w.imap(w.users[3])
    c.must("SELECT INBOX")
    if c.must("UID SEARCH ALL")[-1].strip() != b"* SEARCH":
        c.must("UID STORE 1:* +FLAGS.SILENT (\\Deleted)")
        c.must("EXPUNGE")
    for _ in range(3):
        c.append("INBOX", w.message()[0])
    return c


def pop3_ask(p, *commands):
    for command in commands:
        answer = p.ask(command)
        assert answer.startswith(b"+OK"), (command, answer)


def pop3_login(w):
    """Its lock is no other session's when the reply is lost. (Arriving again after QUIT it would hold for its lease.)"""
    p = Pop3(w.server.ports["pop3"])
    p.line()
    yield {POP3_LOCK}
    pop3_ask(p, f"USER {w.address(w.users[3])}", f"PASS {w.server.passwords[w.address(w.users[3])]}")
    yield
    pop3_ask(p, "QUIT")
    p.close()


def pop3_quit(w):
    c = maildrop(w)
    p = Pop3(w.server.ports["pop3"])
    p.line()
    pop3_ask(p, f"USER {w.address(w.users[3])}", f"PASS {w.server.passwords[w.address(w.users[3])]}", "DELE 1", "DELE 3")
    yield {EXPUNGE}
    pop3_ask(p, "QUIT")
    p.close()
    yield
    same(len(c.must("UID SEARCH ALL")[-1].split()) - 2, 1, "messages left")
    c.close()


CASES = (lmtp, lmtp_of_many, lmtp_large, smtp_of_many, smtp_large_of_many, append, append_large, append_large_begun,
         append_large_in_pieces, store, store_and_back, copy, copy_in_steps, move, move_and_back, expunge, create,
         create_and_delete, rename, rename_inbox, delete, subscribe, select_recent, pop3_login, pop3_quit)


def run_case(w, case, fault):
    steps = case(w)
    w.proxy.plan(next(steps), fault, fault)
    next(steps)
    happened = w.proxy.happened()
    w.proxy.calm()
    assert happened, "nothing happened to a request: the case tests nothing"
    for _ in steps:
        pass


# --- load ---

class Client:
    """One account's only client: what its mailboxes hold is known."""

    def __init__(self, w, number, seed):
        self.w, self.user = w, w.users[4 + number]
        self.rng = random.Random(seed)
        self.c = w.imap(self.user)
        self.boxes = {"A": {}, "B": {}}  # name -> uid -> (marker, flags)
        self.next = {"A": 1, "B": 1}
        self.commands, self.sent = 0, 0
        self.error = None
        for box in self.boxes:
            self.c.must(f"CREATE {box}")

    def work(self, seconds):
        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end:
                self.rng.choice((self.append, self.append, self.store, self.copy, self.move, self.expunge))()
                self.commands += 1
        except BaseException as e:  # the thread's; looked at by the test
            self.error = e

    def add(self, box, messages):
        for m in messages:
            self.boxes[box][self.next[box]] = m
            self.next[box] += 1

    def append(self):
        self.sent += 1
        box, marker = self.rng.choice("AB"), f"{self.user}-{self.sent}"
        self.c.append(box, mail.made(self.sent, LARGE if self.sent % 15 == 0 else 900, self.user))
        self.add(box, [(marker, frozenset())])

    def some(self):
        """A selected mailbox, some of its UIDs, the other mailbox."""
        box = self.rng.choice("AB")
        self.c.must(f"SELECT {box}")
        have = sorted(self.boxes[box])
        return box, sorted(self.rng.sample(have, min(len(have), 3))), "B" if box == "A" else "A"

    def store(self):
        box, uids, _ = self.some()
        word = self.rng.choice(("\\Seen", "\\Flagged", "k1"))
        if uids:
            self.c.must(f"UID STORE {','.join(map(str, uids))} +FLAGS.SILENT ({word})")
        for uid in uids:
            marker, flags = self.boxes[box][uid]
            self.boxes[box][uid] = marker, flags | {word}

    def copy(self):
        box, uids, to = self.some()
        if uids and len(self.boxes[to]) < 100:
            self.c.must(f"UID COPY {','.join(map(str, uids))} {to}")
            self.add(to, [self.boxes[box][u] for u in uids])

    def move(self):
        box, uids, to = self.some()
        if uids:
            self.c.must(f"UID MOVE {','.join(map(str, uids))} {to}")
            self.add(to, [self.boxes[box].pop(u) for u in uids])

    def expunge(self):
        box, uids, _ = self.some()
        if uids:
            self.c.must(f"UID STORE {uids[0]} +FLAGS.SILENT (\\Deleted)")
            self.c.must(f"UID EXPUNGE {uids[0]}")
            del self.boxes[box][uids[0]]

    def verify(self):
        c = self.w.imap(self.user)
        for box, want in self.boxes.items():
            c.must(f"SELECT {box}")
            rows = c.must("UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (X-Marker)])") if want else []
            got = {}
            for row in rows:
                if not re.match(rb"\* \d+ FETCH", row):
                    continue
                uid = int(re.search(rb"UID (\d+)", row).group(1))
                flags = re.search(rb"FLAGS \(([^)]*)\)", row).group(1).decode().split()
                marker = re.search(rb"X-Marker: (\S+)\r\n", row).group(1).decode()
                got[uid] = marker, frozenset(flags) - {"\\Recent"}
            same(got, want, f"{box} of {self.user}")
        c.close()


def load(w, seconds, seed):
    clients = [Client(w, i, seed + i) for i in range(LOAD_CLIENTS)]
    w.proxy.at_random(random.Random(seed), LOAD_CHANCE)
    threads = [threading.Thread(target=c.work, args=(seconds,), daemon=True) for c in clients]
    for t in threads:
        t.start()
    for t in threads:
        t.join(seconds + 90)
    faults = w.proxy.happened()
    w.proxy.calm()
    for c in clients:
        if c.error is not None:
            raise c.error
        c.verify()
    commands = sum(c.commands for c in clients)
    print(f"load: {commands} changes in {seconds} s, {len(faults)} faults", flush=True)
    assert commands > 20 and len(faults) > 8, "this was no load"  # a cut costs its client up to four seconds


def run(seconds, only):
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    w = World()
    try:
        w.start()
        for case in [c for c in CASES if not only or c.__name__ in only]:
            started = time.monotonic()
            for fault in rpc_proxy.FAULTS:
                try:
                    run_case(w, case, fault)
                except BaseException:
                    print(f"*** {case.__name__}: {fault}")
                    raise
            print(f"{case.__name__}: {time.monotonic() - started:.1f} s", flush=True)
        load(w, seconds, seed)
        w.server.stop()
        w.proxy.stop()
    except BaseException:
        print(w.server.logs()[-12000:])
        w.server.abandon()
        raise
    print("every change once")


if __name__ == "__main__":
    run(int(sys.argv[1]) if len(sys.argv) > 1 else LOAD_S, sys.argv[2:])
