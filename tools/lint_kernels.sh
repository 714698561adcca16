#!/bin/sh
# lint_kernels.sh [FILE...]: whether kernels of cl/ (all, without names) are valid OpenCL C 1.2 without warnings.
# Needs clang, and no driver.
set -eu
cd "$(dirname "$0")/.."

lint() # FILE DEFINES...
{
    clang -x cl -cl-std=CL1.2 -Xclang -finclude-default-header -fsyntax-only -Wall -Wextra -Werror \
        -Wno-unused-function -Wno-unused-parameter -I cl -include cl/prelude.cl "$@"
}

# What a kernel's tunables and the device choose between.
lint_variants() # FILE
{
    lint "$1"
    lint "$1" -DFAMILY=1 -DWG=64
    case $1 in
    cl/gemm_q4.cl) for few in 4 8; do lint "$1" -DFAMILY=2 -DT="$few"; done ;;
    cl/gemm_q8.cl) for few in 4 8; do lint "$1" -DFAMILY=2 -DT="$few" -DGROUP=16 -DHAS_MIN=1; done ;;
    cl/gemm_mma.cl) for mma in 2 3 4 5 6; do lint "$1" -DMMA="$mma"; done ;;
    esac
}

[ $# -gt 0 ] || set -- cl/*.cl
for file in "$@"; do
    case $file in # parts of the others
    cl/prelude.cl | cl/linear_group.cl | cl/gemv.cl | cl/head_vector.cl | cl/weight_group.cl) continue ;;
    cl/gemm_few.cl | cl/mma_ptx.cl | cl/mma_amd.cl | cl/mma_intel.cl | cl/mma_plain.cl) continue ;;
    esac
    lint_variants "$file"
done
