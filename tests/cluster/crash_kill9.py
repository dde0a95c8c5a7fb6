#!/usr/bin/env python3
"""kill -9 of `pillarbox all` under load, again and again: crash_kill9.py [ROUNDS].

Several client processes deliver by LMTP and SMTP, append, and move, and write down what was acknowledged. After each kill
`pillarbox ctl check` must be clean; after the restart every acknowledged message is there exactly once and octet for octet,
an acknowledged move has happened, nothing that was not acknowledged is there twice, UIDs ascend and keep their message, and
UIDVALIDITY is what it was. Runs on the release build (PB_RELEASE_BIN) when there is one, else on PB_BIN.
"""

import imaplib
import multiprocessing
import os
import random
import re
import smtplib
import sys
import time

import mail
import pillarbox
from wire import Closed, Imap, Smtp

ROUNDS = 20
USERS = ["crash0", "crash1", "crash2", "crash3"]
BUDGET_S = 230
SETTLE_S = 20
LOST = (Closed, OSError, EOFError, smtplib.SMTPException, imaplib.IMAP4.error, AssertionError)


def size_of(number):
    """Mostly small; some that fill an entry; some that are staged."""
    return 300000 if number % 40 == 39 else 60000 if number % 10 == 9 else 2000


def message(name, number):
    return mail.made(number, size_of(number), name)


class Notes:
    """What a client did, one line each, on disk before the next command: "sent MARKER", "acked MARKER ...", "moved MARKER"."""

    def __init__(self, path):
        self.file = open(path, "a", buffering=1)

    def __call__(self, *words):
        self.file.write(" ".join(str(w) for w in words) + "\n")


def lmtp_client(ports, name, notes):
    c = Smtp.greeted(ports["lmtp"], "LHLO")
    for i in range(1000000):
        marker = f"{name}.{i}"
        to = [USERS[i % 4], USERS[(i + 1) % 4]] if i % 5 == 0 else [USERS[i % 4]]
        notes("sent", marker, *to)
        c.send(b"MAIL FROM:<load@example.test>\r\n" + b"".join(b"RCPT TO:<%s@example.test>\r\n" % u.encode() for u in to) + b"DATA\r\n")
        assert [c.reply()[0] for _ in range(len(to) + 2)] == [250] * (len(to) + 1) + [354]
        c.send(message(name, i) + b".\r\n")
        for user in to:
            code, lines = c.reply()
            if code == 250:
                notes("acked", marker, user)
            else:
                notes("refused", marker, user, lines[0])


def smtp_client(ports, name, notes):
    c = smtplib.SMTP("127.0.0.1", ports["smtp"], local_hostname="load.example.test", timeout=30)
    for i in range(1000000):
        marker = f"{name}.{i}"
        to = USERS[:2 + i % 3] if i % 4 == 0 else [USERS[i % 4]]
        notes("sent", marker, *to)
        c.sendmail("load@example.test", [f"{u}@example.test" for u in to], message(name, i))
        notes("acked", marker, *to)


def append_client(ports, name, notes):
    user = USERS[int(name[-1]) % 4]
    c = Imap(ports["imap"], timeout=30)
    c.login(f"{user}@example.test", f"pw-{user}")
    for i in range(1000000):
        marker = f"{name}.{i}"
        octets = message(name, i)
        notes("sent", marker, user)
        tag = c.tag()
        c.send(tag + b" APPEND INBOX {%d+}\r\n" % len(octets) + octets + b"\r\n")
        status, text, _ = c.finish(tag)
        assert status == "OK", text
        notes("acked", marker, user)
        notes("uid", marker, user, re.search(r"APPENDUID (\d+) (\d+)", text).group(2))


