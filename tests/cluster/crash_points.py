#!/usr/bin/env python3
"""Death, and a failed operation, at each named place of proto/base/fault.h under load: crash_points.py [ROUNDS].

A round is one place with one action at a random passage. Without ROUNDS each place dies once and each that may fail fails
once; ROUNDS go through that list as often as it takes.
"""

import os
import re
import signal
import sys
import time

import pillarbox
from crash_rig import Rig

REACH_S = 20
# Which passage: places that are passed less often than once an entry. A checkpoint comes once a second.
PASSAGES = {"start.before": 1, "start.after": 1, "stage.after": 25, "upkeep.after": 40, "commit.before": 200, "commit.after": 200,
            "wal.after": 200, "publish.before": 60, "checkpoint.before": 6, "checkpoint.after": 6, "handoff.before": 30, "handoff.after": 30}
PASSAGES_MAX = 250


def places():
    """[(name, whether it may fail)] as the program has them."""
    with open(os.path.join(pillarbox.ROOT, "proto", "base", "fault.h")) as f:
        found = re.findall(r'X\([A-Z_]+, "([a-z.]+)", (true|false)\)', f.read())
    assert len(found) > 10, found
    return [(name, may == "true") for name, may in found]


def died_here(server, name):
    """Waits for the death; whether it came by itself."""
    p = server.processes[0]
    deadline = time.monotonic() + REACH_S
    while p.alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    came = not p.alive()
    assert not came or p.process.returncode == -signal.SIGKILL, f"{name}: ended with {p.process.returncode}\n{server.logs()[-8000:]}"
    server.kill9()
    return came


def kill_round(rig, name):
    n = rig.rng.randint(1, PASSAGES.get(name, PASSAGES_MAX))
    what = f"{name}:{n}:kill"
    rig.stop()
    rig.server.environment = {"PILLARBOX_FAULT": what}
    rig.server.launch()
    try:
        rig.server.wait_ready()
    except pillarbox.ServerError:
        assert rig.server.processes[0].process.returncode == -signal.SIGKILL, rig.server.logs()[-8000:]
    came = []
    rig.round(what, lambda _load: came.append(died_here(rig.server, name)))
    assert came[0], f"{what} was not reached within {REACH_S} s of load"


def error_round(rig, name):
    """The failure is one of a full disk: refused or tried again, and the server goes on. Then it is killed."""
    what = f"{name}:{rig.rng.randint(1, PASSAGES.get(name, PASSAGES_MAX) // 2)}:error"
    rig.stop()
    rig.server.environment = {"PILLARBOX_FAULT": what}

    def fault(_load):
        time.sleep(rig.rng.uniform(1, 2))
        assert rig.server.processes[0].alive(), f"{what} ended the server\n{rig.server.logs()[-8000:]}"
        rig.server.kill9()
    rig.round(what, fault)


def main(rounds):
    def faults(rig):
        rig.may_refuse = True
        todo = [(kill_round, name) for name, _ in places()] + [(error_round, name) for name, may_fail in places() if may_fail]
        rig.rng.shuffle(todo)
        for i in range(rounds or len(todo)):
            run, name = todo[i % len(todo)]
            run(rig, name)
        rig.enough(20, rare=not rounds)
    Rig().run(faults)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
