#!/usr/bin/env python3
"""The rules of the house that a compiler does not check (docs/architecture.md): rooms include only what their module()
names and only downwards, banned words name their replacement, files keep their size, every room has a README."""
import pathlib
import re
import subprocess
import sys

root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
problems = []

FILE_LINES_MAX = 700
BANS = [  # (pattern, where it is allowed, what to use instead)
    (r"\bdetached\b", r"^src/async/", "a TaskGroup: detached swallows exceptions"),
    (r"std::this_thread::sleep_|\busleep\(|\bnanosleep\(", r"^(bench|src/node/runtime|src/store/engine)/", "Loop::sleep, or waiting for a condition"),
    (r"system_clock::now|steady_clock::now|\btime\(nullptr\)", r"^(src/base/|bench/|tests/|src/node/runtime/|fuzz/)", "a Clock (base/clock.h)"),
    (r"\bs?rand\(|std::random_device|std::mt19937", r"^(bench|fuzz)/", "Random (base/random.h)"),
    (r"asio/experimental", r"^src/async/", "with_timeout or sleep_or_event (src/async)"),
    (r"\bTODO\b|\bFIXME\b|\bXXX\b", r"^tests/tidy_test\.py$", "doing it, or docs/status.md"),
    (r"using namespace std;", r"^$", "names"),
    (r"boost/beast", r"^$", "src/net"),
]


def tracked(*patterns):
    out = subprocess.run(["git", "-C", str(root), "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
                         capture_output=True, text=True)
    if out.returncode != 0:  # not a checkout (a source archive): every file counts
        return [str(p.relative_to(root)) for pattern in patterns for p in root.glob(pattern.replace("/*", "/**/*")) if p.is_file()]
    return [name for name in out.stdout.splitlines() if (root / name).exists()]


def rooms():
    found = {}
    for cmake in sorted(root.glob("src/*/CMakeLists.txt")):
        match = re.search(r"module\(([^)]*)\)", cmake.read_text())
        if not match:
            continue
        words, section, parts = match.group(1).split(), None, {}
        for word in words:
            if word in ("NAME", "LAYER", "DEPS", "LIBS", "TEST_DEPS", "TEST_LIBS"):
                section = word
            else:
                parts.setdefault(section, []).append(word)
        found[parts["NAME"][0]] = (int(parts["LAYER"][0]), set(parts.get("DEPS", [])), set(parts.get("TEST_DEPS", [])))
    return found


def check_includes(name, text, table):
    room = name.split("/")[1]
    if room not in table:
        return
    layer, deps, test_deps = table[room]
    is_test = name.endswith("_test.cpp") or "testing" in name
    for include in re.findall(r'^\s*#include "([^"]+)"', text, re.M):
        other = include.split("/")[0]
        if other == room or other not in table:
            continue
        if other not in deps and not (is_test and other in test_deps):
            problems.append(f"{name}: includes {include}, but room '{room}' does not name '{other}' in its module()")
        if table[other][0] >= layer and not is_test:
            problems.append(f"{name}: includes {include}: layer {table[other][0]} from layer {layer}")


table = rooms()
for name in tracked("src/*", "tests/*", "bench/*", "fuzz/*", "examples/*"):
    if not re.search(r"\.(cpp|h|py|sh|cmake)$", name):
        continue
    text = (root / name).read_text(errors="replace")
    lines = text.count("\n")
    if lines > FILE_LINES_MAX:
        problems.append(f"{name}: {lines} lines; past {FILE_LINES_MAX} look for the seam")
    if name.startswith("src/") and name.endswith((".cpp", ".h")):
        check_includes(name, text, table)
    if name.endswith((".cpp", ".h")):
        for pattern, allowed, instead in BANS:
            if re.search(allowed, name):
                continue
            for number, line in enumerate(text.splitlines(), 1):
                if re.search(pattern, line):
                    problems.append(f"{name}:{number}: banned: {line.strip()[:80]}\n    use {instead}")
        if name.endswith(".h") and "#pragma once" not in text:
            problems.append(f"{name}: no #pragma once")
for room in table:
    if not (root / "src" / room / "README.md").exists():
        problems.append(f"src/{room}: no README.md (purpose, contract, where to start reading)")

print("\n".join(problems) if problems else f"tidy: {len(table)} rooms, nothing to say")
sys.exit(1 if problems else 0)
