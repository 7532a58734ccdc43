#!/usr/bin/env bash
# clang-format (check only) and clang-tidy over changed files, or all with a second argument.
set -euo pipefail
build=$1
if [ -n "${2:-}" ]; then
  mapfile -t files < <(git ls-files '*.cpp' '*.h')
else
  mapfile -t files < <({ git diff --name-only HEAD; git diff --name-only HEAD~10 HEAD 2>/dev/null || true; } | sort -u | grep -E '\.(cpp|h)$' | xargs -r ls -d 2>/dev/null || true)
fi
[ ${#files[@]} -gt 0 ] || { echo "lint: nothing changed"; exit 0; }
clang-format-19 --dry-run --Werror "${files[@]}"
sources=()
for file in "${files[@]}"; do [[ $file == *.cpp && $file != fuzz/* ]] && sources+=("$file"); done
[ ${#sources[@]} -eq 0 ] || clang-tidy-19 --quiet -p "$build" "${sources[@]}"
