"""What tests of hostile clients share: a well-behaved user whose latency is measured meanwhile, the server's memory, and many
connections from another address.

The attackers come from 127.0.0.2, so that limits of one address do not reach the user's 127.0.0.1.
"""

import errno
import multiprocessing
import os
import resource
import selectors
import socket
import threading
import time

import case
import mail
import pillarbox
from wire import Imap, Smtp

ATTACKER = "127.0.0.2"
CYCLE_S = 0.03  # the user's pause between rounds: enough samples, and processor left for the attack
LOGIN_EVERY = 10
P99_FLOOR_S = 1.0  # what a busy machine with sanitizers may take for any of it
P99_FACTOR = 20
MIB = 1024 * 1024


def raise_files():
    """The soft limit of open files up to the hard one; returns it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def program():
    """Memory is what operators run would need, so a release build if there is one (PB_RELEASE_BIN); else the one under test."""
    return os.environ.get("PB_RELEASE_BIN") or None


def sanitized():
    """Whether the program's memory is mostly the sanitizer's."""
    with open(program() or pillarbox.binary(), "rb") as f:
        return b"__asan_init" in f.read()


def memory(pid):
    """Proportional set size in bytes, without the store's map: its pages are the kernel's cache."""
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("Pss_Anon:"))


def files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


class Peak(threading.Thread):
    """The most memory that a process had while this ran."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid = pid
        self.bytes = memory(pid)
        self.over = threading.Event()

    def run(self):
        while not self.over.wait(0.1):
            self.bytes = max(self.bytes, memory(self.pid))

    def stop(self):
        self.over.set()
        self.join()
        return max(self.bytes, memory(self.pid))


# --- the user who only wants the mail ---

def _round(times, lmtp, imap, number, address):
    def timed(call):
        begin = time.monotonic()
        call()
        times.append(time.monotonic() - begin)

    def deliver():
        lmtp.send(f"MAIL FROM:<s@example.test>\r\nRCPT TO:<{address}>\r\nDATA\r\n")
        codes = [lmtp.reply()[0] for _ in range(3)]
        code, lines = lmtp.ask(mail.made(number, 4000, "user") + b".\r\n")
        assert codes + [code] == [250, 250, 354, 250], (codes, lines)

    timed(deliver)
    timed(lambda: imap.must("NOOP"))
    timed(lambda: imap.must("FETCH * (FLAGS ENVELOPE BODY.PEEK[])"))


def _fresh_login(times, ports, address, password):
    begin = time.monotonic()
    with Imap(ports["imap"]) as c:
        c.login(address, password)
        c.must("LOGOUT")
    times.append(time.monotonic() - begin)


def _live(pipe, ports, address, password):
    """Rounds until told to stop; answers each "measure" with the times since the last one."""
    times, failure, number = [], None, 0
    lmtp = Smtp.greeted(ports["lmtp"], "LHLO")
    imap = Imap(ports["imap"])
    for c in (lmtp, imap):  # else the kernel's 40 ms are measured
        c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    imap.login(address, password)
    imap.must("SELECT INBOX")
    pipe.send("ready")
    while True:
        if pipe.poll(CYCLE_S if failure is None else None):
            if pipe.recv() == "stop":
                return
            pipe.send((times, failure))
            times = []
        if failure is not None:
            continue
        try:
            _round(times, lmtp, imap, number, address)
            if number % LOGIN_EVERY == 0:
                _fresh_login(times, ports, address, password)
        except (OSError, EOFError, AssertionError) as e:
            failure = repr(e)
        except Exception as e:  # wire.Closed, and whatever else must reach the test
            failure = repr(e)
        number += 1


class User:
    """A process of its own: the attacker's work in Python must not be measured as the server's."""

    def __init__(self, server, address):
        self.pipe, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.get_context("fork").Process(
            target=_live, args=(theirs, server.ports, address, server.passwords[address]), daemon=True)
        self.process.start()
        assert self.pipe.poll(60) and self.pipe.recv() == "ready"

    def measure(self):
        """The latencies since the last call, sorted."""
        self.pipe.send("measure")
        assert self.pipe.poll(120), "the user's command hangs"
        times, failure = self.pipe.recv()
        assert failure is None, f"the user was hurt: {failure}"
        return sorted(times)

    def stop(self):
        self.pipe.send("stop")
        self.process.join(60)
        self.process.kill()


