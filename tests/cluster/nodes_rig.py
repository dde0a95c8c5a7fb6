"""Rounds of a whole cluster under load: deploy/scripts/dev_cluster.sh, three or five storage nodes and two frontends as processes.

A round: clients of all protocols on both frontends, a fault that is healed while they go on, an end of the load, and
everything that both frontends show is compared with what the clients were told (crash_ledger.py). A fault that leaves
a majority may not refuse anything: sessions wait and go on. A client sits in IDLE all the time and must hear of every message.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import pillarbox
from crash_disk import need
from crash_ledger import Ledger
from crash_load import TREE_USERS, USERS, Load, address, look, password
from crash_rig import whole_look
from wire import Imap

SCRIPT = os.path.join(pillarbox.ROOT, "deploy", "scripts", "dev_cluster.sh")
SETTLE_S = 240  # an emptied node takes the whole log, on a machine that has the load and two other nodes
STEP_S = 240
NOTICE_S = 15
SHARDS = 8
DISK_MIB = 3000


class Frontend:
    """What crash_load.look wants of a server."""

    def __init__(self, ports):
        self.ports = ports


class Cluster:
    def __init__(self, program, nodes=3, settings=(), frontends=2, net=None, base=None):
        self.folder = tempfile.mkdtemp(prefix="pb-cluster-")
        self.dir = os.path.join(self.folder, "cluster")
        self.nodes = nodes
        self.program = program
        net = net or os.environ.get("PB_CLUSTER_NET", "127.0.77")
        base = base or int(os.environ.get("PB_CLUSTER_PORTS", "12000"))
        self.first = ["start", "--nodes", str(nodes), "--frontends", str(frontends), "--insecure-auth", "--net", net, "--port-base",
                      str(base), "--shards", str(SHARDS), "--set", "storage.map_size=8 GiB", "--set", "storage.reserve=1 MiB"]
        for s in settings:
            self.first += ["--set", s]

    def run(self, *words, stdin=None, check=True):
        env = dict(os.environ, PILLARBOX_DEV_DIR=self.dir, PB_BIN=self.program, PB_LOG_LEVEL=os.environ.get("PB_LOG_LEVEL", "info"))
        r = subprocess.run([SCRIPT, *words], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=STEP_S, env=env)
        assert not check or r.returncode == 0, f"dev_cluster.sh {' '.join(words)}: {r.returncode}\n{r.stdout}{r.stderr}\n{self.logs()[-15000:]}"
        return r

    def start(self):
        """Node 2 has a small disk of its own, in memory: one that can be filled."""
        os.makedirs(os.path.join(self.dir, "node-2"))
        need("mount")
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", os.path.join(self.dir, "node-2")], check=True)
        self.run(*self.first)

    def status(self):
        return json.loads(self.run("status", "--json").stdout)

    def frontends(self):
        return [Frontend(f) for f in self.status()["frontends"]]

    def ctl(self, *words, stdin=None):
        return self.run("ctl", "--", *words, stdin=stdin).stdout

    def wait_settled(self, seconds=SETTLE_S):
        deadline = time.monotonic() + seconds
        while not self.status()["settled"]:
            assert time.monotonic() < deadline, f"the groups are not whole again: {self.run('status').stdout}\n{self.logs()[-15000:]}"
            time.sleep(0.3)

    def kill(self, nodes):
        """SIGKILL to all of them before any is waited for."""
        pids = [n["pid"] for n in self.status()["nodes"] if n["id"] in nodes]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while any(os.path.exists(f"/proc/{pid}") for pid in pids):
            assert time.monotonic() < deadline, f"processes {pids} do not end"
            time.sleep(0.02)

    def leader(self):
        """The node that leads most shards."""
        return max(self.status()["nodes"], key=lambda n: n["leads"])["id"]

    def data(self, node):
        return os.path.join(self.dir, f"node-{node}", "data")

    def logs(self):
        out = []
        for name in sorted(os.listdir(self.dir) if os.path.isdir(self.dir) else []):
            path = os.path.join(self.dir, name, "log")
            if os.path.exists(path):
                with open(path, errors="replace") as f:
                    out.append(f"[{name}]\n{f.read()[-6000:]}")
        return "\n".join(out)

    def defects(self):
        found = []
        for name in os.listdir(self.dir):
            path = os.path.join(self.dir, name, "log")
            if os.path.exists(path):
                with open(path, errors="replace") as f:
                    found += [f"{name}: {m.group(0)}" for m in pillarbox.DEFECT.finditer(f.read())]
        return found

    def check(self):
        """`ctl check` of every node; the cluster is stopped."""
        for n in range(1, self.nodes + 1):
            r = subprocess.run([self.program, "ctl", "--data", self.data(n), "check"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, timeout=300)
            assert r.returncode == 0, f"ctl check of node {n}\n{r.stdout}"

    def abandon(self):
        for n in range(1, self.nodes + 1):
            self.run("resume", str(n), check=False)
        self.run("stop", check=False)
        subprocess.run(["umount", "-l", os.path.join(self.dir, "node-2")], check=False)
        if os.environ.get("PB_KEEP") == "1":
            print(f"kept: {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)


class Watcher(threading.Thread):
    """IDLE in a user's INBOX for the whole test: counts what it is told."""

    def __init__(self, ports, user):
        super().__init__(daemon=True)
        self.c = Imap(ports["imap"], timeout=600)
        self.c.login(address(user), password(user))
        selected = b"\r\n".join(self.c.must("SELECT INBOX"))
        self.user = user
        self.count = int(re.search(rb"(\d+) EXISTS", selected).group(1))
        self.ended = None
        self.closing = False
        self.start()

    def run(self):
        try:
            self.c.send(b"w1 IDLE\r\n")
            while True:
                line = self.c.response()
                m = re.match(rb"\* (\d+) (EXISTS|EXPUNGE)", line)
                if m and m.group(2) == b"EXISTS":
                    self.count = int(m.group(1))
                elif m:
                    self.count -= 1
                elif line.startswith((b"* BYE", b"w1 ")):
                    raise EOFError(line)
        except Exception as e:  # noqa: BLE001  (whatever it is, the test says so)
            self.ended = repr(e)

    def must_have(self, count):
        deadline = time.monotonic() + NOTICE_S
        while self.count != count and self.ended is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert self.ended is None, f"the session in IDLE ended: {self.ended}"
        assert self.count == count, f"IDLE told of {self.count} messages, {count} are there"


