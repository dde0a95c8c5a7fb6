"""What an account holds, as IMAP shows it: Seen of its mailboxes (crash_tree.py)."""

import re

from crash_tree import Seen

EMPTY = re.compile(rb"\* 0 EXISTS")


def number(pattern, text):
    return int(re.search(pattern, text).group(1))


def fetch(c, what):
    """{uid: response}; what else is told meanwhile (handoffs arrive) is left out. UIDs must ascend."""
    rows, last = {}, 0
    for row in c.must(f"UID FETCH {what}"):
        m = re.match(rb"\* \d+ FETCH \((?:[^{]*? )?UID (\d+)", row)
        if m:
            uid = int(m.group(1))
            assert uid > last, f"UID {uid} after {last}"
            last = uid
            rows[uid] = row
    return rows


def parse_new(row):
    """(marker, octets) of a message that was fetched whole."""
    m = re.search(rb"BODY\[\] \{(\d+)\}\r\n", row)
    octets = row[m.end():m.end() + int(m.group(1))]
    marker = re.search(rb"\nX-Marker: (\S+)-(\d+)\r\n", octets)
    return (".".join(g.decode() for g in marker.groups()) if marker else f"damaged: {octets[:60]!r}"), octets


def mailboxes(c):
    for row in c.must('LIST "" "*"'):
        m = re.match(rb'\* LIST \(([^)]*)\) "/" "?([^"]+)"?$', row)
        if m and b"\\Noselect" not in m.group(1):
            yield m.group(2).decode()


def look_at_box(c, box, known):
    """A Seen. Bodies of what is not known: known(UIDVALIDITY) is {uid: marker} of what was seen before."""
    selected = b"\r\n".join(c.must(f"EXAMINE {box}"))
    seen = Seen(number(rb"UIDVALIDITY (\d+)", selected), number(rb"UIDNEXT (\d+)", selected), number(rb"HIGHESTMODSEQ (\d+)", selected),
                {})
    if EMPTY.search(selected):
        return seen
    markers = known(seen.validity)
    octets = {}
    first = max(markers, default=0) + 1
    for uid, row in fetch(c, f"{first}:* (UID BODY.PEEK[])").items():
        if uid >= first:  # n:* names the last message when n is beyond it
            octets[uid] = parse_new(row)
    for uid, row in fetch(c, "1:* (UID FLAGS MODSEQ)").items():
        marker, body = octets.get(uid, (markers.get(uid), None))
        if marker is not None:  # it came between the two commands otherwise: its turn is next time
            flags = frozenset(re.search(rb"FLAGS \(([^)]*)\)", row).group(1).decode().split()) - {"\\Recent"}
            seen.rows[uid] = marker, flags, number(rb"MODSEQ \((\d+)\)", row), body
    return seen
