#!/usr/bin/env python3
"""Debian's etcdctl (3.4.23) against the store and against Debian's etcd: the same commands, and the same answers.

Each test is a script of commands; it runs on both servers, and the two transcripts are compared line by line once what
must differ (ids, ports, times) is masked.
"""
import difflib
import os
import re
import signal
import subprocess

from harness import etcd, need, roadstead_store, run_tests, wait_for

ETCDCTL = need("etcdctl")


def without_header(message):
    """A protobuf answer without its field 1, the header: the ids in it differ."""
    if message[:1] != b"\x0a":
        return message
    return message[2 + message[1]:]  # headers are shorter than 128 bytes


class Session:
    """Commands to one server, and the transcript of what they said."""

    def __init__(self, server):
        self.server = server
        self.lines = []
        self.names = {}  # masked text -> what stands for it
        self.variables = {}
        self.background = []
        self.user = None

    def close(self):
        for process in self.background:
            if process.poll() is None:
                process.kill()
            process.wait()
            process.stdout.close()

    def environment(self):
        return dict(os.environ, ETCDCTL_API="3", ETCDCTL_ENDPOINTS=f"127.0.0.1:{self.server.port}")

    def arguments(self, command):
        words = [word.format(**self.variables) for word in command.split(" ")] if isinstance(command, str) else command
        return [ETCDCTL, *(["--user", self.user] if self.user else []), *words]

    def __call__(self, command, stdin="", save=None, quiet=False, seconds=60):
        """Runs one command to its end. save: (variable, pattern) of its output, for later commands."""
        out = subprocess.run(self.arguments(command), input=stdin.format(**self.variables).encode(), capture_output=True,
                             env=self.environment(), timeout=seconds)
        stdout = out.stdout
        if "-w protobuf" in command:
            stdout = repr(without_header(stdout)).encode()
        text = stdout.decode("utf-8", "backslashreplace")
        errors = [line for line in out.stderr.decode("utf-8", "backslashreplace").splitlines()
                  if not line.startswith('{"level"') and "github.com/" not in line]
        if save:
            found = re.search(save[1], text)
            assert found, f"{command}: no {save[1]} in {text}{errors} {self.server.log()}"
            self.variables[save[0]] = found.group(1)
            self.names.setdefault(found.group(1), f"<{save[0]}>")
        if not quiet:
            shown = command if isinstance(command, str) else " ".join(command)
            self.lines += [f"$ etcdctl {shown}", *text.splitlines(), *errors, f"= {out.returncode}"]
        return text

    def start(self, command, stdin=None):
        """A command that goes on; its output is taken with take()."""
        process = subprocess.Popen(self.arguments(command), stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self.environment())
        self.background.append(process)
        os.set_blocking(process.stdout.fileno(), False)
        process.seen = ""
        process.shown = f"& etcdctl {command if isinstance(command, str) else ' '.join(command)}"
        if stdin is not None:
            process.stdin.write(stdin.encode())
            process.stdin.flush()
        return process

    def until(self, process, lines):
        """Waits for that many lines of the process."""
        def enough():
            process.seen += (process.stdout.read() or b"").decode("utf-8", "backslashreplace")
            return len(process.seen.splitlines()) >= lines and process.seen.endswith("\n")
        wait_for(enough, 20, f"{lines} lines of {process.shown}: {process.seen}")

    def take(self, process, lines, end=signal.SIGINT):
        """Waits for that many lines, ends the process, and adds all that it said to the transcript."""
        self.until(process, lines)
        if end is not None and process.poll() is None:
            process.send_signal(end)
        process.wait(20)
        process.seen += (process.stdout.read() or b"").decode("utf-8", "backslashreplace")
        said = [line for line in process.seen.splitlines() if not line.startswith('{"level"')]
        self.lines += [process.shown, *said]

    def say(self, line):
        self.lines.append(line)

    def masked(self):
        text = "\n".join(self.lines)
        for seen, name in sorted(self.names.items(), key=lambda item: -len(item[0])):
            text = text.replace(seen, name)
            try:
                text = text.replace(str(int(seen, 16)), name)
            except ValueError:
                pass
        for pattern, mask in [
                (str(self.server.dir), "<dir>"), (r"in cluster +[0-9a-f]+", "in cluster <id>"), (r"Member +<member>", "Member <member>"),
                (r'"(cluster_id|member_id|raft_term|ID|leader)":\d+', r'"\1":<id>'),
                (r'"(ClusterID|MemberID|RaftTerm|ID|Leader)" : \d+', r'"\1" : <id>'),
                (r"remaining\(\d+s\)", "remaining(<n>s)"), (r"took = [\d.]+[µm]?s", "took = <time>"),
                (r'"took":"[^"]*"', '"took":"<time>"'), (r"took [\d.]+[µm]?s", "took <time>"),
                (r'"ttl":\d+', '"ttl":<n>'), (r'"TTL" : \d+', '"TTL" : <n>'),
                # After the ids, which may have the digits of a port in them.
                (rf"\b{self.server.port}\b", "<port>"), (rf"\b{self.server.peer_port}\b", "<peer port>"),
        ]:
            text = re.sub(pattern, mask, text)
        return text.splitlines()


