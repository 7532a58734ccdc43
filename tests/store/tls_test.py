#!/usr/bin/env python3
"""TLS of the store as an operator sets it up, beside Debian's etcd with the same flags and files: who gets in is the same.

Where etcd 3.4.23 has no such flag (--tls-min-version) or does worse (a half-written pair of files), only the store is asked.
"""
import contextlib
import os
import pathlib
import shutil
import ssl
import subprocess
import tempfile
import urllib.error
import urllib.request

from harness import Server, free_ports, need, run_tests, store_command

CURL, ETCDCTL, OPENSSL = need("curl"), need("etcdctl"), need("openssl")
KINDS = {"etcd": [need("etcd")], "roadstead": store_command()}


def run(*command, ok=True, **keywords):
    out = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60, **keywords)
    assert (out.returncode == 0) == ok, (command, out.returncode, out.stdout, out.stderr)
    return out.stdout if ok else out.stderr


class Pki:
    """A certificate authority, and what it issued: name.crt and name.key each."""

    def __init__(self, folder):
        self.dir = pathlib.Path(folder)
        run(OPENSSL, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=ca",
            "-days", "30", "-keyout", self.dir / "ca.key", "-out", self.dir / "ca.crt")
        (self.dir / "index.txt").write_text("")
        (self.dir / "ca.conf").write_text(
            f"[ca]\ndefault_ca=d\n[d]\ndatabase={self.dir}/index.txt\ndefault_md=sha256\ndefault_crl_days=30\n"
            f"certificate={self.dir}/ca.crt\nprivate_key={self.dir}/ca.key\n")
        for name in ("server", "alice", "mallory"):
            self.issue(name)

    def __truediv__(self, name):
        return str(self.dir / name)

    def issue(self, name, common_name=None):
        run(OPENSSL, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
            f"/CN={common_name or name}", "-keyout", self / f"{name}.key", "-out", self / "request")
        (self.dir / "extensions").write_text(
            f"subjectAltName=IP:127.0.0.1,DNS:{name}.test\nextendedKeyUsage=serverAuth,clientAuth\n")
        run(OPENSSL, "x509", "-req", "-in", self / "request", "-CA", self / "ca.crt", "-CAkey", self / "ca.key",
            "-CAcreateserial", "-days", "30", "-extfile", self / "extensions", "-out", self / f"{name}.crt")

    def revoke(self, name):
        run(OPENSSL, "ca", "-config", self / "ca.conf", "-revoke", self / f"{name}.crt")
        run(OPENSSL, "ca", "-config", self / "ca.conf", "-gencrl", "-out", self / "crl.pem")
        run(OPENSSL, "crl", "-in", self / "crl.pem", "-outform", "DER", "-out", self / "crl.der")

    def server_flags(self, *more):
        return ["--cert-file", self / "server.crt", "--key-file", self / "server.key", *more]


@contextlib.contextmanager
def pki():
    with tempfile.TemporaryDirectory(prefix="tls-test-") as folder:
        yield Pki(folder)


class Secure(Server):
    """Serves clients over TLS; ready when it answers alice, or when it refuses her."""

    def __init__(self, kind, *flags):
        flags = flags or ("--auto-tls",)
        super().__init__(kind, KINDS[kind], *flags)
        self.url = self.url.replace("http:", "https:")
        place = self.command.index("--listen-client-urls")
        self.command[place + 1] = self.command[place + 3] = self.url

    def ready(self):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            with urllib.request.urlopen(self.url + "/version", timeout=2, context=context):
                return True
        except urllib.error.URLError as error:
            return isinstance(error.reason, ssl.SSLError)
        except OSError:  # refused after its handshake, as TLS 1.3 has it
            return True


def served(pki, server, client=None, *flags):
    """Whether the server answers a client with this certificate."""
    who = ["--cert", pki / f"{client}.crt", "--key", pki / f"{client}.key"] if client else []
    out = subprocess.run([CURL, "-sS", "--cacert", pki / "ca.crt", *who, *flags, server.url + "/version"], capture_output=True,
                         text=True, timeout=30)
    assert (out.returncode == 0) == ("etcdserver" in out.stdout), (out.stdout, out.stderr)
    return out.returncode == 0


