"""Install what the benchmarks are compared with: an environment a peer in .peers/, as benchmarks/peers/NAME.txt says.

Rule 1: a peer never shares an environment with Kronos or another peer.
Rule 2: a peer that cannot be installed is named and left out; its benchmark reports it as missing.
"""

import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LISTS = os.path.join(ROOT, "benchmarks", "peers")
PEERS = os.path.join(ROOT, ".peers")


def main():
    for name in sorted(os.listdir(LISTS)):
        if name.endswith(".txt"):
            install(name[:-4], os.path.join(LISTS, name))
    return 0


def install(peer, wanted):
    folder = os.path.join(PEERS, peer)
    stamp = os.path.join(folder, "installed.txt")
    with open(wanted) as file:
        text = file.read()
    if os.path.exists(stamp) and open(stamp).read() == text:
        return
    sys.stderr.write("bench: installing the peer {} into .peers/{}\n".format(peer, peer))
    python = os.path.join(folder, "bin", "python")
    commands = [
        [sys.executable, "-m", "venv", "--clear", folder],
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", wanted],
    ]
    for command in commands:
        if subprocess.run(command, cwd=ROOT).returncode:
            sys.stderr.write("bench: the peer {} could not be installed; it is left out\n".format(peer))
            return
    with open(stamp, "w") as file:
        file.write(text)


if __name__ == "__main__":
    sys.exit(main())
