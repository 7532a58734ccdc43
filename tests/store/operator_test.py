#!/usr/bin/env python3
"""The store as an operator runs it: flags, files, logs, metrics, quota, compaction, sockets. Where etcd 3.4.23 has the same,
it is started with the same flags, and its behaviour is the expected one.
"""
import base64
import json
import os
import pathlib
import re
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request

from harness import Server, etcd, need, roadstead_store, run_tests, store_command, wait_for

CURL, ETCDCTL = need("curl"), need("etcdctl")
BOTH = {"etcd": [need("etcd")], "roadstead": store_command()}


def fetch(url, body=None, method=None):
    """Status and text."""
    request = urllib.request.Request(url, method=method, data=None if body is None else json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def ctl(endpoint, *arguments):
    return subprocess.run([ETCDCTL, "--endpoints", endpoint, *arguments], capture_output=True, text=True, timeout=30,
                          env={**os.environ, "ETCDCTL_API": "3"})


def b64(text):
    return base64.b64encode(text.encode()).decode()


def put(server, key, value="x"):
    return fetch(server.url + "/v3/kv/put", {"key": b64(key), "value": b64(value)})


def range_at(server, revision):
    return fetch(server.url + "/v3/kv/range", {"key": b64("a"), "revision": revision})


def families(text):
    return {line.split()[2]: line.split()[3] for line in text.splitlines() if line.startswith("# TYPE ")}


# Of Go, of the v2 store, of the Raft snapshots that only other members get, of bbolt's pages, of the proxy, of Go's metrics
# library, and of debugging leases: nothing that this store has.
NOT_OURS = re.compile(r"go_|etcd_server_go_version|etcd_debugging_store_|etcd_(debugging_)?snap_|etcd_debugging_disk_backend_commit_|"
                      r"etcd_grpc_proxy_|promhttp_|etcd_debugging_lease_ttl_total")


def test_metrics_have_etcds_names_and_types():
    pages = {}
    for kind, make in (("etcd", etcd), ("roadstead", roadstead_store)):
        with make("--metrics", "extensive") as server:
            put(server, "a")
            put(server, "a")
            fetch(server.url + "/v3/maintenance/hash", {"revision": 0})
            fetch(server.url + "/v3/kv/compaction", {"revision": "3", "physical": True})
            ctl(server.url, "get", "a")
            pages[kind] = fetch(server.url + "/metrics")[1]
    expected = {name: kind for name, kind in families(pages["etcd"]).items() if not NOT_OURS.match(name)}
    got = families(pages["roadstead"])
    assert len(expected) > 60, "etcd's page was not understood"
    assert {name: got.get(name) for name in expected} == expected
    for page in pages.values():
        assert re.search(r'etcd_server_client_requests_total{client_api_version="[^"]+",type="unary"} [1-9]', page)
        assert re.search(r'grpc_server_handling_seconds_count{[^}]*grpc_method="Range"[^}]*} [1-9]', page)
        assert re.search(r"etcd_disk_wal_write_bytes_total [1-9]", page)
    with roadstead_store() as server:
        assert "grpc_server_handling_seconds" not in families(fetch(server.url + "/metrics")[1])


def test_the_quota_is_reached_told_and_left_again():
    with roadstead_store("--quota-backend-bytes", "200000") as server:
        count = 0
        while put(server, f"k{count}", "v" * 1000)[0] == 200:
            count += 1
            assert count < 400, "the quota does not hold"
        assert "mvcc: database space exceeded" in put(server, "more")[1]
        assert fetch(server.url + "/health") == (503, '{"health":"false","reason":"ALARM NOSPACE"}\n')
        assert fetch(server.url + "/health?exclude=NOSPACE")[0] == 200
        assert fetch(server.url + "/readyz")[0] == 200 and fetch(server.url + "/livez")[0] == 200
        # What helps, goes.
        assert fetch(server.url + "/v3/kv/deleterange", {"key": b64("k"), "range_end": b64("l")})[0] == 200
        assert fetch(server.url + "/v3/maintenance/defragment", {})[0] == 200
        server.stop(kill=True)
        server.ready = lambda: listens(server)  # it is not healthy
        server.start()
        assert fetch(server.url + "/health")[0] == 503, "the alarm was forgotten"
        revision = json.loads(fetch(server.url + "/v3/maintenance/status", {})[1])["header"]["revision"]
        assert fetch(server.url + "/v3/kv/compaction", {"revision": revision, "physical": True})[0] == 200
        wait_for(lambda: put(server, "again")[0] == 200, 10, "writes are taken again")
        assert fetch(server.url + "/health")[0] == 200


def listens(server):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", server.port)) == 0


def test_old_revisions_go_after_the_retention():
    for kind, make in (("etcd", etcd), ("roadstead", roadstead_store)):
        with make("--auto-compaction-mode", "periodic", "--auto-compaction-retention", "1s") as server:
            for _ in range(5):
                put(server, "a")
            wait_for(lambda: "required revision has been compacted" in range_at(server, 3)[1], 20, f"{kind} compacts")
            assert range_at(server, 6)[0] == 200


class OnSocket(Server):
    def __init__(self, kind, command, path):
        # A flag that is given twice counts as it comes last.
        super().__init__(kind, command, "--listen-client-urls", f"unix://{path}")
        self.path = path

    def ready(self):
        return subprocess.run([CURL, "-sS", "--unix-socket", self.path, "http://localhost/health"], capture_output=True,
                              timeout=10).returncode == 0


# etcd 3.4.23 takes unix:// URLs that look like a host and a port only; later ones take paths.
def test_a_socket_in_the_file_system():
    with tempfile.TemporaryDirectory(prefix="socket-test-") as folder:
        path = pathlib.Path(folder) / "etcd.sock"
        left_over = socket.socket(socket.AF_UNIX)  # of a process that was killed
        left_over.bind(str(path))
        left_over.close()
        with OnSocket("roadstead", store_command(), path):
            for arguments in (["put", "a", "b"], ["get", "a"]):
                out = ctl(f"unix://{path}", *arguments)
                assert out.returncode == 0, out.stderr
            second = subprocess.run([*store_command(), "--data-dir", f"{folder}/other", "--listen-client-urls",
                                     f"unix://{path}"], capture_output=True, text=True, timeout=30)
            assert second.returncode == 1 and "another process is listening" in second.stderr, second
        assert not path.exists()
        path.write_text("of somebody else")
        third = subprocess.run([*store_command(), "--data-dir", f"{folder}/third", "--listen-client-urls", f"unix://{path}"],
                               capture_output=True, text=True, timeout=30)
        assert third.returncode == 1 and "no socket" in third.stderr and path.read_text() == "of somebody else", third


def test_one_file_configures_both():
    for kind, command in BOTH.items():
        with Server(kind, command) as server:
            peer = f"http://127.0.0.1:{server.peer_port}"
            server.stop()
            (server.dir / "etcd.yml").write_text(f"""\
name: 'from-file'
data-dir: {server.dir}/of-file
wal-dir:
snapshot-count: 10000
heartbeat-interval: 100
election-timeout: 1000
quota-backend-bytes: 3000000
listen-peer-urls: {peer}
listen-client-urls: {server.url}
max-snapshots: 5
max-wals: 5
cors:
initial-advertise-peer-urls: {peer}
advertise-client-urls: {server.url}
discovery:
discovery-fallback: 'proxy'
discovery-proxy:
discovery-srv:
initial-cluster: from-file={peer}
initial-cluster-token: 'etcd-cluster'
initial-cluster-state: 'new'
strict-reconfig-check: false
enable-v2: false
enable-pprof: true
proxy: 'off'
proxy-failure-wait: 5000
proxy-refresh-interval: 30000
proxy-dial-timeout: 1000
proxy-write-timeout: 5000
proxy-read-timeout: 0
grpc-keepalive-min-time: 5000000000
grpc-keepalive-interval: 7200000000000
client-transport-security:
  cert-file:
  key-file:
  client-cert-auth: false
  trusted-ca-file:
  auto-tls: false
peer-transport-security:
  cert-file:
  key-file:
  client-cert-auth: false
  trusted-ca-file:
  auto-tls: false
debug: false
log-package-levels:
logger: zap
log-outputs: [{server.dir}/of.log]
force-new-cluster: false
auto-compaction-mode: periodic
auto-compaction-retention: "1"
""")
            # Flags beside a file are not looked at.
            server.command = [*command, "--config-file", str(server.dir / "etcd.yml"), "--name", "of-the-flag"]
            server.start()
            members = json.loads(ctl(server.url, "member", "list", "-w", "json").stdout)["members"]
            assert [member["name"] for member in members] == ["from-file"], kind
            assert (server.dir / "of-file").is_dir() and (server.dir / "of.log").stat().st_size > 0, kind
            assert "etcd_server_quota_backend_bytes 3e+06" in fetch(server.url + "/metrics")[1].replace("3000000", "3e+06"), kind


def test_every_flag_of_etcd_is_in_the_help():
    told = subprocess.run([*BOTH["etcd"], "--help"], capture_output=True, text=True, timeout=30)
    listed = set(re.findall(r"^  --([a-z0-9-]+)", told.stdout + told.stderr, re.M))
    assert len(listed) > 60, "etcd's help was not understood"
    shown = subprocess.run([*store_command(), "--help"], capture_output=True, text=True, timeout=30)
    assert shown.returncode == 0
    missing = {flag for flag in listed if not re.search(rf"--{flag}\b", shown.stdout)}
    assert not missing, missing


def test_mistakes_are_named_and_end_the_start():
    def refused(*flags, status=2, **environment):
        out = subprocess.run([*store_command(), *flags], capture_output=True, text=True, timeout=30, cwd=tempfile.gettempdir(),
                             env={**os.environ, **environment})
        assert out.returncode == status and not out.stdout, (flags, out)
        return out.stderr

    assert "-nonsense" in refused("--nonsense")
    assert "--quota-backend-bytes" in refused(ETCD_QUOTA_BACKEND_BYTES="much")
    assert "neither true nor false" in refused(ETCD_CLIENT_CERT_AUTH="perhaps")
    assert "not supported" in refused("--enable-v2")
    assert "--trusted-ca-file" in refused("--client-crl-file", "/x")
    assert "--log-outputs" in refused("--log-outputs", "/no/such/folder/log", status=1)
    assert "2 members" in refused("--initial-cluster", "a=http://127.0.0.1:1,b=http://127.0.0.1:2")
    assert "TLS1.2 or TLS1.3" in refused("--tls-min-version", "TLS1.1")
    assert "/no/such/file" in refused("--config-file", "/no/such/file")


def test_log_lines_go_where_they_are_told_to():
    with tempfile.TemporaryDirectory(prefix="log-test-") as folder:
        with roadstead_store("--log-outputs", f"{folder}/a.log,stdout,{folder}/b.log") as server:
            first, second = (pathlib.Path(folder) / name for name in ("a.log", "b.log"))
            assert "serving clients" in first.read_text() and first.read_text() == second.read_text() == server.log()
            server.stop()
            server.start()
            assert first.read_text().count("serving clients") == 2, "the file was cut"


def test_connections_are_not_limited_by_the_soft_limit():
    limited = ["/bin/sh", "-c", 'ulimit -S -n 64; exec "$@"', "sh"]
    with Server("roadstead", [*limited, *store_command()]) as server:
        open_ones = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(200)]
        assert fetch(server.url + "/version")[0] == 200
        for each in open_ones:
            each.close()


