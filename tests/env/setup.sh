#!/usr/bin/env bash
# Installs what a bare Debian (12 or later) needs to build, test and run this project. Run it as often as you
# like: it says what it does, and where nothing is missing it does and says nothing.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/lib.sh"

packages=(
  # to build
  gcc libc6-dev pkgconf
  libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev libgstreamer-plugins-bad1.0-dev
  # to run: WebRTC is in -bad and -nice, the codecs in -good, -ugly and -libav
  gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
  gstreamer1.0-plugins-ugly gstreamer1.0-libav gstreamer1.0-nice
  # gst-play-1.0 and gst-discoverer-1.0, which the tests open links with
  gstreamer1.0-plugins-base-apps
  # for the Python that the documentation shows, which the tests run
  python3-gi gir1.2-gstreamer-1.0
  # for the slate, and the clip that the demo makes: text on video (Debian has that with X), and a font for it
  gstreamer1.0-x fonts-dejavu-core
  # for the regtest environment: ElectrumX, whose LevelDB binding is compiled where PyPI has no binary of it,
  # and the keys that Debian's bitcoin-knots is checked with
  python3 python3-venv python3-dev g++ libleveldb-dev debian-archive-keyring
  ca-certificates curl jq
)

scratch=$(mktemp -d)
log="$scratch/log"
trap 'rm -rf "$scratch"' EXIT

# Runs a command whose output is of interest only when it fails.
quietly() {
  "$@" >"$log" 2>&1 && return
  tail -n 20 "$log" >&2
  return 1
}

# Asked before anything is run, so that the answer is seen.
root_prefix() {
  if [ "$(id -u)" != 0 ]; then
    have sudo || die "not root and no sudo: as root, run: apt-get install $*"
    echo sudo
  fi
}

missing_packages() {
  local package
  for package in "${packages[@]}"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
  done
}

install_packages() { # packages...
  local prefix
  prefix=$(root_prefix "$@")
  say "installing with apt: $*"
  # shellcheck disable=SC2086 # the prefix is empty or one word
  quietly $prefix apt-get -q update || die "apt-get update failed: check this machine's package sources"
  # shellcheck disable=SC2086
  quietly $prefix env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "$@" ||
    die "apt could not install: $*"
}

ensure_packages() {
  local missing
  have dpkg-query || die "this set-up knows Debian's packages only; install the like of: ${packages[*]}"
  mapfile -t missing < <(missing_packages)
  [ "${#missing[@]}" = 0 ] || install_packages "${missing[@]}"
}

ensure_gstreamer() {
  pkg-config --atleast-version=1.22 gstreamer-1.0 ||
    die "GStreamer 1.22 or later is needed, this is $(pkg-config --modversion gstreamer-1.0): use Debian 12 or later"
}

install_toolchain() {
  say "installing Rust with rustup"
  quietly rustup toolchain install stable --profile default || die "rustup could not install Rust's stable toolchain"
}

# Debian packages rustup from version 13 on; elsewhere Rust's own script installs it.
install_rustup() {
  if [ -n "$(apt-cache madison rustup 2>/dev/null)" ]; then
    install_packages rustup
    install_toolchain
  else
    say "installing Rust with the script of sh.rustup.rs"
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs -o "$scratch/rustup.sh" ||
      die "could not download from sh.rustup.rs: install Rust $(rust_version_wanted) or later, see https://rustup.rs"
    quietly sh "$scratch/rustup.sh" -y --no-modify-path --profile default || die "the script of sh.rustup.rs failed"
  fi
}

ensure_rust() {
  use_cargo && return
  if have rustup; then
    install_toolchain
  else
    install_rustup
  fi
  use_cargo || die "no Rust $(rust_version_wanted) or later was found after installing it: see https://rustup.rs"
}

main() {
  ensure_packages
  ensure_gstreamer
  ensure_rust
}

main
