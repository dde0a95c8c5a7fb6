#!/usr/bin/env python3
"""A whole cluster goes from an older version to this one under load, node by node: nodes_upgrade.py.

Three nodes and two frontends of the older program (tests/support/older.py); each node is stopped by SIGTERM and started as the new program, one goes
back meanwhile. What is new is refused as long as one node is old, and works afterwards; then the old program is refused. Every answer is kept, each
message is there once, both frontends agree, and `ctl check` finds nothing on any node."""

import os
import signal
import sys
import time

import older
from nodes_rig import Rig, Watcher

STOP_S = 15
WAIT_S = 60


def ended(pid):
    deadline = time.monotonic() + STOP_S
    while os.path.exists(f"/proc/{pid}"):
        assert time.monotonic() < deadline, f"process {pid} does not stop"
        time.sleep(0.02)


class Upgrade:
    def __init__(self, rig, old, new):
        self.rig, self.old, self.new = rig, old, new

    def restart(self, c, n, program):
        pid = next(x["pid"] for x in c.status()["nodes"] if x["id"] == n)
        os.kill(pid, signal.SIGTERM)
        ended(pid)
        c.program = program
        c.run("start-node", str(n))
        c.wait_settled()
        pid = next(x["pid"] for x in c.status()["nodes"] if x["id"] == n)
        assert os.readlink(f"/proc/{pid}/exe") == os.path.realpath(program)

    def refused(self, c, *words):
        c.program = self.new
        r = c.run("ctl", "--", *words, check=False)
        assert r.returncode == 1, f"ctl {' '.join(words)} with an old node there: {r.stdout}{r.stderr}"
        return r.stderr

    def one(self, c):
        self.restart(c, 1, self.new)
        assert "not yet" in self.refused(c, "cluster", "replicas", "3")

    def two_and_one_back(self, c):
        self.restart(c, 2, self.new)
        assert "level    1 " in c.ctl("cluster", "status"), c.ctl("cluster", "status")
        self.restart(c, 1, self.old)
        self.refused(c, "node", "zone", "3", "east")

    def killed(self, c):
        """Leaders of either version die beside the other."""
        n = c.leader()
        program = self.old if n in (1, 3) else self.new
        c.kill([n])
        self.rig.must_go_on(f"node {n} is dead, two versions are there")
        c.program = program
        c.run("start-node", str(n))
        c.wait_settled()

    def all(self, c):
        self.restart(c, 3, self.new)
        self.restart(c, 1, self.new)
        deadline = time.monotonic() + WAIT_S
        while "level    2 " not in c.ctl("cluster", "status"):
            assert time.monotonic() < deadline, c.ctl("cluster", "status")
            time.sleep(0.3)
        c.ctl("cluster", "replicas", "3")
        c.ctl("node", "zone", "3", "east")
        c.ctl("shard", "transfer", "1", "2")

    def frontends(self, c):
        """Their sessions end, as those of any frontend that is restarted."""
        for f in c.status()["frontends"]:
            os.kill(f["pid"], signal.SIGTERM)
            ended(f["pid"])
            c.run("start-frontend", str(f["id"]))
        deadline = time.monotonic() + WAIT_S
        while True:
            try:
                self.rig.watchers = [Watcher(d.ports, w.user) for d, w in zip(self.rig.doors, self.rig.watchers)]
                return
            except OSError:
                assert time.monotonic() < deadline, "the frontends do not come"
                time.sleep(0.2)

    def no_way_back(self, c):
        pid = next(x["pid"] for x in c.status()["nodes"] if x["id"] == 2)
        os.kill(pid, signal.SIGTERM)
        ended(pid)
        c.program = self.old
        c.run("start-node", "2")
        time.sleep(2)
        assert not next(x["alive"] for x in c.status()["nodes"] if x["id"] == 2), "the old program runs on a data directory of the new one"
        with open(os.path.join(c.dir, "node-2", "log")) as f:
            assert "another version of Pillarbox" in f.read()
        c.program = self.new
        c.run("start-node", "2")


def main():
    old, why = older.build()
    if old is None:
        print(f"skipped: {why}")
        sys.exit(77)
    rig = Rig()
    up = Upgrade(rig, old, rig.program)
    rig.cluster.program = old

    def play(rig):
        rig.round("all old", lambda c: None)
        rig.round("one node is new", up.one)
        rig.round("a second is new, the first goes back", up.two_and_one_back)
        rig.round("a leader dies", up.killed)
        rig.round("all nodes are new", up.all)
        up.frontends(rig.cluster)
        rig.round("all new", lambda c: None)
        rig.round("the old program is refused", up.no_way_back)
    rig.run(play)


if __name__ == "__main__":
    main()
