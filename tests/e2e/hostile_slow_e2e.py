#!/usr/bin/env python3
"""Clients that are slow on purpose: silent ones, those of a byte now and then, handshakes that never finish, windows that
never open. Each meets its budget's answer; nobody else notices."""

import time

import case
import hostile
import mail

EACH = 60
TIMEOUTS = {"smtp.timeout": "2 s", "smtp.data_timeout": "10 s", "imap.login_timeout": "2 s", "pop3.login_timeout": "2 s",
            "frontend.handshake_timeout": "2 s", "frontend.write_stall_timeout": "3 s"}
PLAIN = {"smtp": b"421 4.4.2", "submission": b"421 4.4.2", "lmtp": b"421 4.4.2", "imap": b"* BYE", "pop3": b"+OK"}
IMPLICIT = ("submissions", "imaps", "pop3s")
MARGIN_S = 12  # of a machine that does other things too


class SlowClients(hostile.HostileCase):
    settings = dict(TIMEOUTS)

    def all_closed(self, got, seconds):
        late = [at for _, at in got.values() if at is None or at > seconds]
        self.assertEqual(late, [], "not closed in time")

    def crowd(self, ports, n=EACH):
        return {name: hostile.dial_many(self.server.ports[name], n) for name in ports}

    def outlast(self, crowd, seconds, tick=None):
        """All of the crowd are closed by the server within the time; returns what each heard."""
        socks = [s for group in crowd.values() for s in group]
        got = hostile.answers(socks, seconds, tick)
        self.let_go(socks)
        self.all_closed(got, seconds)
        return got

    def test_silence_meets_the_timeout_of_each_protocol(self):
        def run():
            crowd = self.crowd(list(PLAIN) + list(IMPLICIT))
            got = self.outlast(crowd, 2 + MARGIN_S)
            for name, answer in PLAIN.items():
                for s in crowd[name]:
                    self.assertTrue(got[s][0].split(b"\r\n")[-2].startswith(answer), (name, got[s]))
            for name in IMPLICIT:
                for s in crowd[name]:
                    self.assertEqual(got[s][0], b"", name)
        self.attack(run)

    def test_a_byte_now_and_then_buys_no_time(self):
        def run():
            crowd = self.crowd(list(PLAIN))
            got = self.outlast(crowd, 3 * 2 + MARGIN_S, lambda s: s.send(b"N"))
            for name in ("smtp", "submission", "lmtp"):
                for s in crowd[name]:
                    self.assertIn(b"421 4.4.2", got[s][0])
        self.attack(run)

    def test_a_handshake_by_the_byte_is_cut(self):
        hello = bytes.fromhex("1603010200010001fc0303") + bytes(500)

        def run():
            sent = {}

            def tick(s):
                at = sent.get(s, 0)
                s.send(hello[at:at + 1])
                sent[s] = at + 1
            self.outlast(self.crowd(IMPLICIT), 2 + MARGIN_S, tick)
        self.attack(run)

    def test_a_handshake_that_never_comes_after_starttls_is_cut(self):
        def run():
            crowd = {"smtp": [], "imap": [], "pop3": []}
            for name, words in (("smtp", (b"EHLO x\r\n", b"STARTTLS\r\n")), ("imap", (b"a STARTTLS\r\n",)), ("pop3", (b"STLS\r\n",))):
                for s in hostile.dial_many(self.server.ports[name], EACH):
                    for word in (b"",) + words:
                        s.send(word)
                        self.assertTrue(s.recv(4096))
                    crowd[name].append(s)
            self.outlast(crowd, 2 + MARGIN_S)
        self.attack(run)

    def test_login_by_the_byte_inside_auth_is_cut(self):
        def run():
            crowd = {"submission": [], "pop3": []}
            for name, words in (("submission", (b"EHLO x\r\n", b"AUTH PLAIN\r\n")), ("pop3", (b"AUTH PLAIN\r\n",))):
                for s in hostile.dial_many(self.server.ports[name], EACH):
                    for word in (b"",) + words:
                        s.send(word)
                        self.assertTrue(s.recv(4096))
                    crowd[name].append(s)
            self.outlast(crowd, 2 + MARGIN_S, lambda s: s.send(b"A"))
        self.attack(run)

    def test_data_by_the_byte_meets_its_deadline(self):
        def run():
            crowd = {"smtp": []}
            for s in hostile.dial_many(self.server.ports["smtp"], EACH):
                for word in (b"", b"EHLO x\r\n", b"MAIL FROM:<a@example.org>\r\n", b"RCPT TO:<bob@example.test>\r\n", b"DATA\r\n"):
                    s.send(word)
                    self.assertTrue(s.recv(4096))
                crowd["smtp"].append(s)
            for octets, _ in self.outlast(crowd, 10 + MARGIN_S, lambda s: s.send(b"x")).values():
                self.assertIn(b"421 4.4.2", octets)
        self.attack(run)
        self.assertEqual(self.uids(self.imap("bob", "INBOX")), [])


