#!/bin/sh
# Runs the tests; arguments go to vitest (a path, -t "a name"). Sets the checkout up first.
set -eu
cd "$(dirname "$0")/.."
sh scripts/setup.sh
exec npx --no-install vitest run "$@"
