#!/usr/bin/env python3
"""Snapshots between Debian's etcd and the store, both ways: every key, revision, lease and role is the same after it.

What is compared is what etcdctl says of either server; etcd's own answer is the expected value.
"""
import contextlib
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import tempfile

from harness import etcd, need, roadstead_store, run_tests, store_command

ETCDCTL = need("etcdctl")


def run(*command, ok=True, data=None):
    out = subprocess.run([str(part) for part in command], input=data, capture_output=True, timeout=60,
                         env={**os.environ, "ETCDCTL_API": "3"})
    text = out.stdout.decode(errors="replace")
    assert (out.returncode == 0) == ok, (command, out.returncode, text, out.stderr.decode(errors="replace"))
    return text if ok else out.stderr.decode(errors="replace")


def ctl(server, *arguments, **keywords):
    return run(ETCDCTL, "--endpoints", server.url, *arguments, **keywords)


def store(*arguments, **keywords):
    return run(*store_command(), *arguments, **keywords)


def fill(server):
    """Keys with a history, deletions, a compaction in the middle, leases, users and roles, and a large value."""
    chance = random.Random(7)
    for i in range(60):
        ctl(server, "put", f"k{chance.randrange(12)}", f"v{i}")
        if i % 9 == 8:
            ctl(server, "del", f"k{chance.randrange(12)}")
    lease = ctl(server, "lease", "grant", "5000").split()[1]
    for name in ("a", "b"):
        ctl(server, "put", f"leased-{name}", "x", f"--lease={lease}")
    ctl(server, "compact", "40")
    ctl(server, "put", "large", data=b"y" * 300_000)
    ctl(server, "put", "empty", "")
    ctl(server, "user", "add", "root:pw")
    ctl(server, "user", "add", "bob:bb")
    ctl(server, "role", "add", "reader")
    ctl(server, "role", "grant-permission", "reader", "read", "k", "l")
    ctl(server, "user", "grant-role", "bob", "reader")
    return lease


def state(server, lease):
    answer = json.loads(ctl(server, "get", "--prefix", "", "-w", "json"))
    seen = [answer["header"]["revision"], answer["count"], answer["kvs"]]
    for revision in (40, 45, 55):
        seen.append(json.loads(ctl(server, "get", "--prefix", "", "--rev", revision, "-w", "json"))["kvs"])
    seen.append(ctl(server, "get", "k1", "--rev", 30, ok=False).splitlines()[-1])  # compacted
    held = json.loads(ctl(server, "lease", "timetolive", lease, "--keys", "-w", "json"))
    seen.append([held["granted-ttl"], sorted(held["keys"])])
    seen.append([ctl(server, "role", "get", "reader"), ctl(server, "user", "get", "bob"), ctl(server, "user", "list")])
    return seen


@contextlib.contextmanager
def folder():
    with tempfile.TemporaryDirectory(prefix="snapshot-test-") as path:
        yield pathlib.Path(path)


def started_on(kind, data):
    """A server on a data directory that is there already."""
    server = roadstead_store() if kind == "roadstead" else etcd()
    shutil.move(data, server.dir / "data")
    return server


def restored_by_etcd(file, data):
    run(ETCDCTL, "snapshot", "restore", file, "--data-dir", data, "--name", "default",
        "--initial-cluster", "default=http://127.0.0.1:2380", "--initial-advertise-peer-urls", "http://127.0.0.1:2380")


def test_etcds_snapshot_becomes_ours_and_ours_etcds():
    with folder() as temp:
        with etcd() as server:
            lease = fill(server)
            expected = state(server, lease)
            ctl(server, "snapshot", "save", temp / "etcd.db")
            print(store("import", "--from", server.url, "--data-dir", temp / "imported").strip())
        store("snapshot", "restore", temp / "etcd.db", "--data-dir", temp / "restored")
        with started_on("roadstead", temp / "imported") as server:
            assert state(server, lease) == expected
        with started_on("roadstead", temp / "restored") as server:
            assert state(server, lease) == expected
            ctl(server, "put", "after", "the restore")
            ctl(server, "del", "after")
            expected = state(server, lease)
            ctl(server, "snapshot", "save", temp / "ours.db")
            store("snapshot", "save", temp / "ours-too.db", "--endpoints", server.url)
            server.stop(kill=True)
            server.start()
            assert state(server, lease) == expected
        assert (temp / "ours.db").read_bytes() == (temp / "ours-too.db").read_bytes()
        # etcdctl checks every page of the database, as bbolt does.
        restored_by_etcd(temp / "ours.db", temp / "back")
        with started_on("etcd", temp / "back") as server:
            assert state(server, lease) == expected


