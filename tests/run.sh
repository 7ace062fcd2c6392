#!/usr/bin/env bash
# Sets the machine up and runs the whole test suite, unit and integration tests: with cargo-nextest, several at once
# (.config/nextest.toml), or with cargo test where that can not be had. Arguments go to that.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/tests/env/lib.sh"

"$root/tests/env/setup.sh"
use_cargo || die "tests/env/setup.sh should have found Rust"

# Before the tests, so that none of them waits for a download.
"$root/tests/env/node.sh" >/dev/null
"$root/tests/env/electrumx.sh" >/dev/null

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# A registry of its own: the plugin under test must not be remembered by the user's GStreamer.
export GST_REGISTRY="$scratch/registry.bin"
# Nor may the user's configuration count.
export STREAMIUM_CONFIG=

cd "$root"
# Else the first tests, side by side, would each look through all of GStreamer's plugins.
gst-inspect-1.0 >/dev/null
if nextest=$("$root/tests/env/nextest.sh"); then
  "${nextest#NEXTEST=}" nextest run --workspace --locked "$@"
else
  cargo test --workspace --locked "$@"
fi