def compare(script, *flags):
    """Runs script(session) on both servers; their transcripts must be the same."""
    transcripts = []
    for server in (etcd(*flags), roadstead_store(*flags)):
        with server:
            session = Session(server)
            try:
                script(session)
            except BaseException:
                print("\n".join(session.lines[-40:]))
                print(server.log())
                raise
            finally:
                session.close()
            transcripts.append(session.masked())
    difference = list(difflib.unified_diff(*transcripts, "etcd", "roadstead", lineterm="", n=3))
    if os.environ.get("SHOW_TRANSCRIPT"):
        print("\n".join(transcripts[1]))
    assert not difference, "the transcripts differ:\n" + "\n".join(difference)


def fill(s):
    for key, value in (("a", "3"), ("b", "1"), ("c", "2"), ("d/1", "x"), ("d/2", "y"), ("e", "")):
        s(["put", key, "--", value] if not value else f"put {key} {value}")
    s("put a 4")
    s("put c 5")


def test_put_and_get():
    def script(s):
        fill(s)
        s("get a"), s("get nothing"), s(["get", ""]), s(["put", "", "x"])
        s("get a --print-value-only"), s("get a --keys-only"), s("get d --prefix"), s("get b --from-key"), s(["get", "", "--prefix"])
        s("get a d"), s("get d a"), s("get a --prefix --from-key")
        s("get a --consistency=s"), s("get a --consistency=l"), s("get a --consistency=x")
        s("get a --rev=2"), s("get a --rev=100"), s("get a --rev=-1"), s("get --prefix d --limit=1"),
        s("get a z --limit 2 -w json"), s("get d --prefix --keys-only -w json")
        for target in ("CREATE", "KEY", "MODIFY", "VALUE", "VERSION", "nonsense"):
            for order in ("ASCEND", "DESCEND", "nonsense"):
                # a limit, so that no two that sort alike change the answer
                s(f"get a z --sort-by={target} --order={order} --limit=1")
        s("get a z --sort-by=KEY --order=DESCEND")
        for form in ("json", "fields", "simple", "protobuf", "table", "nonsense"):
            s(f"get a -w {form}"), s(f"get a d -w {form} --limit=2"), s(f"put k v --prev-kv -w {form}"), s(f"del k --prev-kv -w {form}")
        s("get a --hex"), s("put b 2 --prev-kv"), s("put b --ignore-value"), s("put zz --ignore-value"), s("put b 3 --ignore-lease")
        s("put zz 3 --ignore-lease"), s("put b 4 --lease=1234"), s("put b 4 --lease=zz"), s("put fromstdin", stdin="text\nof two lines\n")
        s("get fromstdin"), s("put b"), s("get a --rev=2 -w json"), s("get")
    compare(script)


