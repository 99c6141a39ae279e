#!/bin/sh
# Compiles into dist/, with everything the compiled program reads beside it.
set -eu
cd "$(dirname "$0")/.."
rm -rf dist
npx --no-install tsc -p tsconfig.build.json
mkdir -p dist/migrations
cp migrations/*.sql dist/migrations/
if [ -f dist/cmd/main.js ]; then chmod +x dist/cmd/main.js; fi
