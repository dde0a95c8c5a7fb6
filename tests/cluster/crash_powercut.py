#!/usr/bin/env python3
"""The power goes out under load: a disk forgets every write that was not flushed: crash_powercut.py [ROUNDS]."""

import os
import sys
import tempfile
import time

from crash_disk import NbdDisk, need
from crash_rig import Rig

ROUNDS = 5
DISK_MB = 1024


def first_starts(rig, disk, times):
    """The power goes while a data directory is made: the next start must not find it spoilt."""
    rig.stop()
    server, home = rig.server, rig.server.data
    for i in range(times):
        server.data = server.settings["data_dir"] = os.path.join(disk.path, f"first{i}")
        server.launch()
        time.sleep(rig.rng.uniform(0, 0.3))
        disk.cut()
        server.kill9()
        disk.unmount()
        disk.mount()
        server.start()
        rig.stop()
    server.data = server.settings["data_dir"] = home
    print(f"{times} cuts of a first start", flush=True)


def main(rounds):
    need("nbdkit", "nbdfuse", "mkfs.ext4", "mount")
    with tempfile.TemporaryDirectory(prefix="pb-disk-") as folder:
        disk = NbdDisk(folder, DISK_MB)
        disk.mount()
        rig = Rig({"data_dir": os.path.join(disk.path, "data")})

        def fault(_load):
            time.sleep(rig.rng.uniform(0.4, 2.0))
            disk.cut()
            rig.server.kill9()
            disk.unmount()
            disk.mount()

        def cuts(_rig):
            first_starts(rig, disk, 1 + rounds // 2)
            for _ in range(rounds):
                rig.round("power cut", fault)
            rig.enough(20)

        try:
            rig.run(cuts)
        finally:
            disk.unmount()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
