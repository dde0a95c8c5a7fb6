#!/usr/bin/env python3
"""Storage and frontends as processes with mutual TLS between them: who has a certificate of the cluster's CAs, and who not."""

import os
import socket
import stat
import subprocess
import time

import case
import mail
import pillarbox
import ports
import wire

MAKE_CERTS = os.path.join(pillarbox.ROOT, "deploy", "scripts", "make_certs.sh")
PATIENCE_S = 40
GREETING = b"PBXRPC1\n"


def make_certs(folder, *argv):
    return subprocess.run([MAKE_CERTS, folder] + list(argv), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)


class TlsServer(pillarbox.Server):
    """Storage and frontend with a certificate each, made by our own script."""

    def __init__(self):
        super().__init__(split=True)
        self.certs = os.path.join(self.folder, "certs")
        r = make_certs(self.certs, "--nodes", "1", "--frontends", "1")
        if r.returncode != 0:
            raise pillarbox.ServerError(r.stdout)

    def identity(self, name, folder=None):
        """The settings of a process that has this certificate."""
        folder = folder or self.certs
        files = {"certificate": os.path.join(folder, name + ".pem"), "key": os.path.join(folder, name + ".key"),
                 "node_ca": os.path.join(self.certs, "node-ca.pem")}
        if name.startswith("node-"):
            files["frontend_ca"] = os.path.join(self.certs, "frontend-ca.pem")
        return [w for k, v in files.items() for w in ("--set", f"cluster.{k}={v}")]

    def launch(self):
        for role, name in (("storage", "node-1"), ("frontend", "frontend-1")):
            self.processes.append(pillarbox.Process(role, [self.program, role] + self.options() + self.identity(name), self.folder))

    def ctl(self, *argv, stdin="", check=True):
        self.split = False  # by the socket in the data directory
        try:
            return super().ctl(*argv, stdin=stdin, check=check)
        finally:
            self.split = True


class ClusterTls(case.ServerCase):
    users = ("alice",)

    @classmethod
    def setUpClass(cls):
        cls.server = TlsServer()
        cls.server.start()
        try:
            cls.server.add_domain()
            cls.server.add_user("alice")
        except BaseException:
            cls.server.abandon()
            raise

    def frontend(self, name, identity):
        """Another frontend of the node on ports of its own, ended with the test; gets .ports."""
        numbers = dict(zip(pillarbox.LISTENERS, ports.block()))
        listen = [w for k, v in numbers.items() for w in ("--set", f"{k}.listen=127.0.0.1:{v}")]
        p = pillarbox.Process(name, [self.server.program, "frontend"] + self.server.options() + listen + identity, self.server.folder)
        p.ports = numbers
        self.addCleanup(p.terminate)
        return p

    def ready(self, p):
        kept, self.server.ports = self.server.ports, p.ports
        try:
            return self.server.get("/readyz")[0] == 200
        finally:
            self.server.ports = kept

    def until(self, what):
        deadline = time.monotonic() + PATIENCE_S
        while not what() and time.monotonic() < deadline:
            time.sleep(0.1)
        self.assertTrue(what())

    def foreign(self):
        """A folder of certificates with the same names, of other CAs."""
        folder = os.path.join(self.server.folder, "foreign")
        self.assertEqual(make_certs(folder, "--nodes", "1", "--frontends", "1").returncode, 0)
        return folder

    def test_a_frontend_with_its_certificate_serves_and_hears_of_changes(self):
        second = self.frontend("second", self.server.identity("frontend-1"))
        self.until(lambda: self.ready(second))
        a = self.wire_imap("alice", "INBOX")
        b = wire.Imap(second.ports["imap"])
        self.closing(b, b.close)
        b.login(self.address("alice"), self.password("alice"))
        b.must("SELECT INBOX")
        b.send(b"i1 IDLE\r\n")
        self.assertTrue(b.line().startswith(b"+"))
        a.append("INBOX", mail.made(1, marker="over TLS"))
        self.assertRegex(b.line(), rb"^\* \d+ EXISTS")  # a hint, so the events port works too

    def test_a_frontend_of_another_ca_gets_nothing(self):
        p = self.frontend("foreign_frontend", self.server.identity("frontend-1", self.foreign()))
        self.until(lambda: "rpc.tls_failed" in p.log())
        time.sleep(2)
        self.assertFalse(self.ready(p))
        self.assertIn("rpc.refused", self.server.processes[0].log())
        self.assertEqual(self.server.get("/readyz")[0], 200)

    def test_a_frontend_without_tls_gets_nothing(self):
        p = self.frontend("plain_frontend", [])
        time.sleep(4)
        self.assertTrue(p.alive())
        self.assertFalse(self.ready(p))

    def test_neither_port_greets_a_stranger(self):
        for url in (self.server.rpc, self.server.events):
            with socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])), timeout=20) as s:
                s.sendall(GREETING + b"\0" * 200)
                got = b""
                try:
                    while piece := s.recv(4096):
                        got += piece
                except ConnectionResetError:
                    pass
                self.assertNotIn(b"PBX", got)

    def ctl_over_tcp(self, *options):
        return subprocess.run([self.server.program, "ctl", "--node", self.server.rpc, *options, "status"], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60)

    def test_ctl_over_tcp_needs_a_certificate(self):
        r = self.ctl_over_tcp(*self.server.identity("frontend-1"))
        self.assertEqual(r.returncode, 0, r.stdout)
        r = self.ctl_over_tcp()
        self.assertEqual(r.returncode, 1)
        self.assertIn("no answer", r.stdout)

    def test_half_a_configuration_and_missing_files_are_refused_at_the_start(self):
        ca = ["--set", f"cluster.node_ca={self.server.certs}/node-ca.pem"]
        for role in ("storage", "frontend"):
            for options, words in ((ca, "cluster.certificate is not"),
                                   (self.server.identity("node-1", "/nowhere"), "/nowhere/node-1.pem: No such file")):
                base = [w for k, v in dict(self.server.settings, data_dir=self.server.folder + "/other").items()
                        for w in ("--set", f"{k}={v}")]
                r = subprocess.run([self.server.program, role] + base + options, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, timeout=60)
                self.assertEqual(r.returncode, 1, r.stdout)
                self.assertIn(words, r.stdout)

    def test_the_script_keeps_what_is_there_and_gives_nobody_the_keys(self):
        folder = os.path.join(self.server.folder, "grown")
        self.assertEqual(make_certs(folder, "--nodes", "1", "--frontends", "1").returncode, 0)

        def contents():
            return {n: open(os.path.join(folder, n), "rb").read() for n in os.listdir(folder)}
        before = contents()
        self.assertEqual(sorted(before), sorted(f"{n}.{end}" for n in ("node-ca", "frontend-ca", "node-1", "frontend-1")
                                                for end in ("pem", "key")))
        self.assertEqual(make_certs(folder, "--nodes", "3", "--frontends", "2").returncode, 0)
        after = contents()
        self.assertEqual(len(after), 14)
        self.assertEqual({n: after[n] for n in before}, before)
        for n in after:
            self.assertEqual(stat.S_IMODE(os.stat(os.path.join(folder, n)).st_mode), 0o600)
        os.remove(os.path.join(folder, "node-2.key"))
        r = make_certs(folder, "--nodes", "3")
        self.assertEqual(r.returncode, 1)
        self.assertIn("node-2", r.stdout)
        for bad in (["--nodes"], ["--nodes", "x"], ["--what", "1"]):
            self.assertEqual(make_certs(folder, *bad).returncode, 2)


if __name__ == "__main__":
    case.main()
