#!/usr/bin/env python3
"""Every kubectl command that Roadstead promises, against a running Roadstead: what is printed is what Kubernetes prints.
Expected texts are kubectl's and Kubernetes' own (kubectl 1.32 against a Kubernetes 1.32 cluster)."""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from harness import Roadstead, own_network, wait_for  # noqa: E402

own_network()
FAILURES = []

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: demo, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: web
          image: host
          command: ["sh", "-c", "echo started $GREETING; trap 'exit 0' TERM; while :; do sleep 1 & wait; done"]
          env: [{name: GREETING, value: hello}]
          volumeMounts: [{name: work, mountPath: /work}]
      volumes: [{name: work, emptyDir: {}}]
"""


def step(function):
    """Runs one group of commands; a failure is remembered and the rest goes on."""
    begun = time.monotonic()
    try:
        function()
        print(f"ok   {function.__name__} ({time.monotonic() - begun:.1f} s)", flush=True)
    except Exception as error:  # noqa: BLE001 every kind of failure is a failed step
        FAILURES.append(function.__name__)
        print(f"FAIL {function.__name__}: {error}", flush=True)


def expect(text, *patterns):
    for pattern in patterns:
        assert re.search(pattern, text, re.M), f"no match for {pattern!r} in:\n{text}"


def main():
    with tempfile.TemporaryDirectory(prefix="roadstead-kubectl-") as folder, Roadstead() as roadstead:
        roadstead.start()
        run_all(roadstead, pathlib.Path(folder))
        if FAILURES:
            print("--- roadstead's log\n" + "\n".join(roadstead.log_text().splitlines()[-30:]))
    print(f"{len(FAILURES)} failed: {FAILURES}" if FAILURES else "all kubectl commands work")
    sys.exit(1 if FAILURES else 0)


def run_all(rs, folder):
    def k(*args, **kwargs):
        return rs.kubectl(*args, **kwargs).stdout

    def kd(*args, **kwargs):
        return k("-n", "demo", *args, **kwargs)

    def fails(*args, stdin=None):
        out = rs.kubectl(*args, stdin=stdin, check=False)
        assert out.returncode != 0, f"kubectl {args} succeeded: {out.stdout}"
        return out.stderr

    def ready():
        return kd("get", "deploy", "web", "-o", "jsonpath={.status.readyReplicas}/{.status.updatedReplicas}")

    def one_pod(selector="app=web"):
        pods = json.loads(kd("get", "pods", "-l", selector, "-o", "json"))["items"]
        return next(p["metadata"]["name"] for p in pods if p["status"].get("phase") == "Running" and "deletionTimestamp" not in p["metadata"])

    def cluster():
        expect(k("version"), r"Server Version: v1\.32")
        expect(k("cluster-info"), r"Kubernetes control plane.* is running at")
        expect(k("api-resources"), r"^pods +po +v1 +true +Pod$", r"^deployments +deploy +apps/v1 +true +Deployment$",
               r"^poddisruptionbudgets +pdb +policy/v1 ")
        expect(k("api-versions"), r"^apps/v1$", r"^v1$")
        expect(k("get", "nodes"), r"^NAME +STATUS +ROLES +AGE +VERSION$", r" Ready ")
        expect(k("get", "ns"), r"^default +Active", r"^kube-system +Active")
        expect(k("get", "--raw", "/readyz?verbose"), r"\[\+\]ping ok")
        expect(k("auth", "whoami"), r"roadstead-admin", r"system:masters")

    def create():
        expect(k("create", "namespace", "demo"), r"^namespace/demo created")
        expect(kd("create", "configmap", "settings", "--from-literal=colour=blue"), r"^configmap/settings created")
        expect(kd("create", "secret", "generic", "pass", "--from-literal=word=hush"), r"^secret/pass created")
        assert kd("get", "secret", "pass", "-o", "jsonpath={.data.word}") == "aHVzaA=="
        expect(kd("create", "serviceaccount", "robot"), r"^serviceaccount/robot created")
        expect(kd("create", "job", "once", "--image=host", "--", "true"), r"^job.batch/once created")
        expect(kd("create", "-f", "-", stdin=WEB), r"^deployment.apps/web created")
        expect(fails("-n", "demo", "create", "-f", "-", stdin=WEB), r'deployments.apps "web" already exists')
        expect(fails("create", "-f", "-", stdin=WEB.replace("replicas: 2", "replica: 2")),
               r'strict decoding error: unknown field "spec.replica"|unknown field "spec.replica"')
        expect(kd("rollout", "status", "deploy/web", "--timeout=60s"), r'deployment "web" successfully rolled out')

    def get():
        expect(kd("get", "pods"), r"^NAME +READY +STATUS +RESTARTS +AGE$", r"^web-\S+ +1/1 +Running +0 ")
        expect(kd("get", "pods", "-o", "wide"), r"NOMINATED NODE +READINESS GATES$")
        expect(kd("get", "deploy", "-o", "wide"), r"^web +2/2 +2 +2 +\S+ +web +host +app=web$")
        expect(kd("get", "deploy", "web", "-o", "yaml"), r"^kind: Deployment$", r"^  progressDeadlineSeconds: 600$")
        assert json.loads(kd("get", "deploy", "web", "-o", "json"))["spec"]["revisionHistoryLimit"] == 10
        assert kd("get", "deploy", "web", "-o", "jsonpath={.spec.replicas}") == "2"
        expect(kd("get", "pods", "-l", "app=web", "--no-headers"), r"^web-")
        assert kd("get", "pods", "-l", "app=other", "-o", "name") == ""
        expect(kd("get", "pods", "--field-selector", "status.phase=Running", "-o", "name"), r"^pod/web-")
        expect(fails("-n", "demo", "get", "pods", "--field-selector", "spec.nope=1"), r"field label not supported")
        expect(k("get", "pods", "-A"), r"^demo +web-")
        expect(k("get", "pods", "-A", "--sort-by=.metadata.name"), r"^NAMESPACE +NAME")
        expect(kd("get", "all"), r"^deployment.apps/web ", r"^replicaset.apps/web-", r"^job.batch/once ")
        expect(fails("-n", "demo", "get", "pod", "nope"), r'Error from server \(NotFound\): pods "nope" not found')
        expect(fails("get", "unicorns"), r"the server doesn't have a resource type \"unicorns\"")
        expect(kd("get", "cm", "settings", "--show-labels"), r"LABELS")

    def watch():
        env = dict(os.environ, KUBECONFIG=str(rs.data_dir / "kubeconfig"))
        process = subprocess.Popen([rs.kubectl_path, "-n", "demo", "get", "cm", "-w", "-o", "name"], stdout=subprocess.PIPE, text=True, env=env)
        try:
            assert process.stdout.readline().strip() in ("configmap/kube-root-ca.crt", "configmap/settings")
            process.stdout.readline()
            kd("create", "configmap", "seen", "--from-literal=a=b")
            assert process.stdout.readline().strip() == "configmap/seen"
        finally:
            process.kill()
            process.wait()

    def describe():
        expect(kd("describe", "deploy", "web"), r"^Replicas: +2 desired \| 2 updated \| 2 total \| 2 available \| 0 unavailable", r"ScalingReplicaSet")
        expect(kd("describe", "pod", one_pod()), r"^Status: +Running", r"Scheduled", r"Started", r"GREETING: +hello")
        expect(k("describe", "node"), r"^Capacity:", r"Ready +True")
        expect(kd("describe", "svc", "-n", "default", "kubernetes"), r"^Type: +ClusterIP")

    def apply():
        changed = WEB.replace("value: hello", "value: moin")
        file = folder / "web.yaml"
        file.write_text(changed)
        out = rs.kubectl("diff", "-f", str(file), check=False)
        assert out.returncode == 1, out.stderr
        expect(out.stdout, r"^\+ .*value: moin", r"^- .*value: hello")
        expect(k("apply", "-f", str(file)), r"^deployment.apps/web configured")
        expect(k("apply", "-f", str(file)), r"^deployment.apps/web unchanged")
        kd("rollout", "status", "deploy/web", "--timeout=60s")
        settings = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: applied, namespace: demo}\ndata: {a: '1', b: '2'}\n"
        expect(k("apply", "--server-side", "-f", "-", stdin=settings), r"^configmap/applied serverside-applied")
        expect(fails("apply", "--server-side", "--field-manager=other", "-f", "-", stdin=settings.replace("'1'", "'9'")),
               r'conflict with "kubectl".*', r"\.data\.a")
        expect(k("apply", "--server-side", "--field-manager=other", "--force-conflicts", "-f", "-", stdin=settings.replace("'1'", "'9'")),
               r"serverside-applied")
        assert kd("get", "cm", "applied", "-o", "jsonpath={.data.a}") == "9"
        without_b = settings.replace(", b: '2'", "")
        k("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=without_b)
        managed = json.loads(kd("get", "cm", "applied", "-o", "json", "--show-managed-fields"))["metadata"]["managedFields"]
        assert {m["manager"] for m in managed} == {"kubectl", "other"}, managed
        expect(k("apply", "--dry-run=server", "-f", "-", stdin=settings.replace("applied", "dry")), r"configmap/dry created \(server dry run\)")
        assert "dry" not in kd("get", "cm", "-o", "name")

    def replace_edit_patch():
        current = kd("get", "cm", "settings", "-o", "json")
        expect(k("replace", "-f", "-", stdin=current.replace("blue", "green")), r"^configmap/settings replaced")
        expect(fails("replace", "-f", "-", stdin=current.replace("blue", "red")), r"the object has been modified; please apply your changes to the latest version")
        env = dict(os.environ, KUBECONFIG=str(rs.data_dir / "kubeconfig"), KUBE_EDITOR="sed -i s/green/grey/")
        out = subprocess.run([rs.kubectl_path, "-n", "demo", "edit", "cm", "settings"], capture_output=True, text=True, env=env)
        expect(out.stdout, r"^configmap/settings edited")
        assert kd("get", "cm", "settings", "-o", "jsonpath={.data.colour}") == "grey"
        expect(kd("patch", "cm", "settings", "--type=merge", "-p", '{"data":{"x":"1"}}'), r"patched")
        expect(kd("patch", "cm", "settings", "--type=json", "-p", '[{"op":"replace","path":"/data/x","value":"2"}]'), r"patched")
        expect(kd("patch", "deploy", "web", "-p", '{"spec":{"template":{"spec":{"containers":[{"name":"web","env":[{"name":"MORE","value":"1"}]}]}}}}'), r"patched")
        names = json.loads(kd("get", "deploy", "web", "-o", "json"))["spec"]["template"]["spec"]["containers"][0]["env"]
        assert {e["name"] for e in names} == {"GREETING", "MORE"}, names
        assert kd("get", "cm", "settings", "-o", "jsonpath={.data.x}") == "2"

    def label_annotate():
        expect(kd("label", "cm", "settings", "tier=gold"), r"^configmap/settings labeled")
        expect(fails("-n", "demo", "label", "cm", "settings", "tier=lead"), r"already has a value")
        expect(kd("label", "cm", "settings", "tier-"), r"unlabeled")
        expect(kd("annotate", "cm", "settings", "note=yes"), r"annotated")
        assert kd("get", "cm", "settings", "-o", "jsonpath={.metadata.annotations.note}") == "yes"

    def scale_and_set():
        expect(kd("scale", "deploy/web", "--replicas=3"), r"^deployment.apps/web scaled")
        wait_for(lambda: ready() == "3/3", 60, "three replicas")
        expect(kd("set", "env", "deploy/web", "LEVEL=2"), r"env updated")
        expect(kd("set", "image", "deploy/web", "web=host:v2"), r"image updated")
        expect(kd("set", "image", "deploy/web", "web=host"), r"image updated")
        kd("rollout", "status", "deploy/web", "--timeout=60s")
        kd("scale", "deploy/web", "--replicas=2")

    def rollout():
        expect(kd("rollout", "history", "deploy/web"), r"^REVISION +CHANGE-CAUSE$", r"^1 ")
        expect(kd("rollout", "pause", "deploy/web"), r"paused")
        expect(fails("-n", "demo", "rollout", "restart", "deploy/web"), r"can't restart paused deployment")
        expect(kd("rollout", "resume", "deploy/web"), r"resumed")
        expect(kd("rollout", "restart", "deploy/web"), r"restarted")
        kd("rollout", "status", "deploy/web", "--timeout=60s")
        before = kd("get", "deploy", "web", "-o", "jsonpath={.spec.template.metadata.annotations}")
        assert "restartedAt" in before
        expect(kd("rollout", "undo", "deploy/web"), r"rolled back")
        kd("rollout", "status", "deploy/web", "--timeout=60s")
        assert "restartedAt" not in kd("get", "deploy", "web", "-o", "jsonpath={.spec.template.metadata.annotations}")

    def expose():
        expect(kd("expose", "deploy/web", "--port=80", "--target-port=8080"), r"^service/web exposed")
        expect(kd("get", "svc", "web"), r"^web +ClusterIP +10\.43\.\d+\.\d+ +<none> +80/TCP ")
        wait_for(lambda: len(json.loads(kd("get", "endpointslices", "-l", "kubernetes.io/service-name=web", "-o", "json"))["items"]) == 1, 10, "a slice")
        expect(kd("get", "endpoints", "web"), r":8080")

    def run_and_logs():
        expect(kd("run", "shout", "--image=host", "--restart=Never", "--", "sh", "-c", "echo one; echo two; echo three; exit 3"), r"^pod/shout created")
        wait_for(lambda: kd("get", "pod", "shout", "-o", "jsonpath={.status.phase}") == "Failed", 30, "shout has failed")
        assert kd("logs", "shout") == "one\ntwo\nthree\n"
        assert kd("logs", "shout", "--tail=1") == "three\n"
        expect(kd("logs", "shout", "--timestamps", "--tail=1"), r"^\d{4}-\d\d-\d\dT\S+Z three$")
        expect(kd("get", "pod", "shout"), r"^shout +0/1 +Error +0 ")
        assert kd("get", "pod", "shout", "-o", "jsonpath={.status.containerStatuses[0].state.terminated.exitCode}") == "3"
        expect(fails("-n", "demo", "logs", "shout", "-c", "nope"), r"container nope is not valid for pod shout")
        kd("run", "again", "--image=host", "--", "sh", "-c", "echo life; exit 1")
        wait_for(lambda: kd("get", "pod", "again", "-o", "jsonpath={.status.containerStatuses[0].restartCount}") not in ("", "0"), 30, "a restart")
        wait_for(lambda: rs.kubectl("-n", "demo", "logs", "again", "--previous", check=False).stdout == "life\n", 10, "the log of the life before")
        env = dict(os.environ, KUBECONFIG=str(rs.data_dir / "kubeconfig"))
        follow = subprocess.Popen([rs.kubectl_path, "-n", "demo", "logs", "-f", "ticker"], stdout=subprocess.PIPE, text=True, env=env) \
            if kd("run", "ticker", "--image=host", "--restart=Never", "--", "sh", "-c", "for i in 1 2 3; do echo tick $i; sleep 0.3; done") and \
            wait_for(lambda: kd("get", "pod", "ticker", "-o", "jsonpath={.status.phase}") in ("Running", "Succeeded"), 30, "ticker runs") else None
        out, _ = follow.communicate(timeout=30)
        assert out == "tick 1\ntick 2\ntick 3\n", out

    def exec_and_cp():
        pod = one_pod()
        expect(kd("exec", pod, "--", "sh", "-c", "echo $GREETING; id -u"), r"^moin$", r"^0$|^\d+$")
        assert kd("exec", "-i", pod, "--", "cat", stdin="through\n") == "through\n"
        out = rs.kubectl("-n", "demo", "exec", pod, "--", "sh", "-c", "echo bad >&2; exit 7", check=False)
        assert out.returncode == 7 and "bad" in out.stderr, (out.returncode, out.stderr)
        expect(out.stderr, r"command terminated with exit code 7")
        tty = subprocess.run(["script", "-qec", f"{rs.kubectl_path} -n demo exec -it {pod} -- sh -c 'test -t 0 && echo is-a-tty'", "/dev/null"],
                             capture_output=True, text=True, timeout=30, env=dict(os.environ, KUBECONFIG=str(rs.data_dir / "kubeconfig")))
        expect(tty.stdout, r"is-a-tty")
        (folder / "note.txt").write_text("a note\n")
        kd("cp", str(folder / "note.txt"), f"{pod}:/work/note.txt")
        assert kd("exec", pod, "--", "cat", "/work/note.txt") == "a note\n"
        kd("cp", f"{pod}:/work/note.txt", str(folder / "back.txt"))
        assert (folder / "back.txt").read_text() == "a note\n"

    def wait_and_events():
        expect(kd("wait", "--for=condition=Available", "deploy/web", "--timeout=30s"), r"condition met")
        expect(kd("wait", "--for=condition=complete", "job/once", "--timeout=30s"), r"condition met")
        expect(kd("get", "job", "once"), r"^once +Complete +1/1 ")
        expect(kd("events"), r"^LAST SEEN +TYPE +REASON +OBJECT +MESSAGE", r"ScalingReplicaSet")
        expect(kd("get", "events"), r"^LAST SEEN +TYPE +REASON +OBJECT +MESSAGE")

    def explain_and_can_i():
        expect(k("explain", "deployment.spec.replicas"), r"^FIELD: replicas <integer>$")
        expect(k("explain", "pods.spec.containers"), r"^FIELD: containers <\[\]Container>$", r"^  image\s+<string>")
        assert k("auth", "can-i", "create", "pods").strip() == "yes"
        robot = "--as=system:serviceaccount:demo:robot"
        assert rs.kubectl("-n", "demo", "auth", "can-i", "delete", "pods", robot, check=False).stdout.strip() == "no"
        expect(fails("-n", "demo", "get", "pods", robot), r'pods is forbidden: User "system:serviceaccount:demo:robot" cannot list resource "pods" in API group "" in the namespace "demo"')
        kd("create", "role", "reader", "--verb=get,list", "--resource=pods")
        kd("create", "rolebinding", "reads", "--role=reader", "--serviceaccount=demo:robot")
        assert wait_for(lambda: rs.kubectl("-n", "demo", "auth", "can-i", "list", "pods", robot, check=False).stdout.strip() == "yes", 5, "allowed")
        expect(kd("create", "token", "robot"), r"^eyJ")

    def cordon_and_drain():
        node = k("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")
        expect(k("cordon", node), r"cordoned")
        expect(k("get", "nodes"), r"Ready,SchedulingDisabled")
        expect(k("uncordon", node), r"uncordoned")
        kd("create", "pdb", "guard", "--selector=app=web", "--min-available=2")
        wait_for(lambda: kd("get", "pdb", "guard", "-o", "jsonpath={.status.expectedPods}") == "2", 10, "the budget is counted")
        expect(kd("get", "pdb"), r"^guard +2 +N/A +0 ")
        refused = rs.kubectl("drain", node, "--ignore-daemonsets", "--force", "--delete-emptydir-data", "--timeout=3s", check=False)
        assert refused.returncode != 0
        expect(refused.stderr + refused.stdout, r"Cannot evict pod as it would violate the pod's disruption budget")
        kd("delete", "pdb", "guard")
        expect(k("drain", node, "--ignore-daemonsets", "--force", "--delete-emptydir-data", "--timeout=60s"), r"evicted", r"drained")
        expect(kd("get", "pods", "-l", "app=web"), r"Pending")
        k("uncordon", node)
        wait_for(lambda: ready() == "2/2", 60, "the pods are back")

    def delete():
        expect(kd("delete", "pod", one_pod(), "--grace-period=0", "--force"), r"force deleted|deleted")
        wait_for(lambda: ready() == "2/2", 60, "replaced")
        expect(kd("delete", "deploy", "web", "--cascade=orphan"), r"deleted")
        rs_name = kd("get", "rs", "-l", "app=web", "-o", "jsonpath={.items[0].metadata.name}")
        assert rs_name.startswith("web-")
        expect(kd("delete", "rs", "--all"), r"deleted")
        wait_for(lambda: kd("get", "pods", "-l", "app=web", "-o", "name") == "", 30, "their pods are collected")
        kd("create", "-f", "-", stdin=WEB)
        expect(kd("delete", "deploy", "web", "--cascade=foreground"), r"deleted")
        wait_for(lambda: kd("get", "rs,pods", "-l", "app=web", "-o", "name") == "", 30, "all collected")
        expect(k("delete", "ns", "demo", "--timeout=60s"), r'namespace "demo" deleted')
        expect(fails("get", "ns", "demo"), r"not found")

    for group in (cluster, create, get, watch, describe, apply, replace_edit_patch, label_annotate, scale_and_set, rollout, expose,
                  run_and_logs, exec_and_cp, wait_and_events, explain_and_can_i, cordon_and_drain, delete):
        step(group)


main()
