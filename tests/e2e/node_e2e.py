#!/usr/bin/env python3
"""imapflow and nodemailer against the real program: node_clients.mjs does the talking. The packages are those that
tests/run.sh installed into the build folder (PB_NPM); without node or them it is a skip."""

import json
import os
import shutil
import subprocess
import sys

import case
import pillarbox

HERE = os.path.dirname(os.path.abspath(__file__))
MODULES = os.path.join(os.environ.get("PB_NPM", ""), "node_modules")


class Node(case.ServerCase):
    settings = {"auth.insecure": "false"}

    def test_nodemailer_sends_and_imapflow_reads_it_while_idling(self):
        setup = {"ca": self.server.ca, "ports": self.server.ports, "modules": MODULES,
                 "users": {u: {"address": self.address(u), "password": self.password(u)} for u in self.users}}
        r = subprocess.run(["node", os.path.join(HERE, "node_clients.mjs")], input=json.dumps(setup), stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, timeout=150)
        self.assertEqual(r.returncode, 0, r.stdout)
        self.assertIn("all done", r.stdout)


if __name__ == "__main__":
    if shutil.which("node") is None or not os.path.isdir(os.path.join(MODULES, "imapflow")):
        print("skipped: node, imapflow or nodemailer is not installed (tests/run.sh installs them)")
        sys.exit(pillarbox.SKIP)
    case.main()
