#!/bin/sh
# oclgrind.sh BUILD [TEST...]: runs operator tests of a build folder (test_op_add ...; all without names) on small
# shapes under Oclgrind (unoptimised: its check of uninitialised values crashes on optimised vector code).
# Oclgrind returns the program's own exit code, so a kernel is judged by the log: it must be empty.
# linear_*, attention and attention_decode run without the check of uninitialised values, in which Oclgrind
# 21.10 itself crashes (memcpy in Uninitialized::instructionExecuted); races, bounds and the API are checked.
set -u
build=$1
shift
# shellcheck disable=SC2046 # names without spaces
[ $# -gt 0 ] || set -- $(cd "$build" && ls -d test_op_*)
log=$(mktemp)
cache=$(mktemp -d) # a binary of an optimised run would bring the crash back
passed=0
failed=0
trap 'rm -rf "$log" "$cache"' EXIT

for name in "$@"; do
    test=$build/$name
    : >"$log"
    uninitialized=--uninitialized
    case $name in test_op_linear_* | test_op_attention | test_op_attention_decode) uninitialized= ;; esac
    # Oclgrind is its own platform: the loader of the system would hide it. It runs no inline assembly.
    if output=$(env -u OCL_ICD_VENDORS XDG_CACHE_HOME="$cache" CLM_TEST_SMALL=1 CLM_TEST_DEVICE=auto CLM_DOT=plain CLM_AMX=0 \
        oclgrind --data-races $uninitialized --check-api --build-options -cl-opt-disable --log "$log" \
        "$test" 2>&1) && [ ! -s "$log" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf '%s under Oclgrind:\n%s\n' "$name" "$output" | tail -n 30
        head -n 40 "$log"
    fi
done
echo "oclgrind: $passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