def test_who_names_a_ca_asks_for_certificates():
    with pki() as p:
        for kind in KINDS:
            with Secure(kind, *p.server_flags()) as server:
                assert served(p, server) and served(p, server, "alice"), kind
            for more in ([], ["--client-cert-auth"]):
                with Secure(kind, *p.server_flags("--trusted-ca-file", p / "ca.crt", *more)) as server:
                    assert served(p, server, "alice") and not served(p, server), (kind, more)
                    run(ETCDCTL, "--endpoints", server.url, "--cacert", p / "ca.crt", "--cert", p / "alice.crt", "--key",
                        p / "alice.key", "put", "a", "b", env={**os.environ, "ETCDCTL_API": "3"})


def test_revoked_certificates_are_refused():
    with pki() as p:
        p.revoke("mallory")
        for kind in KINDS:
            for crl in ("crl.pem", "crl.der"):
                with Secure(kind, *p.server_flags("--trusted-ca-file", p / "ca.crt", "--client-cert-auth",
                                                  "--client-crl-file", p / crl)) as server:
                    assert served(p, server, "alice") and not served(p, server, "mallory"), (kind, crl)
        # Who is revoked while the server runs is out, as with etcd.
        for kind in KINDS:
            shutil.copy(p / "crl.pem", p / "list.pem")
            with Secure(kind, *p.server_flags("--trusted-ca-file", p / "ca.crt", "--client-crl-file", p / "list.pem")) as server:
                p.issue("eve")
                assert served(p, server, "eve"), kind
                p.revoke("eve")
                os.replace(shutil.copy(p / "crl.pem", p / "new.pem"), p / "list.pem")
                assert not served(p, server, "eve") and served(p, server, "alice"), kind


def test_only_certificates_for_these_names_are_taken():
    with pki() as p:
        for kind in KINDS:
            with Secure(kind, *p.server_flags("--trusted-ca-file", p / "ca.crt", "--client-cert-auth",
                                              "--client-cert-allowed-hostname", "alice.test")) as server:
                assert served(p, server, "alice") and not served(p, server, "mallory"), kind
        with Secure("roadstead", *p.server_flags("--trusted-ca-file", p / "ca.crt", "--client-cert-allowed-cn",
                                                 "alice,bob")) as server:
            assert served(p, server, "alice") and not served(p, server, "mallory")


def test_versions_and_cipher_suites():
    # Go serves HTTP/2 with the first of them only (RFC 9113, 9.2.2).
    suites = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
    other = ["--tls-max", "1.2", "--ciphers", "ECDHE-ECDSA-CHACHA20-POLY1305"]
    with pki() as p:
        for kind in KINDS:
            with Secure(kind, *p.server_flags("--cipher-suites", suites)) as server:
                assert served(p, server, None, "--tls-max", "1.2", "--ciphers", "ECDHE-ECDSA-AES256-GCM-SHA384"), kind
                assert not served(p, server, None, *other), kind
            with Secure(kind, *p.server_flags()) as server:
                assert served(p, server, None, *other), kind
        with Secure("roadstead", *p.server_flags("--tls-min-version", "TLS1.3")) as server:
            assert served(p, server) and not served(p, server, None, "--tls-max", "1.2")
        with Secure("roadstead", *p.server_flags("--tls-max-version", "TLS1.2")) as server:
            assert served(p, server) and not served(p, server, None, "--tlsv1.3")
        for kind, command in KINDS.items():
            error = run(*command, "--data-dir", p / f"{kind}.data", "--listen-client-urls", "https://127.0.0.1:0",
                        "--advertise-client-urls", "https://127.0.0.1:0", *p.server_flags("--cipher-suites", "TLS_NONE"),
                        ok=False)
            assert 'unexpected TLS cipher suite "TLS_NONE"' in error.replace('\\"', '"'), (kind, error)


def test_certificates_that_change_are_used_at_once():
    def shown(server):
        text = run(OPENSSL, "s_client", "-connect", server.url.removeprefix("https://"), "-showcerts", stdin=subprocess.DEVNULL)
        return text.split("subject=")[1].splitlines()[0].replace(" ", "")

    with pki() as p:
        for kind in KINDS:
            p.issue("server")
            with Secure(kind, *p.server_flags()) as server:
                assert shown(server) == "CN=server", kind
                p.issue("server", "renewed")
                assert shown(server) == "CN=renewed", kind
        # Between the one file and the other no client is turned away.
        with Secure("roadstead", *p.server_flags()) as server:
            shutil.copy(p / "mallory.crt", p / "server.crt")
            assert shown(server) == "CN=renewed"
            (p.dir / "server.crt").write_text("")
            assert shown(server) == "CN=renewed"
            shutil.copy(p / "mallory.crt", p / "server.crt")
            shutil.copy(p / "mallory.key", p / "server.key")
            assert shown(server) == "CN=mallory"


