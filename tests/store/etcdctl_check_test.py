#!/usr/bin/env python3
"""etcdctl's own checks of a cluster. `check perf` writes for a minute whatever the load; how fast is not judged here."""
from etcdctl_test import Session
from harness import roadstead_store, run_tests


def test_check():
    with roadstead_store() as server:
        session = Session(server)
        text = session("check perf --load=s --prefix=/perf/", seconds=180)
        for line in ("Throughput", "Slowest request", "Stddev"):
            assert line in text, text
        text = session("check datascale --load=s --prefix=/scale/ --auto-compact --auto-defrag", seconds=120)
        assert "Approximate system memory used" in text or "PASS" in text, text
        left = session(["get", "/", "--prefix", "--keys-only"])
        assert left == "", f"the checks take their keys away: {left}"


if __name__ == "__main__":
    run_tests([test_check])
