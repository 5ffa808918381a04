# Sourced by the other tools: how they speak, and how they become root. No command of its own.
# Everything a tool says goes to stderr, so that stdout stays with the command it serves.

TOOL=${0##*/}

say() { printf '%s: %s\n' "$TOOL" "$*" >&2; }

loud() {
    printf '\n*** %s: %s\n' "$TOOL" "$1" >&2
    shift
    [ $# -eq 0 ] || printf '***   %s\n' "$@" >&2
    printf '\n' >&2
}

# Debian keeps daemons and network tools where an ordinary user's PATH does not look.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
export PATH

have() { command -v "$1" >/dev/null 2>&1; }

# root_is_possible: root already, or sudo that asks for no password (a tool may run without a terminal).
root_is_possible() { [ "$(id -u)" -eq 0 ] || { have sudo && sudo -n true 2>/dev/null; }; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n -- "$@"; fi
}
