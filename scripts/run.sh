#!/usr/bin/env bash
# Starts Roadstead with the example bank applied. Arguments after the build folder go to `roadstead up`.
set -euo pipefail
build=$1
shift
# Containers of image `host` inherit this PATH: the bank's program is found in the build folder.
export PATH="$PWD/$build/examples/bank:$PATH"
exec "$build/roadstead" up --apply examples/bank/bank.yaml "$@"
