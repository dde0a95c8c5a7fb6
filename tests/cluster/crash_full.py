#!/usr/bin/env python3
"""The disk fills up under load and is freed again: crash_full.py [ROUNDS].

Half of the rounds have no reserve, so that writes of the store itself find no space; the others stop at the reserve, where
what frees is still taken. What is refused is refused temporarily, the server lives on and goes on when there is space. Then
it is killed: with space, or on the full disk, where the next start must wait for space.
"""

import os
import sys
import tempfile
import time

from crash_disk import LoopDisk, need
from crash_rig import Rig

ROUNDS = 6
DISK_MB = 192
RESERVES = ["0", "8 MiB"]
STEP = 16 << 10
NOTICED_S = 30


class Ballast:
    def __init__(self, disk):
        self.disk = disk
        self.path = os.path.join(disk.path, "ballast")

    def fill(self, leave):
        """Takes the space of the disk but for about `leave` octets."""
        with open(self.path, "ab") as f:
            try:
                while self.disk.free() > leave:
                    f.write(b"\0" * min(STEP, self.disk.free() - leave))
                    f.flush()
            except OSError:
                pass

    def free(self):
        os.unlink(self.path)


def full_round(rig, ballast, reserve, kill_full):
    rig.stop()
    rig.server.settings["storage.reserve"] = reserve
    server = rig.server
    refused = []

    def fault(load):
        time.sleep(rig.rng.uniform(0.3, 0.8))
        ballast.fill(rig.rng.choice([0, 0, 100 << 10, 1 << 20]))
        time.sleep(rig.rng.uniform(0.8, 1.6))
        # Full is what has no room, not what cannot grow: the store's file has free pages for some seconds of mail.
        deadline = time.monotonic() + NOTICED_S
        while not load.refused() and time.monotonic() < deadline:
            ballast.fill(0)
            time.sleep(0.3)
        assert server.processes[0].alive(), f"a full disk ended the server\n{server.logs()[-8000:]}"
        refused.append(load.refused())
        if not kill_full:
            ballast.free()
            before, deadline = load.acknowledged(), time.monotonic() + 20
            while load.acknowledged() < before + 20:
                assert time.monotonic() < deadline, "no change is taken although there is space again"
                time.sleep(0.1)
        server.kill9()

    def restart():
        if not kill_full:
            server.start()
            return
        server.launch()
        time.sleep(1.5)
        assert server.processes[0].alive(), f"did not wait for space at start\n{server.logs()[-8000:]}"
        ballast.free()
        server.wait_ready()

    rig.round(f"full disk, reserve {reserve}, killed {'full' if kill_full else 'later'}", fault, restart)
    return refused[0]


def main(rounds):
    need("mkfs.ext4", "mount")
    with tempfile.TemporaryDirectory(prefix="pb-disk-") as folder:
        disk = LoopDisk(folder, DISK_MB)
        disk.mount()
        rig = Rig({"data_dir": os.path.join(disk.path, "data")})
        rig.may_refuse = True

        def fills(_rig):
            refused = [full_round(rig, Ballast(disk), RESERVES[i % 2], i // 2 % 2 == 0) for i in range(rounds)]
            assert all(refused), f"some disk was not full: {refused} refusals"
            rig.enough(10)

        try:
            rig.run(fills)
        finally:
            disk.unmount()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
