"""Ports on 127.0.0.1 that no other test uses at the same time.

Servers listen with SO_REUSEPORT, so two of them on one port would both start and share its connections: each test process
takes a block of ports by a file lock, which ends with the process. Below the ephemeral range, so no outgoing connection
takes one either. PB_PORT_FIRST moves the range.
"""

import fcntl
import os
import socket
import tempfile

FIRST = int(os.environ.get("PB_PORT_FIRST", "20000"))
BLOCK = 16
BLOCKS = 700

_locks = []


def _usable(port):
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def block():
    """BLOCK consecutive free ports, kept for the life of this process."""
    folder = os.path.join(tempfile.gettempdir(), f"pb-ports-{os.getuid()}")
    os.makedirs(folder, exist_ok=True)
    for i in range(BLOCKS):
        lock = open(os.path.join(folder, str(i)), "w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        ports = range(FIRST + i * BLOCK, FIRST + (i + 1) * BLOCK)
        if all(_usable(p) for p in ports):
            _locks.append(lock)
            return list(ports)
        lock.close()
    raise RuntimeError("no free ports")
