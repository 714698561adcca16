#!/bin/sh
# tune_report.sh: tunes twice from nothing, and then times what both runs chose, and the default, in turn.
# Usage: tune_report.sh [BUDGET_SECONDS] [arguments of clm tune...]
# Prints two tables for docs/performance.md: the first run's gain for each launch, and how the choices
# compare. Fails when two choices are more than 5 % apart, or one is slower than the default by more than 3 %.
# Needs an idle machine.
# Environment: CLM  the program (default build/clm)
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
clm=${CLM:-$root/build/clm}
budget=${1:-600}
[ $# -gt 0 ] && shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for run in 1 2; do
    echo "run $run: $budget s" >&2
    XDG_DATA_HOME="$work/$run" "$clm" tune --budget "$budget" --seed "$run" "$@" >"$work/$run.log"
    tail -n 2 "$work/$run.log" >&2
done
XDG_DATA_HOME="$work/1" "$clm" tune show --markdown
echo
"$clm" tune diff "$work/1" "$work/2" --time --markdown >"$work/times"
cat "$work/times"

# Columns: launch, default, B / A, A / default, B / default; "same", "default", or a number and its spread.
awk -F '|' '
/^\|/ && NF == 7 && $4 !~ /B \/ A|--/ {
    n++
    apart = $4 + 0
    if (apart > 0 && (apart > 1.05 || apart < 1 / 1.05)) { print "apart:" $2 $4; bad = 1 }
    if ($5 + 0 > 1.03 || $6 + 0 > 1.03) { print "slower than the default:" $2 $5 $6; bad = 1 }
    if ($3 ~ /not compared/) { print "not compared:" $2 $3; bad = 1 }
}
END { if (n == 0) print "no launch was compared"; exit(bad || n == 0) }' "$work/times" >&2
