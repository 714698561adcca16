#!/bin/sh
# quickstart.sh: from a fresh Debian 12 or newer to a conversation. Installs what is missing, builds, and runs
#     clm chat --config configs/demo.yaml ARGUMENTS...
# With -p TEXT, or standard input not a terminal, one answer is printed on stdout.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/tools/packages.sh"

# shellcheck disable=SC2086 # lists of words on purpose
install_packages $CLM_PACKAGES

build="$root/build"
log="$build/quickstart.log"
mkdir -p "$build"
if [ ! -x "$build/clm" ]; then say "Building clm (a minute or so; log: $log) ..."; fi
if ! { cmake -S "$root" -B "$build" -G Ninja -DCLM_BUILD_TESTS=OFF && cmake --build "$build"; } >"$log" 2>&1 </dev/null
then
    tail -n 30 "$log" >&2
    say "The build failed; the whole log is in $log"
    exit 1
fi
exec "$build/clm" chat --config "$root/configs/demo.yaml" "$@"
