#!/bin/sh
# Explores one model: run.sh "<-D switches>" [model.pml]. One line: what was found, how large, how long.
# 0 only for "no errors" in an exhaustive search; a search cut by time, depth or memory does not pass.
# TRAIL=40 also prints the end of a counter-example. TMO seconds (120), MEM MiB (900), OPT (-O1).
here=$(cd "$(dirname "$0")" && pwd)
model=${2:-tokens.pml}
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cp "$here"/*.pml "$work"
cd "$work" || exit 2
# shellcheck disable=SC2086
spin -a $1 "$model" >spin.out 2>&1 || { cat spin.out; echo "$model $1 | does not translate"; exit 2; }
gcc "${OPT:--O1}" -w -DSAFETY -DCOLLAPSE -DVECTORSZ=2048 -DMEMLIM="${MEM:-900}" -o pan pan.c ||
  { echo "$model $1 | does not compile"; exit 2; }
nice -n 10 timeout "${TMO:-120}" ./pan -m200000 -n >out.txt 2>&1
code=$?
errors=$(grep -oE 'errors: [0-9]+' out.txt)
states=$(grep -oE '[0-9.e+]+ states, stored' out.txt | sed 's/ states, stored//')
seconds=$(grep -oE 'elapsed time [0-9.e+-]+' out.txt | sed 's/elapsed time //')
why=$(grep -m1 -E '^pan:1:' out.txt | sed -e 's/^pan:1: //' -e 's/ (at depth.*//')
cut=
grep -qE 'max search depth too small|out of memory|reached -DMEMLIM' out.txt && cut="NOT EXHAUSTIVE"
echo "$model $1 | ${errors:-no verdict ($code)} | ${states:-?} states | ${seconds:-?} s | $why $cut"
# shellcheck disable=SC2086
[ -n "$TRAIL" ] && [ -f "$model.trail" ] && spin -t -p -g $1 "$model" | tail -n "$TRAIL"
[ "$code" = 0 ] && [ -z "$cut" ] && [ "$errors" = "errors: 0" ]
