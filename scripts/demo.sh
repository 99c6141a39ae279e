#!/bin/sh
# Runs the example pipeline on the embedded stack and shows its report.
set -eu
cd "$(dirname "$0")/.."
sh scripts/setup.sh
exec sh test_data/pipeline/run.sh "$@"
