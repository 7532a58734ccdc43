#!/usr/bin/env python3
"""npm's etcd3 against the store: npm/etcd3_test.mjs. PEER=etcd: against Debian's etcd, to try the test itself."""
import os
import subprocess
import sys

from harness import SOURCE, etcd, need, roadstead_store

FOLDER = SOURCE / "tests/store/npm"

if __name__ == "__main__":
    assert (FOLDER / "node_modules/etcd3").is_dir(), "the npm package etcd3 is not installed: run 'make setup'"
    with (etcd if os.environ.get("PEER") == "etcd" else roadstead_store)() as server:
        command = [need("node"), str(FOLDER / "etcd3_test.mjs"), server.url, *sys.argv[1:]]
        status = subprocess.run(command, timeout=280).returncode
        if status != 0:
            print(server.log())
    sys.exit(status)
