#!/usr/bin/env python3
"""Storage and frontends as processes of their own: started in any order, several frontends, a storage node that is killed."""

import time
import urllib.request

import case
import mail
import pillarbox
import ports
import rpc_proxy
import wire

PATIENCE_S = 40
SYNC = 161       # proto/rpc/method.h
OUTAGE_S = 12


class Roles(case.ServerCase):
    users = ("alice",)

    @classmethod
    def setUpClass(cls):
        cls.admin = ports.block()[0]
        cls.server = pillarbox.Server({"frontend.rpc_timeout": "20 s", "storage.admin": f"127.0.0.1:{cls.admin}"}, split=True)
        cls.server.start()
        try:
            cls.server.add_domain()
            cls.server.add_user("alice")
            cls.second = cls.frontend("second")
        except BaseException:
            cls.server.abandon()
            raise

    @classmethod
    def frontend(cls, name, **changes):
        """Another frontend of the same node on ports of its own; gets .ports."""
        numbers = dict(zip(pillarbox.LISTENERS, ports.block()))
        settings = dict(cls.server.settings, **{f"{k}.listen": f"127.0.0.1:{v}" for k, v in numbers.items()})
        settings.update({"frontend." + k: v for k, v in changes.items()})
        p = pillarbox.Process(name, [cls.server.program, "frontend"] + [w for k, v in settings.items() for w in ("--set", f"{k}={v}")],
                              cls.server.folder)
        p.ports = numbers
        cls.server.processes.append(p)
        return p

    def storage_start(self):
        p = pillarbox.Process("storage", [self.server.program, "storage"] + self.server.options(), self.server.folder)
        self.server.processes[0] = p

    def connect(self, frontend_ports):
        """Logged in, as soon as that frontend serves."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                c = wire.Imap(frontend_ports["imap"])
                c.login(self.address("alice"), self.password("alice"))
                return self.closing(c, c.close)
            except (OSError, AssertionError, wire.Closed):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def test_a_storage_node_has_metrics_and_probes_of_its_own(self):
        for path, words in (("healthz", "alive"), ("readyz", "ready"), ("metrics", "pillarbox_store_disk_free_bytes ")):
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/{path}", timeout=10) as r:
                self.assertIn(words, r.read().decode())

    def test_two_frontends_show_the_same_mailbox_at_once(self):
        a = self.connect(self.server.ports)
        b = self.connect(self.second.ports)
        b.must("SELECT INBOX")
        before = len(self.search(b))
        a.append("INBOX", mail.made(1, marker="two"))
        self.assertEqual(len(self.search(b)), before + 1)

    @staticmethod
    def search(c):
        c.must("NOOP")
        return [w for line in c.must("UID SEARCH ALL") if line.startswith(b"* SEARCH") for w in line.split()[2:]]

    def test_a_storage_node_that_is_killed_and_comes_back_costs_no_session(self):
        a = self.connect(self.server.ports)
        b = self.connect(self.second.ports)
        for c in (a, b):
            c.must("SELECT INBOX")
        a.append("INBOX", mail.made(2, marker="kept"))
        self.server.processes[0].kill()
        self.assertEqual(self.server.get("/healthz")[0], 200)
        self.storage_start()
        for c in (a, b):
            self.assertGreaterEqual(len(self.search(c)), 1)
        b.append("INBOX", mail.made(3, marker="after"))
        self.assertEqual(self.search(a), self.search(b))

    def test_a_long_outage_is_a_temporary_refusal_and_ends_by_itself(self):
        self.server.processes[0].kill()
        deadline = time.monotonic() + PATIENCE_S
        while self.server.get("/readyz")[0] == 200 and time.monotonic() < deadline:
            time.sleep(0.2)
        self.assertEqual(self.server.get("/readyz")[0], 503)
        s = self.wire_smtp()
        s.ask("MAIL FROM:<a@example.org>")
        self.assertEqual(s.ask(f"RCPT TO:<{self.address('alice')}>")[0], 451)
        third = self.frontend("third")
        self.storage_start()
        self.connect(third.ports).must("SELECT INBOX")
        self.assertEqual(s.ask(f"RCPT TO:<{self.address('alice')}>")[0], 250)
        self.server.wait_ready()

    def test_a_session_that_idles_through_an_outage_learns_what_it_missed(self):
        proxy = rpc_proxy.Proxy(int(self.server.rpc.rsplit(":", 1)[1]))
        self.addCleanup(proxy.stop)
        c = self.connect(self.frontend("idle", storage=f"tcp://127.0.0.1:{proxy.port}", rpc_timeout="300 ms").ports)
        c.must("SELECT INBOX")
        tag = c.tag()
        c.send(tag + b" IDLE\r\n")
        while not c.response().startswith(b"+"):
            pass
        proxy.plan({SYNC}, *[rpc_proxy.REFUSE] * 10000)
        self.connect(self.server.ports).append("INBOX", mail.made(4, marker="idle"))
        time.sleep(OUTAGE_S)
        self.assertGreater(len(proxy.happened()), 20)
        proxy.calm()
        said = c.response()
        self.assertRegex(said, rb"^\* \d+ EXISTS")
        c.send(b"DONE\r\n")
        self.assertEqual(c.finish(tag)[0], "OK")


if __name__ == "__main__":
    case.main()
