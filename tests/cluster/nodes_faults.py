#!/usr/bin/env python3
"""Faults of one storage node of three under load: nodes_faults.py [ROUNDS [FAULT...]]. What may happen: rounds are drawn from
FAULTS by the seed, each at least once."""

import os
import shutil
import subprocess
import sys
import time

from nodes_rig import Rig

ROUNDS = 30
STOP_S = 15  # a SIGTERM: leadership is handed over, open requests are answered; Kubernetes would wait for 60


def kill_leader(rig, c):
    n = c.leader()
    c.run("kill", str(n))
    time.sleep(rig.rng.uniform(0.5, 4))
    c.run("start-node", str(n))


def kill_any(rig, c):
    n = rig.rng.randint(1, c.nodes)
    c.run("kill", str(n))
    time.sleep(rig.rng.uniform(0, 2))
    c.run("start-node", str(n))


def stop_leader(rig, c):
    n = c.leader()
    c.run("pause", str(n))
    time.sleep(rig.rng.uniform(0.5, 7))
    c.run("resume", str(n))


def cut(way):
    def fault(rig, c):
        n = c.leader() if rig.rng.random() < 0.7 else rig.rng.randint(1, c.nodes)
        c.run("cut", str(n), way)
        time.sleep(rig.rng.uniform(1, 7))
        c.run("heal", str(n))
    return fault


def emptied(rig, c):
    """The disk is lost: the node joins as a new one and is copied to."""
    c.wait_settled()
    n = rig.rng.randint(1, c.nodes)
    c.run("kill", str(n))
    shutil.rmtree(c.data(n))
    c.run("start-node", str(n))
    c.wait_settled()


def rolling(rig, c):
    """Every node is restarted in turn, as an upgrade does."""
    for n in range(1, c.nodes + 1):
        c.wait_settled()
        pid = next(x["pid"] for x in c.status()["nodes"] if x["id"] == n)
        os.kill(pid, 15)
        begun = time.monotonic()
        while os.path.exists(f"/proc/{pid}") and time.monotonic() < begun + STOP_S:
            time.sleep(0.02)
        assert not os.path.exists(f"/proc/{pid}"), f"node {n} does not stop\n{c.logs()[-15000:]}"
        rig.slowest_stop = max(rig.slowest_stop, time.monotonic() - begun)
        c.run("start-node", str(n))


def full_disk(rig, c):
    """Node 2's disk fills up, to the last block, and is freed."""
    rig.may_refuse = True
    path = os.path.join(c.dir, "node-2", "filler")
    with open(path, "wb", buffering=0) as f:
        try:
            while True:
                f.write(bytes(65536))
        except OSError:
            pass
    time.sleep(rig.rng.uniform(2, 5))
    os.unlink(path)


FAULTS = {"kill -9 of the leader": kill_leader, "kill -9": kill_any, "SIGSTOP of the leader": stop_leader, "cut": cut("both"),
          "cut to the node": cut("in"), "cut from the node": cut("out"), "emptied disk": emptied, "rolling restart": rolling, "full disk": full_disk}
OFTEN = ["kill -9 of the leader", "kill -9", "SIGSTOP of the leader", "cut", "cut to the node", "cut from the node"]


def main(rounds, names):
    if shutil.which("nft") is None or subprocess.run(["nft", "list", "tables"], capture_output=True).returncode != 0:
        print("nft cannot be used here")
        sys.exit(77)

    def play(rig):
        often = [n for n in OFTEN if n in names]
        plan = list(names) + [rig.rng.choice(often or list(names)) for _ in range(max(0, rounds - len(names)))]
        rig.rng.shuffle(plan)
        for name in plan[:rounds]:
            rig.round(name, lambda c, name=name: FAULTS[name](rig, c))
        for what in ["lmtp", "smtp", "appe", "flag", "quit", "append", "store"]:
            assert rounds < 5 or rig.ledger.counts.get(what), f"no {what} was acknowledged: {rig.ledger.counts}"
        if "rolling restart" in names:
            print(f"the slowest stop took {rig.slowest_stop:.2f} s")
    Rig().run(play)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS, sys.argv[2:] or list(FAULTS))
