#!/usr/bin/env python3
"""Fifty accounts move between shards while their devices work: accounts_move.py.

The load of nodes_rig.py works on four accounts, with the ledger that judges everything; 46 others have devices of their own: a session that appends and flags, one in
IDLE on the other frontend, mail by SMTP and LMTP, and POP3 sessions that delete. All are moved, one after the other, and a node that leads is killed meanwhile. No
session may end, nothing may be refused, and what was acknowledged is there once, under the UID that was told."""

import os
import random
import re
import threading
import time

import mail
from crash_load import USERS, address, password
from nodes_rig import NOTICE_S, SHARDS, Rig, Watcher
from wire import Imap, Pop3, Smtp

DEVICES = [f"mover{i:02}" for i in range(46)]
WORKERS = 6
MOVE_S = 120


class Device:
    """An account and what it was told. Used by one thread at a time."""

    def __init__(self, user, doors):
        self.user = user
        self.doors = doors
        self.number = 0
        self.acked = {}      # marker -> UID, or None: SMTP does not tell
        self.deleted = set()
        self.validity = None
        self.modseq = 0
        self.longest = (0, "")  # seconds that a command took
        self.lock = threading.Lock()
        self.session = Imap(doors[0].ports["imap"], timeout=90)
        self.session.login(address(user), password(user))
        self.session.must("ENABLE CONDSTORE")
        self.session.must("SELECT INBOX")
        self.watcher = Watcher(doors[1].ports, user)

    def next_message(self, how):
        self.number += 1
        marker = f"{how}{self.user}.{self.number}"
        return marker, mail.made(self.number, 300000 if self.number % 25 == 24 else 1500, how + self.user)

    def timed(self, what, f, *args):
        began = time.monotonic()
        answer = f(*args)
        self.longest = max(self.longest, (time.monotonic() - began, f"{what}, {self.user}, {time.strftime('%H:%M:%S')}"))
        return answer

    def append(self):
        marker, octets = self.next_message("a")
        text = self.ask(b"APPEND INBOX {%d+}\r\n" % len(octets) + octets)
        validity, uid = map(int, re.search(r"APPENDUID (\d+) (\d+)", text).groups())
        assert self.validity in (None, validity), f"{self.user}: UIDVALIDITY {validity} after {self.validity}"
        told = [u for u in self.acked.values() if u]
        assert not told or uid > max(told), f"{self.user}: UID {uid} after {max(told)}"
        self.validity = validity
        self.acked[marker] = uid

    def ask(self, command):
        status, text, self.untagged = self.timed("IMAP", self.session.ask, command)
        assert status == "OK", f"{self.user}: {command[:40]!r}: {status} {text}"
        return text

    def flag(self):
        uids = [u for m, u in self.acked.items() if u and m not in self.deleted]
        if uids:
            self.ask(f"UID STORE {uids[-1]} +FLAGS (\\Flagged $seen{self.number % 5})")
            found = [int(m) for r in self.untagged for m in re.findall(rb"MODSEQ \((\d+)\)", r)]
            assert all(m >= self.modseq for m in found), f"{self.user}: MODSEQ {found} after {self.modseq}"
            self.modseq = max(found + [self.modseq])

    def deliver(self, listener, verb):
        marker, octets = self.next_message("s" if listener == "smtp" else "l")
        c = Smtp.greeted(self.doors[self.number % 2].ports[listener], verb)
        for line, want in (("MAIL FROM:<m@example.test>\r\n", 250), (f"RCPT TO:<{address(self.user)}>\r\n", 250), ("DATA\r\n", 354)):
            code, lines = self.timed(listener, c.ask, line.rstrip("\r\n"))
            assert code == want, f"{self.user}: {line!r}: {code} {lines}"
        c.send(octets + b".\r\n")
        code, lines = self.timed(listener, c.reply)
        assert code == 250, f"{self.user}: {code} {lines}"
        self.acked[marker] = None
        c.close()

    def pop(self):
        """Deletes the first message, with the lock that a move may take away."""
        c = Pop3(self.doors[self.number % 2].ports["pop3"])
        c.line()
        for line in (f"USER {address(self.user)}", f"PASS {password(self.user)}"):
            answer = self.timed("POP3", c.ask, line)
            assert answer.startswith(b"+OK"), f"{self.user}: {line.split()[0]}: {answer}"
        if int(c.ask("STAT").split()[1]) > 3:
            assert c.ask("TOP 1 0").startswith(b"+OK")
            name, count = re.search(rb"\nX-Marker: (\S+)-(\d+)", b"\n".join(c.lines())).groups()
            time.sleep(0.2)
            assert c.ask("DELE 1").startswith(b"+OK")
            self.deleted.add(f"{name.decode()}.{count.decode()}")
        answer = self.timed("POP3", c.ask, "QUIT")
        assert answer.startswith(b"+OK"), f"{self.user}: QUIT: {answer}"
        c.close()

    def work(self, rng):
        kind = rng.random()
        if kind < 0.4:
            self.append()
        elif kind < 0.65:
            self.flag()
        elif kind < 0.8:
            self.deliver("smtp", "EHLO")
        elif kind < 0.9:
            self.deliver("lmtp", "LHLO")
        else:
            self.pop()

    def verify(self, door):
        """Each acknowledged message is there once, where it was told, and nothing else."""
        c = Imap(door.ports["imap"], timeout=90)
        c.login(address(self.user), password(self.user))
        selected = b"\r\n".join(c.must("SELECT INBOX"))
        validity = int(re.search(rb"UIDVALIDITY (\d+)", selected).group(1))
        assert self.validity in (None, validity), f"{self.user}: UIDVALIDITY {validity}, not {self.validity}"
        rows = {}
        if b"* 0 EXISTS" not in selected:
            for r in c.must("UID FETCH 1:* (BODY.PEEK[HEADER.FIELDS (X-Marker)])"):
                m = re.search(rb"UID (\d+)", r)
                marker = re.search(rb"X-Marker: (\S+)-(\d+)", r)
                if m and marker:
                    name = f"{marker.group(1).decode()}.{marker.group(2).decode()}"
                    assert name not in rows, f"{self.user}: {name} is there twice"
                    rows[name] = int(m.group(1))
        c.close()
        want = set(self.acked) - self.deleted
        assert set(rows) == want, f"{self.user}: lost {sorted(want - set(rows))[:5]}, too many {sorted(set(rows) - want)[:5]}"
        for name, uid in rows.items():
            assert self.acked[name] in (None, uid), f"{self.user}: {name} has UID {uid}, told was {self.acked[name]}"
        return rows


