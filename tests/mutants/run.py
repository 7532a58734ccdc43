#!/usr/bin/env python3
"""Puts each bug of tests/mutants/*.patch (and of any other mutants/ folder of tests/) back into a copy of the sources,
and demands that the test named in the patch's first line fails: `make mutants`. README.md has the patches' form.

The sources that git knows are copied to build/mutants/tree-N and built there; the tree itself is never touched.
"""
import argparse
import concurrent.futures
import contextlib
import json
import os
import pathlib
import queue
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PATCH = ["patch", "--strip=1", "--fuzz=0", "--batch", "--forward", "--no-backup-if-mismatch", "--reject-file=-"]
SKIPPED = 77  # ctest's SKIP_RETURN_CODE of this project
FIRST_LINE = re.compile(r"# test: (\S+) (.+)")


class Mutant:
    """One patch: the bug (its second comment line), the target to build, and the test that must fail."""

    def __init__(self, path):
        self.path = path
        self.name = path.stem
        self.file = path.relative_to(ROOT).as_posix()
        lines = path.read_text().splitlines()
        match = FIRST_LINE.fullmatch(lines[0]) if lines else None
        if match is None:
            raise SystemExit(f"{self.file}: the first line is not '# test: <ninja target> <gtest filter or command>'")
        self.target, self.test = match[1], match[2].strip()
        self.bug = lines[1][1:].strip() if len(lines) > 1 and lines[1].startswith("#") else self.name
        self.changed = [line[6:].split("\t")[0] for line in lines if line.startswith("+++ b/")]

    @property
    def is_filter(self):
        return " " not in self.test

    def problems(self):
        """Why it could not be run today; cheap."""
        out = subprocess.run([*PATCH, "--dry-run", "--input", str(self.path)], cwd=ROOT, capture_output=True, text=True)
        if out.returncode != 0:
            return f"does not apply: {(out.stdout + out.stderr).strip()}"
        if self.is_filter and not self.test_exists():
            return f"there is no test {self.test}"
        return None

    def test_exists(self):
        """Whether a source has each test; of a parameterised one (Suites/Suite.Test/parameter) the middle counts."""
        texts = [source.read_text(errors="replace") for folder in ("src", "tests")
                 for source in (ROOT / folder).rglob("*_test.cpp")]
        for name in self.test.split(":"):
            suite, _, test = name.partition(".")
            words = [re.escape(word).replace(r"\*", r"\w*") for word in (suite.split("/")[-1], test.split("/")[0])]
            pattern = re.compile(r"TEST(_F|_P)?\(\s*{}\s*,\s*{}\s*\)".format(*words))
            if not any(pattern.search(text) for text in texts):
                return False
        return True


def find_mutants(only):
    found = [Mutant(path) for path in sorted(ROOT.glob("tests/**/mutants/*.patch")) + sorted(ROOT.glob("tests/mutants/*.patch"))]
    unique = list({mutant.path: mutant for mutant in found}.values())
    return [m for m in unique if not only or any(word in m.file or word in m.test for word in only)]


