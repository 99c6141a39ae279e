#!/bin/sh
# Explores every line of `cases`: rules must hold, faults must be caught, ends must be reachable.
# QUICK=1: only the lines marked q. Arguments: only models whose name begins with one of them.
# Exits with 0 if everything is as expected, also where spin or gcc is missing (it says so).
cd "$(dirname "$0")" || exit 2
for tool in spin gcc; do
  command -v "$tool" >/dev/null 2>&1 || {
    echo "SKIPPED: $tool is not installed (Debian: apt-get install -y spin gcc)"
    exit 0
  }
done
bad=0
count=0
wanted() {
  [ -z "$QUICK" ] || [ "$2" = q ] || return 1
  [ -n "$names" ] || return 0
  for name in $names; do case "$1" in "$name"*) return 0 ;; esac; done
  return 1
}
names=$*
while read -r expect quick model switches; do
  case "$expect" in '' | '#'*) continue ;; esac
  wanted "$model" "$quick" || continue
  count=$((count + 1))
  line=$(sh run.sh "$switches" "$model.pml" 2>&1)
  code=$?
  verdict=ok
  case "$expect" in
    holds) [ "$code" = 0 ] || verdict="NOT AS EXPECTED: the rules must hold" ;;
    # A verdict of its own: what does not compile, or runs out of time, has caught nothing.
    caught | reached)
      case "$line" in *"errors: 1 "*) ;; *) verdict="NOT AS EXPECTED: must be $expect" ;; esac ;;
    *) verdict="NOT AS EXPECTED: unknown word in cases" ;;
  esac
  [ "$verdict" = ok ] || bad=1
  echo "$expect | $line | $verdict"
done <cases
[ "$count" -gt 0 ] || { echo "no case is called that"; exit 2; }
if [ "$bad" = 0 ]; then what="all as expected"; else what="NOT all as expected"; fi
echo "$count cases, $what"
exit "$bad"
