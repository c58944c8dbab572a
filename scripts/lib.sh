# Shared by the scripts in this folder: where things are, how to speak, how many jobs fit. Source it; it runs nothing.
# shellcheck shell=bash

HEARTH_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC2034  # used by those who source this
HEARTH_BUILD=$HEARTH_ROOT/build/release
HEARTH_SELF=$(basename "$0")
HEARTH_PRESET=release
cd "$HEARTH_ROOT" || exit 1

say() { printf '%s: %s\n' "$HEARTH_SELF" "$*"; }
fail() { # fail CODE MESSAGE...: exit codes are those of docs/exit-codes.md
    local code=$1
    shift
    printf '%s: %s\n' "$HEARTH_SELF" "$1" >&2
    shift
    [ $# = 0 ] || printf '%s\n' "$@" >&2
    exit "$code"
}

# help_if_asked "$@": with --help or -h, prints the comment block at the top of the script and leaves.
help_if_asked() {
    local arg
    for arg in "$@"; do
        case $arg in
        --) return 0 ;;
        -h | --help)
            sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$HEARTH_ROOT/scripts/$HEARTH_SELF"
            exit 0
            ;;
        esac
    done
}

# Compiling LibTorch headers takes up to about 2 GB a job; HEARTH_JOBS overrides.
jobs_that_fit() {
    if [ -n "${HEARTH_JOBS:-}" ]; then
        echo "$HEARTH_JOBS"
        return
    fi
    local cores megabytes limit fit
    cores=$(nproc)
    megabytes=$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)
    limit=$(cat /sys/fs/cgroup/memory.max 2>/dev/null || echo max)
    if [ "$limit" != max ] && [ $((limit / 1048576)) -lt "$megabytes" ]; then
        megabytes=$((limit / 1048576))
    fi
    fit=$((megabytes / 2000))
    [ "$fit" -ge 1 ] || fit=1
    echo $((fit < cores ? fit : cores))
}

# build_target TARGET...: ninja runs CMake again by itself where a CMakeLists.txt changed. HEARTH_PRESET is the preset it builds.
build_target() {
    local jobs
    jobs=$(jobs_that_fit)
    say "building $* ($jobs jobs)"
    cmake --build --preset "$HEARTH_PRESET" --target "$@" --parallel "$jobs"
}
