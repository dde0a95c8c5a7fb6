#!/usr/bin/env python3
"""Makes one ctest folder of several builds' tests, so that they run side by side and end in one summary.

    ctest_merge.py --out DIR [--labels "quick full"] BUILD[=LABEL[:NAMES]]...

BUILD=LABEL takes only that label's tests of the build (of them those whose names match NAMES), and names them build/test. With --labels only tests with one of
them are taken. With CI=true nothing may be skipped: exit 77 is a failure then, and so is a test that Google Test skips.
"""

import argparse
import json
import os
import re
import subprocess
import sys

KEPT = {"LABELS", "TIMEOUT", "PROCESSORS", "RUN_SERIAL", "RESOURCE_LOCK", "ENVIRONMENT", "WORKING_DIRECTORY", "COST",
        "SKIP_RETURN_CODE", "SKIP_REGULAR_EXPRESSION", "FAIL_REGULAR_EXPRESSION", "WILL_FAIL"}


def quoted(text):
    mark = "="
    while f"]{mark}]" in text:
        mark += "="
    return f"[{mark}[{text}]{mark}]"


def tests_of(build):
    r = subprocess.run(["ctest", "--test-dir", build, "--show-only=json-v1"], stdout=subprocess.PIPE, check=True, text=True,
                       timeout=120)
    return json.loads(r.stdout)["tests"]


def value_of(value):
    if isinstance(value, list):
        return ";".join(str(v) for v in value)
    if isinstance(value, bool):
        return "ON" if value else "OFF"
    return str(value)


def render(test, prefix, strict):
    properties = {p["name"]: p["value"] for p in test["properties"] if p["name"] in KEPT}
    if strict:
        properties.pop("SKIP_RETURN_CODE", None)
        properties.pop("SKIP_REGULAR_EXPRESSION", None)
        properties.setdefault("FAIL_REGULAR_EXPRESSION", [])
        properties["FAIL_REGULAR_EXPRESSION"] = list(properties["FAIL_REGULAR_EXPRESSION"]) + [r"\[  SKIPPED \]"]
    name = quoted(prefix + test["name"])
    lines = [f"add_test({name} " + " ".join(quoted(w) for w in test["command"]) + ")",
             f"set_tests_properties({name} PROPERTIES"]
    lines += [f"  {k} {quoted(value_of(v))}" for k, v in properties.items()]
    return "\n".join(lines) + ")\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", required=True)
    parser.add_argument("--labels", default="")
    parser.add_argument("builds", nargs="+")
    a = parser.parse_args()
    wanted = set(a.labels.split())
    strict = os.environ.get("CI") == "true"
    text = []
    for spec in a.builds:
        build, _, only = spec.partition("=")
        only, _, names = only.partition(":")
        for test in tests_of(build):
            labels = set(next((p["value"] for p in test["properties"] if p["name"] == "LABELS"), []))
            if (only and only not in labels) or (wanted and not wanted & labels) or not re.search(names, test["name"]):
                continue
            if "command" not in test:
                print(f"ctest_merge: {test['name']} of {build} is not built", file=sys.stderr)
                return 1
            text.append(render(test, f"{os.path.basename(build)}/" if only else "", strict))
    if not text:
        print("ctest_merge: no tests", file=sys.stderr)
        return 1
    os.makedirs(a.out, exist_ok=True)
    with open(os.path.join(a.out, "CTestTestfile.cmake"), "w") as f:
        f.write("".join(text))
    return 0


if __name__ == "__main__":
    sys.exit(main())
