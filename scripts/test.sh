#!/bin/sh
# Runs the tests; arguments go to vitest (a path, -t "a name"). Sets the checkout up first, and
# brings dist/ up to date. The tests themselves run the sources, so a failed build does not stop
# them: what they say helps to see why.
set -eu
cd "$(dirname "$0")/.."
sh scripts/setup.sh
sh scripts/build.sh --if-stale ||
  echo "test: dist/ could not be built (see above); the tests run the sources" >&2
exec npx --no-install vitest run "$@"