class Tree:
    """A copy of the sources with a build of its own."""

    def __init__(self, directory, preset, build_jobs, build_limit, test_limit):
        self.directory, self.preset, self.build_jobs = directory, preset, build_jobs
        self.build_limit, self.test_limit = build_limit, test_limit
        self.build_directory = directory / "build" / preset
        self.log = directory.with_suffix(".log")
        self.process = None  # what is running

    def synchronize(self):
        """Makes the copy what the sources are now; what is the same keeps its time, and is not built again."""
        wanted = sources()
        self.directory.mkdir(parents=True, exist_ok=True)
        for name in wanted:
            self.copy(name)
        for path in sorted(self.directory.rglob("*"), reverse=True):
            relative = path.relative_to(self.directory)
            if relative.parts[0] == "build":
                continue
            if path.is_dir():
                if not any(path.iterdir()):
                    path.rmdir()
            elif relative.as_posix() not in wanted:
                path.unlink()

    def copy(self, name):
        source, copy = ROOT / name, self.directory / name
        if source.is_symlink():
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.unlink(missing_ok=True)
            copy.symlink_to(os.readlink(source))
            return
        content = source.read_bytes()
        if copy.exists() and copy.read_bytes() == content:
            return
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(content)
        shutil.copymode(source, copy)

    def run(self, command, limit, cwd=None):
        """Exit status (None: it took too long) and output; everything it started is gone afterwards."""
        process = subprocess.Popen(command, cwd=cwd or self.directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   start_new_session=True, env={**os.environ, "ROADSTEAD_BUILD": str(self.build_directory)})
        self.process = process
        try:
            output, _ = process.communicate(timeout=limit)
            status = process.returncode
        except subprocess.TimeoutExpired:
            self.interrupt()
            output, _ = process.communicate()
            status = None
        except BaseException:
            self.interrupt()
            raise
        self.process = None
        text = output.decode(errors="replace")
        with self.log.open("a") as log:
            log.write(f"$ {shlex.join(map(str, command))}\n{text}\n[{status}]\n")
        return status, text

    def interrupt(self):
        """Ends what is running here, with all that it started."""
        process = self.process
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def build(self, target):
        """Nothing, or why the target is not there."""
        if not (self.build_directory / "build.ninja").exists():
            status, text = self.run(["cmake", "--preset", self.preset], self.build_limit)
            if status != 0:
                return "cmake fails: " + last_lines(text)
        status, text = self.run(["ninja", "-C", str(self.build_directory), "-j", str(self.build_jobs), target],
                                self.build_limit)
        return None if status == 0 else "does not compile: " + last_lines(text)

    def program(self, target):
        _, text = self.run(["ninja", "-C", str(self.build_directory), "-t", "query", target], 60)
        candidates = [target] + [line.strip() for line in text.splitlines()]
        for candidate in candidates:
            path = self.build_directory / candidate
            if path.is_file() and os.access(path, os.X_OK):
                return path
        raise FileNotFoundError(f"ninja target {target} is no program")

    def test(self, mutant):
        """'passed', 'failed', 'died', 'hung', or why it says nothing; and the output."""
        if mutant.is_filter:
            program = self.program(mutant.target)
            # Where ctest runs it: beside its sources, whose test data it reads.
            cwd = self.directory / program.parent.relative_to(self.build_directory)
            status, text = self.run([str(program), f"--gtest_filter={mutant.test}"], self.test_limit, cwd)
            ran = re.search(r"Running (\d+) tests?", text)
            if not ran or ran[1] == "0":
                return "no test has that name", text
            if status == 0 and "[  SKIPPED ]" in text:
                return "skipped", text
        else:
            status, text = self.run(["sh", "-c", mutant.test], self.test_limit, self.build_directory)
            if status == SKIPPED:
                return "skipped", text
        if status is None:
            return "hung", text
        if status < 0 or (not mutant.is_filter and status >= 128):
            return "died", text
        return ("passed" if status == 0 else "failed"), text

    def without_bugs(self, mutants):
        """Why a test says nothing about a bug, by (target, test): it does not pass without one. None: it does."""
        verdicts = {}
        for mutant in mutants:
            key = (mutant.target, mutant.test)
            if key in verdicts:
                continue
            broken = self.build(mutant.target)
            if broken:
                verdicts[key] = f"without the bug: {broken}"
                continue
            outcome, text = self.test(mutant)
            verdicts[key] = None if outcome == "passed" else f"without the bug the test {outcome}: {last_lines(text)}"
        return verdicts

    def judge(self, mutant):
        """The verdict on a test that passes without the bug, and its detail."""
        status, text = self.run([*PATCH, "--input", str(mutant.path)], 60)
        try:
            if status != 0:
                return "does not apply", last_lines(text)
            broken = self.build(mutant.target)
            if broken:
                return "does not compile", broken
            outcome, text = self.test(mutant)
        finally:
            for name in mutant.changed:
                self.copy(name)
        if outcome in ("failed", "died"):
            return "caught", outcome
        return "NOT CAUGHT", f"with the bug the test {outcome}"


def last_lines(text, count=4):
    return " | ".join(line.strip() for line in text.strip().splitlines()[-count:])


