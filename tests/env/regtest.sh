#!/usr/bin/env bash
# A Bitcoin chain of one's own: regtest.sh [DIR]
#
# Starts a node in regtest mode with a funded wallet `miner`, and an Electrum server on it. Prints what is needed
# to use them as lines KEY=value, then READY=1, and stays until its standard input closes or it is told to end;
# then it stops what it started. So it ends with whoever started it, however that one ends. Data and logs are in
# DIR, which stays, or in a temporary folder, which is removed.
#
# Commands on standard input, each answered by one line: `stop electrum`, `start electrum`, `stop node`,
# `start node`. (What is started again has a new process id, but its old port.)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/lib.sh"

# A block's reward can be spent after 100 more. Every block to the wallet costs it time, so it gets these, of which
# the first can be spent at once and another with every further block; the rest are nobody's.
readonly wallet=miner wallet_blocks=20 spendable_height=101
readonly nobody=bcrt1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqdku202
readonly rpc_user=regtest
rpc_password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
bitcoind_pid='' electrum_pid='' temporary=''

# --- folder and end ---

make_folder() { # [DIR]
  if [ -n "${1:-}" ]; then
    mkdir -p "$1"
    dir=$(cd "$1" && pwd)
  else
    dir=$(mktemp -d -t streamium-regtest.XXXXXX)
    temporary=yes
  fi
  mkdir -p "$dir/node" "$dir/electrumx"
  chmod 700 "$dir"
}

# Asks for this shell's own children, so that a process id given to another meanwhile is never taken for ours.
running() { [ -n "$1" ] && grep -qx "$1" <<<"$(jobs -rp)"; }

# A process that does not end when asked is ended: the folder under it goes away.
stop_process() { # pid
  local tries=0
  running "$1" || return 0
  kill -TERM "$1" 2>/dev/null || true
  while running "$1" && [ $((tries += 1)) -le 1500 ]; do
    pause
  done
  kill_process "$1"
}

