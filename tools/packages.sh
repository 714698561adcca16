# packages.sh: what clm needs from Debian, and how the scripts install what is missing. Sourced by
# quickstart.sh and test.sh; everything it says goes to stderr.

# To build and run. pocl-opencl-icd is the driver for any CPU, so that there is always a device.
# libabsl-dev: SentencePiece's header wants it from version 0.2.2 (Debian 14) on, and its package does not say so.
CLM_PACKAGES="cmake ninja-build pkg-config gcc g++ libc6-dev
    ocl-icd-opencl-dev opencl-headers pocl-opencl-icd libclblast-dev
    libyaml-dev libsentencepiece-dev libabsl-dev libpcre2-dev libxxhash-dev libjansson-dev libzip-dev libedit-dev
    libmicrohttpd-dev libcsv-dev"

# To test as well.
CLM_TEST_PACKAGES="libcmocka-dev oclgrind clang libclang-rt-dev clang-format python3 python3-venv ca-certificates
    chromium chromium-driver"

say() { printf '%s\n' "$*" >&2; }

# install_packages NAME...: installs those that are missing. Needs root or sudo only if any is.
install_packages()
{
    missing=""
    if ! command -v dpkg-query >/dev/null 2>&1; then
        say "This system has no Debian packages: install by its own means what these packages hold, then run again"
        say "with CLM_NO_INSTALL=1: $*"
        [ -n "${CLM_NO_INSTALL:-}" ] && return 0
        return 1
    fi
    for package in "$@"; do
        state=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null) || state=""
        [ "$state" = "install ok installed" ] || missing="$missing $package"
    done
    [ -z "$missing" ] && return 0
    if [ -n "${CLM_NO_INSTALL:-}" ]; then
        say "Missing packages:$missing"
        return 1
    fi
    if [ "$(id -u)" = 0 ]; then
        run=""
    elif command -v sudo >/dev/null 2>&1; then
        run="sudo"
    else
        say "Missing packages:$missing"
        say "Run this as root, or install sudo."
        return 1
    fi
    say "Installing:$missing"
    # shellcheck disable=SC2086 # lists of words on purpose
    $run env DEBIAN_FRONTEND=noninteractive apt-get -q update >&2 &&
        $run env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends $missing >&2 || {
        say "The packages could not be installed (see above)."
        return 1
    }
}