def quantile(times, q):
    return times[min(len(times) - 1, int(len(times) * q))] if times else 0.0


# --- many connections ---

def dial(port, source=ATTACKER, window=None, timeout=20):
    s = socket.socket()
    if window is not None:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    s.settimeout(timeout)
    s.bind((source, 0))
    s.connect(("127.0.0.1", port))
    return s


def dial_many(port, n, **kw):
    return [dial(port, **kw) for _ in range(n)]


def answers(socks, seconds, tick=None, tick_s=0.2):
    """Reads from all until the server has closed them or the time is over; calls tick(socket) for each open one now and then.
    {socket: (octets, seconds until closed or None)}"""
    selector = selectors.DefaultSelector()
    begin = time.monotonic()
    got = {}
    for s in socks:
        s.setblocking(False)
        selector.register(s, selectors.EVENT_READ)
        got[s] = [b"", None]
    next_tick = begin
    while selector.get_map() and time.monotonic() - begin < seconds:
        for key, _ in selector.select(0.05):
            _take(selector, key.fileobj, got, begin)
        if tick is not None and time.monotonic() >= next_tick:
            next_tick = time.monotonic() + tick_s
            for key in list(selector.get_map().values()):
                try:
                    tick(key.fileobj)
                except (BlockingIOError, ConnectionError):
                    pass  # seen by the next read
    selector.close()
    return {s: tuple(v) for s, v in got.items()}


def _take(selector, s, got, begin):
    try:
        data = s.recv(65536)
    except BlockingIOError:
        return
    except OSError as e:
        if e.errno not in (errno.ECONNRESET, errno.EPIPE):
            raise
        data = b""
    if data:
        got[s][0] = (got[s][0] + data)[-4096:]
    else:
        got[s][1] = time.monotonic() - begin
        selector.unregister(s)


class HostileCase(case.ServerCase):
    """A server, its memory and a user before; the same after each attack()."""
    users = ("alice", "bob")
    growth_bytes_max = 64 * MIB

    @classmethod
    def setUpClass(cls):
        os.environ.setdefault("ASAN_OPTIONS", "quarantine_size_mb=8")
        if program():
            os.environ["PB_BIN"] = program()
        raise_files()
        super().setUpClass()
        try:
            cls.user = User(cls.server, f"alice@{pillarbox.DOMAIN}")
            time.sleep(2)
            cls.calm = cls.user.measure()
        except BaseException:
            cls.server.abandon()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.user.stop()
        super().tearDownClass()

    def pid(self):
        return self.server.processes[-1].pid

    def attack(self, run, growth_bytes_max=None):
        """Runs it; the user's latency and the server's memory must hold. Returns what run returns."""
        self.user.measure()
        before = memory(self.pid())
        peak = Peak(self.pid())
        peak.start()
        try:
            result = run()
        finally:
            most = peak.stop()
        times = self.user.measure()
        limit = self.growth_bytes_max if growth_bytes_max is None else growth_bytes_max
        if sanitized():
            limit = limit * 4 + 128 * MIB
        calm, now = quantile(self.calm, 0.99), quantile(times, 0.99)
        print(f"{self.id().split('.')[-1]}: p50 {quantile(self.calm, 0.5) * 1000:.1f} -> {quantile(times, 0.5) * 1000:.1f} ms, "
              f"p99 {calm * 1000:.1f} -> {now * 1000:.1f} ms ({len(times)} commands), "
              f"memory {before / MIB:.1f} -> {most / MIB:.1f} MiB", flush=True)
        self.assertLess(most - before, limit, "the server's memory grew")
        self.assertLess(now, max(P99_FLOOR_S, P99_FACTOR * calm), "the user's p99")
        return result

    def metric(self, name):
        for line in self.server.get("/metrics")[1].splitlines():
            if line.startswith(name + " "):
                return int(float(line.split()[1]))
        return 0

    def let_go(self, socks):
        for s in socks:
            s.close()