def test_snapshots_are_fetched_over_tls():
    with pki() as p:
        who = ["--cacert", p / "ca.crt", "--cert", p / "alice.crt", "--key", p / "alice.key"]
        for kind in KINDS:
            with Secure(kind, *p.server_flags("--trusted-ca-file", p / "ca.crt")) as server:
                run(ETCDCTL, "--endpoints", server.url, *who, "put", "a", "b", env={**os.environ, "ETCDCTL_API": "3"})
                run(*store_command(), "snapshot", "save", p / f"{kind}.db", "--endpoints", server.url, *who)
                run(*store_command(), "import", "--from", server.url, "--data-dir", p / f"{kind}.imported", *who)
                assert "--cacert" in run(*store_command(), "import", "--from", server.url, "--data-dir", p / "no", ok=False)
                assert "https" in run(*store_command(), "import", "--from", server.url.replace("https", "http"), "--data-dir",
                                      p / "no", ok=False)
                assert "--cert" in run(*store_command(), "snapshot", "save", p / "no.db", "--endpoints", server.url, "--cacert",
                                       p / "ca.crt", ok=False)
                assert not (p.dir / "no").exists() and not (p.dir / "no.db").exists()


def test_the_static_pod_of_kubeadm():
    """Its command line (kubernetes cmd/kubeadm/app/phases/etcd/local.go, v1.32), and what its probes ask."""
    with pki() as p:
        for kind, command in KINDS.items():
            with Secure(kind) as server:
                server.stop()
                metrics = free_ports(1)[0]
                peer = f"https://127.0.0.1:{server.peer_port}"
                ours = ["--feature-gates=InitialCorruptCheck=true", "--watch-progress-notify-interval=5s"]  # of etcd 3.6
                server.command = [
                    *command, f"--advertise-client-urls={server.url}", f"--cert-file={p / 'server.crt'}",
                    "--client-cert-auth=true", f"--data-dir={server.dir}/of-kubeadm", "--experimental-initial-corrupt-check=true",
                    "--experimental-watch-progress-notify-interval=5s", f"--initial-advertise-peer-urls={peer}",
                    f"--initial-cluster=node={peer}", f"--key-file={p / 'server.key'}", f"--listen-client-urls={server.url}",
                    f"--listen-metrics-urls=http://127.0.0.1:{metrics}", f"--listen-peer-urls={peer}", "--name=node",
                    f"--peer-cert-file={p / 'server.crt'}", "--peer-client-cert-auth=true",
                    f"--peer-key-file={p / 'server.key'}", f"--peer-trusted-ca-file={p / 'ca.crt'}",
                    "--snapshot-count=10000", f"--trusted-ca-file={p / 'ca.crt'}", *(ours if kind == "roadstead" else [])]
                server.start()
                assert served(p, server, "alice") and not served(p, server), kind
                probes = ["/health?exclude=NOSPACE&serializable=true", "/health?serializable=false"]
                for probe in probes + (["/livez", "/readyz"] if kind == "roadstead" else []):
                    with urllib.request.urlopen(f"http://127.0.0.1:{metrics}{probe}", timeout=10) as answer:
                        assert answer.status == 200, (kind, probe)


def test_a_certificate_of_its_own():
    for kind in KINDS:
        with Secure(kind, "--auto-tls") as server:
            first = server.dir / "data/fixtures/client/cert.pem"
            made = first.read_text()
            out = run(CURL, "-sS", "--cacert", first, server.url + "/version")
            assert "etcdserver" in out, (kind, out)
            server.stop()
            server.start()
            assert first.read_text() == made, kind
            assert first.with_name("key.pem").stat().st_mode & 0o077 == 0, kind


if __name__ == "__main__":
    run_tests([test_who_names_a_ca_asks_for_certificates, test_revoked_certificates_are_refused,
               test_only_certificates_for_these_names_are_taken, test_versions_and_cipher_suites,
               test_certificates_that_change_are_used_at_once, test_snapshots_are_fetched_over_tls,
               test_the_static_pod_of_kubeadm, test_a_certificate_of_its_own])
