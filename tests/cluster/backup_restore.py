#!/usr/bin/env python3
"""Backups of a cluster under load, and what comes back from them: backup_restore.py.

Three nodes under the load of nodes_faults.py. A full backup and two incremental ones are taken while clients go on; the load ends before the
third, so what that one holds is known exactly. Then: the cluster in an empty folder, message by message what the running one shows, down to
UIDs; the same at a time in the middle, which must be a prefix that has all that was acknowledged by then; one account in the running
cluster, twice, without a double; and what cannot be restored says why."""

import datetime
import hashlib
import os
import random
import re
import shutil
import subprocess
import sys
import time

import pillarbox
import ports
from crash_ledger import Ledger
from crash_load import TREE_USERS, USERS, Load, address, password
from crash_look import fetch, mailboxes
from nodes_rig import SHARDS, Cluster
from wire import Imap

ACKED_FIRST = 150  # acknowledged before the first backup, and between those that follow
HANDOFF_S = 2.5    # what was acknowledged so long ago is where it belongs
GROWING = ["crash0", "crash2", "crash3"]  # nobody removes from their INBOX


def inventory(ports, user, boxes=None):
    """{mailbox: (UIDVALIDITY, UIDNEXT, {uid: (flags, internal date, digest)})}"""
    found = {}
    with Imap(ports["imap"]) as c:
        c.login(address(user), password(user))
        for box in list(mailboxes(c)):
            if boxes is not None and box not in boxes:
                continue
            selected = b"\r\n".join(c.must(f'EXAMINE "{box}"'))
            rows = {}
            if not re.search(rb"\* 0 EXISTS", selected):
                for uid, row in fetch(c, "1:* (UID FLAGS INTERNALDATE BODY.PEEK[])").items():
                    flags = frozenset(re.search(rb"FLAGS \(([^)]*)\)", row).group(1).decode().split()) - {"\\Recent"}
                    date = re.search(rb'INTERNALDATE "([^"]*)"', row).group(1).decode()
                    m = re.search(rb"BODY\[\] \{(\d+)\}\r\n", row)
                    octets = row[m.end():m.end() + int(m.group(1))]
                    rows[uid] = flags, date, hashlib.sha256(octets).hexdigest()
            found[box] = (re.search(rb"UIDVALIDITY (\d+)", selected).group(1), re.search(rb"UIDNEXT (\d+)", selected).group(1), rows)
    return found


def when(internal_date):
    return datetime.datetime.strptime(internal_date.strip(), "%d-%b-%Y %H:%M:%S %z").timestamp()


def whole(ports):
    return {user: inventory(ports, user) for user in USERS}


def messages(boxes):
    """What is in mailboxes, UIDs apart."""
    return {box: sorted((sorted(f), d, h) for f, d, h in rows.values()) for box, (_, _, rows) in boxes.items()}


class Restored:
    """`pillarbox all` on a restored data directory."""

    def __init__(self, program, data):
        self.server = pillarbox.Server({"data_dir": data}, program=program, split=False)

    def __enter__(self):
        self.server.start()
        return self.server

    def __exit__(self, kind, *_):
        self.server.stop() if kind is None else print(self.server.logs()[-20000:])
        self.server.abandon()


