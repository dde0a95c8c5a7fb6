#!/usr/bin/env python3
"""Three storage nodes that keep what is expunged, under load: nodes_undelete.py.

The leader dies while clients expunge, which must be kept by whoever leads then; it dies again before messages are brought back, and while they
are. What comes back is what was listed, once, and both frontends show it. Then it is deleted with its folder, and kept again."""

import re
import threading
import time

from crash_load import USERS, address, password
from nodes_rig import Rig
from wire import Imap

BOX = "Back"
PURGE_S = 60


def listed(c, user):
    return c.ctl("account", "undelete", address(user), "--list").splitlines()


def shown(door, user):
    """The octets of each message of the folder that all went to, in order."""
    with Imap(door.ports["imap"]) as i:
        i.login(address(user), password(user))
        i.must(f'SELECT "{BOX}"')
        return [r for r in i.must("UID FETCH 1:* (UID BODY.PEEK[])") if b"BODY[]" in r]


def kill_leader(rig, c):
    n = c.leader()
    c.kill([n])
    rig.must_go_on(f"node {n} is dead")
    c.run("start-node", str(n))


def bring_back(rig, c):
    """While the node that leads most dies."""
    before = {u: len(listed(c, u)) for u in USERS}
    assert sum(before.values()) > 20, f"hardly anything was kept: {before}"
    leader = c.leader()
    killer = threading.Timer(0.3, c.kill, [[leader]])
    killer.start()
    for user in USERS:
        out = c.ctl("account", "undelete", address(user), "--into", BOX)
        m = re.fullmatch(r"(\d+) of (\d+) messages are back\n", out)
        assert m and int(m.group(1)) == int(m.group(2)) == before[user], f"{user}: {before[user]} were listed: {out}"
        assert not listed(c, user), f"{user}: what is back is listed still"
    killer.join()
    c.run("start-node", str(leader))
    c.wait_settled()
    for user in USERS:
        if before[user] == 0:
            continue
        there = [shown(door, user) for door in rig.doors]
        assert there[0] == there[1], f"{user}: the frontends differ"
        assert len(there[0]) == before[user], f"{user}: {before[user]} came back, {len(there[0])} are there"
        deleted(c, rig.doors[0], user, before[user])
    print(f"brought back: {before}", flush=True)


def deleted(c, door, user, count):
    """The ledger knows nothing of the folder: it goes, and is kept."""
    with Imap(door.ports["imap"]) as i:
        i.login(address(user), password(user))
        i.must(f"DELETE {BOX}")
    deadline = time.monotonic() + PURGE_S
    while len(listed(c, user)) != count:
        assert time.monotonic() < deadline, f"{user}: of {count} deleted messages {len(listed(c, user))} are kept"
        time.sleep(0.5)


def main():
    def play(rig):
        for _ in range(2):
            rig.round("kill -9 of the leader", lambda c: kill_leader(rig, c))
            time.sleep(0.5)
        bring_back(rig, rig.cluster)
    Rig(settings=["storage.undelete_retention=1 h"]).run(play)


if __name__ == "__main__":
    main()
