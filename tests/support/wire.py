"""A client that says exactly the octets a test gives it, and reads replies with a bound on time."""

import re
import socket
import ssl

TIMEOUT_S = 60


class Closed(Exception):
    """The server closed the connection."""


class Wire:
    def __init__(self, port, tls=None, timeout=TIMEOUT_S):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.pending = b""
        if tls is not None:
            self.start_tls(tls)

    def start_tls(self, context):
        self.sock = context.wrap_socket(self.sock, server_hostname="localhost")

    def send(self, octets):
        self.sock.sendall(octets if isinstance(octets, bytes) else octets.encode())

    def send_slowly(self, octets):
        """One octet a packet: the server sees every split."""
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(len(octets)):
            self.send(octets[i:i + 1])

    def _more(self):
        got = self.sock.recv(65536)
        if not got:
            raise Closed(self.pending)
        self.pending += got

    def line(self):
        """The next line without its CRLF."""
        while b"\r\n" not in self.pending:
            self._more()
        line, self.pending = self.pending.split(b"\r\n", 1)
        return line

    def octets(self, n):
        while len(self.pending) < n:
            self._more()
        got, self.pending = self.pending[:n], self.pending[n:]
        return got

    def closed(self):
        """Whether the server has closed, after whatever it still sends."""
        try:
            while True:
                self._more()
        except (Closed, ConnectionError, ssl.SSLError):
            return True
        except socket.timeout:
            return False

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


class Smtp(Wire):
    def reply(self):
        """(code, lines) of one reply."""
        lines = []
        while True:
            line = self.line()
            lines.append(line.decode("utf-8", "replace"))
            if line[3:4] != b"-":
                return int(line[:3]), lines

    def ask(self, command):
        self.send(command if isinstance(command, bytes) else command.encode() + b"\r\n")
        return self.reply()

    @classmethod
    def greeted(cls, port, verb="EHLO", **kw):
        c = cls(port, **kw)
        code, lines = c.reply()
        assert code == 220, lines
        code, lines = c.ask(f"{verb} client.example.test")
        assert code == 250, lines
        c.capabilities = [l[4:] for l in lines]
        return c


class Pop3(Wire):
    def ask(self, command):
        self.send(command.encode() + b"\r\n")
        return self.line()

    def lines(self):
        """A multi-line reply's lines, unstuffed."""
        out = []
        while True:
            line = self.line()
            if line == b".":
                return out
            out.append(line[1:] if line.startswith(b".") else line)


class Imap(Wire):
    """reply() gives the untagged responses before a tagged one, each as octets with literals in place."""

    def __init__(self, *a, **kw):
        super().__init__(*a, **kw)
        self.number = 0
        self.greeting = self.response()

    def response(self):
        """One response: a line, and after each literal the rest of the line."""
        whole = b""
        while True:
            line = self.line()
            whole += line + b"\r\n"
            m = re.search(rb"\{(\d+)\+?\}$", line)
            if not m:
                return whole[:-2]
            whole += self.octets(int(m.group(1)))

    def tag(self):
        self.number += 1
        return b"t%d" % self.number

    def finish(self, tag):
        """(status word, text, untagged) of the command with this tag."""
        untagged = []
        while True:
            r = self.response()
            if r.startswith(tag + b" "):
                status, _, text = r[len(tag) + 1:].partition(b" ")
                return status.decode(), text.decode("utf-8", "replace"), untagged
            untagged.append(r)

    def ask(self, command):
        tag = self.tag()
        self.send(tag + b" " + (command if isinstance(command, bytes) else command.encode()) + b"\r\n")
        return self.finish(tag)

    def must(self, command):
        status, text, untagged = self.ask(command)
        assert status == "OK", (command, status, text)
        return untagged

    def login(self, address, password):
        return self.must(f'LOGIN "{address}" "{password}"')

    def append(self, mailbox, octets, flags=""):
        return self.must(b'APPEND "%s" %s{%d+}\r\n%s' % (mailbox.encode(), flags.encode(), len(octets), octets))
