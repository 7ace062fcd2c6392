#!/usr/bin/env bash
# What a consumer that has not paid costs the provider: CPU time of a 720p30 stream (VP8 from raw video) with nobody
# watching, and with N plain webrtcsrc that never pay, each figure over TIME seconds. A provider cuts such a
# consumer off after 20 s, so TIME and the time to connect must stay below.
#
#   examples/bench/unpaid_consumer.sh [N] [TIME]
#
# Needs what tests/env/setup.sh installs, and nothing of Bitcoin: until somebody pays, no server is asked for
# more than the height of the chain, which the test chain tells.
set -euo pipefail

consumers=${1:-4}
seconds=${2:-12}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "$root/tests/env/lib.sh"
use_cargo || die "Rust is missing: run tests/env/setup.sh"

cd "$root"
cargo build --release --locked --lib --example unpaid_consumer
scratch=$(mktemp -d)
pids=()
finish() {
  local pid
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait
  rm -rf "$scratch"
}
trap finish EXIT

# The chain: it lives as long as its standard input is open, and tells where it is.
mkfifo "$scratch/chain.in"
tests/env/regtest.sh <"$scratch/chain.in" >"$scratch/chain.out" &
exec 8>"$scratch/chain.in"
until grep -q '^READY' "$scratch/chain.out"; do sleep 0.2; done
electrum=$(sed -n 's/^ELECTRUM_URL=//p' "$scratch/chain.out")

bench="${CARGO_TARGET_DIR:-target}/release/examples/unpaid_consumer"
export GST_REGISTRY="$scratch/registry.bin"
"$bench" provider "$electrum" "$scratch/data" >"$scratch/port" &
provider=$!
pids+=("$provider")
until [ -s "$scratch/port" ]; do sleep 0.1; done
port=$(cat "$scratch/port")

# User and system time of a process and its threads, in clock ticks. Its name has no spaces.
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }

measure() { # -> cores
  local before after
  before=$(ticks "$provider")
  sleep "$seconds"
  after=$(ticks "$provider")
  awk -v ticks=$((after - before)) -v hz="$(getconf CLK_TCK)" -v time="$seconds" \
    'BEGIN { printf "%.4f", ticks / hz / time }'
}

sleep 3
alone=$(measure)
for _ in $(seq "$consumers"); do
  "$bench" consumer "$port" >>"$scratch/connected" &
  pids+=("$!")
done
until [ "$(grep -c connected "$scratch/connected" || true)" -ge "$consumers" ]; do sleep 0.1; done
sleep 1
watched=$(measure)
awk -v alone="$alone" -v watched="$watched" -v n="$consumers" 'BEGIN {
  printf "provider alone: %.3f cores; with %d unpaid consumers: %.3f; each: %.4f cores\n",
    alone, n, watched, (watched - alone) / n }'
