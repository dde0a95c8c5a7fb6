#!/usr/bin/env python3
"""Five storage nodes under load: two die at once and come back, then three are away: nodes_five.py [ROUNDS].

Two of five leave a majority: nothing may be refused. Without one, whatever asks is refused for now and no session ends; all goes
on when one of the three returns, which needs what the two that died before have caught up with."""

import sys
import time

from crash_load import REFUSED
from nodes_rig import Rig

# Shorter than the default, so that clients hear of the missing majority soon; much longer than an election.
CALL_S = 6
REFUSED_S = 60
ON_THEIR_WAY_S = 2  # answers of what was committed before
ROUNDS = 1


class Five:
    def __init__(self, rig):
        self.rig = rig
        self.two = []

    def start(self, c, nodes):
        for n in nodes:
            c.run("start-node", str(n))

    def two_die(self, c):
        """One of them leads most shards. They return one after the other, and catch up while the load goes on."""
        first = c.leader()
        self.two = [first, self.rig.rng.choice([n for n in range(1, c.nodes + 1) if n != first])]
        c.kill(self.two)
        self.rig.must_go_on("two of five are dead")
        time.sleep(self.rig.rng.uniform(0, 3))
        self.rig.must_go_on("two of five are dead")
        self.start(c, self.two)
        c.wait_settled()

    def three_away(self, c):
        """The three that did not die before."""
        three = [n for n in range(1, c.nodes + 1) if n not in self.two]
        self.rig.rng.shuffle(three)
        c.kill(three)
        time.sleep(ON_THEIR_WAY_S)
        ends = self.rig.load.ends()
        self.all_refused()
        acked = list(self.rig.load.acknowledged_since(ends))
        assert not acked, f"acknowledged by two of five: {acked}"
        self.start(c, three[:1])
        self.rig.must_go_on("three of five are there again")
        self.start(c, three[1:])
        c.wait_settled()

    def all_refused(self):
        """But the POP3 client, which is seldom in a QUIT that deletes something."""
        deadline = time.monotonic() + REFUSED_S
        while True:
            left = [name for name, n in self.rig.load.count(REFUSED).items() if n == 0 and not name.startswith("pop")]
            if not left:
                return
            assert time.monotonic() < deadline, f"no majority, and not refused: {left}"
            time.sleep(0.2)


def main(rounds):
    def play(rig):
        five = Five(rig)
        for _ in range(rounds):
            rig.round("two of five die", five.two_die)
            rig.round("three of five are away", five.three_away, majority=False)
    Rig(5, [f"frontend.rpc_timeout={CALL_S} s"]).run(play)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
