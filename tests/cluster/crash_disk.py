"""A disk that tests can fill, break and cut the power of: a file, nbdkit, nbdfuse, a loop device, ext4.

    image file <- nbdkit [error filter] [volatile cache] <- nbdfuse <- loop <- ext4 at Disk.path

nbdkit's cache filter in writeback mode is the volatile cache of a real disk: what was written and not flushed lives in its
memory and dies with it. Everything is mounted in a mount namespace of this process, so that it is gone when the process is.
"""

import ctypes
import os
import shutil
import subprocess
import sys
import time

import pillarbox

CLONE_NEWNS = 0x20000
MS_REC_PRIVATE = 0x4000 | 0x40000
WAIT_S = 20


def skip(why):
    print(f"skipped: {why}")
    sys.exit(pillarbox.SKIP)


def need(*programs):
    """Exit 77 unless this process may mount and the programs are there; from here on its mounts are its own."""
    missing = [p for p in programs if shutil.which(p) is None]
    if missing:
        skip(f"not installed: {' '.join(missing)}")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0 or libc.mount(b"none", b"/", None, MS_REC_PRIVATE, None) != 0:
        skip(f"no mount namespace: {os.strerror(ctypes.get_errno())}")
    for device in ("/dev/loop-control",) + (("/dev/fuse",) if "nbdfuse" in programs else ()):
        if not os.access(device, os.W_OK):
            skip(f"cannot use {device}")


def run(*argv):
    r = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    assert r.returncode == 0, f"{' '.join(argv)}: {r.returncode}\n{r.stdout}"


def wait_for(what, ready):
    deadline = time.monotonic() + WAIT_S
    while not ready():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.02)


class LoopDisk:
    """ext4 in a file: can be filled."""

    def __init__(self, folder, megabytes):
        self.image = os.path.join(folder, "disk.img")
        self.path = os.path.join(folder, "disk")
        os.mkdir(self.path)
        with open(self.image, "wb") as f:
            f.truncate(megabytes << 20)
        run("mkfs.ext4", "-q", "-m", "0", self.image)

    def mount(self):
        run("mount", "-o", "loop", self.image, self.path)

    def unmount(self):
        run("umount", self.path)

    def free(self):
        v = os.statvfs(self.path)
        return v.f_bavail * v.f_frsize


class NbdDisk(LoopDisk):
    """The same behind nbdkit. While the file `failing` exists, every write to the disk fails with EIO."""

    def __init__(self, folder, megabytes):
        super().__init__(folder, megabytes)
        self.fuse = os.path.join(folder, "fuse")
        self.socket = os.path.join(folder, "nbd.sock")
        self.failing = os.path.join(folder, "failing")
        os.mkdir(self.fuse)
        self.processes = []

    def mount(self):
        log = os.path.join(os.path.dirname(self.image), "nbd.txt")
        self.nbdkit = self._process(log, "nbdkit", "-f", "-U", self.socket, "--filter=error", "--filter=cache", "file", self.image,
                                    "cache=writeback", "error=EIO", "error-pwrite-rate=100%", f"error-file={self.failing}")
        wait_for("nbdkit", lambda: os.path.exists(self.socket))
        disk = os.path.join(self.fuse, "disk")
        self.nbdfuse = self._process(log, "nbdfuse", disk, "--unix", self.socket)
        wait_for("nbdfuse", lambda: os.path.exists(disk))
        run("mount", "-o", "loop", disk, self.path)

    @staticmethod
    def _process(log, *argv):
        with open(log, "ab") as f:
            return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=f, stderr=f, preexec_fn=pillarbox.die_with_parent)

    def cut(self):
        """The power goes: what was not flushed is lost. Whoever uses the disk must be killed before unmount()."""
        self.nbdkit.kill()
        self.nbdkit.wait()

    def unmount(self):
        subprocess.run(["umount", self.path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
        subprocess.run(["umount", self.fuse], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
        for p in (self.nbdfuse, self.nbdkit):
            if p.poll() is None:
                p.terminate()
            p.wait(WAIT_S)
        if os.path.exists(self.socket):
            os.unlink(self.socket)