def test_a_client_that_does_not_answer_is_let_go():
    """It opens a watch, and is silent: it is pinged, as --grpc-keepalive-interval says, and closed after its timeout."""
    def frame(kind, flags, stream, payload=b""):
        return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload

    def literal(name, value):
        return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value

    headers = b"\x83\x86" + literal(b":path", b"/etcdserverpb.Watch/Watch") + literal(b":authority", b"localhost") + \
        literal(b"content-type", b"application/grpc") + literal(b"te", b"trailers")
    for kind, make in (("etcd", etcd), ("roadstead", roadstead_store)):
        with make("--grpc-keepalive-interval", "1s", "--grpc-keepalive-timeout", "1s") as server:
            with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
                client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0) + frame(1, 4, 1, headers))
                seen = b""
                while more := client.recv(4096):
                    seen += more
            assert frame(6, 0, 0, b"12345678")[:9] in seen, (kind, "it was not asked")


def test_who_says_where_to_listen_is_found_there():
    command = [*store_command()]
    with Server("roadstead", command) as server:
        server.stop()
        server.command = [*command, "--data-dir", str(server.dir / "data"), "--listen-client-urls", server.url]
        server.start()
        members = json.loads(fetch(server.url + "/v3/cluster/member/list", {})[1])["members"]
        assert members[0]["clientURLs"] == [server.url]


if __name__ == "__main__":
    run_tests([test for name, test in list(globals().items()) if name.startswith("test_")])
