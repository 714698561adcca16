#!/bin/sh
# fuzz.sh SECONDS [NAME...]: builds the fuzzers of tests/fuzz and runs each (or those named: gguf,
# safetensors, torch, config, tokenizer, request, csv) for so many seconds. Stops at the first finding: the input
# that shows it is then in the build folder.
# Environment: CLM_FUZZ_BUILD  build folder (build-fuzz); CLM_GOLDEN  golden files, whose malformed
#              ones are the seeds (without them it begins with nothing)
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
seconds=${1:?usage: fuzz.sh SECONDS [NAME...]}
shift
names=${*:-gguf safetensors torch config tokenizer request csv}
build=${CLM_FUZZ_BUILD:-$root/build-fuzz}
golden=${CLM_GOLDEN:-$root/../shared/golden}/bad

CC=clang CXX=clang++ cmake -S "$root" -B "$build" -G Ninja -DCLM_FUZZ=ON -DCLM_BUILD_TESTS=OFF \
    -DCMAKE_BUILD_TYPE=RelWithDebInfo >/dev/null

# The inputs to begin with: small sound files, and the malformed ones.
seed()
{
    case $1 in
    gguf) find "$golden" -name '*.gguf' -size -128k ;;
    safetensors) find "$golden" -name '*.safetensors' -size -128k ;;
    torch) find "$golden" -name '*.bin' -size -128k ;;
    config) find "$golden" -path '*/config/*.json' -size -128k; ls "$golden"/base/*.json ;;
    tokenizer) find "$golden" -name '*.model' -size -128k ;;
    request) find "$root/tests/data/requests" -name '*.json' ;;
    csv) find "$root/tests/data" -name '*.csv' ;;
    esac
}

# Beside the archives, their pickles: see fuzz_torch.c.
extract_pickles()
{
    python3 - "$1" <<'PYTHON'
import pathlib, sys, zipfile
for path in pathlib.Path(sys.argv[1]).glob("*.bin"):
    try:
        archive = zipfile.ZipFile(path)
        for name in archive.namelist():
            if name.endswith("data.pkl"):
                path.with_suffix(".pkl").write_bytes(archive.read(name))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError):
        pass  # malformed on purpose
PYTHON
}

for name in $names; do
    cmake --build "$build" --target "fuzz_$name" >/dev/null
    corpus=$build/corpus/$name
    mkdir -p "$corpus"
    if [ -d "$golden" ] || [ "$name" = request ] || [ "$name" = csv ]; then
        seed "$name" | while read -r file; do cp -f "$file" "$corpus/"; done
        [ "$name" != torch ] || extract_pickles "$corpus"
        chmod -R u+w "$corpus"
    fi
    echo "== fuzz_$name for $seconds s =="
    if ! (cd "$build" && UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 "./fuzz_$name" \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=131072 \
        -print_final_stats=1 "corpus/$name" >"fuzz_$name.log" 2>&1); then
        tail -n 60 "$build/fuzz_$name.log"
        echo "fuzz_$name: a finding (see above)" >&2
        exit 1
    fi
    grep -E 'number_of_executed_units|peak_rss_mb' "$build/fuzz_$name.log"
done
