"""A certificate authority and certificates for localhost, by the openssl command (never its library in our processes)."""

import os
import subprocess


def _openssl(*argv):
    subprocess.run(("openssl",) + argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60)


class Authority:
    """Writes ca.pem into the folder; issue() makes NAME.pem and NAME.key there."""

    def __init__(self, folder):
        self.folder = folder
        self.ca = os.path.join(folder, "ca.pem")
        self.key = os.path.join(folder, "ca.key")
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-keyout",
                 self.key, "-out", self.ca, "-subj", "/CN=Pillarbox test CA", "-addext", "basicConstraints=critical,CA:TRUE",
                 "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, name, hosts=("DNS:localhost", "IP:127.0.0.1"), serial=2):
        key, request, extensions, out = (os.path.join(self.folder, name + end) for end in (".key", ".csr", ".ext", ".pem"))
        with open(extensions, "w") as f:
            f.write(f"subjectAltName={','.join(hosts)}\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n")
        _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", request,
                 "-subj", f"/CN={hosts[0].split(':', 1)[1]}")
        _openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.key, "-set_serial", str(serial), "-days", "30",
                 "-extfile", extensions, "-out", out)
        return out, key
