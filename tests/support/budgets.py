#!/usr/bin/env python3
"""Compares what ctest's label summary says with each label's budget: `budgets.py CTEST_LOG CPUS`.

Says nothing while all labels keep theirs, so that ctest's lines stay the last ones. A label over its budget is named; at
twice its budget it fails the run, since a suite that nobody waits for is a suite that nobody runs.
"""

import re
import sys

# Minutes on 2 CPUs.
BUDGET_MIN = {"quick": 4, "full": 30, "fuzz": 4, "e2e": 8, "cluster": 12, "sim": 10}


def main():
    with open(sys.argv[1], errors="replace") as f:
        used = dict(re.findall(r"^(\w+)\s+=\s+([\d.]+) sec\*proc", f.read(), re.M))
    failed = False
    for label, minutes in BUDGET_MIN.items():
        spent = float(used.get(label, 0)) / 60
        if spent > minutes * 2:
            print(f"budget: label {label} took {spent:.1f} CPU minutes, its budget is {minutes * 2}")
            failed = failed or spent > minutes * 4
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
