#!/usr/bin/env python3
"""Disks that go wrong under the real program: full ones, ones that fail to flush, and damaged data directories.

The full disk is a small tmpfs in a mount namespace of this process alone. Where that or strace is not allowed the test is
skipped, and says so.
"""

import ctypes
import os
import random
import resource
import shutil
import signal
import smtplib
import subprocess
import time
import unittest

import case
import mail
import pillarbox
import wire

CLONE_NEWNS = 0x20000
MS_REC_PRIVATE = 0x4000 | 0x40000
DISK_BYTES = 48 << 20
MESSAGE_BYTES = 100000
RECOVERY_S = 20


def mount_tmpfs(path):
    """A tmpfs that only this process and its children see, so that it goes with them. Why not, or None."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0 or libc.mount(b"none", b"/", None, MS_REC_PRIVATE, None) != 0:
        return os.strerror(ctypes.get_errno())
    if libc.mount(b"none", path.encode(), b"tmpfs", 0, f"size={DISK_BYTES},mode=700".encode()) != 0:
        return os.strerror(ctypes.get_errno())
    return None


class Disk(case.ServerCase):
    """Deliveries by SMTP with their codes."""
    users = ()

    def deliver_code(self, octets, listener="smtp"):
        c = case.Smtp.greeted(self.server.ports[listener], "LHLO" if listener == "lmtp" else "EHLO")
        with c:
            for command in ("MAIL FROM:<a@example.org>", "RCPT TO:<alice@example.test>", "DATA"):
                code = c.ask(command)[0]
                if code not in (250, 354):
                    return code
            c.send(octets + b".\r\n")
            return c.reply()[0]


class FullDisk(Disk):
    @classmethod
    def setUpClass(cls):
        cls.server = pillarbox.Server({"storage.reserve": "8 MiB", "storage.map_size": "1 GiB"})
        os.makedirs(cls.server.data)
        refused = mount_tmpfs(cls.server.data)
        if refused:
            cls.server.abandon()
            raise unittest.SkipTest(f"no mount namespace here: {refused}")
        cls.server.start()
        cls.server.add_domain()
        cls.server.add_user("alice")

    def status(self):
        return self.server.ctl("status").stdout

    def wait_for(self, wanted):
        deadline = time.monotonic() + RECOVERY_S
        while time.monotonic() < deadline:
            if self.deliver_code(mail.made(0, MESSAGE_BYTES)) == wanted:
                return
            time.sleep(0.2)
        self.fail(f"no {wanted} within {RECOVERY_S} s\n{self.status()}{self.server.logs()[-3000:]}")

    def metric(self, name):
        return [float(line.split()[1]) for line in self.server.get("/metrics")[1].splitlines() if line.split()[0] == name][0]

    def test_mail_is_refused_deleting_and_reading_go_on_and_space_is_used_again(self):
        octets = mail.made(1, MESSAGE_BYTES)
        stored = 0
        while self.deliver_code(octets) == 250:
            stored += 1
            self.assertLess(stored, 2 * DISK_BYTES // MESSAGE_BYTES)
        self.assertGreater(stored, 200)
        self.assertEqual(self.deliver_code(octets), 452)
        self.assertEqual(self.deliver_code(octets, "lmtp"), 452)
        self.assertIn("FULL", self.status())
        self.assertEqual(self.metric("pillarbox_store_full"), 1)
        self.assertGreater(self.metric("pillarbox_store_full_refusals"), 0)
        self.assertGreater(shutil.disk_usage(self.server.data).free, 4 << 20)
        c = self.imap("alice", "INBOX")
        self.assertEqual(c.append("INBOX", None, None, octets)[0], "NO")
        self.assertTrue(self.body_of(c, 1).endswith(octets))
        self.ok(c.store("1:10", "+FLAGS", r"\Seen"))
        self.ok(c.uid("MOVE", "1:2", "Trash"))
        # What is deleted is room for new mail, in a file that does not shrink.
        self.ok(c.store(f"1:{stored // 2}", "+FLAGS", r"\Deleted"))
        self.ok(c.expunge())
        self.wait_for(250)
        self.assertNotIn("FULL", self.status())
        self.assertEqual(self.metric("pillarbox_store_full"), 0)
        self.assertTrue(0 < self.metric("pillarbox_store_disk_free_bytes") < DISK_BYTES)
        for p in self.server.processes:
            self.assertEqual(p.terminate(), 0)
        code, text = self.server.check()
        self.assertEqual(code, 0, text)
        self.server.restart()


class FailedFlush(Disk):
    users = ("alice",)

    def test_the_process_stops_and_what_was_acknowledged_is_there_after_the_restart(self):
        if shutil.which("strace") is None:
            self.skipTest("no strace")
        acknowledged = 0
        for _ in range(5):
            self.assertEqual(self.deliver_code(mail.made(acknowledged, 5000)), 250)
            acknowledged += 1
        node = self.server.processes[0]
        tracer = subprocess.Popen(["strace", "-f", "-q", "-p", str(node.pid), "-e", "trace=fdatasync", "-e",
                                   "inject=fdatasync:error=EIO", "-o", os.devnull], stderr=subprocess.PIPE)
        self.addCleanup(tracer.wait)
        self.addCleanup(tracer.kill)
        deadline = time.monotonic() + 20
        while "TracerPid:\t0" in open(f"/proc/{node.pid}/status").read():
            if tracer.poll() is not None or time.monotonic() > deadline:
                self.skipTest("strace may not attach here")
            time.sleep(0.05)
        try:
            code = self.deliver_code(mail.made(acknowledged, 5000))
        except (wire.Closed, OSError):
            code = 0
        self.assertNotEqual(code, 250, "acknowledged what could not be flushed")
        self.assertEqual(node.process.wait(pillarbox.STOP_S), -signal.SIGABRT)
        self.assertIn('"event":"kv.fatal"', node.log())
        for p in self.server.processes:
            p.kill()
        code, text = self.server.check()
        self.assertEqual(code, 0, text)
        self.server.restart()
        # The unacknowledged one may be there or not.
        self.assertIn(len(self.uids(self.imap("alice", "INBOX"))), (acknowledged, acknowledged + 1))


class FullAtStart(Disk):
    """A start after a crash on a disk without room: files may not grow (RLIMIT_FSIZE), which is no other case to the store."""
    users = ("alice",)
    ROOM = ["env", "--ignore-signal=XFSZ", "prlimit", f"--fsize={1 << 20}:unlimited"]

    def stop(self):
        for p in reversed(self.server.processes):
            self.assertEqual(p.terminate(), 0)
        self.server.processes = []

    def die_before_a_checkpoint(self):
        """How many messages were acknowledged: the last ones in the log alone."""
        self.stop()
        self.server.environment = {"PILLARBOX_FAULT": "checkpoint.before:3:kill"}
        self.server.start()
        acknowledged = 0
        node = self.server.processes[0]
        deadline = time.monotonic() + RECOVERY_S
        while node.alive():
            self.assertLess(time.monotonic(), deadline, "no checkpoint came")
            try:
                acknowledged += self.deliver_code(mail.made(acknowledged, MESSAGE_BYTES)) == 250
            except (wire.Closed, OSError):
                pass
        self.assertEqual(node.process.wait(), -signal.SIGKILL)
        self.server.kill9()
        self.server.environment = {}
        return acknowledged

    def launch_without_room(self):
        self.server.wrapper = self.ROOM
        self.server.launch()
        self.server.wrapper = []
        node = self.server.processes[0]
        deadline = time.monotonic() + RECOVERY_S
        while '"event":"storage.full"' not in node.log()[node.log_start:]:
            self.assertTrue(node.alive(), node.log()[-3000:])
            self.assertLess(time.monotonic(), deadline, node.log()[-3000:])
            time.sleep(0.05)
        return node

    def test_it_waits_for_room_and_then_carries_out_the_log(self):
        if shutil.which("prlimit") is None:
            self.skipTest("no prlimit")
        self.assertEqual(self.deliver_code(mail.made(99, 2 << 20)), 250)  # the file is longer than what is allowed below
        acknowledged = 1 + self.die_before_a_checkpoint()
        self.assertGreater(acknowledged, 1)
        self.launch_without_room()
        self.stop()
        node = self.launch_without_room()
        time.sleep(1.5)
        self.assertNotEqual(self.server.get("/readyz")[0], 200)
        resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        self.server.wait_ready()
        self.assertIn('"event":"kv.recovered"', node.log()[node.log_start:])
        self.assertIn(len(self.uids(self.imap("alice", "INBOX"))), (acknowledged, acknowledged + 1))


class Stopped(Disk):
    """What an operator does to the data directory of a stopped node."""
    users = ("alice",)

    def setUp(self):
        self.assertEqual(self.deliver_code(mail.made(1, 5000)), 250)
        self.server.kill9()  # what was acknowledged may be in the log alone
        self.files = [os.path.join(self.server.data, n) for n in os.listdir(self.server.data) if n.startswith("volume.mdb") and not n.endswith("-lock")]
        self.assertEqual(len(self.files), 4, self.files)

    def tearDown(self):
        if not self.server.processes:
            self.server.start()

    def refused(self):
        self.server.launch()
        node = self.server.processes[0]
        self.assertEqual(node.process.wait(pillarbox.STOP_S), 1)
        for p in self.server.processes:
            p.kill()
        self.server.processes = []
        return node.log()[node.log_start:]

    def test_a_copy_of_the_directory_is_the_node(self):
        away = self.server.data + ".away"
        os.rename(self.server.data, away)
        shutil.copytree(away, self.server.data, ignore=shutil.ignore_patterns("*.sock", "*-lock"))
        code, text = self.server.check()
        self.assertEqual(code, 0, text)
        self.server.start()
        self.assertTrue(self.uids(self.imap("alice", "INBOX")))

    def test_a_file_of_the_store_that_is_away_is_missed_and_may_come_back(self):
        for path in sorted(self.files):
            os.rename(path, path + ".away")
            said = self.refused()
            self.assertRegex(said, r"is gone|put it back", path)
            os.rename(path + ".away", path)
            code, text = self.server.check()
            self.assertEqual(code, 0, text)
        self.server.start()
        self.assertTrue(self.uids(self.imap("alice", "INBOX")))


class Damaged(Disk):
    """`ctl check` on a copy of a data directory, damaged in one place at a time: it says what and where, and never crashes."""
    users = ("alice", "bob")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with smtplib.LMTP("127.0.0.1", cls.server.ports["lmtp"]) as c:
            for i in range(30):
                user = cls.users[i % 2]
                c.sendmail("a@example.org", [f"{user}@example.test"], mail.made(i, (500, 5000, 200000)[i % 3]))
        for p in reversed(cls.server.processes):
            p.terminate()
        cls.copy = os.path.join(cls.server.folder, "copy")
        shutil.copytree(cls.server.data, cls.copy, ignore=shutil.ignore_patterns("*.sock"))
        cls.volume = os.path.join(cls.copy, "volume.mdb")
        with open(cls.volume, "rb") as f:
            cls.whole = f.read()
        cls.server.restart()

    def checked(self, octets=None):
        """Exit status and output over a volume of these octets."""
        with open(self.volume, "wb") as f:
            f.write(self.whole if octets is None else octets)
        r = subprocess.run([self.server.program, "ctl", "--data", self.copy, "check"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True, timeout=120)
        self.assertIn(r.returncode, (0, 1), r.stdout)
        self.assertIsNone(pillarbox.DEFECT.search(r.stdout), r.stdout)
        return r.returncode, r.stdout

    def test_a_directory_in_order_is_clean(self):
        code, text = self.checked()
        self.assertEqual(code, 0, text)
        self.assertIn("30 messages", text)

    def test_a_flipped_octet_of_a_message_is_found_in_its_shard(self):
        # Pages of before the last checkpoint still hold what has moved: a flip there is in nobody's message.
        found = []
        for page in range(len(self.whole) // 8192, len(self.whole) // 4096):
            at = self.whole.find(b"x" * 20, page * 4096, page * 4096 + 4096)
            if at >= 0 and not found:
                code, text = self.checked(self.whole[:at] + b"y" + self.whole[at + 1:])
                self.assertEqual(code, 1 if "wrong checksum" in text else 0, text)
                found += [text] * code
        self.assertTrue(found)
        self.assertRegex(found[0], r"shard \d+: body chunk: wrong checksum")

    def test_files_that_are_cut_empty_or_something_else_are_said_to_be(self):
        half = len(self.whole) // 2
        for octets in (b"", self.whole[:5000], self.whole[:half], b"x" * 100000, self.whole[:half] + bytes(len(self.whole) - half)):
            code, text = self.checked(octets)
            self.assertEqual(code, 1)
            self.assertRegex(text, r"volume.mdb: page \d+ ")

    def test_flipped_bits_anywhere_never_crash_it(self):
        rng = random.Random(3)
        found = 0
        for _ in range(60):
            octets = bytearray(self.whole)
            for _ in range(rng.randint(1, 3)):
                page = rng.randrange(len(octets) // 4096)
                octets[page * 4096 + rng.randrange(160 if rng.random() < 0.5 else 4096)] ^= 1 << rng.randrange(8)
            found += self.checked(octets)[0]
        self.assertGreater(found, 30)

    def test_an_identity_that_is_no_longer_one_is_said_to_be(self):
        path = os.path.join(self.copy, "node.id")
        with open(path) as f:
            text = f.read()
        for bad in ("", "garbage", text.replace("pillarbox-data ", "pillarbox-data 9"), text.replace("node 1", "node x")):
            with open(path, "w") as f:
                f.write(bad)
            code, said = self.checked()
            with open(path, "w") as f:
                f.write(text)
            self.assertEqual(code, 1)
            self.assertIn("node.id", said)


if __name__ == "__main__":
    case.main()
