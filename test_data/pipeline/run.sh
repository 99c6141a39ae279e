#!/bin/sh
# Runs the film pipeline: serves the data set on this machine, runs the workflow against it, shows
# the report. The report is written to .gavotte/report.md, or to the path given as the argument.
set -eu
cd "$(dirname "$0")/../.."
report=${1:-.gavotte/report.md}

address=$(mktemp)
node --import tsx test_data/pipeline/server.ts >"$address" &
server=$!
trap 'kill "$server" 2>/dev/null; rm -f "$address"' EXIT
trap 'exit 130' INT TERM

# The server writes its address when it can be asked, or ends.
until [ -s "$address" ]; do
  kill -0 "$server" 2>/dev/null || { echo "the example's server did not start" >&2; exit 3; }
  sleep 0.1
done

npx tsx cmd/main.ts run test_data/pipeline/workflow.yaml \
  --functions test_data/pipeline/functions.ts \
  --input "{\"base_url\": \"$(cat "$address")\", \"report\": \"$report\"}"

echo
cat "$report"