def test_del():
    def script(s):
        fill(s)
        s("del nothing"), s("del a"), s("del a --prev-kv"), s("del b --prev-kv"), s("del d --prefix --prev-kv")
        s(["del", ""]), s("del c --from-key -w json"), s(["del", "", "--prefix"]), s("get --from-key a -w json"), s("del a b c"), s("del z a")
        s(["del", "", "--from-key"]), s("get a -w json")
    compare(script)


def txn(*parts):
    """Compares, then what to do on success, then on failure: an empty line ends each."""
    return "".join("".join(line + "\n" for line in part) + "\n" for part in parts)


def test_txn():
    def script(s):
        fill(s)
        for compare_line in ('mod("a") > "0"', 'mod("a") = "8"', 'mod("a") < "3"', 'value("a") = "4"', 'val("a") != "4"', 'value("a") < "5"',
                             'create("a") = "2"', 'create("nothing") = "0"', 'c("a") > "5"', 'version("a") = "2"', 'ver("a") < "2"', 'ver("a") != "2"',
                             'value("nothing") != "1"'):  # lease(…) makes this etcdctl panic
            s("txn", stdin=txn([compare_line], ["get b", "put n 1"], ["get c", "del n"]))
        s("txn -w json", stdin=txn(['mod("a") > "0"', 'ver("b") = "1"'], ["put x 1", "get x", "del nothing", "get d --prefix"], ["get a"]))
        s("txn -w fields", stdin=txn(['mod("a") > "0"'], ["put x 1", "get x", "del c"], []))
        s("txn -w protobuf", stdin=txn([], ["put x 1 --prev-kv", "get x"], []))
        s("txn", stdin=txn([], ["put x 1", "put x 2"], []))
        s("txn", stdin=txn([], ["put x 1", "del x y"], []))
        s("txn", stdin=txn([], ["get a --rev=500"], []))
        s("txn", stdin=txn([], ["put q 1 --lease=77"], []))
        s("txn", stdin=txn([], [f"put k{n} 1" for n in range(129)], []))
        s("txn", stdin=txn([], [f"put k{n} 1" for n in range(128)], []))
        s("txn --interactive", stdin='mod("a") > "0"\n\nput inter 1\n\n\n')
        s("txn", stdin='nonsense("a") > "0"\n\n\n\n'), s("txn", stdin=txn(['mod("a") > "0"'], ["put"], []))
        s("get --prefix k -w json")
    compare(script)


def test_watch():
    def script(s):
        fill(s)
        s.take(s.start("watch a --rev=2"), 6)
        s.take(s.start("watch a --rev=2 --prev-kv"), 8)
        s.take(s.start("watch --prefix d --rev=1 -w json"), 1)
        s.take(s.start("watch a f --rev=1"), 24)
        live = s.start("watch d --prefix --rev=10 --prev-kv")
        s("put d/1 new"), s("del d/2"), s("put d/3 z")
        s.take(live, 13)
        several = s.start("watch -i", stdin="watch a --rev=10\nwatch d --prefix --rev=10\n")
        s.until(several, 9)
        s("put a 5")
        s.take(several, 12)
        s("compaction 9")
        s.take(s.start("watch a --rev=3"), 1, end=None)
        running = s.start(["watch", "a", "--rev=13", "--", "sh", "-c", "env | grep ETCD_WATCH_ | sort; echo"])
        s.take(running, 5)
    compare(script)


def test_watch_goes_on_after_a_restart():
    def script(s):
        s("put a 1")
        watch = s.start("watch a --rev=2")
        s.until(watch, 3)
        s.server.stop(kill=True)
        s.server.start()
        s("put a 2")
        s.take(watch, 6)
    compare(script)


def test_watch_progress():
    def script(s):
        s("put a 1")
        watch = s.start("watch a --progress-notify --rev=2")
        s.take(watch, 4)
    compare(script, "--experimental-watch-progress-notify-interval=200ms")


