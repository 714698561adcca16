#!/bin/sh
# tune_report.sh: tunes twice from nothing and says how well the two runs agree. Needs an idle machine.
# Usage: tune_report.sh [BUDGET_SECONDS] [arguments of clm tune...]
# Prints the table of the first run for docs/performance.md, then each launch's times in both runs.
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

# One entry a line: operator, shape, ms, default_ms.
entries()
{
    sed -n 's/^  - {op: \([a-z0-9_]*\), shape: "\([^"]*\)".*}, ms: \([0-9.e+-]*\),.* default_ms: \([0-9.e+-]*\),.*/\1 \2|\3|\4/p' \
        "$work/$1"/clm/tuning/*.yaml | sort
}
entries 1 >"$work/a"
entries 2 >"$work/b"
echo
echo "| launch | run 1, ms | run 2, ms | apart | tuned / default, run 1 | run 2 |"
echo "|---|--:|--:|--:|--:|--:|"
join -t '|' "$work/a" "$work/b" | awk -F '|' '
function part(time, first) { return first > 0 ? sprintf("%.3f", time / first) : "-" }
function note(time, first) { if (first > 0 && time / first > slowest) slowest = time / first }
{
    apart = 100 * (($2 > $4) ? $2 / $4 - 1 : $4 / $2 - 1)
    if (apart > worst) worst = apart
    note($2, $3)
    note($4, $5)
    printf("| %s | %.4g | %.4g | %.1f %% | %s | %s |\n", $1, $2, $4, apart, part($2, $3), part($4, $5))
}
END { printf("\n%d launches; at most %.1f %% apart; tuned is at most %.3f times the default\n", NR, worst, slowest) }'
