# SPDX-License-Identifier: BSD-3-Clause
# Shared by jobs/quickstart and tests/run: installs what is missing, builds, and prepares the environment of MPI runs.
# To be sourced by a bash script with `set -euo pipefail`.
# shellcheck shell=bash

setup_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

setup_fail() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}

# Runs a command with its output in build/logs/NAME.log; shows the end of it if the command fails.
#   setup_quietly NAME COMMAND...
setup_quietly() {
    local log=$setup_root/build/logs/$1.log
    shift
    mkdir -p "$(dirname "$log")"
    if ! "$@" >"$log" 2>&1; then
        tail -n 30 "$log" >&2
        setup_fail "failed: $* (the whole output is in $log)"
    fi
}

setup_missing() {
    local package for
    while read -r package for _; do
        case $package in '' | '#'*) continue ;; esac
        [ "$for" = all ] || [ "$for" = "$1" ] || continue
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
    done <"$setup_root/jobs/packages.txt"
}

# Installs the packages of jobs/packages.txt that are missing: those for `all`, and those for $1.
setup_packages() {
    local missing as_root=()
    command -v dpkg-query >/dev/null ||
        setup_fail "this is not a Debian system: install what jobs/packages.txt lists by hand, then build with CMake (README.md)"
    mapfile -t missing < <(setup_missing "$1")
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null ||
            setup_fail "these packages are missing, and neither root nor sudo is here to install them: ${missing[*]}"
        as_root=(sudo)
    fi
    echo "Installing: ${missing[*]}"
    # sudo may ask for a password, which must not vanish into the log.
    [ ${#as_root[@]} = 0 ] || sudo -v || setup_fail "sudo refused; please install these packages: ${missing[*]}"
    setup_quietly apt-update "${as_root[@]}" apt-get update
    setup_quietly apt-install "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends "${missing[@]}"
}

# Configures and builds a preset in build/NAME.
#   setup_build PRESET [NAME [CMAKE_OPTION...]]
setup_build() {
    local preset=$1 name=${2:-$1}
    shift $(($# < 2 ? $# : 2))
    cd "$setup_root"
    setup_quietly "configure-$name" cmake --preset "$preset" -B "build/$name" "$@"
    setup_quietly "build-$name" cmake --build "build/$name" --parallel "$(nproc)"
    cd "$OLDPWD"
}

setup_mpi() {
    set -a
    # shellcheck source=mpirun.env
    . "$setup_root/jobs/mpirun.env"
    set +a
}
