#!/bin/sh
# check_layers.sh: proves that include arrows point down (docs/design.md, "Layers"):
#     tools -> runtime/clm.h -> runtime -> tuning -> host
# and that OpenCL, CLBlast and libyaml are seen by host/ only.
set -eu
cd "$(dirname "$0")/.."
bad=0

# forbid WHERE PATTERN WHY: no #include line of files under WHERE may match PATTERN
forbid()
{
    # shellcheck disable=SC2086 # WHERE is a list
    found=$(grep -rnE "^ *# *include +$2" $1 --include='*.c' --include='*.h' --include='*.cc' || true)
    if [ -n "$found" ]; then
        printf '%s\n    %s\n' "$found" "$3"
        bad=1
    fi
}

forbid host '"(runtime|tuning|tools|tests)/' 'host/ includes host/ only'
forbid tuning '"(runtime|tools|tests)/' 'tuning/ includes host/ and tuning/ only'
forbid runtime '"(tools|tests)/' 'runtime/ includes host/, tuning/ and runtime/ only'
forbid 'runtime tuning tools' '[<"](CL/|clblast|yaml)' 'only host/ sees OpenCL, CLBlast and libyaml'
forbid 'runtime/formats runtime/text runtime/quantize' '"(runtime/(ops|model)/|tuning/)' 'formats, text and quantize know no device'
forbid runtime/ops '"runtime/(formats|text|model|clm)' 'operators know no model'
found=$(grep -rnE '^ *# *include +"(host|runtime|tuning)/' tools --include='*.c' --include='*.h' |
    grep -vE '"runtime/clm\.h"|^tools/(cmd_)?(bench|tune)[a-z_]*\.[ch]:.*"(runtime/(bench|tune)\.h|tuning/)|^tools/cmd_doctor\.c:.*"runtime/doctor\.h"' || true)
if [ -n "$found" ]; then
    printf '%s\n    tools/ includes runtime/clm.h only (bench, doctor and tune also runtime/bench.h, doctor.h, tune.h)\n' "$found"
    bad=1
fi
[ "$bad" = 0 ] && echo "layers: all includes point down"
exit "$bad"
