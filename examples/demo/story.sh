# shellcheck shell=bash disable=SC2034,SC2154 # what demo.sh and the others of this folder share
# What is told as it happens, and what of it is kept for the checks. Sourced by demo.sh.

# Stamps are in microseconds; empty until it happened.
link='' price_msat='' funding_uri='' capacity_sat=''
terms_us='' funded_us='' committed_us='' paid_us='' opened_us='' closed_us='' exhausted_us='' confirmed_us=''
paid_sat=0 balance_sat=0
settling_txid='' settling_payout_sat='' settling_fee_sat='' settled=''
viewer_gone='' broadcaster_gone=''
frames_us=() sounds_us=()

# --- words ---

tell() { # who, words...
  tell_at "$(now_us)" "$@"
}

tell_at() { # microseconds, who, words...
  local since=$((($1 - begun_us) / 100000)) who=$2
  shift 2
  printf '%5d.%d s  %-13s  %s\n' $((since / 10)) $((since % 10)) "[$who]" "$*"
}

# 12,345 sat
sat() { printf "%s sat" "$(grouped "$1")"; }

grouped() {
  local number=$1 tail=''
  while [ "${#number}" -gt 3 ]; do
    tail=",${number: -3}$tail"
    number=${number::-3}
  done
  printf '%s' "$number$tail"
}

seconds() { # microseconds
  printf '%d.%d s' $(($1 / 1000000)) $(($1 % 1000000 / 100000))
}

millis() { printf '%d ms' $(($1 / 1000)); } # microseconds

short() { printf '%s…%s' "${1:0:8}" "${1: -4}"; } # txid or address

# --- events ---

handle_event() { # line
  local words word at who name
  declare -A field=()
  IFS=$'\t' read -ra words <<<"$1"
  at=${words[0]} who=${words[1]} name=${words[2]}
  for word in "${words[@]:3}"; do
    field[${word%%=*}]=${word#*=}
  done
  "hear_$who" "$name" "$at"
}

hear_broadcaster() { # name, microseconds; and field
  case $1 in
    link)
      link=${field[link]}
      tell_at "$2" broadcaster "on air. Viewers open $link"
      ;;
    offered) tell_at "$2" broadcaster "a viewer has come; it is told the terms and gets no media" ;;
    channel) hear_commitment "$2" ;;
    payment) balance_sat=${field[balance-sat]} ;;
    gate) hear_gate "${field[state]}" "$2" ;;
    settling)
      settling_txid=${field[txid]} settling_payout_sat=${field[payout-sat]} settling_fee_sat=${field[fee-sat]}
      tell_at "$2" broadcaster "settles in transaction $(short "$settling_txid")"
      ;;
    settled)
      settled=yes
      tell_at "$2" broadcaster "the settlement is buried: this money is safe"
      ;;
    ended) tell_at "$2" broadcaster "the viewer is gone (${field[reason]})" ;;
    gone) broadcaster_gone=yes && was_expected broadcaster ;;
    *) hear_trouble broadcaster "$@" ;;
  esac
}

hear_commitment() { # microseconds
  if [ "${field[confirmations]}" = 0 ]; then
    tell_at "$1" broadcaster "sees the viewer's channel of $(sat "${field[capacity-sat]}"), not confirmed yet"
  elif [ -z "$confirmed_us" ]; then
    confirmed_us=$1
    tell_at "$1" broadcaster "the channel is confirmed"
  fi
}

hear_gate() { # state, microseconds
  if [ "$1" = open ]; then
    opened_us=${opened_us:-$2}
    tell_at "$2" broadcaster "is paid $(sat "${field[balance-sat]}"): media flows"
  elif [ -n "$opened_us" ] && [ -z "$closed_us" ]; then
    closed_us=$2
    tell_at "$2" broadcaster "$(sat "${field[balance-sat]}") are used up: media stops"
  fi
}

hear_viewer() { # name, microseconds; and field
  case $1 in
    frame) hear_frame "$2" ;;
    sound) sounds_us+=("$2") ;;
    terms)
      terms_us=$2 price_msat=${field[rate-msat-per-s]}
      tell_at "$2" viewer "the stream costs $(sat $((price_msat * 60 / 1000))) a minute, the first payment is" \
        "$(sat "${field[opening-sat]}")"
      ;;
    funding-required)
      funding_uri=${field[uri]} capacity_sat=${field[capacity-sat]}
      tell_at "$2" viewer "to watch, pay ${field[uri]}"
      ;;
    funded)
      funded_us=$2
      tell_at "$2" viewer "sees $(sat "${field[balance-sat]}") in its wallet"
      ;;
    channel)
      if [ -n "${field[descriptor]:-}" ]; then
        committed_us=$2
        tell_at "$2" viewer "locks $(sat "${field[capacity-sat]}") in a channel, transaction $(short "${field[outpoint]%:*}")"
      fi
      ;;
    payment) hear_payment "$2" ;;
    exhausted)
      exhausted_us=$2
      tell_at "$2" viewer "has spent the $(sat "${field[amount-sat]}") it was allowed to, and stops paying"
      ;;
    settled) tell_at "$2" viewer "hears of the settlement: the rest is its own again" ;;
    gone) viewer_gone=yes && was_expected viewer ;;
    *) hear_trouble viewer "$@" ;;
  esac
}

hear_frame() { # microseconds
  [ "${#frames_us[@]}" != 0 ] || tell_at "$1" viewer "the first frame"
  frames_us+=("$1")
}

hear_payment() { # microseconds
  paid_us=${paid_us:-$1} paid_sat=${field[paid-sat]}
  tell_at "$1" viewer "pays $(sat "${field[added-sat]}"), $(sat "$paid_sat") so far; ${#frames_us[@]} frames seen"
}

hear_trouble() { # who, name, microseconds; and field
  # Pipelines that are being stopped complain of what stops.
  [ -z "${expected_to_end[$1]:-}" ] || return 0
  case $2 in
    fault | failed | refused | store-failed | consumer-error | unsettleable | error)
      tell_at "$3" "$1" "$2: ${field[reason]:-${field[text]:-${field[debug]:-}}}"
      ;;
    *) ;; # the demo tells it otherwise, or it does not matter here
  esac
}

was_expected() { # name
  [ -n "${expected_to_end[$1]:-}" ] || fail "the $1's gst-launch-1.0 ended by itself"
}
