#!/usr/bin/env python3
"""Idle TLS connections: memory by connection, and time from a delivery to its notice.

    bench/idle_tls.py [CONNECTIONS]     10,000; starts its own `pillarbox all` (PB_BIN, else build/release)

Each connection logs in over TLS (one of 100 users) and sits in IDLE. PSS is the server's, before and with them.
"""

import os
import re
import select
import ssl
import socket
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
os.environ.setdefault("PB_BIN", os.path.join(ROOT, "build", "release", "program", "pillarbox"))

import pillarbox  # noqa: E402
from wire import Smtp  # noqa: E402

USERS = 100
DELIVERIES = 20


def pss_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return int(re.search(r"^Pss:\s+(\d+)", f.read(), re.M).group(1))


def line(s):
    got = b""
    while not got.endswith(b"\r\n"):
        more = s.recv(4096)
        assert more, "the server closed a connection"
        got += more
    return got


def idle(context, port, user):
    raw = socket.create_connection(("127.0.0.1", port))
    s = context.wrap_socket(raw, server_hostname="localhost")
    line(s)
    s.sendall(f"a LOGIN u{user:04}@example.test pw\r\n".encode())
    assert b"a OK" in line(s)
    s.sendall(b"b SELECT INBOX\r\n")
    while b"b OK" not in line(s):
        pass
    s.sendall(b"c IDLE\r\n")
    line(s)
    return s


def notice_ms(server, connections, number):
    """Milliseconds from the answer to a delivery to the last of its user's connections that heard of it."""
    user = number % USERS
    watching = {s for i, s in enumerate(connections) if i % USERS == user}
    c = Smtp.greeted(server.ports["lmtp"], "LHLO")
    c.ask("MAIL FROM:<a@example.test>")
    c.ask(f"RCPT TO:<u{user + 1:04}@example.test>")
    c.ask("DATA")
    began = time.monotonic()
    c.ask("Subject: x\r\n\r\nx\r\n.")
    while watching:
        poll = select.poll()
        for s in watching:
            poll.register(s, select.POLLIN)
        assert poll.poll(10000), f"{len(watching)} connections were not told"
        watching -= {s for s in list(watching) if select_now(s) and b"EXISTS" in line(s)}
    c.close()
    return (time.monotonic() - began) * 1000


def select_now(s):
    poll = select.poll()
    poll.register(s, select.POLLIN)
    return bool(poll.poll(0))


def main(count):
    server = pillarbox.Server({"frontend.connections_per_ip_max": "100000", "storage.map_size": "8 GiB", "log_level": "warn"})
    try:
        server.start()
        server.add_domain()
        server.ctl("user", "add-many", "example.test", str(USERS), stdin="pw\n")
        context = ssl.create_default_context(cafile=server.ca)
        idle(context, server.ports["imaps"], 1).close()
        pid = server.processes[0].pid
        before = pss_kib(pid)
        began = time.monotonic()
        connections = [idle(context, server.ports["imaps"], i % USERS + 1) for i in range(count)]
        print(f"{count} connections in {time.monotonic() - began:.1f} s")
        time.sleep(5)
        print(f"{(pss_kib(pid) - before) / count:.1f} KiB a connection ({before} KiB before, {pss_kib(pid)} KiB with them)")
        times = sorted(notice_ms(server, connections, i) for i in range(DELIVERIES))
        print(f"told {count // USERS} connections of a delivery: p50 {times[len(times) // 2]:.1f} ms, slowest {times[-1]:.1f} ms")
    finally:
        server.abandon()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10000)
