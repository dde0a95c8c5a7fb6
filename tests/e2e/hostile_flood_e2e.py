#!/usr/bin/env python3
"""Too much of what is allowed: connections, pipelined commands, logins, recipients, sessions that want one lock. Limits answer, and
another user does not wait."""

import base64
import resource
import socket
import struct
import time

import case
import hostile
import mail
import pillarbox

MIB = hostile.MIB
CONNECTIONS = 10000
PER_IP = 300
REFUSALS = {"smtp": b"421 4.7.0 too many connections", "imap": b"* BYE [LIMIT]", "pop3": b"-ERR [SYS/TEMP]"}


class Connections(hostile.HostileCase):
    settings = {"frontend.connections_per_ip_max": PER_IP}

    def test_ten_thousand_connections_of_one_address_take_its_places_only(self):
        total = min(CONNECTIONS, hostile.raise_files() - 500)

        def run():
            socks, answered = [], 0
            for i in range(total):
                name = ("smtp", "imap", "pop3", "imaps")[i % 4]
                s = hostile.dial(self.server.ports[name])
                socks.append(s)
                if i == PER_IP + 400:
                    answered = self.refusals()
                    self.assertLess(hostile.files(self.pid()), PER_IP + 400)
            time.sleep(1)
            open_now = self.metric("pillarbox_connections")
            self.assertLessEqual(open_now, PER_IP + 20)
            self.assertGreaterEqual(self.metric("pillarbox_connections_refused_total"), total - PER_IP - 10)
            self.let_go(socks)
            return answered
        self.assertEqual(self.attack(run, 24 * MIB), len(REFUSALS))
        self.comes_back()

    def refusals(self):
        """One more of each protocol is told why."""
        n = 0
        for name, text in REFUSALS.items():
            s = hostile.dial(self.server.ports[name])
            self.assertIn(text, hostile.answers([s], 10)[s][0], name)
            s.close()
            n += 1
        return n

    def comes_back(self):
        """The places of closed connections are free again."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with hostile.dial(self.server.ports["smtp"]) as s:
                if s.recv(100).startswith(b"220"):
                    return
            time.sleep(0.1)
        self.fail("the address is still refused")

    def test_connections_that_come_and_go_leave_nothing(self):
        def run():
            before = hostile.files(self.pid())
            for _ in range(20):
                socks = [hostile.dial(self.server.ports[name]) for name in ("smtp", "imap", "pop3", "imaps", "lmtp") for _ in range(20)]
                for s in socks[::2]:  # a reset instead of an end
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.let_go(socks)
            deadline = time.monotonic() + 20
            while hostile.files(self.pid()) > before + 3 and time.monotonic() < deadline:
                time.sleep(0.2)
            self.assertLessEqual(hostile.files(self.pid()), before + 3)
        self.attack(run, 16 * MIB)


class FewFiles(case.ServerCase):
    """A process that may open few files: it says no before it runs out of them."""
    users = ("alice",)
    files = 1100

    settings = {"frontend.connections_per_ip_max": 10000}

    @classmethod
    def setUpClass(cls):
        hostile.raise_files()
        usual = pillarbox.die_with_parent

        def limited():
            usual()
            resource.setrlimit(resource.RLIMIT_NOFILE, (400, cls.files))
        pillarbox.die_with_parent = limited
        try:
            super().setUpClass()
        finally:
            pillarbox.die_with_parent = usual

    def test_the_soft_limit_is_raised_and_what_does_not_fit_is_refused_with_words(self):
        room = self.files - 512
        socks = []
        greeted = 0
        for _ in range(room + 100):
            s = hostile.dial(self.server.ports["smtp"])
            s.settimeout(20)
            greeted += s.recv(200).startswith(b"220")
            socks.append(s)
        self.assertEqual(greeted, room)
        self.assertEqual(self.server.get("/readyz")[0], 200)
        self.assertIn("frontend.files", self.server.logs())
        for s in socks:
            s.close()


class Commands(hostile.HostileCase):
    settings = {"frontend.write_stall_timeout": "5 s"}

    def pipeline(self, name, hello, command, answer, n):
        """n commands at once, while their replies are read; returns how many came."""
        s = hostile.dial(self.server.ports[name])
        s.recv(4096)
        if hello:
            s.sendall(hello)
            s.recv(4096)
        s.setblocking(False)
        octets, at, got, seen = command * n, 0, b"", 0
        deadline = time.monotonic() + 60
        while seen < n and time.monotonic() < deadline:
            moved = False
            try:
                at += s.send(octets[at:at + 65536]) if at < len(octets) else 0
                moved = at < len(octets)
            except BlockingIOError:
                pass
            try:
                data = s.recv(262144)
                if not data:
                    break
                got += data
                seen += got.count(answer)
                got = got[-len(answer) + 1:] if not got.endswith(answer) else b""
                moved = True
            except BlockingIOError:
                pass
            if not moved:
                time.sleep(0.001)
        s.close()
        return seen

    def test_pipelined_floods_are_answered_and_others_served(self):
        def run():
            n = 100000
            for name, hello, command, answer in (
                    ("smtp", b"EHLO x\r\n", b"NOOP\r\n", b"250 2.0.0 ok\r\n"),
                    ("lmtp", b"LHLO x\r\n", b"RSET\r\n", b"250 2.0.0 ok\r\n"),
                    ("pop3", b"", b"CAPA\r\n", b"IMPLEMENTATION"),
                    ("imap", b"", b"a NOOP\r\n", b"a OK")):
                count = n // 20 if name == "pop3" else n
                self.assertGreaterEqual(self.pipeline(name, hello, command, answer, count), count - 1, name)
        self.attack(run, 24 * MIB)

    def test_floods_whose_replies_nobody_reads_stop_at_the_high_water(self):
        def run():
            socks = []
            for name, hello, command in (("smtp", b"EHLO x\r\n", b"HELP\r\n"), ("pop3", b"", b"CAPA\r\n"), ("imap", b"", b"a CAPABILITY\r\n")):
                for _ in range(20):
                    s = hostile.dial(self.server.ports[name], window=4096)
                    s.recv(4096)
                    if hello:
                        s.sendall(hello)
                        s.recv(4096)
                    s.setblocking(False)
                    try:
                        for _ in range(200):
                            s.send(command * 1000)
                    except (BlockingIOError, ConnectionError):
                        pass
                    socks.append(s)
            time.sleep(7)
            self.assertGreaterEqual(self.metric("pillarbox_connections_evicted_total"), 50)
            self.let_go(socks)
        self.attack(run, 60 * MIB)

    def test_a_flood_of_recipients_and_senders_is_slowed_and_ended(self):
        def run():
            socks = hostile.dial_many(self.server.ports["smtp"], 40)
            for s in socks:
                s.recv(4096)
                s.sendall(b"EHLO x\r\n")
                s.recv(4096)
                s.sendall(b"MAIL FROM:<a@example.org>\r\n" + b"".join(b"RCPT TO:<u%d@example.test>\r\n" % i for i in range(100)))
            for octets, closed in hostile.answers(socks, 30).values():
                self.assertIn(b"421 4.7.0 too many errors", octets)
                self.assertIsNotNone(closed)
            self.let_go(socks)
        self.attack(run)


class Logins(hostile.HostileCase):
    settings = {"auth.failures_per_minute_ip": 10, "auth.failures_per_minute_user": 5}

    def test_garbage_logins_of_a_crowd_are_ended_and_throttled(self):
        secret = base64.b64encode(b"\0nobody@example.test\0wrong")
        lines = {"submission": (b"EHLO x\r\n", b"AUTH PLAIN " + secret + b"\r\n"),
                 "pop3": (b"", b"AUTH PLAIN " + secret + b"\r\n"),
                 "imap": (b"", b"a AUTHENTICATE PLAIN " + secret + b"\r\n")}

        def run():
            socks = {}
            for name, (hello, line) in lines.items():
                for s in hostile.dial_many(self.server.ports[name], 20):
                    s.recv(4096)
                    if hello:
                        s.sendall(hello)
                        s.recv(4096)
                    socks[s] = line
            got = hostile.answers(list(socks), 40, lambda s: s.send(socks[s]), 0.5)
            self.let_go(socks)
            # Five failures, then the session is over; few hashes are made before the throttle shuts.
            self.assertTrue(all(closed is not None for _, closed in got.values()))
        self.attack(run, 96 * MIB)
        self.assertLess(self.metric("pillarbox_auth_hashes_total"), 60)  # for 300 attempts, and the users' own

    def test_base64_that_is_none_and_lines_too_long_are_refused(self):
        def run():
            c = self.wire_smtp("submission")
            for junk in (b"AUTH PLAIN !!!!", b"AUTH PLAIN ====", b"AUTH LOGIN \xff\xff", b"AUTH PLAIN " + b"A" * 2000, b"AUTH XYZ"):
                self.assertGreaterEqual(c.ask(junk + b"\r\n")[0], 500)
            self.assertEqual(c.ask("AUTH PLAIN")[0], 334)
            self.assertEqual(c.ask(b"A" * 100000 + b"\r\n")[0], 501)
            self.assertEqual(c.ask("NOOP")[0], 250)
        self.attack(run)

    def test_guessing_a_users_password_does_not_lock_the_user_out(self):
        self.imap("bob").logout()  # from 127.0.0.1
        for i in range(8):
            s = hostile.dial(self.server.ports["imap"], source="127.0.0.4")
            s.recv(4096)
            s.sendall(b'a LOGIN "bob@example.test" "guess%d"\r\n' % i)
            self.assertIn(b"a NO", s.recv(4096))
            s.close()
        self.imap("bob").logout()

    def test_sessions_that_fight_for_one_maildrop_have_one_winner(self):
        user = self.new_user(f"drop{int(time.monotonic() * 1e6)}")
        self.deliver(user, mail.made(1))

        def run():
            holder = self.wire_pop3(user)
            socks = hostile.dial_many(self.server.ports["pop3"], 60, source="127.0.0.3")  # whose logins nothing throttles
            for s in socks:
                s.recv(4096)
                s.sendall(b"USER %s\r\nPASS %s\r\n" % (user.encode(), self.password(user).encode()) + b"DELE 1\r\nQUIT\r\n")
            for octets, closed in hostile.answers(socks, 30).values():
                self.assertIn(b"[IN-USE]", octets)
                self.assertIsNotNone(closed)
            self.let_go(socks)
            self.assertTrue(holder.ask("STAT").startswith(b"+OK 1 "))
            self.assertTrue(holder.ask("QUIT").startswith(b"+OK"))
            # The lock is free at once, also after a cut.
            for _ in range(5):
                c = self.wire_pop3(user)
                self.assertTrue(c.ask("STAT").startswith(b"+OK 1 "))
                c.close()
                time.sleep(0.3)
        self.attack(run)


if __name__ == "__main__":
    case.main()
