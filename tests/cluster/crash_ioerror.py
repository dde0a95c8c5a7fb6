#!/usr/bin/env python3
"""Writes and flushes that fail with EIO under load: crash_ioerror.py [ROUNDS].

What cannot be made durable is not answered: the process must stop by itself at the first failure, and the next start finds
all that was acknowledged. Two of three rounds fail one system call of the store (strace); the others break the disk itself
(nbdkit) until it is mended.
"""

import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from crash_disk import NbdDisk, need
from crash_rig import Rig

ROUNDS = 10  # each of CALLS once
DISK_MB = 1024
DIE_S = 60
# (files of the store, system call, how often it is passed at most before it fails). strace counts for each thread by itself:
# commits write the log and LMDB's pages, the checkpoint's thread has each of its calls once a second.
LOG, PAGES, CHECKPOINT = ("volume.mdb-wal0", "volume.mdb-wal1"), ("volume.mdb",), ("volume.mdb-checkpoint",)
CALLS = [(LOG, "fdatasync", 100), (PAGES, "fdatasync", 8), (CHECKPOINT, "pwrite64", 8), (LOG, "pwrite64", 100), (PAGES, "pwrite64", 300),
         (CHECKPOINT, "fdatasync", 8), (PAGES, "writev", 60)]


def stopped_itself(rig, what):
    """The process must abort, and say why."""
    p = rig.server.processes[0]
    deadline = time.monotonic() + DIE_S
    while p.alive() and time.monotonic() < deadline:
        time.sleep(0.02)
    status = p.process.poll()
    assert status == -signal.SIGABRT, f"{what}: it ended with {status}, not by itself\n{p.log()[-4000:]}"
    assert '"event":"kv.fatal"' in p.log()[p.log_start:], f"{what}: it did not say why\n{p.log()[-4000:]}"


def may_trace():
    return shutil.which("strace") and subprocess.run(["strace", "-qq", "-o", os.devnull, "true"], stderr=subprocess.DEVNULL).returncode == 0


def call_round(rig, files, call, passages_max):
    """The n-th such call on a file of the store fails."""
    n = rig.rng.randint(1, passages_max)
    rig.stop()
    paths = [word for name in files for word in ("-P", os.path.join(rig.server.data, name))]
    starts = 10 if passages_max > 10 else 6  # a checkpoint a second, and a slow start has some
    rig.server.wrapper = ["strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", os.devnull, *paths, "-e", f"trace={call}", "-e",
                          f"inject={call}:error=EIO:when={n + starts}"]  # past the start's own
    what = f"EIO of {call} {n} on {files[-1]}"
    rig.round(what, lambda _load: stopped_itself(rig, what))


def disk_round(rig, disk):
    """Every write to the disk fails from some moment on; then it is mended and checked."""
    def fault(_load):
        time.sleep(rig.rng.uniform(0.4, 1.5))
        open(disk.failing, "w").close()
        stopped_itself(rig, "a broken disk")
        disk.unmount()
        os.unlink(disk.failing)
        disk.mount()
    rig.round("broken disk", fault)


def main(rounds):
    need("nbdkit", "nbdfuse", "mkfs.ext4", "mount")
    with tempfile.TemporaryDirectory(prefix="pb-disk-") as folder:
        disk = NbdDisk(folder, DISK_MB)
        disk.mount()
        rig = Rig({"data_dir": os.path.join(disk.path, "data")})

        def errors(_rig):
            calls = itertools.cycle(CALLS) if may_trace() else None
            for i in range(rounds):
                if i % 3 < 2 and calls:
                    call_round(rig, *next(calls))
                else:
                    disk_round(rig, disk)
            rig.enough(10)

        try:
            rig.run(errors)
        finally:
            disk.unmount()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