def sources():
    """What git knows or would, else (a source archive) everything but what is built."""
    out = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                         capture_output=True, text=True)
    if out.returncode == 0 and out.stdout:
        names = out.stdout.split("\0")
    else:
        names = [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*")
                 if not {"build", "node_modules", ".git"} & set(path.relative_to(ROOT).parts)]
    return {name for name in names if name and ((ROOT / name).is_file() or (ROOT / name).is_symlink())}


def say(results, json_output):
    if json_output:
        print(json.dumps(results, indent=2))
        return
    rows = [("bug", "patch", "test", "", "seconds")]
    rows += [(r["bug"], pathlib.Path(r["patch"]).stem, r["test"],
              "caught" if r["caught"] else "NOT CAUGHT", f"{r['seconds']:.1f}") for r in results]
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip())
    for r in results:
        if not r["caught"]:
            print(f"\n{r['patch']}: {r['verdict']}: {r['detail']}")
    caught = sum(r["caught"] for r in results)
    print(f"\n{caught} of {len(results)} bugs caught")


def check(mutants):
    problems = [f"{m.file}: {problem}" for m in mutants if (problem := m.problems())]
    print("\n".join(problems) if problems else f"{len(mutants)} patches apply, and their tests exist")
    return 1 if problems or not mutants else 0


def run_all(mutants, trees):
    """What became of each mutant, in their order; as many at a time as there are trees."""
    idle = queue.Queue()
    no_verdict = trees[0].without_bugs(mutants)
    for tree in trees:
        idle.put(tree)

    def work(mutant):
        began = time.monotonic()
        verdict, detail = "no verdict", no_verdict[(mutant.target, mutant.test)]
        if detail is None:
            tree = idle.get()
            try:
                verdict, detail = tree.judge(mutant)
            finally:
                idle.put(tree)
        result = {"bug": mutant.bug, "patch": mutant.file, "target": mutant.target, "test": mutant.test,
                  "caught": verdict == "caught", "verdict": verdict, "detail": detail,
                  "seconds": round(time.monotonic() - began, 1)}
        print(f"{verdict}: {mutant.name} ({detail}, {result['seconds']} s)", file=sys.stderr, flush=True)
        return result

    with concurrent.futures.ThreadPoolExecutor(len(trees)) as pool:
        try:
            return list(pool.map(work, mutants))
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            for tree in trees:
                tree.interrupt()
            raise


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="TEXT", help="patches whose file or test has it (repeatable)")
    parser.add_argument("--list", action="store_true", help="the bugs and their tests; nothing is built")
    parser.add_argument("--check", action="store_true", help="whether every patch applies and its test exists; nothing is built")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    parser.add_argument("--jobs", type=int, default=1, help="copies of the tree worked on at the same time (default 1)")
    parser.add_argument("--build-jobs", type=int, default=os.cpu_count(), help="of ninja, in each copy")
    parser.add_argument("--preset", default="release")
    parser.add_argument("--build-limit", type=float, default=3600, metavar="SECONDS", help="of one build")
    parser.add_argument("--test-limit", type=float, default=300, metavar="SECONDS", help="of one test; beyond it, it hangs")
    return parser.parse_args()


def main():
    args = parse_arguments()
    if shutil.which("patch") is None:
        print("there is no patch program (Debian: patch)")
        return SKIPPED
    mutants = find_mutants(args.only)
    if args.check:
        return check(mutants)
    if args.list:
        for m in mutants:
            print(f"{m.file}\n    {m.bug}\n    {m.target} {m.test}")
        return 0
    if not mutants:
        print("no such patch")
        return 1
    trees = []
    for i in range(max(1, min(args.jobs, len(mutants)))):
        trees.append(Tree(ROOT / "build" / "mutants" / f"tree-{i}", args.preset, args.build_jobs, args.build_limit,
                          args.test_limit))
        trees[-1].synchronize()
        trees[-1].log.write_text("")
    results = run_all(mutants, trees)
    say(results, args.output == "json")
    return 0 if all(r["caught"] for r in results) else 1


if __name__ == "__main__":
    sys.exit(main())