class Test:
    def __init__(self):
        release = os.environ.get("PB_RELEASE_BIN", "")
        self.program = release if release and os.path.exists(release) else pillarbox.binary()
        self.seed = int(os.environ.get("PB_SEED", random.randrange(1 << 30)))
        print(f"seed {self.seed} (PB_SEED), {self.program}")
        self.cluster = Cluster(self.program, 3)
        self.ledger = Ledger(USERS, TREE_USERS)
        self.folder = self.cluster.folder
        self.dir = os.path.join(self.folder, "backup")

    # --- taking ---

    def backup(self, *words):
        out = self.cluster.ctl("backup", self.dir, *words)
        print(out, end="", flush=True)
        return out

    def wait_acked(self, more):
        want = self.load.acknowledged() + more
        deadline = time.monotonic() + 120
        while self.load.acknowledged() < want:
            assert time.monotonic() < deadline, f"nothing is acknowledged any more\n{self.cluster.logs()[-15000:]}"
            time.sleep(0.1)

    def prepare(self):
        self.cluster.run(*self.cluster.first)
        for user in USERS:
            self.cluster.ctl("user", "add", address(user), stdin=password(user) + "\n")
        self.ports = self.cluster.frontends()[0].ports
        self.cluster.wait_settled()

    def take(self):
        doors = [f.ports for f in self.cluster.frontends()]
        self.load = Load(self.cluster, self.ledger, 1, random.Random(self.seed), doors)
        self.wait_acked(ACKED_FIRST)
        before = self.load.acknowledged()
        self.backup()
        self.after_base = time.time()
        assert self.load.acknowledged() > before, "nobody was served during the backup"
        self.wait_acked(ACKED_FIRST)
        self.acked = self.deliveries()
        time.sleep(HANDOFF_S)
        self.middle = f"{time.time():.3f}"  # a whole second would be its end, and the load may be over by then
        self.backup("--incremental")
        self.wait_acked(ACKED_FIRST)
        self.load.stop()
        self.load.finish(self.ledger)
        assert not self.ledger.ended, f"sessions ended: {self.ledger.ended}"
        time.sleep(HANDOFF_S)
        self.at_end = whole(self.ports)
        out = self.backup("--incremental")
        assert re.match(r"0 bases, 9 logs", out), out

    def deliveries(self):
        """[(marker, user)] acknowledged by now."""
        found = []
        for _, path in self.load.work:
            with open(path) as f:
                for line in f:
                    m = re.match(r'\["acked", "([^"]+)", \[(.*)\]\]$', line)
                    found += [(m.group(1), u.strip(' "')) for u in m.group(2).split(",")] if m else []
        return found

    def stream(self):
        """`ctl backup -` through a pipe; it is a backup like the other one."""
        to = os.path.join(self.folder, "received")
        take = [self.program, "ctl", "--data", self.cluster.data(2), "backup", "-", "--rate", "100MiB"]
        with subprocess.Popen(take, stdout=subprocess.PIPE) as sender:
            r = subprocess.run([self.program, "ctl", "backup", "receive", to], stdin=sender.stdout, stdout=subprocess.PIPE, text=True, timeout=120)
            sender.stdout.close()
            assert sender.wait(60) == 0 and r.returncode == 0, r.stdout
        assert re.search(r" 0 damaged$", self.ctl("backup", "verify", to).strip())

    def parts(self):
        """One shard; what one node leads."""
        one = os.path.join(self.folder, "one")
        assert self.cluster.ctl("backup", one, "--shard", "3").startswith("1 bases")
        led = [n["leads"] for n in self.cluster.status()["nodes"] if n["id"] == 2][0]
        assert self.cluster.ctl("backup", os.path.join(self.folder, "led"), "--node-id", "2").startswith(f"{led} bases")
        out = self.ctl("restore", "--from", one, data=os.path.join(self.folder, "part"), status=1)
        assert "shard 0: the backup has nothing of it" in out, out

    # --- bringing back ---

    def ctl(self, *words, data=None, status=0):
        where = ["--data", data] if data else []
        r = subprocess.run([self.program, "ctl", *where, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
        assert r.returncode == status, f"ctl {words}: {r.returncode}\n{r.stdout}"
        return r.stdout

    def restore(self, name, *words):
        data = os.path.join(self.folder, name)
        print(self.ctl("restore", "--from", self.dir, *words, data=data), end="", flush=True)
        assert re.search(r"^0 findings", self.ctl("check", data=data), re.M)
        return data

    def a_cluster_is_there_again(self):
        data = self.restore("whole")
        with Restored(self.program, data) as server:
            found = whole(server.ports)
            for user in USERS:
                assert found[user].keys() == self.at_end[user].keys(), f"{user}: {sorted(found[user])}, not {sorted(self.at_end[user])}"
                for box in found[user]:
                    assert found[user][box] == self.at_end[user][box], f"{user}, {box}: not what the cluster shows"
            assert "crash0" in server.ctl("user", "list").stdout
            with Imap(server.ports["imap"]) as c:  # it is a cluster like any other
                c.login(address("crash0"), password("crash0"))
                _, text, _ = c.ask(b"APPEND INBOX {21+}\r\nSubject: new\r\n\r\nnew\r\n")
                uid = int(re.search(r"APPENDUID \d+ (\d+)", text).group(1))
                assert uid == int(self.at_end["crash0"]["INBOX"][1])
        count = sum(len(rows) for boxes in self.at_end.values() for _, _, rows in boxes.values())
        print(f"restored: {count} messages, all as they are in the cluster", flush=True)

    def it_grows(self):
        """The restored node, and one that joins: the old cluster's nodes are not asked for."""
        a, b = (dict(zip(("rpc", "events", "peer"), (f"tcp://127.0.0.1:{p}" for p in block[i:i + 3])))
                for block in [ports.block()] for i in (0, 3))
        first, second = os.path.join(self.folder, "whole"), os.path.join(self.folder, "joined")
        nodes = []
        try:
            for data, at, more in ((first, a, []), (second, b, ["cluster.start=wait", f"cluster.seeds={a['rpc']}"])):
                words = [f"data_dir={data}", f"storage.listen={at['rpc']}", f"storage.publish={at['events']}",
                         f"cluster.peer_listen={at['peer']}", "storage.map_size=8 GiB", "storage.reserve=1 MiB", *more]
                options = [w for word in words for w in ("--set", word)]
                nodes.append(pillarbox.Process(os.path.basename(data), [self.program, "storage", *options], self.folder))
            deadline = time.monotonic() + 120
            while b["peer"] not in (out := self.try_ctl(first, "node", "list")):
                assert time.monotonic() < deadline, out
                self.try_ctl(first, "node", "add", b["peer"], "--once")
                time.sleep(0.5)
            while len(re.findall(r"\t2=standby(?!\()", out := self.try_ctl(first, "shard", "status"))) < SHARDS + 1:
                assert time.monotonic() < deadline, out
                time.sleep(0.5)
            assert re.findall(r"(?m)^(\d+)\t", self.try_ctl(first, "node", "list")) == ["1", "2"]
        finally:
            ends = [n.terminate() for n in nodes]
        assert ends == [0, 0], [n.log()[-3000:] for n in nodes]
        for data in (first, second):
            assert re.search(r"^0 findings", self.ctl("check", data=data), re.M)

    def try_ctl(self, data, *words):
        r = subprocess.run([self.program, "ctl", "--data", data, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        return r.stdout

    def a_time_in_the_middle(self):
        data = self.restore("middle", "--until", f"@{self.middle}")
        with Restored(self.program, data) as server:
            found = {user: inventory(server.ports, user, ["INBOX"])["INBOX"] for user in GROWING}
            for user in GROWING:
                _, _, end = self.at_end[user]["INBOX"]
                _, _, rows = found[user]
                # What one shard owed another then is delivered when the restored node starts, and dated so.
                late = {u for u in rows if when(rows[u][1]) > float(self.middle)}
                assert {rows[u][2] for u in late} <= {row[2] for row in end.values()}, f"{user}: delivered late, and never before"
                uids = sorted(end)[:len(rows) - len(late)]
                assert sorted(set(rows) - late) == uids, f"{user}: no prefix: {sorted(rows)[-5:]}, late {late}"
                differ = [(u, rows[u], end[u]) for u in uids if rows[u][1:] != end[u][1:]]
                assert not differ, f"{user}: {differ[:3]}"
                assert 0 < len(rows) < len(end), f"{user}: {len(rows)} of {len(end)} in the middle"
            self.must_have_acked(server.ports)
        print(f"at {self.middle}: " + ", ".join(f"{u} {len(found[u][2])} of {len(self.at_end[u]['INBOX'][2])}" for u in GROWING), flush=True)

    def must_have_acked(self, ports):
        for user in GROWING:
            with Imap(ports["imap"]) as c:
                c.login(address(user), password(user))
                c.must("EXAMINE INBOX")
                rows = fetch(c, "1:* (UID BODY.PEEK[HEADER.FIELDS (X-Marker)])").values()
                have = {b".".join(re.search(rb"X-Marker: (\S+)-(\d+)", r).groups()).decode() for r in rows}
            lost = [m for m, u in self.acked if u == user and m not in have]
            assert not lost, f"{user}: acknowledged by then, and not there: {lost[:10]}"

    def one_account(self):
        before = inventory(self.ports, "crash2")
        words = ("restore", "--from", self.dir, "--account", address("crash2"), "--tmp", self.folder)
        print(self.cluster.ctl(*words), end="", flush=True)
        after = inventory(self.ports, "crash2")
        want = messages(before)
        got = {box[len("Restored/"):]: m for box, m in messages(after).items() if box.startswith("Restored/")}
        got = {box: got[box] for box in want}
        assert got == want, f"restored: {[b for b in want if got[b] != want[b]]} differ"
        assert {b: v for b, v in after.items() if not b.startswith("Restored")} == before, "the account's own folders changed"
        out = self.cluster.ctl(*words)
        assert inventory(self.ports, "crash2") == after, "restored twice: something doubled"
        assert not re.search(r"\t[1-9]\d* restored", out), out
        self.cluster.ctl(*words, "--mailbox", "INBOX", "--to", address("crash3"), "--prefix", "Of crash2")
        other = inventory(self.ports, "crash3")
        assert messages(other)["Of crash2/INBOX"] == want["INBOX"]
        assert [b for b in other if b.startswith("Of crash2/")] == ["Of crash2/INBOX"]
        assert not [n for n in os.listdir(self.folder) if n.startswith("pillarbox-restore-")], "the temporary store is left"

    # --- what cannot be ---

    def refusals(self):
        out = self.ctl("restore", "--from", self.dir, data=os.path.join(self.folder, "whole"), status=1)
        assert "is not empty" in out, out
        out = self.ctl("restore", "--from", self.dir, "--until", "2020-01-01T00:00:00Z", data=os.path.join(self.folder, "early"), status=1)
        assert "the earliest time that the backup reaches back to is 20" in out, out
        out = self.ctl("restore", "--from", self.dir, "--until", "2100-01-01T00:00:00Z", data=os.path.join(self.folder, "late"), status=1)
        assert "the backup reaches up to 20" in out, out
        r = self.cluster.run("ctl", "--", "restore", "--from", self.dir, "--account", "nobody@example.test", "--to", address("crash0"), "--tmp",
                             self.folder, check=False)
        assert r.returncode == 1 and "no such account in the backup at that time" in r.stderr, r.stderr
        r = self.cluster.run("ctl", "--", "backup", self.dir, check=False)
        assert r.returncode == 1 and "is not empty" in r.stderr, r.stderr

    def damage(self):
        assert re.search(r" 0 damaged$", self.ctl("backup", "verify", self.dir).strip())
        copy = os.path.join(self.folder, "damaged")
        shutil.copytree(self.dir, copy)
        name = max((n for n in os.listdir(copy) if n.endswith(".base")), key=lambda n: os.path.getsize(os.path.join(copy, n)))
        path = os.path.join(copy, name)
        with open(path, "r+b") as f:
            f.seek(os.path.getsize(path) // 2)
            octet = f.read(1)
            f.seek(-1, 1)
            f.write(bytes([octet[0] ^ 1]))
        out = self.ctl("backup", "verify", copy, status=1)
        assert re.search(re.escape(path) + r": at byte \d+: a block is damaged", out), out
        out = self.ctl("restore", "--from", copy, data=os.path.join(self.folder, "no"), status=1)
        assert re.search(re.escape(path) + r": at byte \d+: a block is damaged", out), out
        assert "node.id" not in os.listdir(os.path.join(self.folder, "no")), "half a directory is a node's"

    def run(self):
        try:
            self.prepare()
            self.take()
            self.stream()
            self.parts()
            self.damage()
            self.a_cluster_is_there_again()
            self.it_grows()
            self.a_time_in_the_middle()
            self.one_account()
            self.refusals()
            self.cluster.run("stop")
            assert not self.cluster.defects(), self.cluster.defects()
            self.cluster.check()
        except BaseException:
            print(self.cluster.logs()[-20000:])
            self.cluster.abandon()
            raise
        self.cluster.abandon()


if __name__ == "__main__":
    begun = time.monotonic()
    Test().run()
    print(f"all there in {time.monotonic() - begun:.0f} s")
    sys.exit(0)
