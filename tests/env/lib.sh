# shellcheck shell=bash
# What the scripts of this folder share. Sourced, never run.

# Progress goes to stderr: stdout is for what another program reads.
say() { printf '%s\n' "$*" >&2; }

die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# Where what was fetched once is kept: outside the source tree, so that every checkout shares it.
cache_dir() {
  local dir="${XDG_CACHE_HOME:-${HOME:?set HOME or XDG_CACHE_HOME}/.cache}/streamium-pay"
  mkdir -p "$dir"
  (cd "$dir" && pwd)
}

# Two runs on one machine must not build the same folder at once. The lock dies with its holder.
with_lock() { # name, command...
  local lock
  lock="$(cache_dir)/$1.lock"
  shift
  (
    flock 9
    # 9>&-: what the command leaves running must not keep the lock.
    "$@" 9>&-
  ) 9>"$lock"
}

# The distribution's python3, not one that shadows it on PATH: the packages set-up installs (venv, headers)
# belong to the distribution's.
system_python() {
  if [ -x /usr/bin/python3 ]; then
    echo /usr/bin/python3
  else
    command -v python3 || die "python3 is missing: run tests/env/setup.sh"
  fi
}

project_root() { (cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd); }

rust_version_wanted() {
  sed -nE 's/^rust-version = "([0-9.]+)"$/\1/p' "$(project_root)/Cargo.toml"
}

recent_enough() { # cargo program
  local version
  version=$("$1" --version 2>/dev/null | awk '{ print $2 }')
  [ -n "$version" ] && printf '%s\n%s\n' "$(rust_version_wanted)" "$version" | sort -V -C
}

# Where rustup's own script installs it and cargo, and not every shell looks. Last, so that it shadows nothing.
PATH="$PATH:${CARGO_HOME:-${HOME:-}/.cargo}/bin"

# Puts a cargo that is new enough first on PATH; fails where there is none. A distribution's older one may
# stand before it, so each known place is asked.
use_cargo() {
  local cargo
  for cargo in "$(command -v cargo || true)" "${CARGO_HOME:-${HOME:-}/.cargo}/bin/cargo" \
    "$(rustup which --toolchain stable cargo 2>/dev/null || true)"; do
    if [ -x "$cargo" ] && recent_enough "$cargo"; then
      PATH="$(dirname "$cargo"):$PATH"
      export PATH
      return 0
    fi
  done
  return 1
}
