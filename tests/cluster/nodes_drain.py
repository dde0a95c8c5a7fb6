#!/usr/bin/env python3
"""Nodes are drained and come back under load: nodes_drain.py.

Five nodes become three while one of them is killed, of four one stays dead and is replaced, three become one, one becomes five again. All of it with the load of
nodes_faults.py: every answer is kept, each message is there once, both frontends agree."""

import threading
import time

from nodes_groups import SETTLE_S, groups, must_have_voters, must_hold_nothing, wait_settled
from nodes_rig import Rig

REPLACE_S = 8  # a node must be dead for so long; the other rounds kill for less


class Drain:
    def __init__(self, rig):
        self.rig = rig

    def five_to_three(self, c):
        """A node that stays is killed and started meanwhile."""
        drains = [threading.Thread(target=c.ctl, args=("node", "drain", n)) for n in ("4", "5")]
        for t in drains:
            t.start()
        victim = self.rig.rng.choice([2, 3])
        time.sleep(self.rig.rng.uniform(0, 2))
        c.kill([victim])
        self.rig.must_go_on(f"4 and 5 are drained, {victim} is dead")
        c.run("start-node", str(victim))
        for t in drains:
            t.join()
        wait_settled(c)
        must_hold_nothing(c, [4, 5])
        must_have_voters(c, 3)
        c.kill([5])
        self.rig.must_go_on("a drained node is dead")
        c.run("start-node", "5")

    def one_is_replaced(self, c):
        """Four nodes are three voters and a standby: when a voter stays dead, the standby takes its place; it comes back as one."""
        c.ctl("node", "drain", "4", "--undo")
        wait_settled(c)
        must_have_voters(c, 3)
        victim = self.rig.rng.choice([2, 3])
        held = [shard for shard, servers in groups(c).items() if servers.get(victim) == "voter"]
        c.kill([victim])
        deadline = time.monotonic() + REPLACE_S + SETTLE_S
        while any(servers.get(victim) == "voter" for servers in groups(c).values()):
            assert time.monotonic() < deadline, f"node {victim} is dead and still votes: {c.ctl('shard', 'status')}"
            time.sleep(0.3)
        assert held
        must_have_voters(c, 3)
        assert f"{victim}\taway" in c.ctl("node", "list")
        c.run("start-node", str(victim))
        wait_settled(c)
        must_have_voters(c, 3)
        while f"{victim}\tmember" not in c.ctl("node", "list"):
            assert time.monotonic() < deadline, c.ctl("node", "list")
            time.sleep(0.3)
        c.ctl("node", "drain", "4")

    def three_to_one(self, c):
        c.ctl("node", "drain", "2")
        c.ctl("node", "drain", "1")
        wait_settled(c)
        must_hold_nothing(c, [1, 2, 4, 5])
        must_have_voters(c, 1)
        r = c.run("ctl", "--", "node", "drain", "3", check=False)
        assert r.returncode == 1 and "no other node" in r.stderr, r.stderr

    def one_to_five(self, c):
        r = c.run("ctl", "--", "node", "remove", "3", check=False)
        assert r.returncode == 1 and "drain" in r.stderr, r.stderr
        for n in "1245":
            c.ctl("node", "drain", n, "--undo")
        c.wait_settled()
        must_have_voters(c, 5)


def main():
    def play(rig):
        drain = Drain(rig)
        rig.round("five nodes become three, and one is killed", drain.five_to_three)
        rig.round("of four one is dead for long", drain.one_is_replaced)
        rig.round("three become one", drain.three_to_one)
        rig.round("one becomes five again", drain.one_to_five)
    Rig(5, [f"cluster.replace_after={REPLACE_S} s"]).run(play)


if __name__ == "__main__":
    main()
