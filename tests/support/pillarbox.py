"""Runs the real program for a test: `pillarbox all`, or storage and frontend as two processes over tcp.

Everything lies in one temporary folder, listens on 127.0.0.1 only, and is gone when the test process is (also when that is
killed). A server that crashes, that a sanitizer complains about, or that does not drain on SIGTERM fails its test, with
the log. Environment: PB_BIN the program, PB_IO_BACKEND io_uring or epoll, PB_SPLIT=1 for two processes, PB_KEEP=1 keeps the
folder.
"""

import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import ports
from certificates import Authority

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DOMAIN = "example.test"
START_S = 60
STOP_S = 45
CTL_S = 60
SKIP = 77
LISTENERS = ["smtp", "submission", "submissions", "lmtp", "pop3", "pop3s", "imap", "imaps", "admin"]
# What a sanitizer, an assertion or a dying allocator writes.
DEFECT = re.compile(r"(AddressSanitizer|LeakSanitizer|ThreadSanitizer|UndefinedBehaviorSanitizer|runtime error:|"
                    r"assertion failed|Assertion|\*\*\* stack smashing)[^\n]*")
PR_SET_PDEATHSIG = 1


def binary():
    return os.environ.get("PB_BIN") or os.path.join(ROOT, "build", "asan", "program", "pillarbox")


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def io_uring_refused():
    """Why io_uring cannot be used here, or None. (io_uring_setup with a NULL parameter block: EFAULT when it is allowed.)"""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall(425, 1, None)
    error = ctypes.get_errno()
    return None if error == 14 else os.strerror(error)


class Process:
    """One of our processes and its log file."""

    def __init__(self, name, argv, folder, env=None):
        self.name = name
        self.log_path = os.path.join(folder, name + ".log")
        self.log_start = os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder,
                                            preexec_fn=die_with_parent, env=env)
        self.pid = self.process.pid

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def alive(self):
        return self.process.poll() is None

    def terminate(self):
        """SIGTERM and a bounded wait. The exit status; kills what does not stop, and says so."""
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return f"did not stop within {STOP_S} s of SIGTERM"

    def kill(self):
        if self.alive():
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(STOP_S)


class ServerError(AssertionError):
    pass


class Server:
    """A running Pillarbox with the domain example.test. start() .. stop(); users are made by add_user()."""

    def __init__(self, settings=None, io_backend=None, split=None, program=None):
        self.folder = tempfile.mkdtemp(prefix="pb-")
        self.data = os.path.join(self.folder, "data")
        self.program = program or binary()
        self.io_backend = io_backend or os.environ.get("PB_IO_BACKEND", "auto")
        self.split = os.environ.get("PB_SPLIT") == "1" if split is None else split
        self.authority = Authority(self.folder)
        self.ca = self.authority.ca
        self.certificate, self.key = self.authority.issue("server")
        numbers = ports.block()
        self.ports = dict(zip(LISTENERS, numbers))
        self.rpc, self.events = (f"tcp://127.0.0.1:{p}" for p in numbers[len(LISTENERS):len(LISTENERS) + 2])
        self.settings = {"data_dir": self.data, "hostname": "mail." + DOMAIN, "tls.certificate": self.certificate,
                         "tls.key": self.key, "frontend.io_backend": self.io_backend, "auth.insecure": "true",
                         "storage.shards": "4", "log_level": "info", "storage.map_size": "4 GiB", "storage.reserve": "1 MiB"}
        self.settings.update({f"{name}.listen": f"127.0.0.1:{port}" for name, port in self.ports.items()})
        if self.split:
            self.settings.update({"storage.listen": self.rpc, "storage.publish": self.events, "frontend.storage": self.rpc,
                                  "frontend.events": self.events})
        self.settings.update(settings or {})
        self.data = self.settings["data_dir"]
        self.processes = []
        self.passwords = {}
        self.environment = {}  # more of it, for the next start
        self.wrapper = []      # a command that the program runs under

    # --- life ---

    def start(self):
        try:
            self.launch()
            self.wait_ready()
        except BaseException:
            self.abandon()
            raise
        return self

    def launch(self):
        for role in ("storage", "frontend") if self.split else ("all",):
            self.processes.append(Process(role, self.wrapper + [self.program, role] + self.options(), self.folder,
                                          dict(os.environ, **self.environment)))

    def options(self):
        return [w for k, v in self.settings.items() for w in ("--set", f"{k}={v}")]

    def wait_ready(self):
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            for p in self.processes:
                if not p.alive():
                    raise ServerError(f"{p.name} ended with {p.process.returncode} while starting\n{p.log()[-8000:]}")
            if self.get("/readyz")[0] == 200:
                return
            time.sleep(0.05)
        raise ServerError(f"not ready within {START_S} s\n{self.logs()[-8000:]}")

    def stop(self):
        """Drains, and raises for what went wrong in the server's life."""
        problems = []
        for p in reversed(self.processes):
            crashed = not p.alive()
            status = p.terminate()
            if crashed:
                problems.append(f"{p.name} was gone before the test's end: {status}")
            elif status != 0:
                problems.append(f"{p.name} after SIGTERM: {status}")
        problems += self.defects()
        logs = self.logs()
        self.abandon()
        if problems:
            raise ServerError("\n".join(problems) + "\n--- log ---\n" + logs[-20000:])

    def defects(self):
        return [m.group(0) for p in self.processes for m in DEFECT.finditer(p.log())]

    def abandon(self):
        """Kills what runs and removes the folder; for tests that failed already."""
        for p in self.processes:
            p.kill()
        self.processes = []
        if os.environ.get("PB_KEEP") == "1":
            print(f"kept: {self.folder}", file=sys.stderr)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def kill9(self):
        """The power goes out for the processes: nothing is drained."""
        for p in self.processes:
            p.kill()
        found = self.defects()
        self.processes = []
        if found:
            raise ServerError("\n".join(found) + "\n" + self.logs()[-20000:])

    def restart(self):
        self.processes = []
        return self.start()

    def logs(self):
        out = []
        for name in sorted(n for n in os.listdir(self.folder) if n.endswith(".log")):
            with open(os.path.join(self.folder, name), errors="replace") as f:
                out.append(f"[{name}]\n{f.read()}")
        return "\n".join(out)

    # --- what an operator does ---

    def get(self, path):
        """(status, body) of the admin listener; (0, "") when nothing answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports['admin']}{path}", timeout=10) as r:
                return r.status, r.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode(errors="replace")
        except (OSError, ValueError):
            return 0, ""

    def ctl(self, *argv, stdin="", check=True):
        where = ["--node", self.rpc] if self.split else ["--data", self.data]
        r = subprocess.run([self.program, "ctl"] + where + list(argv), input=stdin, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True, timeout=CTL_S)
        if check and r.returncode != 0:
            raise ServerError(f"ctl {' '.join(argv)}: {r.returncode}\n{r.stdout}{r.stderr}")
        return r

    def check(self):
        """`ctl check` on the data directory of a server that does not run."""
        r = subprocess.run([self.program, "ctl", "--data", self.data, "check"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True, timeout=300)
        return r.returncode, r.stdout

    def add_domain(self, name=DOMAIN):
        self.ctl("domain", "add", name)

    def add_user(self, name, *options):
        """The user's address; the password is in passwords[address]."""
        address = name if "@" in name else f"{name}@{DOMAIN}"
        self.passwords[address] = "pw-" + name.split("@")[0]
        self.ctl("user", "add", address, *options, stdin=self.passwords[address] + "\n")
        return address
