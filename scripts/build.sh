#!/bin/sh
# Compiles into dist/, with everything the compiled program reads beside it. With --if-stale only
# if a source is newer than dist/.
#
# Files are replaced in place, and what this build has not written is removed at the end: a program
# that runs from dist/ meanwhile does not lose its modules.
set -eu
cd "$(dirname "$0")/.."
sources="cmd compiler condition sdk worker supervisor gateway migrations"

is_fresh() {
  [ -f dist/.built ] || return 1
  # shellcheck disable=SC2086 # a list of folders
  newer=$(find $sources package.json tsconfig.json tsconfig.build.json -newer dist/.built \
    ! -name '*.test.ts' ! -name '*.fixture.ts' -print)
  [ -z "$newer" ]
}

if [ "${1:-}" = --if-stale ] && is_fresh; then exit 0; fi

mkdir -p dist
rm -f dist/.built
started=$(mktemp)
trap 'rm -f "$started"' EXIT
npx --no-install tsc -p tsconfig.build.json
mkdir -p dist/migrations
cp migrations/*.sql dist/migrations/
chmod +x dist/cmd/main.js
find dist -type f ! -newer "$started" -exec rm -f {} +
find dist -type d -empty -delete
touch -r "$started" dist/.built
