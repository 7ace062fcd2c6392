#!/usr/bin/env bash
# Sets the machine up and runs the whole test suite, unit and integration tests. Arguments go to `cargo test`.
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
cargo test --workspace --locked "$@"