kill_process() { # pid
  running "$1" || return 0
  kill -KILL "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}

# What is in a temporary folder nobody reads again, so nothing is written there in good order.
clean_up() {
  trap '' INT TERM HUP
  if [ -n "$temporary" ]; then
    kill_process "$electrum_pid"
    kill_process "$bitcoind_pid"
    rm -rf "$dir"
  else
    stop_process "$electrum_pid"
    stop_process "$bitcoind_pid"
  fi
}

fail() { # log file, sentence
  say "--- the end of $1:"
  tail -n 25 "$1" >&2 || true
  die "$2"
}

# Between two looks at what is waited for.
pause() { sleep 0.02; }

# In the background, and ended by the kernel should this script be killed without a chance to clean up.
start_process() { # log file, command...
  local log=$1
  shift
  setpriv --pdeathsig TERM "$@" >>"$log" 2>&1 </dev/null &
}

# --- ports ---

# Any port below those that the kernel gives to outgoing connections, or one of these may have it while a server is
# stopped; the ten thousand below are the tests' own (`free_port` in tests/common/webrtc.rs). Where it is taken, the server
# says so and another is tried.
any_port() { echo $((20000 + SRANDOM % 10000)); }

readonly clash='[Aa]ddress already in use|Unable to bind|failed to listen'

# --- node ---

cli() { "$bitcoin_cli" -datadir="$dir/node" "$@"; }

# Policy is that of a node on the real network, so that what is accepted here is accepted there. The wallet's
# addresses are native segwit whatever the node's own default is (Debian's gives legacy ones): its transactions
# serve as commitments, whose ids must be fixed. It derives few keys ahead: a thousand of each kind take half a second.
#
# A node that does not know an option ignores it. `mempooltruc` is the rules for version 3 transactions, which nodes
# without the option enforce anyway; `rejectparasites` is of Knots, which refuses a lock time of 21, which the wallet
# picks for one transaction in a thousand on so short a chain.
write_node_config() { # rpc port
  cat >"$dir/node/bitcoin.conf" <<CONF
regtest=1
server=1
txindex=1
dnsseed=0
fixedseeds=0
listenonion=0
fallbackfee=0.00002
addresstype=bech32
keypool=20
mempooltruc=enforce
rejectparasites=0
rpcuser=$rpc_user
rpcpassword=$rpc_password
[regtest]
listen=0
acceptnonstdtxn=0
rpcbind=127.0.0.1
rpcallowip=127.0.0.1
rpcport=$1
CONF
  chmod 600 "$dir/node/bitcoin.conf"
}

# Asked of its own log: on a port that was taken, the one who answers is another.
node_serves() { grep -q 'init message: Done loading' "$dir/node.log"; }

# Fails when the node ended; what it said is in its log.
launch_node() {
  : >"$dir/node.log"
  start_process "$dir/node.log" "$bitcoind" -datadir="$dir/node" -printtoconsole=1
  bitcoind_pid=$!
  until node_serves; do
    running "$bitcoind_pid" || return
    pause
  done
}

start_node() {
  local attempt
  for attempt in 1 2 3 4 5; do
    rpc_port=$(any_port)
    write_node_config "$rpc_port"
    launch_node && return
    grep -qE "$clash" "$dir/node.log" || break
  done
  fail "$dir/node.log" "the Bitcoin node did not start (attempt $attempt)"
}

# A command that stays usable from any shell, without knowing where node and data are.
write_cli() {
  cat >"$dir/bitcoin-cli" <<CLI
#!/bin/sh
exec "$bitcoin_cli" -datadir="$dir/node" "\$@"
CLI
  chmod +x "$dir/bitcoin-cli"
}

make_wallet() {
  if [ -d "$dir/node/regtest/wallets/$wallet" ]; then
    cli listwallets | grep -q "\"$wallet\"" || cli loadwallet "$wallet" >/dev/null
  else
    cli -named createwallet wallet_name="$wallet" load_on_startup=true >/dev/null
  fi
}

mine_to_spendable() {
  local height address
  height=$(cli getblockcount)
  if [ "$height" = 0 ]; then
    address=$(cli -rpcwallet="$wallet" getnewaddress)
    cli generatetoaddress "$wallet_blocks" "$address" >/dev/null
    height=$wallet_blocks
  fi
  if [ "$height" -lt "$spendable_height" ]; then
    cli generatetoaddress $((spendable_height - height)) "$nobody" >/dev/null
  fi
}

# --- Electrum server ---

launch_electrum() {
  : >"$dir/electrumx.log"
  # It asks the node for news instead of being told: every 100 ms, or each block costs a test five seconds.
  start_process "$dir/electrumx.log" env \
    PYTHONPATH="$(project_root)/tests/env/python" \
    COIN=Bitcoin NET=regtest DB_ENGINE=leveldb DB_DIRECTORY="$dir/electrumx" \
    DAEMON_URL="http://$rpc_user:$rpc_password@127.0.0.1:$rpc_port" \
    SERVICES="tcp://127.0.0.1:$electrum_port" \
    DAEMON_POLL_INTERVAL_BLOCKS=100 DAEMON_POLL_INTERVAL_MEMPOOL=100 \
    COST_SOFT_LIMIT=0 COST_HARD_LIMIT=0 PEER_DISCOVERY=off ALLOW_ROOT=1 \
    "$electrumx"
  electrum_pid=$!
  until electrum_listens && [ "$(electrum_height)" -ge "$(cli getblockcount)" ]; do
    running "$electrum_pid" || return
    if grep -qE "$clash" "$dir/electrumx.log"; then
      # It would stay, deaf.
      stop_process "$electrum_pid"
      return 1
    fi
    pause
  done
}

# Asked of its own log: on a port that was taken, the one who answers is another.
electrum_listens() { grep -q "listening on 127.0.0.1:$electrum_port" "$dir/electrumx.log"; }

# One connection, two requests. -1 while it does not answer.
electrum_height() {
  local socket line height=''
  if { exec {socket}<>"/dev/tcp/127.0.0.1/$electrum_port"; } 2>/dev/null; then
    printf '%s\n' '{"id":0,"method":"server.version","params":["regtest.sh",["1.4","1.6"]]}' \
      '{"id":1,"method":"blockchain.headers.subscribe","params":[]}' >&"$socket"
    while [ -z "$height" ] && IFS= read -r -t 5 line <&"$socket"; do
      [[ $line =~ \"height\":\ *([0-9]+) ]] && height=${BASH_REMATCH[1]}
    done
    exec {socket}>&-
  fi
  echo "${height:--1}"
}

start_electrum() {
  local attempt
  for attempt in 1 2 3 4 5; do
    electrum_port=$(any_port)
    launch_electrum && return
    grep -qE "$clash" "$dir/electrumx.log" || break
  done
  fail "$dir/electrumx.log" "ElectrumX did not start (attempt $attempt)"
}

# --- what is told, and what is heard ---

report() {
  cat <<REPORT
BITCOIN_CLI=$dir/bitcoin-cli
BITCOIND_PID=$bitcoind_pid
WALLET=$wallet
RPC_URL=http://127.0.0.1:$rpc_port
RPC_USER=$rpc_user
RPC_PASS=$rpc_password
ELECTRUM_URL=tcp://127.0.0.1:$electrum_port
ELECTRUM_PID=$electrum_pid
DATA_DIR=$dir
READY=1
REPORT
}

obey() { # command
  case $1 in
    'stop electrum')
      stop_process "$electrum_pid"
      echo STOPPED=electrum
      ;;
    'start electrum')
      running "$electrum_pid" || launch_electrum || fail "$dir/electrumx.log" "ElectrumX did not start again"
      echo ELECTRUM_PID="$electrum_pid"
      ;;
    'stop node')
      stop_process "$bitcoind_pid"
      echo STOPPED=node
      ;;
    'start node')
      running "$bitcoind_pid" || launch_node || fail "$dir/node.log" "the Bitcoin node did not start again"
      echo BITCOIND_PID="$bitcoind_pid"
      ;;
    *)
      echo "UNKNOWN=$1"
      ;;
  esac
}

main() {
  local found line
  found=$("$here/node.sh")
  bitcoind=$(sed -n 's/^BITCOIND=//p' <<<"$found")
  bitcoin_cli=$(sed -n 's/^BITCOIN_CLI=//p' <<<"$found")
  found=$("$here/electrumx.sh")
  electrumx=${found#ELECTRUMX=}

  trap 'exit 0' INT TERM HUP
  trap clean_up EXIT
  make_folder "$@"

  start_node
  write_cli
  make_wallet
  mine_to_spendable
  start_electrum
  report
  while IFS= read -r line; do
    obey "$line"
  done
}

main "$@"
