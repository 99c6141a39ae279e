#!/bin/sh
# Runs the tests; arguments go to vitest (a path, -t "a name"). Sets the checkout up first, and
# brings dist/ up to date: tests of the command line run what is built, as users do. All others run
# the sources, and those too if the build fails, which does not stop them: what they say helps to
# see why.
set -eu
cd "$(dirname "$0")/.."
sh scripts/setup.sh
if sh scripts/build.sh --if-stale; then
  export GAVOTTE_TEST_PROGRAM=dist/cmd/bin.js
else
  echo "test: dist/ could not be built (see above); the tests run the sources" >&2
fi
exec npx --no-install vitest run "$@"
