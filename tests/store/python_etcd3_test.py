#!/usr/bin/python3
"""python3-etcd3 (Debian) against the store: what a Python program does with its keys, watches, leases and locks."""
import os
import queue
import threading

import etcd3

from harness import etcd, roadstead_store, run_tests, wait_for


def only_real_failures(failure):
    """The client's watch thread asks once more after its channel is closed, and says so."""
    if "Channel closed" not in str(failure.exc_value):
        threading.__excepthook__(failure)


class Client:
    """A store and a client of it, for the length of a with. PEER=etcd: Debian's etcd, to try the test itself."""

    def __enter__(self):
        start = etcd if os.environ.get("PEER") == "etcd" else roadstead_store
        self.server = start().__enter__()
        self.client = etcd3.client(host="127.0.0.1", port=self.server.port, timeout=10)
        return self.client

    def __exit__(self, *error):
        self.client.close()
        self.server.__exit__(*error)


def raises(kind, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def test_keys():
    with Client() as c:
        assert c.get("a") == (None, None)
        c.put("a", "1")
        value, meta = c.get("a")
        assert (value, meta.key, meta.version, meta.create_revision, meta.mod_revision) == (b"1", b"a", 1, 2, 2)
        assert c.put("a", "2", prev_kv=True).prev_kv.value == b"1"
        assert c.put_if_not_exists("a", "3") is False and c.put_if_not_exists("b", "3") is True
        assert c.replace("a", "2", "4") is True and c.replace("a", "2", "5") is False
        for n in range(5):
            c.put(f"p/{n}", f"{9 - n}")
        assert [v for v, _ in c.get_prefix("p/")] == [b"9", b"8", b"7", b"6", b"5"]
        assert [m.key for _, m in c.get_prefix("p/", sort_order="descend", sort_target="key")] == [b"p/4", b"p/3", b"p/2", b"p/1", b"p/0"]
        assert [v for v, _ in c.get_prefix("p/", sort_order="ascend", sort_target="value")] == [b"5", b"6", b"7", b"8", b"9"]
        assert [m.key for _, m in c.get_prefix("p/", keys_only=True)][:2] == [b"p/0", b"p/1"]
        assert [m.key for _, m in c.get_range("a", "p/1")] == [b"a", b"b", b"p/0"]
        assert len(list(c.get_all())) == 7
        assert c.get_response("a", serializable=True).count == 1
        assert c.delete("b") is True and c.delete("b") is False
        assert c.delete("a", prev_kv=True, return_response=True).prev_kvs[0].value == b"4"
        assert c.delete_prefix("p/").deleted == 5
        c.put(b"\x00\xff", b"\xff\x00" * 1000)
        assert c.get(b"\x00\xff")[0] == b"\xff\x00" * 1000


def test_transactions():
    with Client() as c:
        t = c.transactions
        c.put("a", "1")
        ok, answers = c.transaction(
            compare=[t.value("a") == "1", t.version("a") > 0, t.create("a") == 2, t.mod("a") < 3],
            success=[t.put("b", "2"), t.get("a"), t.delete("c")], failure=[t.put("b", "no")])
        assert ok and answers[1][0][0] == b"1" and c.get("b")[0] == b"2"
        ok, answers = c.transaction(compare=[t.value("a") != "1"], success=[], failure=[t.get("b")])
        assert not ok and answers[0][0][0] == b"2"
        ok, answers = c.transaction(compare=[], success=[t.txn(compare=[t.version("x") == 0], success=[t.put("x", "1")], failure=[])], failure=[])
        assert ok and c.get("x")[0] == b"1"


def test_watch():
    with Client() as c:
        c.put("w", "0")
        events, cancel = c.watch("w", start_revision=2)
        c.put("w", "1")
        c.delete("w")
        seen = [next(events) for _ in range(3)]
        assert [type(e).__name__ for e in seen] == ["PutEvent", "PutEvent", "DeleteEvent"]
        assert [e.value for e in seen] == [b"0", b"1", b""]
        cancel()
        events, cancel = c.watch_prefix("p/", start_revision=1, prev_kv=True)
        c.put("p/1", "a")
        c.put("q", "a")
        c.put("p/1", "b")
        first, second = next(events), next(events)
        assert (first.key, first.value, second.value, second.prev_value) == (b"p/1", b"a", b"b", b"a")
        cancel()
        assert list(events) == []


def test_callbacks():
    with Client() as c:
        got = queue.Queue()
        one = c.add_watch_callback("a", got.put, start_revision=1)
        many = c.add_watch_prefix_callback("p/", got.put, start_revision=1)
        c.put("a", "1")
        assert got.get(timeout=10).events[0].value == b"1"
        c.put("p/x", "2")
        assert got.get(timeout=10).events[0].key == b"p/x"
        c.cancel_watch(one)
        c.cancel_watch(many)
        c.put("compacted", "1")
        c.compact(c.get_response("a").header.revision)
        failed = queue.Queue()
        c.add_watch_callback("a", failed.put, start_revision=1)
        error = failed.get(timeout=10)
        assert isinstance(error, etcd3.exceptions.RevisionCompactedError) and error.compacted_revision == 4, error
        once = threading.Thread(target=lambda: got.put(c.watch_once("once", timeout=10)))
        once.start()
        wait_for(lambda: c.put("once", "1") and not got.empty(), 10, "the one event")
        once.join()


def test_leases():
    with Client() as c:
        lease = c.lease(100)
        c.put("l/1", "1", lease=lease)
        c.put("l/2", "1", lease=lease)
        assert (lease.granted_ttl, lease.keys) == (100, [b"l/1", b"l/2"]) and 90 < lease.remaining_ttl <= 100
        assert [r.TTL for r in lease.refresh()] == [100]
        lease.revoke()
        assert c.get("l/1") == (None, None)
        short = c.lease(1, lease_id=77)
        assert short.id == 77
        c.put("short", "1", lease=short)
        wait_for(lambda: c.get("short")[0] is None, 20, "the end of the lease")
        raises(etcd3.exceptions.PreconditionFailedError, c.lease, 60, c.lease(60).id)


def test_locks():
    with Client() as c:
        first, second = c.lock("name", ttl=60), c.lock("name", ttl=60)
        assert first.acquire() and first.is_acquired()
        assert second.acquire(timeout=0) is False
        assert first.release()
        # with a timeout this version of the client needs an older tenacity than Debian's to wait
        assert second.acquire(timeout=0) and second.is_acquired() and not first.is_acquired()
        assert second.release()
        with c.lock("name") as again:
            assert again.is_acquired()
        expiring = c.lock("name", ttl=1)
        assert expiring.acquire() and not second.acquire(timeout=0)
        wait_for(lambda: second.acquire(timeout=0), 20, "the lock's lease ends, and the lock with it")


def test_cluster_and_maintenance():
    with Client() as c:
        members = list(c.members)
        assert [m.name for m in members] == ["default"] and members[0].client_urls and members[0].peer_urls
        status = c.status()
        assert status.leader.id == members[0].id and status.db_size >= 0 and status.raft_term > 0
        assert os.environ.get("PEER") or tuple(int(n) for n in status.version.split(".")) >= (3, 5, 13)
        assert members[0].id and list(c.list_alarms()) == []
        c.create_alarm(0)
        assert [a.alarm_type for a in c.list_alarms()] == [1]
        error = raises(Exception, c.put, "a", "1")
        assert "database space exceeded" in str(getattr(error, "details", lambda: error)()), error
        assert len(c.disarm_alarm(0)) == 1 and list(c.list_alarms()) == []
        c.put("a", "1")
        c.put("a", "2")
        c.defragment()
        assert c.hash() == c.hash()
        c.compact(3, physical=True)
        raises(Exception, c.add_member, ["http://127.0.0.1:1"])
        raises(Exception, members[0].remove)
        members[0].update(list(members[0].peer_urls))


if __name__ == "__main__":
    threading.excepthook = only_real_failures
    run_tests([value for name, value in list(globals().items()) if name.startswith("test_")])
