#!/usr/bin/env python3
"""Prints the comparison from compare.sh's results (one JSON object a line): for each row and server the rate, p99, CPU and
memory, then Pillarbox against each Dovecot and the bar of its row."""

import json
import sys

OURS = "pillarbox"
# row: (what, against which server, factor). "rate" is ops_per_s, "cpu" is CPU per operation the other way round, both as
# Pillarbox over Dovecot; "notice_ms" and "idle_kib" are bounds of Pillarbox's own figures.
BARS = {
    "lmtp_4k_16": [("rate", "dovecot", 8), ("cpu", "dovecot", 8)],
    "append_4k_16": [("rate", "dovecot", 2)],
    "fetch_flags": [("rate", "dovecot", 3)],
    "fetch_envelope": [("rate", "dovecot", 8)],
    "fetch_headers": [("rate", "dovecot", 3)],
    "fetch_body": [("rate", "dovecot", 1)],
    "store_16": [("rate", "dovecot", 0.7), ("rate", "dovecot_fsync", 2)],
    "login": [("rate", "dovecot", 8)],
    "pop3": [("rate", "dovecot", 4)],
    "select": [("rate", "dovecot", 2)],
    "search_header": [("rate", "dovecot", 4)],
    "search_date": [("rate", "dovecot", 4)],
    "smtp_4k_16": [("rate", "dovecot", 8)],
    "idle": [("notice_ms", None, 10), ("idle_kib", None, 16)],
}


def figures(line):
    """The row's figures as text."""
    if line.get("failed"):
        return ["failed", "", "", "", ""]
    return [f'{line["ops_per_s"]:,.0f}/s', f'{line["p50_ms"]:.2f}', f'{line["p99_ms"]:.2f}',
            f'{line["server_cpu_us_per_op"]:,.0f}', f'{line["pss_kib"] / 1024:,.0f}']


def ratio(what, ours, theirs):
    key = "ops_per_s" if what == "rate" else "server_cpu_us_per_op"
    a, b = ours.get(key, 0), theirs.get(key, 0)
    if what == "cpu":
        a, b = b, a
    return a / b if b else 0.0


def verdict(bar, row):
    """(the bar, what was reached, met or missed); None when a server was not measured."""
    what, against, factor = bar
    ours = row[OURS]
    if against is None:
        key = {"notice_ms": "notice_p99_ms", "idle_kib": "pss_per_watcher_kib"}[what]
        unit = {"notice_ms": "ms", "idle_kib": "KiB"}[what]
        return f"at most {factor} {unit}", f"{ours[key]:.1f} {unit}", ours[key] <= factor
    if against not in row or row[against].get("failed"):
        return None
    reached = ratio(what, ours, row[against])
    name = "the rate" if what == "rate" else "less CPU"
    return f"{factor}x {name} of {against}", f"{reached:.2f}x", reached >= factor


def print_row(name, row):
    for server, line in row.items():
        text = [name, server] + figures(line)
        if server == OURS or line.get("failed") or row.get(OURS, {"failed": 1}).get("failed"):
            text += ["", ""]
        else:
            text += [f"{ratio('rate', row[OURS], line):.2f}x", f"{ratio('cpu', row[OURS], line):.2f}x"]
        print("{:16} {:14} {:>12} {:>9} {:>9} {:>10} {:>8} {:>9} {:>9}".format(*text))
        if "notice_p50_ms" in line and line["notices"]:
            print(f'{"":31} notice p50 {line["notice_p50_ms"]:.1f} ms, p99 {line["notice_p99_ms"]:.1f} ms; '
                  f'{line["pss_per_watcher_kib"]:.1f} KiB for each of {line["watchers"]} idle connections')


def main():
    rows = {}
    with open(sys.argv[1], encoding="utf-8") as f:
        for text in f:
            line = json.loads(text)
            rows.setdefault(line["row"], {})[line["server"]] = line
    print("{:16} {:14} {:>12} {:>9} {:>9} {:>10} {:>8} {:>9} {:>9}".format(
        "row", "server", "rate", "p50 ms", "p99 ms", "CPU us/op", "PSS MiB", "our rate", "our CPU"))
    for name, row in rows.items():
        print_row(name, row)
    print(f'\n{"row":16} {"bar":34} {"reached":>10}')
    for name, row in rows.items():
        for bar in BARS.get(name, []) if not row.get(OURS, {"failed": 1}).get("failed") else []:
            v = verdict(bar, row)
            if v is not None:
                print(f'{name:16} {v[0]:34} {v[1]:>10}   {"met" if v[2] else "missed"}')
    return 0


if __name__ == "__main__":
    sys.exit(main())
