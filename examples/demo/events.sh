# shellcheck shell=bash disable=SC2034,SC2154 # what demo.sh and the others of this folder share
# Processes that the demo starts, and what they tell. Sourced by demo.sh.
#
# Each process is ended by the id it was started with. What the two pipelines tell comes as lines in one named pipe,
# in the order it happens; `handle_event` (story.sh) is given each.

# How long any one thing may take, on a slow and busy machine.
readonly patience_s=90

now_us() { printf '%s' "${EPOCHREALTIME//[.,]/}"; }

declare -A pids=()
declare -A expected_to_end=()

make_events() {
  mkfifo "$work/events"
  # Both ways, so that it stays open while nobody writes.
  exec 3<>"$work/events"
}

# Started processes don't get our ends of the pipes, and are ended by the kernel should we be killed. They do get
# our standard input: a shell gives what it starts in the background none, unless told to.
start() { # name, command...
  local name=$1
  shift
  setpriv --pdeathsig TERM "$@" <&0 3>&- 4>&- 5<&- 6>&- &
  pids[$name]=$!
}

# Asks for this shell's own children, so that a process id given to another meanwhile is never taken for ours.
running() { # name
  [[ -n ${pids[$1]:-} && $'\n'$(jobs -rp)$'\n' == *$'\n'${pids[$1]}$'\n'* ]]
}

# Asked to end at first; made to after ten seconds.
stop() { # name
  local tries=0
  if running "$1"; then
    kill -TERM "${pids[$1]}" 2>/dev/null || true
    while running "$1" && [ $((tries += 1)) -le 100 ]; do
      read -r -t 0.1 -u 6 || true
    done
    kill -KILL "${pids[$1]}" 2>/dev/null || true
  fi
  [ -z "${pids[$1]:-}" ] || wait "${pids[$1]}" 2>/dev/null || true
  unset "pids[$1]"
}

# A pipe that nobody writes to: reading it with a time-out is a pause without a process.
make_pause() {
  mkfifo "$work/pause"
  exec 6<>"$work/pause"
}

# A gst-launch-1.0 process, and the reader of what it prints.
start_pipeline() { # name, gst-launch arguments...
  local name=$1 printed="$work/$1.printed"
  shift
  mkfifo "$printed"
  start "$name-listener" /usr/bin/env python3 "$demo/listen.py" "$name" "$printed" "$work/$name.log" "$work/events"
  start "$name" gst-launch-1.0 -m "$@" >"$printed" 2>&1
}

# As Ctrl-C does in a terminal.
interrupt() { # name
  expected_to_end[$1]=yes
  kill -INT "${pids[$1]}"
}

# The next event, or nothing after a moment. The moment may end in the middle of a line: what was read of it counts.
next_event() {
  local line
  if IFS= read -r -t 0.2 -u 3 line; then
    line=$begun_line$line begun_line=''
    handle_event "$line"
  else
    begun_line+=$line
  fi
}
begun_line=''

# Handles events as they come until the condition holds.
wait_until() { # what is waited for, condition...
  local what=$1 deadline=$(($(now_us) + patience_s * 1000000))
  shift
  until "$@"; do
    next_event
    running chain || fail "the chain ended by itself" chain
    [ "$(now_us)" -lt "$deadline" ] || fail "waited $patience_s s in vain for $what"
  done
}

time_is_past() { [ "$(now_us)" -ge "$1" ]; } # microseconds

is_set() { [ -n "${!1}" ]; } # variable
