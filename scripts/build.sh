#!/bin/sh
# Compiles into dist/, with everything the compiled program reads beside it. With --if-stale only
# if a source is newer than dist/. With --no-check types are not checked, which is half of its time: for
# who checks them beside it (.ci/run).
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

library() {
  echo "module.exports = $2;" | npx --no-install esbuild --bundle --platform=node --format=cjs \
    --target=node20 --minify --legal-comments=linked --log-level=warning \
    --outfile="dist/quick/libraries/$1.cjs"
}

# The commands that only read files, in few files themselves: see cmd/bin.ts. What they need now and
# then stays outside.
bundle() {
  banner='import { createRequire as requireFrom__ } from "node:module";'
  banner="$banner const require = requireFrom__(import.meta.url);"
  others=$(find dist/cmd/commands -name "*.js" ! -name validate.js ! -name compile.js \
    ! -name convert.js ! -name explain.js ! -name schema.js -exec basename {} \; |
    sed 's#^#--external:./commands/#')
  # shellcheck disable=SC2086 # a list of options
  npx --no-install esbuild dist/cmd/main.js --bundle --platform=node --format=esm --splitting \
    --target=node20 --minify --legal-comments=linked --log-level=warning --outdir=dist/quick \
    --external:ajv --external:yaml --external:jiti $others \
    --banner:js="$banner"
  # What is loaded now and then, each in one file: see compiler/library.ts.
  library yaml 'require("yaml")'
  # In one file: formats that bring keywords must make them with the same library.
  library ajv '{ ...require("ajv/dist/2020.js"), addFormats: require("ajv-formats") }'
}

# A worker in few files: a hundred modules and six libraries in files of their own take 15 MB more, in
# the process and in its lease thread each. It lies beside cmd/main.js, so what it looks for relative
# to itself is found; what it starts as another process or thread is bundled with it.
bundle_worker() {
  banner='import { createRequire as requireFrom__ } from "node:module";'
  banner="$banner const require = requireFrom__(import.meta.url);"
  others=$(find dist/cmd/commands -name "*.js" ! -name worker.js -exec basename {} \; |
    sed 's#^#--external:./commands/#')
  # shellcheck disable=SC2086 # a list of options
  npx --no-install esbuild served=dist/cmd/main.js lease-thread=dist/worker/lease-thread.js \
    compile-thread=dist/supervisor/compile-thread.js check-thread=dist/gateway/check-thread.js \
    pglite-host=dist/cmd/embedded/pglite-host.js --bundle --platform=node --format=esm --splitting \
    --target=node20 --minify --keep-names --legal-comments=linked --log-level=warning \
    --outdir=dist/cmd --external:ajv --external:ajv-formats --external:yaml --external:jiti \
    --external:fastify --external:node-pg-migrate --external:pg-native \
    "--external:@electric-sql/*" $others \
    --banner:js="$banner"
}

if [ "${1:-}" = --if-stale ] && is_fresh; then exit 0; fi

mkdir -p dist
rm -f dist/.built
started=$(mktemp)
trap 'rm -f "$started"' EXIT
if [ "${1:-}" = --no-check ]; then check=--noCheck; else check=; fi
# shellcheck disable=SC2086 # an option or none
npx --no-install tsc -p tsconfig.build.json $check
npx --no-install tsx scripts/dev/gen-validators.ts dist/compiler/validators.js
bundle
bundle_worker
mkdir -p dist/migrations
cp migrations/*.sql dist/migrations/
chmod +x dist/cmd/main.js dist/cmd/bin.js
find dist -type f ! -newer "$started" -exec rm -f {} +
find dist -type d -empty -delete
touch -r "$started" dist/.built