def test_lease():
    def script(s):
        s("lease list")
        s("lease grant 60", save=("lease", r"lease (\w+) granted"))
        s("lease grant 1", save=("short", r"lease (\w+) granted"))
        s("lease grant 0", save=("zero", r"lease (\w+) granted")), s("lease grant 9000000001"), s("lease grant x"), s("lease grant")
        s("put l/1 a --lease={lease}"), s("put l/2 b --lease={lease}"), s("put l/2 c --lease={short}"), s("get --prefix l -w json")
        s("lease timetolive {lease}"), s("lease timetolive {lease} --keys"), s("lease timetolive 123"), s("lease timetolive zz")
        s("lease timetolive {lease} --keys -w json"), s("lease timetolive {lease} --keys -w fields")
        s("lease keep-alive --once {lease}"), s("lease keep-alive --once 123"), s("lease keep-alive --once {lease} -w json")
        s.take(s.start("lease keep-alive 456"), 1, end=None)
        wait_for(lambda: "l/2" not in s("get --prefix l --keys-only", quiet=True), 20, "the end of the short lease")
        s("get --prefix l"), s("lease timetolive {short}")
        s("lease revoke {lease}"), s("lease revoke {lease}"), s("lease revoke zz"), s("get --prefix l -w json")
        wait_for(lambda: "found 0 leases" in s("lease list", quiet=True), 20, "the end of the last lease")
        s("lease list -w json"), s("lease list -w fields")
    compare(script)


def test_compaction_and_revisions():
    def script(s):
        fill(s)
        s("compaction 5"), s("compaction 5"), s("compaction 4"), s("compaction 100"), s("compaction x"), s("compaction"), s("get a --rev=4"), s("get a --rev=5")
        s("compaction 9 --physical"), s("get a --rev=8"), s("get a --rev=9 -w json"), s("put a 9"), s("get a -w json"), s("compaction 0"), s("compaction -- -1")
    compare(script)


def test_maintenance():
    def script(s):
        fill(s)
        s("alarm list"), s("alarm disarm"), s("alarm"), s("defrag"), s("endpoint health"), s("endpoint health -w json"), s("endpoint health -w table", quiet=True)
        for form in ("simple", "json", "fields", "table"):
            assert f"127.0.0.1:{s.server.port}" in s(f"endpoint status -w {form}", quiet=True)
            s(f"endpoint hashkv -w {form}", quiet=True)
        s("endpoint hashkv --rev=100"), s("compaction 5"), s("endpoint hashkv --rev=3")
        s("endpoint health --cluster"), s("endpoint status --cluster", quiet=True)
        s("get a --endpoints=127.0.0.1:1 --dial-timeout=200ms --command-timeout=300ms", quiet=True)
        s("move-leader 123"), s("move-leader"), s("move-leader zz"), s("version")
    compare(script)


def test_members():
    def script(s):
        text = s("member list", save=("member", r"^(\w+), started"))
        assert "default" in text, text
        for form in ("json", "fields", "table"):
            s(f"member list -w {form}", quiet=form == "table")
        s("member remove 123"), s("member remove zz"), s("member update 123 --peer-urls=http://127.0.0.1:5"), s("member update {member}")
        s("member promote 123"), s("member promote {member}")
        s(f"member add x --peer-urls=http://127.0.0.1:{s.server.peer_port}"), s("member add x"), s("member add x --peer-urls=nonsense")
        s("member update {member} --peer-urls=http://127.0.0.1:9,http://127.0.0.1:10"), s("member list -w json")
    compare(script)


def test_lock_and_elect():
    def script(s):
        first = s.start("lock name")
        s.until(first, 1)
        second = s.start("lock name")
        wait_for(lambda: '"count":2' in s("get --prefix name/ --keys-only -w json", quiet=True), 20, "the second in line")
        key = first.seen.strip()
        s.names[key] = "<first key>"
        s.take(first, 1)
        s.until(second, 1)
        s.names[second.seen.strip()] = "<second key>"
        s.take(second, 1)
        s("get --prefix name/"), s(["lock", "name", "--", "sh", "-c", "echo held; exit 3"]), s("lock --ttl=5 name echo again"), s("lock")
        leader = s.start("elect race one")
        s.until(leader, 2)
        s.names[leader.seen.splitlines()[0]] = "<leader key>"
        observer = s.start("elect -l race")
        s.until(observer, 2)
        other = s.start("elect race two")
        wait_for(lambda: '"count":2' in s("get --prefix race/ --keys-only -w json", quiet=True), 20, "the second candidate")
        s.take(leader, 2)
        s.until(other, 2)
        s.names[other.seen.splitlines()[0]] = "<other key>"
        s.take(observer, 4)
        s.take(other, 2)
        s("get --prefix race/"), s("elect race"), s("elect -l race x")
    compare(script)


