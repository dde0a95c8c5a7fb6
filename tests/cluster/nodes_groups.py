"""Who is in which group, as `ctl shard status` tells it."""

import re
import time

DIRECTORY = 0
SETTLE_S = 120


def lines(c):
    return [line.split("\t") for line in c.ctl("shard", "status").splitlines()]


def wait_settled(c):
    """As the node table wants them now; dev_cluster.sh's idea of it knows nothing of draining."""
    deadline = time.monotonic() + SETTLE_S
    time.sleep(1)  # the leaders look twice a second
    while any(fields[4] != "settled" for fields in lines(c)):
        assert time.monotonic() < deadline, f"the groups do not settle: {c.ctl('shard', 'status')}\n{c.logs()[-15000:]}"
        time.sleep(0.3)


def groups(c):
    """{shard: {node: role}} as the leaders see them."""
    found = {}
    for fields in lines(c):
        found[int(fields[0])] = {int(m[1]): m[2] for m in (re.match(r"(\d+)=(voter|standby)", f) for f in fields) if m}
    return found


def must_hold_nothing(c, nodes):
    for shard, servers in groups(c).items():
        for n in nodes:
            assert servers.get(n) in ([None, "standby"] if shard == DIRECTORY else [None]), f"shard {shard} after a drain of {n}: {servers}"


def must_have_voters(c, count):
    for shard, servers in groups(c).items():
        voters = sum(role == "voter" for role in servers.values())
        assert voters == count, f"shard {shard}: {voters} voters, not {count}: {servers}"
