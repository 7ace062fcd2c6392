#!/usr/bin/env bash
# Finds a Bitcoin node for regtest and prints where it is, as two lines: BITCOIND=… and BITCOIN_CLI=….
#
# In this order: $BITCOIND_EXE (and $BITCOIN_CLI_EXE, or the bitcoin-cli beside it), bitcoind on PATH, a copy
# fetched earlier, Debian's package `bitcoin-knots`. That package is in Debian unstable only, so it is unpacked
# into a cache folder with the libraries it needs, and started through their own loader. Nothing is installed
# and the system's package sources stay as they are.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/lib.sh"

readonly package=bitcoin-knots suite=sid

print_node() { # bitcoind, bitcoin-cli
  [ -x "$2" ] || die "no bitcoin-cli at $2: set BITCOIN_CLI_EXE"
  printf 'BITCOIND=%s\nBITCOIN_CLI=%s\n' "$1" "$2"
}

find_cli() { # bitcoind
  local beside
  beside="$(dirname "$1")/bitcoin-cli"
  if [ -n "${BITCOIN_CLI_EXE:-}" ]; then
    echo "$BITCOIN_CLI_EXE"
  elif [ -x "$beside" ]; then
    echo "$beside"
  else
    command -v bitcoin-cli || die "found $1 but no bitcoin-cli: install it, or set BITCOIN_CLI_EXE"
  fi
}

# The archive this machine already uses comes first: often a near mirror, sometimes the only host it can reach.
# apt itself reads its sources, so that both formats (.list, .sources) are understood.
mirrors() {
  local codename
  # shellcheck source=/dev/null
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-sid}")
  {
    apt-get update --print-uris 2>/dev/null |
      sed -nE "s#^'([^']*)/dists/($codename|stable|testing|unstable|sid)/InRelease'.*#\1#p" |
      grep -v '^cdrom:' || true
    echo http://deb.debian.org/debian
  } | awk '!seen[$0]++'
}

debian_keyring() {
  local file
  for file in /usr/share/keyrings/debian-archive-keyring.{gpg,pgp}; do
    if [ -r "$file" ]; then
      echo "$file"
      return
    fi
  done
  die "Debian's signing keys are missing: apt-get install debian-archive-keyring, or set BITCOIND_EXE"
}

# A package root of its own: own sources, lists and cache, and an empty list of what is installed, so that
# apt answers with the whole set of libraries. Proxy settings are still the system's.
make_apt_root() { # folder, keyring, mirror
  local root=$1
  mkdir -p "$root/lists/partial" "$root/cache/archives/partial"
  : >"$root/status"
  echo "deb [signed-by=$2 target=Packages] $3 $suite main" >"$root/sources.list"
  cat >"$root/apt.conf" <<CONF
Dir::Etc::SourceList "$root/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State "$root";
Dir::State::Lists "$root/lists";
Dir::State::status "$root/status";
Dir::Cache "$root/cache";
Acquire::Languages "none";
Acquire::Retries "3";
APT::Get::AllowUnauthenticated "false";
APT::Update::Error-Mode "any";
#clear APT::Default-Release;
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
CONF
  # apt drops to its own user to download, who can't read a private home folder.
  if [ "$(id -u)" = 0 ]; then
    echo 'APT::Sandbox::User "root";' >>"$root/apt.conf"
  fi
}

private_apt() { # folder, apt-get arguments...
  local root=$1
  shift
  apt-get -q -c "$root/apt.conf" "$@"
}

# Several sources may name a Debian suite without being Debian: the first one wins whose $suite is signed by
# Debian and holds the package.
update_apt_root() { # folder
  local root=$1 keyring mirror
  keyring=$(debian_keyring)
  for mirror in $(mirrors); do
    rm -rf "$root"
    make_apt_root "$root" "$keyring" "$mirror"
    if private_apt "$root" update && private_apt "$root" install --simulate "$package" >/dev/null; then
      return
    fi
  done
  return 1
}

download() { # apt folder, folder for the packages
  local names
  # Its libraries; not what it needs as a service of the system (systemd, debconf).
  names=$(private_apt "$1" install --simulate --no-install-recommends "$package" |
    awk '$1 == "Inst" && $2 ~ /^(lib|zlib)/ { print $2 }') || return
  mkdir -p "$2"
  # shellcheck disable=SC2086 # a list of names
  (cd "$2" && private_apt "$1" download "$package" $names)
}

# The loader must be that of the libc it loads, so each program gets a wrapper that starts it through it.
write_wrapper() { # folder, program
  local loader
  loader=$(cd "$1/root" && find usr/lib -name 'ld-linux*.so.*' | head -n 1)
  if [ -z "$loader" ]; then
    say "the downloaded libc has no loader"
    return 1
  fi
  cat >"$1/bin/$2" <<WRAPPER
#!/bin/sh
root=\$(dirname "\$(readlink -f "\$0")")/../root
exec "\$root/$loader" --library-path "\$root/$(dirname "$loader"):\$root/usr/lib" "\$root/usr/bin/$2" "\$@"
WRAPPER
  chmod +x "$1/bin/$2"
}

# `|| return` throughout: bash ignores -e in what runs under a condition, and the caller asks whether this worked.
build_node() { # folder
  local deb program
  mkdir -p "$1/root" "$1/bin"
  update_apt_root "$1/apt" || return
  download "$1/apt" "$1/debs" || return
  for deb in "$1"/debs/*.deb; do
    dpkg-deb -x "$deb" "$1/root" || return
  done
  for program in bitcoind bitcoin-cli; do
    write_wrapper "$1" "$program" || return
    "$1/bin/$program" --version || return
  done
  rm -rf "$1/apt" "$1/debs" "$1/root/usr/share"
}

# Under the lock. The folder appears under its final name only when its programs run.
fetch_node() { # final folder
  local work
  [ ! -x "$1/bin/bitcoind" ] || return 0
  if ! have apt-get || ! have dpkg-deb; then
    die "no bitcoind on this machine, nor apt to fetch one with: install Bitcoin Core or Knots, or set BITCOIND_EXE"
  fi
  rm -rf "$1".?????? # what a run that was killed left
  say "fetching a Bitcoin node (Debian's $package, into $(dirname "$1"))"
  work=$(mktemp -d "$1.XXXXXX")
  if ! build_node "$work" >"$1.log" 2>&1; then
    rm -rf "$work"
    tail -n 20 "$1.log" >&2
    die "could not fetch a Bitcoin node (see $1.log): install bitcoind, or set BITCOIND_EXE"
  fi
  rm -rf "$1"
  mv -T "$work" "$1"
}

main() {
  local exe folder
  if exe=${BITCOIND_EXE:-$(command -v bitcoind)}; then
    [ -x "$exe" ] || die "no bitcoind at $exe"
    print_node "$exe" "$(find_cli "$exe")"
    return
  fi
  folder="$(cache_dir)/node"
  with_lock node fetch_node "$folder"
  print_node "$folder/bin/bitcoind" "$folder/bin/bitcoin-cli"
}

main
