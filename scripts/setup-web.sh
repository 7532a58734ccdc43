#!/usr/bin/env bash
# Installs the npm packages of the console and of the tests that drive real clients, once per lock file.
set -euo pipefail
cd "$(dirname "$0")/.."
for folder in web tests/kubectl tests/store/npm; do
  [ -f "$folder/package-lock.json" ] || continue
  stamp="$folder/node_modules/.installed"
  if [ ! -f "$stamp" ] || [ "$folder/package-lock.json" -nt "$stamp" ]; then
    echo "setup: npm packages of $folder"
    (cd "$folder" && npm ci --no-audit --no-fund --loglevel=error)
    touch "$stamp"
  fi
done
