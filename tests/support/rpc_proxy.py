"""A proxy on the RPC link between a frontend and a storage node that does what networks do at the worst moment.

It knows the framing (proto/rpc/stream.h, frame.h): requests can be told by their method. plan() says what happens to the next
requests of some methods; what is not planned passes. One thread; a frontend has one connection at a time here.
"""

import selectors
import socket
import struct
import threading
import time

GREETING = b"PBXRPC1\n"
PREFIX = struct.Struct("<IIQ")
METHOD_AT = 6
LATE_S = 0.05
WAIT_S = 30

# What can happen to a request.
REFUSE = "refuse"          # the link is cut, the request never arrives
TEAR = "tear"              # half of it arrives, then the link is cut
LOSE_REPLY = "lose reply"  # it is done; its reply is lost with the link
CUT_BEHIND = "cut behind"  # the link is cut right behind it: it is being done while the retry is on its way
TWICE = "twice"            # it arrives twice
LATE = "late"              # it arrives once more, after its reply
FAULTS = (REFUSE, TEAR, LOSE_REPLY, CUT_BEHIND, TWICE, LATE)


class Frames:
    """Cuts a byte stream in frames: the greeting, then prefix and frame together."""

    def __init__(self):
        self.pending = b""
        self.greeted = False

    def feed(self, octets):
        self.pending += octets
        while True:
            n = self._whole()
            if n is None:
                return
            frame, self.pending = self.pending[:n], self.pending[n:]
            yield frame

    def _whole(self):
        if not self.greeted:
            if len(self.pending) < len(GREETING):
                return None
            assert self.pending.startswith(GREETING), self.pending[:20]
            self.greeted = True
            return len(GREETING)
        if len(self.pending) < PREFIX.size:
            return None
        n = PREFIX.size + PREFIX.unpack_from(self.pending)[0]
        return n if len(self.pending) >= n else None


def tag_of(frame):
    return PREFIX.unpack_from(frame)[2]


def method_of(frame):
    return struct.unpack_from("<H", frame, PREFIX.size + METHOD_AT)[0]


