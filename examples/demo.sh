#!/usr/bin/env bash
# A paid stream from beginning to end, on this machine and with money that is worth nothing (regtest): a broadcaster
# and a viewer, each a gst-launch-1.0 process of its own, and a Bitcoin chain. See demo.sh --help.
set -euo pipefail
export LC_ALL=C.UTF-8

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
demo="$root/examples/demo"
begun_us=${EPOCHREALTIME//[.,]/}
# shellcheck source=../tests/env/lib.sh
. "$root/tests/env/lib.sh"
# shellcheck source=demo/events.sh
. "$demo/events.sh"
# shellcheck source=demo/story.sh
. "$demo/story.sh"
# shellcheck source=demo/media.sh
. "$demo/media.sh"
# shellcheck source=demo/checks.sh
. "$demo/checks.sh"

# Dear for a stream, so that the demo is short: the budget is good for 24 s.
readonly rate_msat=50000 budget_sat=1200
# How long it is watched that nothing comes: before the first payment, and after the last.
readonly unpaid_s=2 watch_s=5

usage() {
  cat <<'USAGE'
Usage: examples/demo.sh [--output DIR] [FILE]

Shows a paid stream from beginning to end on a Bitcoin chain of its own, with money that is worth nothing: a
broadcaster goes on air, a viewer comes, pays, watches, stops paying; then what was paid is settled on the chain.
It ends with a list of what was checked, and with 0 only if all of that holds. On a fresh Debian (12 or later) it
installs what it needs first.

  FILE          the video to broadcast, with sound or without; by default a clip that is made for the occasion
  --output DIR  where the viewer's recording and a picture of it go; by default a new folder in the temporary one
  --help        this
USAGE
}

# --- beginning and end ---

step='start' told='' own_output=''

refuse() { # sentence
  told=yes
  printf 'demo.sh: %s\n' "$1" >&2
  exit 2
}

# Ends the demo, with the end of what the named processes or steps said.
fail() { # sentence, logs...
  local log sentence=$1
  shift
  [ $# != 0 ] || set -- broadcaster viewer
  for log in "$@"; do
    [ ! -s "$work/$log.log" ] || printf '\n--- the end of what "%s" said:\n%s\n' "$log" "$(tail -n 15 "$work/$log.log" | cut -c1-400)" >&2
  done
  keep_logs
  told=yes
  printf '\nThe demo failed (%s): %s.\nAll logs are in %s\n' "$step" "$sentence" "$output/logs" >&2
  exit 1
}

keep_logs() {
  mkdir -p "$output/logs"
  cp "$work"/*.log "$output/logs/" 2>/dev/null || true
}

clean_up() {
  local name status=$?
  trap '' INT TERM HUP
  if [ $status != 0 ] && [ $status -lt 128 ] && [ -z "$told" ]; then
    keep_logs
    printf '\nThe demo failed (%s). All logs are in %s\n' "$step" "$output/logs" >&2
  fi
  # The pipelines first, while their chain is still there; their listeners end with them.
  for name in viewer broadcaster viewer-listener broadcaster-listener chain; do
    stop "$name"
  done
  rm -rf "$work"
  # Half a recording is worth keeping for nobody who did not ask for it; nor is a folder without anything.
  [ $status -lt 128 ] || [ -z "$own_output" ] || rm -rf "$output"
  rmdir "$output" 2>/dev/null || true
}

make_folders() {
  work=$(mktemp -d -t streamium-demo-work.XXXXXX)
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  make_pause
  if [ -n "$output" ]; then
    mkdir -p "$output"
    output=$(cd "$output" && pwd)
  else
    output=$(mktemp -d -t streamium-demo.XXXXXX)
    own_output=yes
  fi
  recording="$output/recording.webm" picture="$output/picture.png"
}

# Runs a step whose output is of interest only when it fails.
quietly() { # name, command...
  local name=$1
  shift
  "$@" >"$work/$name.log" 2>&1 || fail "$* did not work" "$name"
}

# --- what is needed ---

install() {
  step='set-up'
  tell demo "looking for what is needed; what is missing is installed"
  "$root/tests/env/setup.sh"
  use_cargo || fail "tests/env/setup.sh should have found Rust"
  "$root/tests/env/node.sh" >"$work/node.out"
  "$root/tests/env/electrumx.sh" >"$work/electrumx.out"
}

build() {
  step='build'
  tell demo "building the plugin (the first time this takes some minutes)"
  cd "$root"
  quietly build cargo build --locked
  use_plugin "$(cargo metadata --no-deps --format-version 1 | jq -r .target_directory)/debug/libgststreamiumpay.so"
}

start_chain() {
  local line=''
  step='chain'
  mkfifo "$work/chain.in" "$work/chain.out"
  # It ends when its input does, that is with us.
  exec 4<>"$work/chain.in" 5<>"$work/chain.out"
  start chain "$root/tests/env/regtest.sh" "$work/chain" <"$work/chain.in" >"$work/chain.out" 2>"$work/chain.log"
  while [ "$line" != READY=1 ]; do
    running chain || fail "the chain did not start" chain
    IFS= read -r -t 1 -u 5 line || continue
    declare -g "$line"
  done
  cli -named createwallet wallet_name=broadcaster >/dev/null
  tell chain "a Bitcoin node (regtest) and an Electrum server run, at height $(cli getblockcount)"
}

cli() { "$BITCOIN_CLI" "$@"; }

mine() { # blocks
  cli -rpcwallet="$WALLET" -generate "$1" >/dev/null
  tell chain "$1 $([ "$1" = 1 ] && echo 'block is' || echo 'blocks are') mined: height $(cli getblockcount)"
}

# Below those that the kernel gives to outgoing connections, so that none of these takes it before it is used.
free_port() {
  "$(system_python)" - <<'PYTHON'
import random, socket
first = int(open("/proc/sys/net/ipv4/ip_local_port_range").read().split()[0])
while True:
    port = random.randrange(1024, max(first, 2048))
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            continue
    print(port)
    break
PYTHON
}

# --- the story ---

go_on_air() {
  step='broadcast'
  payout_address=$(cli -rpcwallet=broadcaster getnewaddress)
  tell broadcaster "wants $(sat $((rate_msat / 1000))) a second, paid to $(short "$payout_address")"
  start_broadcaster "$payout_address"
  wait_until "the broadcaster's link" is_set link
}

viewer_comes() {
  step='viewer'
  tell viewer "comes, and may spend $(sat $budget_sat)"
  start_viewer
  wait_until "the viewer's funding address" is_set funding_uri
  tell demo "for $unpaid_s s nothing is paid: does anything arrive?"
  wait_until "that time" time_is_past $(($(now_us) + unpaid_s * 1000000))
}

# As a person does, from another wallet, with what is in the link.
fund_viewer() {
  local address amount
  step='funding'
  sent_us=$(now_us)
  address=${funding_uri#bitcoin:} address=${address%%\?*}
  amount=${funding_uri##*amount=} amount=${amount%%&*}
  cli -rpcwallet="$WALLET" sendtoaddress "$address" "$amount" >/dev/null
  tell chain "$amount BTC are on their way to $(short "$address")"
  wait_until "the first frame" some_frames 1
  tell_latency
}

tell_latency() {
  tell demo "the viewer saw the money $(seconds $((funded_us - sent_us))) after it was sent; from then to the first" \
    "frame: $(millis $((frames_us[0] - funded_us))) (channel $(millis $((committed_us - funded_us))), first payment" \
    "$(millis $((opened_us - committed_us))), media $(millis $((frames_us[0] - opened_us))))"
}

some_frames() { [ "${#frames_us[@]}" -ge "$1" ]; } # count

watch() {
  step='watching'
  # An unconfirmed channel is good for a little only, so a block has to come.
  wait_until "three seconds of video" some_frames $((3 * fps))
  mine 1
  wait_until "the channel's confirmation" is_set confirmed_us
  wait_until "the end of the budget" is_set exhausted_us
  wait_until "the end of the media" is_set closed_us
}

watch_nothing() {
  step='stop'
  tell demo "for $watch_s s nothing is paid: does anything still arrive?"
  watched_us=$((closed_us + allowance_us + watch_s * 1000000))
  wait_until "that time" time_is_past $watched_us
}

viewer_leaves() {
  step='settlement'
  tell viewer "leaves (Ctrl-C)"
  interrupt viewer
  wait_until "the settlement" is_set settling_txid
  wait_until "the settlement in the node's mempool" node_has_settlement
  wait_until "the viewer's end" is_set viewer_gone
}

node_has_settlement() { cli getmempoolentry "$settling_txid" >/dev/null 2>&1; }

# All figures from the node, none from the elements.
read_settlement() {
  local settlement commitment vout
  settlement=$(cli getrawtransaction "$settling_txid" 1)
  vout=$(jq -r '.vin[0].vout' <<<"$settlement")
  commitment=$(cli getrawtransaction "$(jq -r '.vin[0].txid' <<<"$settlement")" 1)
  locked_sat=$(jq --argjson n "$vout" '.vout[$n].value * 1e8 | round' <<<"$commitment")
  # shellcheck disable=SC2034 # in a check
  outputs=$(jq '.vout | length' <<<"$settlement")
  payout_sat=$(output_sat "$settlement" '==')
  change_sat=$(output_sat "$settlement" '!=')
  change_address=$(jq -r --arg a "$payout_address" '[.vout[].scriptPubKey.address | select(. != $a)][0]' <<<"$settlement")
  fee_sat=$((locked_sat - payout_sat - change_sat))
  vsize=$(jq .vsize <<<"$settlement")
}

# What goes to the broadcaster's address, or to others.
output_sat() { # transaction, == or !=
  jq --arg a "$payout_address" "[.vout[] | select(.scriptPubKey.address $2 \$a).value * 1e8 | round] | add // 0" <<<"$1"
}

show_settlement() {
  read_settlement
  tell chain "settlement $settling_txid"
  tell chain "  in   $(sat "$locked_sat") of the channel"
  tell chain "  out  $(sat "$payout_sat") to the broadcaster, $payout_address"
  tell chain "  out  $(sat "$change_sat") to the viewer, $change_address"
  tell chain "  fee  $(sat "$fee_sat") for $vsize vB"
  mine 6
  received_sat=$(cli -rpcwallet=broadcaster getreceivedbyaddress "$payout_address" 6 | jq '. * 1e8 | round')
  wait_until "the settlement to be buried" is_set settled
  tell chain "the broadcaster's wallet has $(sat "$received_sat")"
}

end_broadcast() {
  interrupt broadcaster
  wait_until "the broadcaster's end" is_set broadcaster_gone
}

report() {
  step='checks'
  local took=$((($(now_us) - begun_us) / 1000000))
  printf '\n'
  check_media
  check_money
  check_recording
  printf '\nRecording  %s\nPicture    %s\nTime       %d s\n' "$recording" "$picture" "$took"
  if [ "$failures" != 0 ]; then
    fail "$failures of the checks above do not hold"
  fi
}

parse_arguments() {
  file='' output=''
  while [ $# != 0 ]; do
    case $1 in
      -h | --help)
        usage
        exit 0
        ;;
      --output)
        [ -n "${2:-}" ] || refuse "--output needs a folder"
        output=$2
        shift
        ;;
      -*) refuse "there is no option $1; see --help" ;;
      *)
        [ -z "$file" ] || refuse "one file at a time; see --help"
        if [ ! -f "$1" ] || [ ! -r "$1" ]; then refuse "there is no file $1 to read"; fi
        file=$(realpath "$1")
        ;;
    esac
    shift
  done
}

main() {
  parse_arguments "$@"
  make_folders
  make_events
  install
  prepare_clip
  build
  start_chain
  go_on_air
  viewer_comes
  fund_viewer
  watch
  watch_nothing
  viewer_leaves
  show_settlement
  end_broadcast
  examine_recording
  report
}

main "$@"
