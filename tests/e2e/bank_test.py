#!/usr/bin/env python3
"""The bank under load: rollouts, killed pods, a killed roadstead, a service scaled to zero. bank-load's own exit code says
whether a request failed or the books do not balance."""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

from harness import BUILD, SOURCE, Roadstead, own_network, wait_for

own_network()
RATE = os.environ.get("BANK_RATE", "200")


def manifest(folder):
    """The example's own manifest; the ledger's books in a folder of this test."""
    path = f"{folder}/bank.yaml"
    text = (SOURCE / "examples/bank/bank.yaml").read_text()
    assert "/tmp/roadstead-bank" in text
    with open(path, "w") as file:
        file.write(text.replace("/tmp/roadstead-bank", f"{folder}/books"))
    return path


def start_load(roadstead, seconds, *more):
    return subprocess.Popen([str(BUILD / "examples/bank/bank-load"), "--mesh", roadstead.endpoints["mesh"], "--rate", RATE,
                             "--duration", str(seconds), "-o", "json", *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(load, name):
    out, err = load.communicate(timeout=180)
    assert load.returncode in (0, 1), f"{name}: bank-load: {err}"
    result = json.loads(out)
    print(f"{name}: {result}", flush=True)
    assert result["books_balance"], f"{name}: {result['books_problem']}"
    assert result["failed"] == 0, f"{name}: {result['failed']} requests failed: {result['failures']}"
    return result


def all_ready(roadstead, namespace="bank"):
    items = roadstead.get("deployments", "-n", namespace)["items"]
    return len(items) == 8 and all(d.get("status", {}).get("readyReplicas", 0) == d["spec"]["replicas"] and
                                   d["status"].get("observedGeneration") == d["metadata"]["generation"] for d in items)


def rollout(roadstead):
    load = start_load(roadstead, 14)
    for name in ("payments", "ledger"):
        roadstead.kubectl("rollout", "restart", f"deployment/{name}", "-n", "bank")
        roadstead.kubectl("rollout", "status", f"deployment/{name}", "-n", "bank", "--timeout=60s")
        roadstead.kubectl("set", "env", f"deployment/{name}", "RELEASE=2", "-n", "bank")
        roadstead.kubectl("rollout", "status", f"deployment/{name}", "-n", "bank", "--timeout=60s")
    result = finish(load, "rollout")
    assert result["retried"] == 0, f"a client had to repeat {result['retried']} requests: {result['failures']}"


def container_pid(roadstead, pod):
    """The process of a pod's container on this machine, found by the environment of the pod."""
    ip = roadstead.get("pod", pod, "-n", "bank")["status"]["podIP"]
    for line in subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True).stdout.splitlines():
        if "bank --role=" in line and f"--listen={ip}" in line:
            return int(line.split()[0])
    raise AssertionError(f"no process of pod {pod} ({ip})")


def kill_a_pod(roadstead):
    load = start_load(roadstead, 8)
    pods = roadstead.get("pods", "-n", "bank", "-l", "app=payments")["items"]
    time.sleep(2)  # some load before the fault; nothing is waited for
    os.kill(container_pid(roadstead, pods[0]["metadata"]["name"]), signal.SIGKILL)
    finish(load, "kill -9 of a payments pod")


def kill_roadstead(roadstead):
    before = {p["metadata"]["name"]: container_pid(roadstead, p["metadata"]["name"]) for p in roadstead.get("pods", "-n", "bank")["items"]}
    ports = {name: roadstead.endpoints[name].rsplit(":", 1)[1] for name in ("api", "etcd", "console", "mesh")}
    load = start_load(roadstead, 10)
    time.sleep(2)  # some load before the fault
    roadstead.kill()
    # Without --apply: applying the example again would undo the rollout above.
    roadstead.args = sum(([f"--{name}-port", port] for name, port in ports.items()), [])
    roadstead.start()
    finish(load, "kill -9 of roadstead")
    wait_for(lambda: all_ready(roadstead), 30, "the bank is ready again")
    after = {p["metadata"]["name"]: container_pid(roadstead, p["metadata"]["name"]) for p in roadstead.get("pods", "-n", "bank")["items"]}
    assert before == after, f"pods were touched:\n{before}\n{after}"
    restarts = [c["restartCount"] for p in roadstead.get("pods", "-n", "bank")["items"] for c in p["status"]["containerStatuses"]]
    assert sum(restarts) == sum(RESTARTS_EXPECTED), restarts


RESTARTS_EXPECTED = [1]  # the pod that kill_a_pod() killed


def view(roadstead, service):
    out = subprocess.run([str(BUILD / "roadstead"), "mesh", "view", service, "--data-dir", str(roadstead.data_dir), "-o", "json"],
                         capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    return json.loads(out.stdout)


def scale_to_zero(roadstead):
    load = start_load(roadstead, 6, "--no-prepaid")
    roadstead.kubectl("scale", "deployment/prepaid", "--replicas=0", "-n", "bank")
    def empty():
        state = json.loads(roadstead.http("/api/state"))
        service = next(s for s in state["services"] if s["name"] == "prepaid" and s["namespace"] == "bank")
        return service["state"] == "Empty"
    wait_for(empty, 30, "the console shows that prepaid has no endpoints")
    text = json.dumps(view(roadstead, "prepaid.bank"))
    assert "Empty" in text, text
    mesh = roadstead.endpoints["mesh"]
    def status():
        return subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Host: prepaid.bank", f"{mesh}/healthz"],
                              capture_output=True, text=True, timeout=5).stdout
    begun = time.monotonic()
    assert status() == "503"
    assert time.monotonic() - begun < 0.5, "a service without endpoints is answered at once"
    finish(load, "a service scaled to zero")
    roadstead.kubectl("scale", "deployment/prepaid", "--replicas=1", "-n", "bank")
    wait_for(lambda: roadstead.get("deployment", "prepaid", "-n", "bank").get("status", {}).get("readyReplicas") == 1, 30, "prepaid is ready")
    begun = time.monotonic()
    wait_for(lambda: status() == "200", 5, "traffic flows")
    print(f"scaled up again: traffic {time.monotonic() - begun:.2f} s after ready", flush=True)


def main():
    with tempfile.TemporaryDirectory(prefix="roadstead-bank-") as folder, Roadstead("--apply", manifest(folder)) as roadstead:
        roadstead.start()
        print(f"ready after {roadstead.ready_seconds * 1000:.0f} ms", flush=True)
        begun = time.monotonic()
        wait_for(lambda: all_ready(roadstead), 60, "the bank is ready")
        print(f"bank ready after {time.monotonic() - begun:.1f} s more", flush=True)
        finish(start_load(roadstead, 3), "plain load")
        rollout(roadstead)
        kill_a_pod(roadstead)
        wait_for(lambda: all_ready(roadstead), 60, "the killed pod is back")
        kill_roadstead(roadstead)
        scale_to_zero(roadstead)


main()
