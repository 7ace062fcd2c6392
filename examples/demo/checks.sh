# shellcheck shell=bash disable=SC2034,SC2154 # what demo.sh and the others of this folder share
# What has to be true in the end. Sourced by demo.sh.

# After the gate has closed a frame may still be on its way: in the jitter buffer, the decoder, our own reader. The
# grace that the broadcaster gives is over when it closes the gate, but may be counted in by who reads the terms.
readonly grace_us=500000 frame_us=$((1000000 / fps)) latency_us=500000
readonly allowance_us=$((grace_us + frame_us + latency_us))

# How late a busy machine may be at closing the gate.
readonly busy_us=200000

# So many of the frames that a second has must have come for a stream to be one, on a machine that is busy too.
readonly enough_percent=80

failures=0

check() { # what is checked, figures, condition (arithmetic)
  local mark='✓'
  if ! (($3)); then
    mark='✗'
    failures=$((failures + 1))
  fi
  printf '  %s  %-36s  %s\n' "$mark" "$1" "$2"
}

count_between() { # from, to (microseconds), stamps...
  local from=$1 to=$2 stamp count=0
  shift 2
  for stamp in "$@"; do
    [ "$stamp" -lt "$from" ] || [ "$stamp" -ge "$to" ] || count=$((count + 1))
  done
  printf '%s' "$count"
}

check_media() {
  local before during after open_us expected covered_us what=frames
  [ -z "$has_sound" ] || what='frames and bits of sound'
  covered_us=$((balance_sat * 1000000000 / rate_msat + grace_us))
  open_us=$((closed_us - opened_us))
  expected=$((open_us * fps / 1000000))
  before=$(count_between 0 "$paid_us" "${frames_us[@]}" "${sounds_us[@]}")
  during=$(count_between "$opened_us" $((closed_us + allowance_us)) "${frames_us[@]}")
  after=$(count_between $((closed_us + allowance_us)) "$watched_us" "${frames_us[@]}" "${sounds_us[@]}")
  check "nothing arrives before it is paid" "$before $what in $(seconds $((paid_us - terms_us)))" "$before == 0"
  check "frames arrive while it is paid" "$during frames in $(seconds $open_us), of about $expected" \
    "$during * 100 >= expected * enough_percent && during * 100 <= (expected + fps) * 105"
  check "no more of it than is paid" "$(seconds $open_us) of $(seconds $covered_us) (with a grace of $(millis $grace_us))" \
    "open_us <= covered_us + frame_us + busy_us"
  [ -z "$has_sound" ] ||
    check "sound arrives too" "$(seconds $((${#sounds_us[@]} * 100000)))" \
      "${#sounds_us[@]} * 10 >= open_us / 1000000 * enough_percent"
  check "nothing arrives after payment stops" \
    "$after $what in $(seconds $((watched_us - closed_us - allowance_us))); $(last_frame)" \
    "$after == 0 && watched_us - closed_us - allowance_us >= 5000000"
}

# When the last frame came, as seen from the gate.
last_frame() {
  local late=$((frames_us[-1] - closed_us))
  if [ $late -lt 0 ]; then
    printf 'the last was seen %s before the gate closed' "$(millis $((-late)))"
  else
    printf 'the last was seen %s after the gate closed' "$(millis $late)"
  fi
}

check_money() {
  check "both count the same" "viewer $(sat "$paid_sat"), broadcaster $(sat "$balance_sat")" \
    "paid_sat == balance_sat && balance_sat > 0"
  check "the viewer keeps to its budget" "$(sat "$paid_sat") of $(sat "$budget_sat")" "paid_sat == budget_sat"
  check "the payout is balance less fee" \
    "$(sat "$payout_sat") = $(sat "$balance_sat") - $(sat "$fee_sat")" \
    "payout_sat == balance_sat - fee_sat && payout_sat == received_sat"
  check "the viewer's change is the rest" \
    "$(sat "$change_sat") = $(sat "$capacity_sat") - $(sat "$balance_sat")" \
    "change_sat == capacity_sat - balance_sat && outputs == 2"
}

check_recording() {
  check "the recording plays" "$recorded_frames frames, of ${#frames_us[@]} that were seen" \
    "recorded_frames * 100 >= ${#frames_us[@]} * 95"
}
