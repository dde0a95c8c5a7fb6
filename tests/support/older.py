"""The program as it was at an older commit, for tests of two versions beside each other: built once in build/older, by git and CMake.

tests/data/upgrade_from names the commit: the last one before the cluster's level (proto/rpc/level.h) rose."""

import os
import subprocess

import pillarbox


def build():
    """Its path, or None and why not: without the project's history (an exported tree, a shallow clone) there is no older version."""
    given = os.environ.get("PB_OLDER_BIN")
    if given:
        return given, ""
    with open(os.path.join(pillarbox.ROOT, "tests", "data", "upgrade_from")) as f:
        commit = f.read().split()[0]
    folder = os.path.join(pillarbox.ROOT, "build", "older", commit)
    binary = os.path.join(folder, "build", "release", "program", "pillarbox")
    if os.path.exists(binary):
        return binary, ""
    found = subprocess.run(["git", "-C", pillarbox.ROOT, "cat-file", "-e", commit + "^{commit}"], capture_output=True, text=True)
    if found.returncode != 0:
        return None, f"no commit {commit} here: {found.stderr.strip()}"
    os.makedirs(folder, exist_ok=True)
    tree = subprocess.Popen(["git", "-C", pillarbox.ROOT, "archive", commit], stdout=subprocess.PIPE)
    subprocess.run(["tar", "-x", "-C", folder], stdin=tree.stdout, check=True)
    assert tree.wait() == 0, f"git archive {commit}"
    env = dict(os.environ, CCACHE_BASEDIR=folder, CCACHE_NOHASHDIR="true")
    for command in [["cmake", "--preset", "release"], ["ninja", "-C", "build/release", "pillarbox"]]:
        r = subprocess.run(command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1500)
        assert r.returncode == 0, f"{commit} cannot be built: {r.stdout[-4000:]}"
    return binary, ""