class Devices:
    """Threads that let the devices work until they are told to stop."""

    def __init__(self, rig):
        self.rig = rig
        self.all = []
        self.stopping = threading.Event()
        self.failed = []
        self.operations = 0
        self.threads = []

    def prepare(self):
        for user in DEVICES:
            self.rig.cluster.ctl("user", "add", address(user), stdin=password(user) + "\n")
        self.all = [Device(user, self.rig.doors) for user in DEVICES]

    def run(self, mine, rng):
        try:
            while not self.stopping.is_set():
                d = rng.choice(mine)
                with d.lock:
                    d.work(rng)
                self.operations += 1
        except Exception as e:  # noqa: BLE001  (whatever it is, the test says so)
            self.failed.append(repr(e))
            self.stopping.set()

    def start(self):
        for i in range(WORKERS):
            t = threading.Thread(target=self.run, args=(self.all[i::WORKERS], random.Random(self.rig.rng.random())), daemon=True)
            self.threads.append(t)
            t.start()

    def longest(self):
        """The longest command since this was asked last."""
        found = max(d.longest for d in self.all)
        for d in self.all:
            d.longest = (0, "")
        return found

    def must_be_well(self):
        assert not self.failed, f"{self.failed}\n{self.rig.cluster.logs()[-20000:]}"

    def stop(self):
        self.stopping.set()
        for t in self.threads:
            t.join(120)
            assert not t.is_alive(), "a device hangs"
        self.must_be_well()

    def verify(self):
        for d in self.all:
            deadline = time.monotonic() + NOTICE_S
            while True:  # what a delivery left to a handoff may be a moment behind
                try:
                    rows = d.verify(self.rig.doors[0])
                    break
                except AssertionError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.2)
            assert d.verify(self.rig.doors[1]) == rows, f"{d.user}: the frontends differ"
            d.watcher.must_have(len(rows))


def shard_of(c):
    """{user: shard}"""
    found = {}
    for line in c.ctl("user", "list").splitlines():
        m = re.match(r"(\w+)@\S+\taccount=\d+\tshard=(\d+)", line)
        if m:
            found[m.group(1)] = int(m.group(2))
    return found


class Mover:
    def __init__(self, rig, devices):
        self.rig = rig
        self.devices = devices
        self.moved = 0

    def move(self, c, user):
        """Until it is there: a leader that dies in a fence may give one up."""
        before = shard_of(c)[user]
        to = self.rig.rng.choice([s for s in range(1, SHARDS + 1) if s != before])
        deadline = time.monotonic() + MOVE_S
        while shard_of(c)[user] != to:
            assert time.monotonic() < deadline, f"{user} does not get to shard {to}: {c.ctl('account', 'move', '--status')}"
            c.run("ctl", "--", "account", "move", address(user), "--to-shard", str(to), check=False)
            self.devices.must_be_well()
        self.moved += 1

    def several(self, users, kill):
        def fault(c):
            victim = None
            for i, user in enumerate(users):
                if kill and i == len(users) // 3:
                    victim = c.leader()
                    c.kill([victim])
                    killed = time.monotonic()
                self.move(c, user)
                if victim and time.monotonic() > killed + 4:
                    c.run("start-node", str(victim))
                    victim = None
            if victim:
                c.run("start-node", str(victim))
        return fault


def fences(c):
    """Milliseconds of each, by the nodes' logs."""
    found = []
    for name in os.listdir(c.dir):
        path = os.path.join(c.dir, name, "log")
        if os.path.exists(path):
            with open(path, errors="replace") as f:
                found += [int(m) for m in re.findall(r'"event":"move.fence".*?"fence_ms":(\d+)', f.read())]
    return found


def main():
    def play(rig):
        devices = Devices(rig)
        devices.prepare()
        devices.start()
        mover = Mover(rig, devices)
        waits = {}
        for i, kill in enumerate((False, True, False)):
            users = DEVICES[i::3] + USERS[i::3]
            rig.round(f"{len(users)} accounts move" + (", and a leader is killed" if kill else ""), mover.several(users, kill))
            wait = devices.longest()
            print(f"  longest command {wait[0]:.2f} s ({wait[1]})", flush=True)
            waits[kill] = max(waits.get(kill, (0, "")), wait)
        devices.stop()
        devices.verify()
        took = fences(rig.cluster)
        assert mover.moved >= 50
        print(f"{mover.moved} accounts moved during {devices.operations} operations of their devices; longest fence {max(took)} ms (median "
              f"{sorted(took)[len(took) // 2]} ms); longest command {waits[False][0]:.2f} s ({waits[False][1]}), "
              f"{waits[True][0]:.2f} s ({waits[True][1]}) when a leader was killed", flush=True)
    Rig(3).run(play)


if __name__ == "__main__":
    main()
