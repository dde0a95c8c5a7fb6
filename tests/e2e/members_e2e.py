#!/usr/bin/env python3
"""How data directories come to be nodes of a cluster: `ctl cluster init`, `ctl node add` and claims, and what is refused."""

import json
import os
import shutil
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request

import case
import pillarbox
import ports

PATIENCE_S = 40


class Node:
    """A storage node with a directory and ports of its own."""

    def __init__(self, folder, name, numbers):
        self.folder, self.name = folder, name
        self.data = os.path.join(folder, name)
        self.rpc, self.events, self.peer = (f"tcp://127.0.0.1:{p}" for p in numbers[:3])
        self.admin = numbers[3]
        self.settings = {"data_dir": self.data, "storage.listen": self.rpc, "storage.publish": self.events, "storage.shards": "3",
                         "storage.admin": f"127.0.0.1:{self.admin}", "cluster.peer_listen": self.peer, "storage.map_size": "1 GiB",
                         "storage.reserve": "1 MiB"}
        self.process = None

    def start(self, **more):
        words = [w for k, v in {**self.settings, **more}.items() for w in ("--set", f"{k}={v}")]
        self.process = pillarbox.Process(self.name, [pillarbox.binary(), "storage"] + words, self.folder)
        return self

    def start_waiting(self, seed=None):
        return self.start(**{"cluster.start": "wait", **({"cluster.seeds": seed.rpc} if seed else {})})

    def ctl(self, *argv, check=True):
        r = subprocess.run([pillarbox.binary(), "ctl", "--data", self.data] + list(argv), stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True, timeout=pillarbox.CTL_S)
        if check and r.returncode != 0:
            raise AssertionError(f"ctl {' '.join(argv)}: {r.returncode}\n{r.stdout}{r.stderr}\n{self.process and self.process.log()[-4000:]}")
        return r

    def identity(self):
        """node.id as a dictionary; None when there is none."""
        try:
            with open(os.path.join(self.data, "node.id")) as f:
                return dict(line.split() for line in f)
        except FileNotFoundError:
            return None

    def probe(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/{path}", timeout=10) as r:
                return r.status
        except urllib.error.HTTPError as e:
            return e.code
        except OSError:
            return 0

    def status(self):
        return json.loads(self.ctl("cluster", "status", "--json", "--shards", check=False).stdout or "{}")


class Members(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="pb-members-")
        self.nodes = []
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.addCleanup(self.stop_all)

    def stop_all(self):
        for n in self.nodes:
            if n.process is not None and n.process.alive():
                self.assertEqual(n.process.terminate(), 0, n.process.log()[-4000:])
            self.assertIsNone(n.process and pillarbox.DEFECT.search(n.process.log()))

    def node(self, name):
        n = Node(self.folder, name, ports.block())
        self.nodes.append(n)
        return n

    def eventually(self, what, why=""):
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if what():
                return
            time.sleep(0.1)
        self.fail(f"{why}\n" + "\n".join(n.process.log()[-4000:] for n in self.nodes if n.process))

    def founder(self):
        a = self.node("a").start()
        self.eventually(lambda: a.probe("readyz") == 200)
        self.eventually(lambda: [n["node"] for n in a.status()["nodes"]] == [1], "the founder's own row")
        return a

    def joined(self, a, name="b"):
        b = self.node(name).start_waiting(a)
        self.eventually(lambda: "does not know this peer address" in b.process.log())
        a.ctl("node", "add", b.peer)
        self.eventually(lambda: b.identity() is not None, "claimed")
        return b

    def refused(self, n, words):
        """Starts it: it must end at once, with these words in its log."""
        n.start()
        self.eventually(lambda: not n.process.alive())
        self.assertEqual(n.process.process.returncode, 1)
        self.assertIn(words, n.process.log())

    def test_a_waiting_node_is_alive_not_ready_and_stops_at_once(self):
        a = self.node("a").start_waiting()
        self.eventually(lambda: a.probe("healthz") == 200)
        self.assertEqual(a.probe("readyz"), 503)
        self.assertIn("cluster init", a.process.log())
        begun = time.monotonic()
        self.assertEqual(a.process.terminate(), 0)
        self.assertLess(time.monotonic() - begun, 5)
        self.assertIsNone(a.identity())

    def test_an_operator_makes_the_first_node(self):
        a = self.node("a").start_waiting()
        self.eventually(lambda: "cluster init" in a.process.log())
        made = a.ctl("cluster", "init", "--shards", "5").stdout
        self.eventually(lambda: a.probe("readyz") == 200)
        status = a.status()
        self.assertIn(status["cluster"], made)
        self.assertEqual((status["node"], status["shards"], status["led"]), (1, 6, 6))
        again = a.ctl("cluster", "init", check=False)
        self.assertEqual(again.returncode, 1)
        self.assertIn("node.id", again.stderr)
        self.assertEqual(a.identity()["cluster"], status["cluster"])
        self.eventually(lambda: a.identity().get("made") == "yes")

    def test_the_founder_is_in_its_table_with_its_addresses(self):
        a = self.founder()
        self.assertEqual(a.status()["nodes"], [{"node": 1, "state": "member", "leads": 4, "peer": a.peer, "rpc": a.rpc, "events": a.events}])
        text = a.ctl("cluster", "status", "--shards").stdout
        for words in ("answers  node 1, leads 4", f"peer={a.peer}", "shard 3\tleader=1\tterm="):
            self.assertIn(words, text)
        self.assertIn(f"1\tmember\tpeer={a.peer}", a.ctl("node", "list").stdout)

    def test_a_node_that_was_added_claims_its_row(self):
        a = self.founder()
        b = self.node("b").start_waiting(a)
        self.eventually(lambda: "does not know this peer address" in b.process.log())
        self.assertIsNone(b.identity())
        self.assertEqual(a.ctl("node", "add", b.peer, "--rpc", "tcp://127.0.0.1:1").stdout, "2\n")
        self.eventually(lambda: b.identity() is not None)
        self.assertEqual(b.identity()["node"], "2")
        for what in ("cluster", "shards"):
            self.assertEqual(b.identity()[what], a.identity()[what])
        row = a.status()["nodes"][1]
        self.assertEqual(row, {"node": 2, "state": "member", "leads": 0, "peer": b.peer, "rpc": b.rpc, "events": b.events})
        self.eventually(lambda: b.status().get("node") == 2, "it answers for itself")
        self.assertEqual(b.ctl("cluster", "status", check=False).returncode, 1 if b.status()["led"] < 4 else 0)
        self.assertEqual(b.status()["cluster"], a.status()["cluster"])
        self.assertEqual(b.probe("healthz"), 200)
        self.assertEqual(a.ctl("node", "add", "--once", b.peer).stdout, "")
        taken = a.ctl("node", "add", b.peer, check=False)
        self.assertEqual(taken.returncode, 1)
        self.assertIn("--replace", taken.stderr)

    def test_an_emptied_directory_may_only_come_back_as_another_node(self):
        a = self.founder()
        b = self.joined(a)
        self.eventually(lambda: b.status().get("node") == 2)
        b.process.kill()
        shutil.rmtree(b.data)
        os.remove(b.process.log_path)
        b.start_waiting(a)
        self.eventually(lambda: "another data directory has this peer address" in b.process.log())
        time.sleep(1.5)
        self.assertIsNone(b.identity())
        self.assertEqual(a.ctl("node", "add", "--replace", b.peer).stdout, "3\n")
        self.eventually(lambda: b.identity() is not None)
        self.assertEqual(b.identity()["node"], "3")
        states = {n["node"]: n["state"] for n in a.status()["nodes"]}
        self.assertEqual(states, {1: "member", 2: "removed", 3: "member"})

    def test_a_node_restarts_as_who_it_is(self):
        a = self.founder()
        b = self.joined(a)
        self.eventually(lambda: b.identity().get("made") == "yes")
        for _ in range(2):
            self.assertEqual(b.process.terminate(), 0)
            b.start_waiting(a)
            self.eventually(lambda: b.status().get("node") == 2)

    def test_a_store_that_is_missing_or_anothers_is_refused(self):
        a = self.founder()
        b = self.joined(a)
        self.eventually(lambda: b.identity().get("made") == "yes" and a.identity().get("made") == "yes")
        for n in (a, b):
            self.assertEqual(n.process.terminate(), 0)
        stores = [os.path.join(n.data, "volume.mdb") for n in (a, b)]
        ids = [os.path.join(n.data, "node.id") for n in (a, b)]
        os.rename(stores[1], stores[1] + ".away")
        self.refused(b, "--replace")
        os.rename(ids[1], ids[1] + ".away")
        shutil.copy(ids[0], ids[1])
        os.rename(stores[1] + ".away", stores[1])
        self.refused(b, "is the store of node 2")
        checked = b.ctl("check", check=False)
        self.assertEqual(checked.returncode, 1)
        self.assertIn("not that of node.id", checked.stdout)
        os.rename(ids[1] + ".away", ids[1])
        self.assertEqual(b.ctl("check").stdout.splitlines()[-1], "0 findings")
        b.start()
        self.eventually(lambda: b.status().get("node") == 2)

    def test_seeds_need_a_peer_address(self):
        b = self.node("b").start(**{"cluster.start": "wait", "cluster.seeds": "tcp://127.0.0.1:1", "cluster.peer_listen": ""})
        self.eventually(lambda: not b.process.alive())
        self.assertEqual(b.process.process.returncode, 1)
        self.assertIn("cluster.peer_listen", b.process.log())

    def test_a_dead_seed_costs_nothing_but_time(self):
        a = self.founder()
        b = self.node("b")
        b.start(**{"cluster.start": "wait", "cluster.seeds": f"tcp://127.0.0.1:1,{a.rpc}"})
        a.ctl("node", "add", b.peer)
        self.eventually(lambda: b.identity() is not None)
        begun = time.monotonic()
        c = self.node("c").start(**{"cluster.start": "wait", "cluster.seeds": "tcp://127.0.0.1:1"})
        self.eventually(lambda: c.probe("healthz") == 200)
        self.assertEqual(c.process.terminate(), 0)
        self.assertLess(time.monotonic() - begun, 20)


if __name__ == "__main__":
    case.main()