def test_make_mirror():
    def script(s):
        with roadstead_store() as target:
            fill(s)
            for arguments in ("", " --prefix d/", " --prefix d/ --dest-prefix copy/ "):
                mirror = s.start(f"make-mirror{arguments.rstrip()} 127.0.0.1:{target.port}")
                copy = Session(target)
                wanted = "copy/2" if "copy" in arguments else "d/2"
                wait_for(lambda: wanted in copy(["get", "", "--prefix", "--keys-only"], quiet=True), 20, "the copy of what was there")
                s("put d/3 live"), s("del d/1")
                gone = wanted.replace("2", "1")
                wait_for(lambda: wanted.replace("2", "3") in (keys := copy(["get", "", "--prefix", "--keys-only"], quiet=True)) and gone not in keys.split(),
                         20, "the copy of what comes")
                mirror.send_signal(signal.SIGINT)
                mirror.wait(20)
                copy(["get", "", "--prefix"])
                s.lines += copy.lines
                s("del d/3"), s("put d/1 x")
    compare(script)


def test_auth():
    def script(s):
        s("auth disable"), s("auth enable"), s("user list"), s("role list")
        s("user add root:secret"), s("user add root:other"), s("user add alice:wonder"), s("user add nopass --no-password"), s("user add bob", stdin="pw\npw\n", quiet=True)
        s("auth enable"), s("role add reader"), s("role add reader"), s("role add root"), s("user grant-role root root"), s("user grant-role alice reader")
        s("user grant-role alice nothing"), s("user grant-role nobody reader")
        s("role grant-permission reader read a"), s("role grant-permission reader readwrite d/ --prefix"), s("role grant-permission reader read x z")
        s("role grant-permission reader write w --from-key"), s("role grant-permission nothing read a"), s("role get reader"), s("role get nothing"), s("role list")
        s("user get alice"), s("user get alice --detail"), s("user get nobody"), s("user list")
        s("auth enable"), s("put a 1"), s("get a")
        s.user = "root:secret"
        s("auth enable"), s("put a 1"), s("put b 1"), s("role revoke-permission reader x z"), s("role revoke-permission reader nothing"), s("user passwd alice --interactive=false", stdin="land\n")
        s.user = "alice:wonder"
        s("get a")
        s.user = "alice:land"
        s("get a"), s("get b"), s("put a 2"), s("put d/9 2"), s("put w 3"), s("get w"), s("del d/9"), s("get d/ --prefix"), s("get a z"), s("user list"), s("role get reader"), s("user get alice")
        s("txn", stdin=txn(['mod("a") > "0"'], ["put d/1 1"], [])), s("txn", stdin=txn(['mod("b") > "0"'], ["put d/1 1"], [])), s("alarm list")
        # etcd 3.4 lets anybody compact, and words this refusal otherwise (CVE-2026-33413 ended both)
        refused = [s("compaction 3", quiet=True), s("defrag", quiet=True)]
        assert s.server.name == "etcd" or not any(refused), refused
        s("user delete alice"), s("auth disable"), s("member list", quiet=True), s("lease grant 60", quiet=True)
        s.user = "nopass:x"
        s("get a")
        s.user = "root:secret"
        s("user revoke-role alice reader"), s("user revoke-role alice reader"), s("user delete nobody"), s("role delete reader"), s("role delete root"), s("user delete root"), s("user delete alice")
        s("auth disable"), s("get a")
        s.user = None
        s("get a"), s("user list"), s("role list")
    compare(script)


if __name__ == "__main__":
    run_tests([value for name, value in list(globals().items()) if name.startswith("test_")])