class Rig:
    def __init__(self, nodes=3, settings=()):
        release = os.environ.get("PB_RELEASE_BIN", "")
        self.program = release if release and os.path.exists(release) else pillarbox.binary()
        self.seed = int(os.environ.get("PB_SEED", random.randrange(1 << 30)))
        print(f"seed {self.seed} (PB_SEED), {self.program}")
        self.rng = random.Random(self.seed)
        self.ledger = Ledger(USERS, TREE_USERS)
        self.cluster = Cluster(self.program, nodes, settings)
        self.rounds = 0
        self.may_refuse = False  # temporarily, in this round
        self.load = None         # of the round
        self.watchers = []
        self.slowest_stop = 0    # of a node, in seconds
        self.begun = time.monotonic()

    def prepare(self):
        self.cluster.start()
        for user in USERS:
            self.cluster.ctl("user", "add", address(user), stdin=password(user) + "\n")
        self.doors = self.cluster.frontends()
        self.ledger.begin(look(self.doors[0], self.ledger, True))
        self.watchers = [Watcher(d.ports, USERS[0]) for d in self.doors]

    def verify(self, whole=False):
        """Both frontends show what was acknowledged, and the same."""
        seen = whole_look(self, self.doors[0], whole, SETTLE_S)
        self.ledger.refusals, self.may_refuse = [], False
        other = look(self.doors[1], self.ledger, whole)
        for box, s in seen.items():
            o = other.get(box)
            assert o and o.rows.keys() == s.rows.keys() and o.validity == s.validity, f"the frontends differ in {box}"
            differ = [u for u in s.rows if s.rows[u][:3] != o.rows[u][:3]]
            assert not differ, f"the frontends differ in {box}, UIDs {differ[:10]}"
        self.ledger.settle(seen)
        for w in self.watchers:
            w.must_have(len(seen[w.user, "INBOX"].rows))

    def must_go_on(self, what):
        acked = self.load.acknowledged()
        deadline = time.monotonic() + 30
        while self.load.acknowledged() < acked + 20:
            assert time.monotonic() < deadline, f"{what}: nothing is acknowledged any more\n{self.cluster.logs()[-15000:]}"
            time.sleep(0.2)

    def round(self, what, fault, majority=True):
        """fault(cluster) breaks something and heals it; the load goes on through it and for a moment after. Without a majority
        what is refused may be done all the same."""
        self.rounds += 1
        before = time.monotonic()
        self.ledger.in_doubt = self.may_refuse = not majority
        self.load = Load(self.cluster, self.ledger, self.rounds, self.rng, [d.ports for d in self.doors], not majority)
        time.sleep(self.rng.uniform(0.3, 1.0))
        fault(self.cluster)
        self.must_go_on(what)
        self.load.stop()
        self.load.finish(self.ledger)
        assert not self.ledger.ended, f"{what}: sessions ended: {self.ledger.ended}"
        self.verify()
        print(f"round {self.rounds}, {what}: {sum(self.ledger.counts.values())} operations so far, "
              f"{time.monotonic() - before:.1f} s", flush=True)

    def ended(self):
        """The cluster is stopped, its folder is still there."""

    def run(self, rounds):
        try:
            self.prepare()
            rounds(self)
            self.verify(whole=True)
            self.cluster.wait_settled()
            self.cluster.run("stop")
            assert not self.cluster.defects(), self.cluster.defects()
            self.cluster.check()
            self.ended()
        except BaseException:
            print(self.cluster.logs()[-30000:])
            self.cluster.abandon()
            raise
        self.cluster.abandon()
        print(f"all there, once, unchanged, in {time.monotonic() - self.begun:.0f} s: {self.ledger.counts}")