class Link:
    """One connection of the frontend, and its own to the storage node."""

    def __init__(self, proxy, client):
        self.proxy = proxy
        self.client = client
        self.storage = socket.create_connection(proxy.target, timeout=10)
        self.frames = {self.client: Frames(), self.storage: Frames()}
        self.out = {self.client: b"", self.storage: b""}
        self.lose = set()  # tags whose reply is swallowed, with a cut behind it
        self.again = {}    # tag -> request to be sent again after its reply
        self.owed = []     # tags of what arrived twice and is not answered twice yet
        self.open = True
        for s in (self.client, self.storage):
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            s.setblocking(False)

    def other(self, s):
        return self.storage if s is self.client else self.client

    def send(self, s, octets):
        self.out[s] += octets
        self.flush(s)

    def flush(self, s):
        try:
            while self.open and self.out[s]:
                self.out[s] = self.out[s][s.send(self.out[s]):]
        except BlockingIOError:
            pass
        except OSError:
            self.cut()
        if self.open:
            self.proxy.watch(s, self)

    def push_out(self, s):
        """Everything to one side, waiting for it: before a cut, so that what should arrive does."""
        s.setblocking(True)
        try:
            s.sendall(self.out[s])
        except OSError:
            pass
        self.out[s] = b""

    def cut(self):
        if self.open:
            self.open = False
            self.owed.clear()
            for s in (self.client, self.storage):
                self.proxy.forget(s)
                s.close()

    def request(self, frame):
        fault = self.proxy.fault_for(frame) if len(frame) > PREFIX.size else None
        if fault == REFUSE:
            self.cut()
        elif fault == TEAR:
            self.out[self.storage] += frame[:len(frame) // 2]
            self.push_out(self.storage)
            self.cut()
        elif fault == CUT_BEHIND:
            self.out[self.storage] += frame
            self.push_out(self.storage)
            self.cut()
        else:
            if fault == LOSE_REPLY:
                self.lose.add(tag_of(frame))
            elif fault == LATE:
                self.again[tag_of(frame)] = frame
            elif fault == TWICE:
                self.owed += [tag_of(frame)] * 2
            self.send(self.storage, frame + frame if fault == TWICE else frame)

    def reply(self, frame):
        tag = tag_of(frame) if len(frame) > PREFIX.size else None
        if tag in self.lose:
            self.cut()
            return
        if tag in self.owed:
            self.owed.remove(tag)
        late = self.again.pop(tag, None)
        self.send(self.client, frame)
        if late is not None:
            self.proxy.later(time.monotonic() + LATE_S, self, late)

    def readable(self, s):
        try:
            got = s.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            got = b""
        if not got:
            self.cut()
            return
        for frame in self.frames[s].feed(got):
            if not self.open:
                return
            (self.request if s is self.client else self.reply)(frame)


class Proxy:
    def __init__(self, target_port):
        self.target = ("127.0.0.1", target_port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.port = self.listener.getsockname()[1]
        self.mutex = threading.Lock()
        self.planned = []   # [methods, fault] to come, in order
        self.fired = []     # (method, fault) that happened
        self.chance = None  # (random.Random, probability, faults): for load
        self.waiting = []   # (when, link, frame)
        self.links = []
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.stopping = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    # --- the test's side ---

    def plan(self, methods, *faults):
        with self.mutex:
            self.planned += [(frozenset(methods), f) for f in faults]
            self.fired = []

    def at_random(self, rng, probability, faults=FAULTS):
        with self.mutex:
            self.chance = (rng, probability, faults)
            self.fired = []

    def calm(self):
        with self.mutex:
            self.chance = None
            self.planned = []

    def happened(self):
        """What was done since the plan; everything that arrived twice has been answered twice then."""
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            with self.mutex:
                if not self.waiting and not any(link.owed for link in self.links):
                    return list(self.fired)
            time.sleep(LATE_S / 5)
        raise AssertionError(f"a request that arrived twice was not answered within {WAIT_S} s")

    def stop(self):
        self.stopping = True
        self.thread.join(10)

    # --- the proxy's thread ---

    def fault_for(self, frame):
        method = method_of(frame)
        with self.mutex:
            fault = None
            if self.planned and method in self.planned[0][0]:
                fault = self.planned.pop(0)[1]
            elif self.chance is not None and self.chance[0].random() < self.chance[1]:
                fault = self.chance[0].choice(self.chance[2])
            if fault is not None:
                self.fired.append((method, fault))
            return fault

    def later(self, when, link, frame):
        with self.mutex:
            self.waiting.append((when, link, frame))

    def watch(self, s, link):
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if link.out[s] else 0)
        try:
            self.selector.modify(s, events, link)
        except KeyError:
            self.selector.register(s, events, link)

    def forget(self, s):
        try:
            self.selector.unregister(s)
        except KeyError:
            pass

    def _accept(self):
        client, _ = self.listener.accept()
        try:
            link = Link(self, client)
        except OSError:
            client.close()
            return
        with self.mutex:
            self.links = [l for l in self.links if l.open] + [link]
        for s in (link.client, link.storage):
            self.watch(s, link)

    def _late(self):
        now = time.monotonic()
        with self.mutex:
            due = [w for w in self.waiting if w[0] <= now]
        for when, link, frame in due:
            if link.open:
                link.owed.append(tag_of(frame))
                link.send(link.storage, frame)
            with self.mutex:
                self.waiting.remove((when, link, frame))

    def _run(self):
        while not self.stopping:
            for key, events in self.selector.select(LATE_S / 2):
                if key.fileobj is self.listener:
                    self._accept()
                    continue
                link, s = key.data, key.fileobj
                if link.open and events & selectors.EVENT_WRITE:
                    link.flush(s)
                if link.open and events & selectors.EVENT_READ:
                    link.readable(s)
            self._late()
        for key in list(self.selector.get_map().values()):
            self.forget(key.fileobj)
            key.fileobj.close()
