#!/usr/bin/env bash
# Prints ELECTRUMX=…, a program that starts ElectrumX (it is set by environment variables). On the first run it
# is installed from PyPI into a virtual environment in the cache folder.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/lib.sh"

# Version 2 asks for a newer node than the one tests run.
readonly requirement='e-x[leveldb]==1.20.0'

# A virtual environment can't be moved once built, so it is built in place and marked when it is whole.
build_venv() { # folder, python
  rm -rf "$1"
  "$2" -m venv "$1" || return
  "$1/bin/pip" install --disable-pip-version-check "$requirement" || return
  "$1/bin/python" -c 'import electrumx, plyvel' || return
  touch "$1/complete"
}

fetch_electrumx() { # folder, python
  [ ! -e "$1/complete" ] || return 0
  say "installing ElectrumX ($requirement, into $1)"
  build_venv "$1" "$2" >"$1.log" 2>&1 && return
  tail -n 20 "$1.log" >&2
  die "could not install ElectrumX (see $1.log); tests/env/setup.sh installs what it needs of the system"
}

main() {
  local python version folder
  python=$(system_python)
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  folder="$(cache_dir)/electrumx-${requirement##*=}-python$version"
  with_lock electrumx fetch_electrumx "$folder" "$python"
  printf 'ELECTRUMX=%s\n' "$folder/bin/electrumx_server"
}

main
