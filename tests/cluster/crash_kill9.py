#!/usr/bin/env python3
"""kill -9 of `pillarbox all` at random moments under load: crash_kill9.py [ROUNDS]."""

import sys
import time

from crash_rig import Rig

ROUNDS = 14


def main(rounds):
    def kills(rig):
        def fault(_load):
            time.sleep(rig.rng.uniform(0.4, 1.8))
            rig.server.kill9()
        for _ in range(rounds):
            rig.round("kill -9", fault)
        rig.enough(40, rare=rounds >= ROUNDS)
    Rig().run(kills)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