def move_client(ports, name, notes):
    user = USERS[3]
    c = Imap(ports["imap"], timeout=30)
    c.login(f"{user}@example.test", f"pw-{user}")
    c.must("SELECT From")
    for i in range(1000000):
        octets = message(name, i)
        notes("sent", f"{name}.{i}", user)
        tag = c.tag()
        c.send(tag + b" APPEND From {%d+}\r\n" % len(octets) + octets + b"\r\n")
        status, text, _ = c.finish(tag)
        assert status == "OK", text
        notes("acked", f"{name}.{i}", user)
        c.must(f"UID MOVE {re.search(r'APPENDUID (?:[0-9]+) ([0-9]+)', text).group(1)} To")
        notes("moved", f"{name}.{i}", user)


CLIENTS = [("lmtp", lmtp_client, 2), ("smtp", smtp_client, 2), ("append", append_client, 2), ("move", move_client, 1)]


def client(work, ports, name, path):
    notes = Notes(path)
    try:
        work(ports, name, notes)
    except LOST as e:
        notes("ended", type(e).__name__, str(e).replace("\n", " ")[:200])


class Ledger:
    """All that was ever sent and acknowledged, and what each UID was seen to be."""

    def __init__(self):
        self.sent = {}    # marker -> users
        self.acked = set()  # (marker, user)
        self.moved = set()
        self.told = {}    # (user, uid) -> marker, from APPENDUID
        self.seen = {}    # (user, mailbox, uid) -> marker
        self.validity = {}
        self.highest = {}
        self.ended = {}

    def read(self, path):
        with open(path) as f:
            for line in f:
                what, *words = line.split()
                if what == "sent":
                    self.sent[words[0]] = words[1:]
                elif what == "acked":
                    self.acked |= {(words[0], u) for u in words[1:]}
                elif what == "moved":
                    self.moved.add(words[0])
                elif what == "uid":
                    self.told[words[1], int(words[2])] = words[0]
                elif what == "refused":
                    raise AssertionError(f"refused: {line}")
                else:
                    key = words[0]
                    self.ended[key] = self.ended.get(key, 0) + 1


def fetch(c, items):
    """(UID, response) of each message; what else is told meanwhile (handoffs arrive) is left out."""
    for row in c.must(f"UID FETCH {items}"):
        m = re.match(rb"\* \d+ FETCH \(.*?UID (\d+)", row)
        if m:
            yield int(m.group(1)), row


def fetch_rows(c, mailbox, first):
    """(uidvalidity, {uid: marker}, {uid: octets of those >= first}), with UIDs checked to ascend."""
    select = b"\r\n".join(c.must(f"SELECT {mailbox}"))
    validity = int(re.search(rb"UIDVALIDITY (\d+)", select).group(1))
    markers, bodies, last = {}, {}, 0
    if b"* 0 EXISTS" in select:
        return validity, markers, bodies
    for uid, row in fetch(c, "1:* (UID BODY.PEEK[HEADER.FIELDS (X-Marker)])"):
        assert uid > last, f"UID {uid} after {last}"
        last = uid
        name, number = re.search(rb"X-Marker: (\S+)-(\d+)\r\n", row).groups()
        markers[uid] = f"{name.decode()}.{number.decode()}"
    for uid, row in fetch(c, f"{first}:* (UID BODY.PEEK[])"):
        m = re.search(rb"BODY\[\] \{(\d+)\}\r\n", row)
        bodies[uid] = row[m.end():m.end() + int(m.group(1))]
    return validity, markers, bodies


