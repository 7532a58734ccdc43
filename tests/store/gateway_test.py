#!/usr/bin/env python3
"""curl on the JSON gateway of the store and of Debian's etcd: the same requests, and the same JSON."""
import base64
import difflib
import json
import os
import re
import subprocess

from harness import etcd, need, roadstead_store, run_tests, wait_for

CURL = need("curl")


def b64(text):
    return base64.b64encode(text.encode()).decode()


def without_ids(value):
    """What must differ between two servers, left out; order of fields does not matter."""
    if isinstance(value, dict):
        left_out = ("cluster_id", "member_id", "raft_term", "details", "ID", "lease", "leases", "token")
        return {name: without_ids(each) for name, each in sorted(value.items()) if name not in left_out}
    return [without_ids(each) for each in value] if isinstance(value, list) else value


class Gateway:
    def __init__(self, server):
        self.server = server
        self.lines = []
        self.token = None

    def command(self, path, body, *flags):
        data = body if isinstance(body, str) else json.dumps(body)
        headers = ["-H", f"Authorization: {self.token}"] if self.token else []
        return [CURL, "-sS", "-N", *headers, *flags, f"{self.server.url}/v3/{path}", "-d", data]

    def post(self, path, body, show=True):
        out = subprocess.run(self.command(path, body, "-w", "\n%{http_code}"), capture_output=True, text=True, timeout=30)
        assert out.returncode == 0, (path, body, out.stderr)
        text, code = out.stdout.rsplit("\n", 1)
        answers = [json.loads(line) for line in text.splitlines() if line]
        code = {"412": "400"}.get(code, code)  # etcd's gateway since 3.6 maps kFailedPrecondition as grpc-gateway v2 does
        if show:
            self.lines += [re.sub(r"\d{15,}", "<id>", f"{path} {body}"), *(json.dumps(without_ids(answer)) for answer in answers), f"= {code}"]
        return answers[0] if answers else {}

    def stream(self, path, body, count, then=()):
        """Reads an answer without an end until it has so many parts (events, or messages without any), making the calls
        of `then` once the first is there. How many events share a message is a matter of time: each is a part."""
        process = subprocess.Popen(self.command(path, body), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        os.set_blocking(process.stdout.fileno(), False)
        text = b""

        def parts():
            nonlocal text
            text += process.stdout.read() or b""
            answers = [json.loads(line)["result"] for line in text.splitlines(keepends=True) if line.endswith(b"\n")]
            return [part for answer in answers for part in answer.get("events", [answer])]

        try:
            wait_for(parts, 20, f"the first answer of {path}")
            for call in then:
                self.post(*call)
            wait_for(lambda: len(parts()) >= count, 20, f"{count} parts of {path}")
            self.lines += [f"{path} {body}", *(json.dumps(without_ids(part)) for part in parts())]
        finally:
            process.kill()
            process.communicate()
            process.stdout.close()


def compare(script):
    transcripts = []
    for server in (etcd(), roadstead_store()):
        with server:
            gateway = Gateway(server)
            script(gateway)
            text = "\n".join(gateway.lines)
            for port, name in ((server.port, "<port>"), (server.peer_port, "<peer port>")):
                text = re.sub(rf"\b{port}\b", name, text)
            transcripts.append(text.splitlines())
    difference = list(difflib.unified_diff(*transcripts, "etcd", "roadstead", lineterm="", n=3))
    if os.environ.get("SHOW_TRANSCRIPT"):
        print("\n".join(transcripts[1]))
    assert not difference, "the transcripts differ:\n" + "\n".join(difference)


def test_kv():
    def script(g):
        for key, value in (("a", "1"), ("b", "2"), ("c", "3"), ("a", "4")):
            g.post("kv/put", {"key": b64(key), "value": b64(value)})
        g.post("kv/put", {"key": b64("a"), "value": b64("5"), "prev_kv": True})
        g.post("kv/put", {"key": b64("a"), "ignore_value": True}), g.post("kv/put", {}), g.post("kv/put", {"key": b64("n"), "lease": "99"})
        g.post("kv/range", {"key": b64("a")}), g.post("kv/range", {"key": b64("nothing")}), g.post("kv/range", {})
        g.post("kv/range", {"key": b64("a"), "range_end": b64("z"), "limit": "2", "sort_order": "DESCEND", "sort_target": "VALUE"})
        g.post("kv/range", {"key": b64("a"), "range_end": b64("z"), "count_only": True}), g.post("kv/range", {"key": b64("a"), "revision": 2})
        g.post("kv/range", {"key": b64("a"), "revision": "200"}), g.post("kv/range", {"key": b64("\0"), "range_end": b64("\0"), "keys_only": True})
        txn = {"compare": [{"key": b64("a"), "target": "VALUE", "value": b64("5"), "result": "EQUAL"}, {"key": b64("a"), "target": "MOD", "mod_revision": "1", "result": "GREATER"}],
               "success": [{"request_put": {"key": b64("t"), "value": b64("1")}}, {"request_range": {"key": b64("a")}}, {"request_delete_range": {"key": b64("b"), "prev_kv": True}}],
               "failure": [{"request_range": {"key": b64("c")}}]}
        g.post("kv/txn", txn), g.post("kv/txn", {**txn, "compare": [{"key": b64("a"), "target": "VERSION", "version": "1"}]}), g.post("kv/txn", {})
        g.post("kv/txn", {"success": [{"request_txn": {"success": [{"request_put": {"key": b64("t"), "value": b64("2")}}]}}]})
        g.post("kv/deleterange", {"key": b64("c"), "prev_kv": True}), g.post("kv/deleterange", {"key": b64("x"), "range_end": b64("z")}), g.post("kv/deleterange", {})
        g.post("kv/compaction", {"revision": "5"}), g.post("kv/compaction", {"revision": "5"}), g.post("kv/range", {"key": b64("a"), "revision": 3})
    compare(script)


def test_watch():
    def script(g):
        g.post("kv/put", {"key": b64("w/1"), "value": b64("1")})
        g.stream("watch", {"create_request": {"key": b64("w/"), "range_end": b64("w0"), "start_revision": "2", "prev_kv": True}}, 4,
                 [("kv/put", {"key": b64("w/1"), "value": b64("2")}), ("kv/deleterange", {"key": b64("w/1")})])
        g.stream("watch", {"create_request": {"key": b64("w/"), "range_end": b64("w0"), "filters": ["NODELETE"]}}, 2,
                 [("kv/put", {"key": b64("other"), "value": b64("2")}), ("kv/put", {"key": b64("w/2"), "value": b64("2")})])
        g.post("kv/compaction", {"revision": "4"})
        g.stream("watch", {"create_request": {"key": b64("w/1"), "start_revision": "2"}}, 2)
    compare(script)


def test_leases():
    def script(g):
        g.post("lease/grant", {"TTL": "60", "ID": "17"}), g.post("lease/grant", {"TTL": "60", "ID": "17"}), g.post("lease/grant", {"TTL": "9000000001"})
        g.post("kv/put", {"key": b64("l"), "value": b64("1"), "lease": "17"})
        answer = g.post("lease/timetolive", {"ID": "17", "keys": True}, show=False)
        assert answer["grantedTTL"] == "60" and answer["keys"] == [b64("l")] and 50 < int(answer["TTL"]) <= 60, answer
        g.post("lease/timetolive", {"ID": "18"}), g.post("lease/keepalive", {"ID": "17"}), g.post("lease/keepalive", {"ID": "18"})
        assert g.post("lease/leases", {})["leases"] == [{"ID": "17"}]
        g.post("kv/lease/timetolive", {"ID": "18"}), g.post("kv/lease/revoke", {"ID": "18"}), g.post("lease/revoke", {"ID": "17"}), g.post("lease/revoke", {"ID": "17"})
        g.post("kv/range", {"key": b64("l")}), g.post("kv/lease/leases", {})
    compare(script)


def test_lock_and_election():
    def script(g):
        for lease in (17, 18, 19):
            g.post("lease/grant", {"TTL": "60", "ID": str(lease)})
        g.post("lock/lock", {"name": b64("n"), "lease": "17"})
        waiting = subprocess.Popen(g.command("lock/lock", {"name": b64("n"), "lease": "18"}), stdout=subprocess.PIPE, text=True)
        leaving = subprocess.Popen(g.command("lock/lock", {"name": b64("n"), "lease": "19"}), stdout=subprocess.PIPE, text=True)
        count = lambda: g.post("kv/range", {"key": b64("n/"), "range_end": b64("n0"), "count_only": True}, show=False).get("count")
        wait_for(lambda: count() == "3", 20, "three in line")
        leaving.kill()
        leaving.communicate()
        wait_for(lambda: count() == "2", 20, "who left is out of the line")
        g.post("lock/unlock", {"key": b64("n/11")})
        g.lines.append(json.dumps(without_ids(json.loads(waiting.communicate(timeout=20)[0]))))
        g.post("lock/lock", {"name": b64("n"), "lease": "999"}), g.post("lock/unlock", {}), g.post("election/leader", {"name": b64("e")}), g.post("election/resign", {})
        leader = g.post("election/campaign", {"name": b64("e"), "lease": "17", "value": b64("one")})["leader"]
        g.post("election/leader", {"name": b64("e")})
        g.stream("election/observe", {"name": b64("e")}, 2, [("election/proclaim", {"leader": leader, "value": b64("uno")})])
        g.post("election/resign", {"leader": leader}), g.post("election/proclaim", {"leader": leader, "value": b64("uno")}), g.post("election/leader", {"name": b64("e")})
    compare(script)


def test_cluster_and_maintenance():
    def script(g):
        member = g.post("cluster/member/list", {})["members"][0]["ID"]
        g.post("cluster/member/remove", {"ID": "5"}), g.post("cluster/member/promote", {"ID": member}), g.post("cluster/member/update", {"ID": "5", "peerURLs": ["http://127.0.0.1:5"]})
        g.post("cluster/member/add", {"peerURLs": [f"http://127.0.0.1:{g.server.peer_port}"]})
        assert "alarms" not in g.post("maintenance/alarm", {}, show=False)
        g.post("maintenance/alarm", {"action": "ACTIVATE", "alarm": "NOSPACE"}, show=False)
        g.post("kv/put", {"key": b64("a")}), g.post("maintenance/alarm", {"action": "DEACTIVATE", "alarm": "NOSPACE"}, show=False)
        status = g.post("maintenance/status", {}, show=False)
        assert re.fullmatch(r"\d+\.\d+\.\d+", status["version"]) and status["leader"] == member and int(status["raftIndex"]) > 0, status
        g.post("maintenance/defragment", {}), g.post("maintenance/transfer-leadership", {"targetID": "5"})
        g.post("kv/put", {"key": b64("a")})
        for path in ("hash", "hashkv"):  # etcd 3.4's gateway has neither by these names
            assert g.server.name == "etcd" or "hash" in g.post(f"maintenance/{path}", {}, show=False)
    compare(script)


def test_auth():
    def script(g):
        g.post("auth/authenticate", {"name": "root", "password": "secret"}), g.post("auth/enable", {})
        g.post("auth/user/add", {"name": "root", "password": "secret"}), g.post("auth/role/add", {"name": "root"}), g.post("auth/user/grant", {"user": "root", "role": "root"})
        g.post("auth/role/add", {"name": "reader"}), g.post("auth/role/grant", {"name": "reader", "perm": {"permType": "READWRITE", "key": b64("a"), "range_end": b64("b")}}), g.post("auth/role/get", {"role": "reader"})
        g.post("auth/user/list", {}), g.post("auth/role/list", {}), g.post("auth/user/get", {"name": "root"}), g.post("auth/enable", {})
        g.post("kv/put", {"key": b64("a"), "value": b64("1")}), g.post("auth/authenticate", {"name": "root", "password": "wrong"})
        g.token = g.post("auth/authenticate", {"name": "root", "password": "secret"})["token"]
        g.post("kv/put", {"key": b64("a"), "value": b64("1")}), g.post("lock/lock", {"name": b64("n")}, show=False), g.post("auth/user/changepw", {"name": "root", "password": "other"})
        g.token = "nonsense.1"
        g.post("kv/range", {"key": b64("a")})
        g.token = None
        g.token = g.post("auth/authenticate", {"name": "root", "password": "other"})["token"]
        g.post("auth/disable", {})
    compare(script)


def test_requests_that_are_not_understood():
    def script(g):
        for path, body in (("kv/put", "{"), ("kv/put", '{"key": 5}'), ("kv/put", '{"key": "!"}'), ("kv/range", '{"limit": "x"}')):
            out = subprocess.run(g.command(path, body, "-w", "\n%{http_code}"), capture_output=True, text=True, timeout=30)
            text, code = out.stdout.rsplit("\n", 1)
            assert "error" in json.loads(text) and code == "400", (path, body, out.stdout)
        g.post("kv/put", '{"key": "YQ==", "unknown": {"field": []}}'), g.post("nothing", {}, show=False) if g.server.name != "etcd" else None
    compare(script)


if __name__ == "__main__":
    run_tests([value for name, value in list(globals().items()) if name.startswith("test_")])
