# Sourced by the install scripts beside it: calls for Debian's packages, and only
# where the machine lacks a command.

# need COMMAND PACKAGE FOR installs the package where the command is missing.
need() {
	command -v "$1" >/dev/null && return 0
	if ! command -v apt-get >/dev/null; then
		echo "$3 needs $1: install it with this system's package manager" >&2
		exit 1
	fi
	local as_root=()
	[[ $(id -u) -eq 0 ]] || as_root=(sudo)
	echo "installing $2 for $3"
	"${as_root[@]}" apt-get update -qq
	DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "$2"
}
