# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Completion of `wavecut` for bash. What there is to complete, --help says: commands and options need no second list.

_wavecut() {
    local program=$1 word=${COMP_WORDS[COMP_CWORD]} command='' i help usage
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        [[ ${COMP_WORDS[i]} == -* ]] || { command=${COMP_WORDS[i]} && break; }
    done
    if [[ -z $command && $word != -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$("$program" --help 2>/dev/null | sed -n '/^Commands:/,/^$/s/^  \([a-z-]*\) .*/\1/p')" -- "$word")
        return
    fi
    # shellcheck disable=SC2086 # no command: no argument
    help=$("$program" $command --help 2>/dev/null) || return 0
    if [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(grep -oE '^ .{0,5}--[a-z][a-z-]*=?' <<<"$help" | grep -oE -- '--.*')" -- "$word")
        [[ ${#COMPREPLY[@]} != 1 || ${COMPREPLY[0]} != *= ]] || compopt -o nospace 2>/dev/null || true
        return
    fi
    usage=$(sed -n 's/^Usage: wavecut [a-z-]* \[OPTION\.\.\.\]//p' <<<"$help")
    case $usage in
    *FILE*) # snapshots, and directories on the way to them
        mapfile -t COMPREPLY < <(compgen -f -X '!*.h5' -- "$word"; compgen -d -- "$word") ;;
    *DIR*) mapfile -t COMPREPLY < <(compgen -d -- "$word") ;;
    *) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
    esac
    compopt -o filenames 2>/dev/null || true # outside of a completion it fails
}
complete -F _wavecut wavecut
