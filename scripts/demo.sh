#!/bin/sh
# Runs the example pipeline on the embedded stack, shows its report, and says how to go on.
set -eu
cd "$(dirname "$0")/.."
sh scripts/setup.sh
sh test_data/pipeline/run.sh "$@"
cat <<'END'

That was test_data/pipeline/workflow.yaml with the functions beside it. How to go on:
  ./gavotte runs                              the run just made, and its id
  ./gavotte status <run>                      what each of its steps did
  ./gavotte run test_data/sequence.yaml       a small workflow without functions
  ./gavotte validate test_data/pipeline/workflow.yaml
  npm run dev                                          the whole engine, until Ctrl-C
The data of these commands is in .gavotte/; README.md says the rest.
END
