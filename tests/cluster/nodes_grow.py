#!/usr/bin/env python3
"""From a laptop to a cluster and back, under load: nodes_grow.py.

The data directory that `pillarbox all` wrote becomes the first node of a cluster. One node becomes three, three become five that hold three replicas of each
shard; a shard is moved and transferred; five become three and those become one again, whose directory `pillarbox all` opens at the end. All of it with the
load of nodes_faults.py: every answer is kept, each message is there once, both frontends agree."""

import os
import re
import time

import pillarbox
from crash_load import USERS, Load, address, look, password
from crash_rig import whole_look
from nodes_groups import groups, must_have_voters, must_hold_nothing, wait_settled
from nodes_rig import SHARDS, Rig, Watcher

LEFT_S = 90  # until a node that left a group has thrown away what it held


class GrowRig(Rig):
    def laptop(self):
        """`pillarbox all` on what is, or will be, node 1's data directory."""
        server = pillarbox.Server({"data_dir": self.cluster.data(1), "storage.shards": str(SHARDS), "storage.map_size": "8 GiB"}, program=self.program,
                                  split=False)
        return server.start()

    def prepare(self):
        os.makedirs(os.path.dirname(self.cluster.data(1)))
        server = self.laptop()
        server.add_domain()
        for user in USERS:
            server.ctl("user", "add", address(user), stdin=password(user) + "\n")
        self.ledger.begin(look(server, self.ledger, True))
        self.load = Load(server, self.ledger, self.rounds, self.rng)
        time.sleep(3)
        self.load.stop()
        self.load.finish(self.ledger)
        self.ledger.settle(whole_look(self, server, False, 60))
        print(f"on the laptop: {sum(self.ledger.counts.values())} operations", flush=True)
        server.stop()
        for done in ["founded", "domain"]:  # what dev_cluster.sh would do first
            open(os.path.join(self.cluster.dir, done), "w").close()
        self.cluster.start()
        self.doors = self.cluster.frontends()
        self.watchers = [Watcher(d.ports, USERS[0]) for d in self.doors]

    def ended(self):
        server = self.laptop()
        whole_look(self, server, True, 60)
        server.stop()
        print("and on the laptop again")


class Grow:
    def __init__(self, rig):
        self.rig = rig

    def add(self, c):
        c.run("add-node")
        c.nodes += 1

    def one_to_three(self, c):
        self.add(c)
        self.add(c)
        c.wait_settled()
        must_have_voters(c, 3)

    def three_to_five(self, c):
        """More nodes than replicas: each shard is on three of them."""
        c.ctl("cluster", "replicas", "3")
        self.add(c)
        self.add(c)
        wait_settled(c)
        must_have_voters(c, 3)
        have = {n: sum(n in servers for shard, servers in groups(c).items() if shard != 0) for n in range(1, 6)}
        assert sum(have.values()) == 3 * SHARDS and min(have.values()) > 0, have

    def moved(self, c):
        shard = self.rig.rng.randint(1, SHARDS)
        servers = groups(c)[shard]
        source = self.rig.rng.choice(sorted(servers))
        target = self.rig.rng.choice([n for n in range(1, 6) if n not in servers])
        c.ctl("shard", "move", str(shard), str(source), str(target))
        now = groups(c)[shard]
        assert set(now) == set(servers) - {source} | {target} and set(now.values()) == {"voter"}, f"{servers}, {source} to {target}: {now}"
        c.ctl("shard", "transfer", str(shard), str(target))
        assert f"{shard}\tleader={target}" in c.ctl("shard", "status", str(shard))
        assert f"pin\tshard={shard}\t" in c.ctl("cluster", "status")
        self.rig.must_go_on("a shard was moved and transferred")
        c.ctl("shard", "unpin", str(shard))
        wait_settled(c)
        must_have_voters(c, 3)

    def wait_left(self, c, node):
        """The replicas that it had are gone from its disk: each says so once, and asks nobody for votes any more."""
        deadline = time.monotonic() + LEFT_S
        while True:
            with open(os.path.join(c.dir, f"node-{node}", "log")) as f:
                left = {int(m.group(1)) for m in re.finditer(r'"event":"replica.left".*?"shard":(\d+)', f.read())}
            if left >= self.had[node]:
                return
            assert time.monotonic() < deadline, f"node {node} had shards {self.had[node]} and threw away {left}"
            time.sleep(0.5)

    def out(self, c, nodes):
        self.had = {n: {shard for shard, servers in groups(c).items() if n in servers and shard != 0} for n in nodes}
        for n in nodes:
            c.ctl("node", "drain", str(n))
        wait_settled(c)
        must_hold_nothing(c, nodes)
        for n in nodes:
            self.wait_left(c, n)

    def five_to_three(self, c):
        self.out(c, [5, 4])
        must_have_voters(c, 3)

    def three_to_one(self, c):
        self.out(c, [3, 2])
        must_have_voters(c, 1)
        for n in [2, 3, 4, 5]:
            c.ctl("node", "remove", str(n))


def main():
    def play(rig):
        grow = Grow(rig)
        rig.round("one node becomes three", grow.one_to_three)
        rig.round("three become five", grow.three_to_five)
        rig.round("a shard is moved", grow.moved)
        rig.round("five become three", grow.five_to_three)
        rig.round("three become one", grow.three_to_one)
        rig.cluster.wait_settled = lambda: wait_settled(rig.cluster)
    GrowRig(1).run(play)


if __name__ == "__main__":
    main()
