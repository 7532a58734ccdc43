"""Starts the store, or Debian's etcd, for a test with real clients. Standard library only.

A server listens on free ports of 127.0.0.1, keeps its data in a temporary directory, and is always stopped by the
process that started it.
"""
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("ROADSTEAD_BUILD", SOURCE / "build/release")).resolve()
# In memory where that is possible: these tests are about what is answered, not about the disk.
TEMP = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def store_command():
    """`roadstead store`, or store_server (the same alone, quicker to build) where that is the newer of the two."""
    candidates = [(BUILD / "roadstead", ["store"]), (BUILD / "bench/store/store_server", [])]
    built = [(path.stat().st_mtime, str(path), args) for path, args in candidates if path.exists()]
    assert built, f"neither of {[str(path) for path, _ in candidates]} is built"
    _, path, args = max(built)
    return [path, *args]


def need(program):
    found = shutil.which(program)
    assert found, f"{program} is not installed: run 'make setup'"
    return found


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait_for(condition, seconds=20, what="condition"):
    """The first true value of condition(); fails with what was last seen."""
    deadline = time.monotonic() + seconds
    last = None
    while time.monotonic() < deadline:
        last = condition()
        if last:
            return last
        time.sleep(0.02)  # between two looks; the wait ends as soon as the condition holds
    raise AssertionError(f"not within {seconds} s: {what} (last: {last!r})")


class Server:
    """One running server. Use with `with`."""

    def __init__(self, name, command, *flags):
        self.name = name
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=f"{name}-test-", dir=TEMP))
        self.port, self.peer_port = free_ports(2)
        self.url = f"http://127.0.0.1:{self.port}"
        peer = f"http://127.0.0.1:{self.peer_port}"
        self.command = [*command, "--name", "default", "--data-dir", str(self.dir / "data"),
                        "--listen-client-urls", self.url, "--advertise-client-urls", self.url,
                        "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                        "--initial-cluster", f"default={peer}", *flags]
        self.process = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def start(self):
        with open(self.dir / "log", "ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

        def begun():
            assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}:\n{self.log()}"
            return self.ready()

        wait_for(begun, 20, f"{self.name} is ready")

    def ready(self):
        try:
            with urllib.request.urlopen(self.url + "/health", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def stop(self, kill=False):
        if self.process is None:
            return
        if kill:
            self.process.kill()
        else:
            self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def log(self):
        return (self.dir / "log").read_text(errors="replace")[-4000:]


def roadstead_store(*flags):
    return Server("roadstead", store_command(), *flags)


def etcd(*flags):
    return Server("etcd", [need("etcd")], *flags)


def run_tests(tests):
    """Runs each, or those named on the command line; ends the program with 1 when one failed."""
    import traceback
    failed = []
    for test in tests:
        if len(sys.argv) > 1 and test.__name__ not in sys.argv[1:]:
            continue
        begun = time.monotonic()
        try:
            test()
            print(f"ok {test.__name__} ({time.monotonic() - begun:.1f} s)", flush=True)
        except Exception:
            traceback.print_exc()
            failed.append(test.__name__)
            print(f"FAILED {test.__name__}", flush=True)
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)
