#!/usr/bin/env bash
# Prints NEXTEST=…, the program cargo-nextest: that of this machine, or else one that cargo builds into the cache folder
# on the first run. That takes two to three minutes on two processors, and each run of the suite then takes a third of
# what it does without.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/lib.sh"

readonly wanted=0.9.143

# Unoptimized, which takes half the time to build: it waits for tests.
build_nextest() { # folder
  cargo install cargo-nextest --version "$wanted" --locked --debug --config 'profile.dev.debug=false' --root "$1"
}

fetch_nextest() { # folder
  [ ! -x "$1/bin/cargo-nextest" ] || return 0
  say "building cargo-nextest $wanted (into $1)"
  mkdir -p "$1"
  # In a folder without a workspace: its target folder is cargo's own, and temporary.
  (cd "$1" && build_nextest "$1") >"$1.log" 2>&1 && return
  tail -n 20 "$1.log" >&2
  die "could not build cargo-nextest (see $1.log)"
}

main() {
  local folder exe
  use_cargo || die "no Rust: run tests/env/setup.sh"
  if exe=$(command -v cargo-nextest); then
    printf 'NEXTEST=%s\n' "$exe"
    return
  fi
  folder="$(cache_dir)/nextest-$wanted"
  with_lock nextest fetch_nextest "$folder"
  printf 'NEXTEST=%s\n' "$folder/bin/cargo-nextest"
}

main