def test_a_killed_etcds_file_is_said_to_lack_the_end_of_its_log():
    def restored(server, data):
        out = subprocess.run([*store_command(), "snapshot", "restore", server.dir / "data/member/snap/db", "--skip-hash-check",
                              "--data-dir", data], capture_output=True, text=True, timeout=60)
        assert out.returncode == 0, out
        missing = re.search(r"Warning: (\d+) requests at the end of etcd's log", out.stderr)
        return int(re.search(r"Restored (\d+) records", out.stdout).group(1)), int(missing.group(1)) if missing else 0

    with folder() as temp, etcd() as server:
        ctl(server, "lease", "grant", "5000")
        for i in range(20):
            ctl(server, "put", f"k{i}", "v")
        ctl(server, "lease", "grant", "6000")
        server.stop()
        assert restored(server, temp / "stopped") == (20, 0)
        server.start()
        # Faster than etcd writes its database, ten times a second: the last of them is in the log alone.
        for i in range(100):
            run("curl", "-sS", server.url + "/v3/kv/put", "-d", '{"key":"bQ==","value":"eA=="}')
        server.stop(kill=True)
        records, missing = restored(server, temp / "killed")
        assert records + missing == 120, (records, missing)


def test_status_says_what_etcdctl_says():
    with folder() as temp:
        with etcd() as server:
            fill(server)
            ctl(server, "snapshot", "save", temp / "etcd.db")
        with roadstead_store() as server:
            fill(server)
            ctl(server, "snapshot", "save", temp / "ours.db")
        for file in ("etcd.db", "ours.db"):
            expected = json.loads(run(ETCDCTL, "snapshot", "status", temp / file, "-w", "json"))
            got = json.loads(store("snapshot", "status", temp / file, "-o", "json"))
            assert {name: got[name] for name in expected} == expected, (file, got, expected)
            assert run(ETCDCTL, "snapshot", "status", temp / file) == store("snapshot", "status", temp / file, "-w", "simple")
            assert "REVISION" in store("snapshot", "status", temp / file)


def test_damaged_files_are_refused():
    with folder() as temp:
        with roadstead_store() as server:
            fill(server)
            ctl(server, "snapshot", "save", temp / "whole.db")
        whole = (temp / "whole.db").read_bytes()

        def refused(name, data, *flags):
            (temp / name).write_bytes(data)
            error = store("snapshot", "restore", temp / name, "--data-dir", temp / "data", *flags, ok=False)
            assert not (temp / "data").exists() and not (temp / "data.part").exists()
            return error

        flipped = bytearray(whole)
        flipped[len(whole) // 2] ^= 1
        assert "expected sha256" in refused("flipped.db", bytes(flipped))
        assert "missing hash" in refused("no-hash.db", whole[:-32])
        assert "cut off" in refused("cut.db", whole[: len(whole) // 2 // 4096 * 4096], "--skip-hash-check")
        assert "no etcd snapshot" in refused("other.db", b"hello" * 10_000, "--skip-hash-check")
        assert "No such file" in store("snapshot", "restore", temp / "absent", "--data-dir", temp / "data", ok=False)
        # A file copied from a data directory has no checksum, and is good.
        (temp / "copied.db").write_bytes(whole[:-32])
        store("snapshot", "restore", temp / "copied.db", "--data-dir", temp / "data", "--skip-hash-check")
        assert "not empty" in store("snapshot", "restore", temp / "whole.db", "--data-dir", temp / "data", ok=False)


def test_a_bumped_revision_compacts_all_before_it():
    with folder() as temp:
        with roadstead_store() as server:
            lease = fill(server)
            before = state(server, lease)
            ctl(server, "snapshot", "save", temp / "whole.db")
        assert "go together" in store("snapshot", "restore", temp / "whole.db", "--data-dir", temp / "data",
                                      "--bump-revision", "1000", ok=False)
        store("snapshot", "restore", temp / "whole.db", "--data-dir", temp / "data", "--bump-revision", "1000",
              "--mark-compacted")
        with started_on("roadstead", temp / "data") as server:
            answer = json.loads(ctl(server, "get", "--prefix", "", "-w", "json"))
            assert answer["header"]["revision"] == before[0] + 1000 and answer["kvs"] == before[2]
            assert "compacted" in ctl(server, "get", "k1", "--rev", before[0], ok=False)
            assert json.loads(ctl(server, "put", "next", "x", "-w", "json"))["header"]["revision"] == before[0] + 1001


def test_nobody_without_the_root_role_gets_a_snapshot():
    with folder() as temp:
        with roadstead_store() as server:
            fill(server)
            ctl(server, "user", "grant-role", "root", "root")
            ctl(server, "auth", "enable")
            for user in ([], ["--user", "bob:bb"]):
                error = store("snapshot", "save", temp / "no.db", "--endpoints", server.url, *user, ok=False)
                assert "etcdserver: " in error and not (temp / "no.db").exists(), error
            store("snapshot", "save", temp / "yes.db", "--endpoints", server.url, "--user", "root:pw")


if __name__ == "__main__":
    run_tests([test_etcds_snapshot_becomes_ours_and_ours_etcds, test_a_killed_etcds_file_is_said_to_lack_the_end_of_its_log,
               test_status_says_what_etcdctl_says,
               test_damaged_files_are_refused, test_a_bumped_revision_compacts_all_before_it,
               test_nobody_without_the_root_role_gets_a_snapshot])
