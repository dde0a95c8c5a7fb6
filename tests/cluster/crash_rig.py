"""Rounds of: a server under load, a fault, a look at the disk, a restart, a look through the protocols.

A script of the crash tests says what the fault is; all else is the same for each and lies here. Environment: PB_SEED repeats
a run's choices, PB_RELEASE_BIN is the program to crash (else PB_BIN: sanitizers make the load thin).
"""

import os
import random
import re
import time

import pillarbox
from crash_ledger import Ledger
from crash_load import TREE_USERS, USERS, Load, look

SETTLE_S = 30
# How each protocol says "later".
TEMPORARY = re.compile(r"^(4\d\d[ -]4\.|\[UNAVAILABLE\]|-ERR \[SYS/TEMP\])")


def whole_look(rig, server, whole, seconds):
    """A look in which nothing is wrong, as soon as all that was acknowledged is there."""
    for text in rig.ledger.refusals:
        assert rig.may_refuse and TEMPORARY.search(text), f"round {rig.rounds}, refused: {text}"
    deadline = time.monotonic() + seconds
    while True:
        seen = look(server, rig.ledger, whole)
        wrong, missing = rig.ledger.judge(seen)
        assert not wrong, f"round {rig.rounds}, {len(wrong)} things are wrong:\n" + "\n".join(wrong[:20])
        if not missing:
            return seen
        assert time.monotonic() < deadline, f"round {rig.rounds}: {len(missing)} acknowledged are missing: {missing[:10]}"
        time.sleep(0.2)


class Rig:
    def __init__(self, settings=None):
        release = os.environ.get("PB_RELEASE_BIN", "")
        self.program = release if release and os.path.exists(release) else pillarbox.binary()
        self.seed = int(os.environ.get("PB_SEED", random.randrange(1 << 30)))
        print(f"seed {self.seed} (PB_SEED), {self.program}")
        self.rng = random.Random(self.seed)
        self.ledger = Ledger(USERS, TREE_USERS)
        self.server = pillarbox.Server({"log_level": "warn", **(settings or {})}, program=self.program)
        self.rounds = 0
        self.may_refuse = False  # temporarily: a fault is one that the server survives
        self.started = time.monotonic()

    def prepare(self):
        """Domain and users, on a server that is stopped again."""
        self.server.start()
        self.server.add_domain()
        for user in USERS:
            self.server.add_user(user)
        self.ledger.begin(look(self.server, self.ledger, True))
        self.stop()

    def stop(self):
        """Drains, if the server runs: the next start may be under other conditions."""
        for p in self.server.processes:
            status = p.terminate()
            assert status == 0, f"after SIGTERM: {status}"
        self.server.processes = []

    def load(self):
        self.rounds += 1
        return Load(self.server, self.ledger, self.rounds, self.rng)

    def finish(self, load):
        """After the server's death: what clients heard of it, and what is on the disk."""
        load.finish(self.ledger)
        self.check()

    def check(self):
        code, text = self.server.check()
        assert code == 0, f"round {self.rounds}: ctl check found\n{text}"

    def verify(self, whole=False):
        """The server runs again: waits until all that was acknowledged is there; raises for anything wrong."""
        self.ledger.settle(whole_look(self, self.server, whole, SETTLE_S))

    def report(self, what):
        stored = sum(len(h.last) for h in self.ledger.history.values())
        print(f"round {self.rounds}, {what}: {len(self.ledger.acked)} deliveries acknowledged, {len(self.ledger.removed)} deleted by POP3, "
              f"{sum(self.ledger.counts.values())} operations, {len(self.ledger.refusals)} refused, {stored} messages, "
              f"{time.monotonic() - self.started:.0f} s", flush=True)

    def round(self, what, fault, restart=None):
        """A whole round around fault(load), which returns when the server is dead."""
        if not self.server.processes:
            self.server.start()
        load = self.load()
        fault(load)
        self.server.processes = []
        self.finish(load)
        self.server.environment, self.server.wrapper = {}, []
        (restart or self.server.start)()
        self.verify()
        self.report(what)

    def enough(self, per_round, rare=False):
        """There was a load at all, of every kind (rare: also of what a few rounds may do without)."""
        counts = self.ledger.counts
        kinds = ["lmtp", "smtp", "appe", "flag", "quit", "append", "store"]
        for what in kinds + (["copy", "move", "expunge", "create", "rename", "delete"] if rare else []):
            assert counts.get(what), f"no {what} was acknowledged: {counts} {self.ledger.ended}"
        assert sum(counts.values()) > per_round * self.rounds, f"this was no load: {counts} {self.ledger.ended}"

    def run(self, rounds):
        """rounds(rig) does them; then all is compared whole once more and the server drains."""
        try:
            self.prepare()
            rounds(self)
            self.verify(whole=True)
            self.server.stop()
        except BaseException:
            print(self.server.logs()[-12000:])
            self.server.abandon()
            raise
        print(f"all there, once, unchanged: {self.ledger.counts}")