def verify(server, ledger, whole):
    """Compares what is stored with the ledger; a list of what is still missing (handoffs take a moment)."""
    count = {}
    in_box = {}
    for user in USERS:
        c = Imap(server.ports["imap"], timeout=60)
        c.login(f"{user}@example.test", f"pw-{user}")
        for box in ("INBOX", "From", "To") if user == USERS[3] else ("INBOX",):
            key = user, box
            first = 1 if whole else ledger.highest.get(key, 0) + 1
            validity, markers, bodies = fetch_rows(c, box, first)
            assert ledger.validity.setdefault(key, validity) == validity, f"UIDVALIDITY of {key} changed"
            for uid, marker in markers.items():
                assert ledger.seen.setdefault((user, box, uid), marker) == marker, f"UID {uid} of {key} is another message now"
                assert user in ledger.sent[marker], f"{marker} was never sent to {user}"
                count[marker, user] = count.get((marker, user), 0) + 1
                in_box[marker] = box
            for uid, octets in bodies.items():
                if uid < first or uid not in markers:
                    continue  # n:* names the last message when n is beyond it; one that came between waits for its turn
                name, number = markers[uid].rsplit(".", 1)
                got = mail.strip_trace(octets, 2 if name.startswith(("lmtp", "smtp")) else 0)
                assert got == message(name, int(number)), f"{markers[uid]} of {key} came back changed"
            ledger.highest[key] = max(markers, default=ledger.highest.get(key, 0))
        c.close()
    for (user, uid), marker in ledger.told.items():
        assert ledger.seen.get((user, "INBOX", uid)) == marker, f"APPENDUID said {uid} for {marker}"
    twice = [k for k, n in count.items() if n > 1]
    assert not twice, f"stored twice: {twice[:10]}"
    not_moved = [m for m in ledger.moved if in_box.get(m) not in (None, "To")]
    assert not not_moved, f"an acknowledged move did not happen: {not_moved[:10]}"
    return sorted(ledger.acked - set(count))


def settle(server, ledger, whole):
    deadline = time.monotonic() + SETTLE_S
    while True:
        missing = verify(server, ledger, whole)
        if not missing:
            return
        assert time.monotonic() < deadline, f"{len(missing)} acknowledged messages are missing: {missing[:10]}"
        time.sleep(0.2)


def load(server, number, rng):
    """One round's clients, then the kill in the midst of them. The paths of their notes."""
    work = []
    for kind, run, copies in CLIENTS:
        for copy in range(copies):
            name = f"{kind}r{number}c{copy}"
            path = os.path.join(server.folder, name + ".notes")
            work.append((multiprocessing.Process(target=client, args=(run, server.ports, name, path), daemon=True), path))
    for p, _ in work:
        p.start()
    time.sleep(rng.uniform(0.4, 1.6))
    server.kill9()
    for p, _ in work:
        p.join(60)
        if p.is_alive():
            p.kill()
            raise AssertionError("a client did not end with its server")
    return [path for _, path in work if os.path.exists(path)]


def run(rounds):
    release = os.environ.get("PB_RELEASE_BIN", "")
    program = release if release and os.path.exists(release) else None
    seed = int(os.environ.get("PB_SEED", random.randrange(1 << 30)))
    print(f"seed {seed} (PB_SEED), {program or pillarbox.binary()}")
    rng = random.Random(seed)
    started = time.monotonic()
    ledger = Ledger()
    server = pillarbox.Server(program=program)
    try:
        server.start()
        server.add_domain()
        for user in USERS:
            server.add_user(user)
        c = Imap(server.ports["imap"])
        c.login(f"{USERS[3]}@example.test", f"pw-{USERS[3]}")
        c.must("CREATE From")
        c.must("CREATE To")
        c.close()
        for number in range(rounds):
            for path in load(server, number, rng):
                ledger.read(path)
            code, text = server.check()
            assert code == 0, f"round {number}: ctl check found\n{text}"
            server.restart()
            settle(server, ledger, whole=number == rounds - 1)
            print(f"round {number + 1}: {len(ledger.acked)} acknowledged, {len(ledger.seen)} stored, "
                  f"{time.monotonic() - started:.0f} s", flush=True)
            assert time.monotonic() - started < BUDGET_S, "over the time budget"
        assert len(ledger.acked) > 20 * rounds, f"only {len(ledger.acked)} messages: this was no load ({ledger.ended})"
        server.stop()
    except BaseException:
        print(server.logs()[-12000:])
        server.abandon()
        raise
    print("all there, once, unchanged")


if __name__ == "__main__":
    run(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