class DeafClients(hostile.HostileCase):
    settings = dict(TIMEOUTS)
    body_octets = 8 * hostile.MIB

    def setUp(self):
        self.reader = self.new_user(f"deaf{int(time.monotonic() * 1e6)}")
        self.deliver(self.reader, mail.made(1, self.body_octets))

    def test_who_never_reads_a_body_is_evicted_and_holds_little(self):
        n = 30

        def run():
            socks = []
            for _ in range(n):
                s = hostile.dial(self.server.ports["imap"], window=4096)
                s.send(b'a LOGIN "%s" "%s"\r\nb SELECT INBOX\r\n' % (self.reader.encode(), self.password(self.reader).encode())
                       + b"c FETCH 1 (BODY[])\r\n" * 20)
                socks.append(s)
            deadline = time.monotonic() + 3 + MARGIN_S
            while self.evicted() < n and time.monotonic() < deadline:
                time.sleep(0.2)
            self.assertEqual(self.evicted(), n)
            self.let_go(socks)
        # A connection may keep its high water of 256 KiB, a piece on its way from storage, and the send under way.
        self.attack(run, n * hostile.MIB + 16 * hostile.MIB)

    def test_who_reads_a_little_now_and_then_gets_it_all(self):
        s = hostile.dial(self.server.ports["imap"], window=4096)
        s.send(b'a LOGIN "%s" "%s"\r\nb SELECT INBOX\r\nc FETCH 1 (BODY.PEEK[])\r\n'
               % (self.reader.encode(), self.password(self.reader).encode()))
        begin, got = time.monotonic(), 0
        while time.monotonic() - begin < 6:  # twice the stall timeout
            got += len(s.recv(8192))
            time.sleep(0.3)
        s.close()
        self.assertGreater(got, 8192)

    def evicted(self):
        return self.metric("pillarbox_connections_evicted_total")


class SlowUploads(hostile.HostileCase):
    """Messages of unknown size that stop in the middle: they take what they sent, not what they might become."""
    settings = dict(TIMEOUTS, **{"smtp.timeout": "60 s", "smtp.data_timeout": "120 s"})
    begun = 130 * 1024  # more than is attached: the upload to storage has begun
    n = 30

    def begin(self):
        s = hostile.dial(self.server.ports["smtp"])
        for word in (b"", b"EHLO x\r\n", b"MAIL FROM:<a@example.org>\r\n", b"RCPT TO:<bob@example.test>\r\n", b"DATA\r\n"):
            s.send(word)
            self.assertTrue(s.recv(4096))
        s.sendall(mail.made(1, self.begun, "slow"))
        return s

    def code_of(self, octets):
        c = self.wire_smtp("lmtp", "LHLO")
        for command in ("MAIL FROM:<s@example.org>", "RCPT TO:<bob@example.test>", "DATA"):
            self.assertIn(c.ask(command)[0], (250, 354))
        return c.ask(octets + b".\r\n")

    def test_uploads_that_stand_still_keep_nobodys_mail_out(self):
        def run():
            socks = [self.begin() for _ in range(self.n)]
            time.sleep(2)  # for the last of them to reach storage
            self.assertEqual(self.code_of(mail.made(1, 300000, "other"))[0], 250)
            for s in socks:
                s.sendall(b".\r\n")
            for s in socks:
                self.assertEqual(s.recv(4096)[:3], b"250")
            self.let_go(socks)
        self.attack(run)
        client = self.imap("bob", "INBOX")
        self.assertEqual(len(self.uids(client, "SUBJECT", '"other 1"')), 1)
        self.assertEqual(len(self.uids(client, "SUBJECT", '"slow 1"')), self.n)


if __name__ == "__main__":
    case.main()
