# shellcheck shell=bash disable=SC2034,SC2154 # what demo.sh and the others of this folder share
# The clip, the two pipelines, and what the viewer's recording shows. Sourced by demo.sh.

# What the broadcaster makes of any file, so that a small machine can encode it as it goes.
readonly width=640 height=360 fps=30
readonly shape="video/x-raw,width=$width,height=$height,pixel-aspect-ratio=1/1"

# The broadcast must not end before the demo does, so a shorter file is played several times.
readonly broadcast_s=240 most_copies=60

clip_s=30 has_sound=yes

# A registry that the user's GStreamer never sees, and a plugin folder for nothing but our plugin: the build's own
# folder is full of other libraries.
use_gstreamer() {
  mkdir "$work/plugins"
  export GST_PLUGIN_PATH="$work/plugins" GST_REGISTRY="$work/registry.bin"
}

use_plugin() { # library
  ln -s "$1" "$work/plugins/"
  gst-inspect-1.0 streamiumpaysink >"$work/plugin.log" 2>&1 || fail "GStreamer does not take the plugin" plugin
}

make_clip() { # file
  local buffers=$((clip_s * fps))
  gst-launch-1.0 -q \
    videotestsrc pattern=smpte75 num-buffers=$buffers ! "$shape,framerate=$fps/1" ! \
    timeoverlay halignment=center valignment=bottom font-desc="Sans Bold 32" ! \
    textoverlay text=streamium valignment=center font-desc="Sans Bold 64" ! \
    vp8enc deadline=1 cpu-used=16 keyframe-max-dist=60 target-bitrate=1000000 ! queue ! mux. \
    audiotestsrc wave=ticks num-buffers=$buffers samplesperbuffer=$((48000 / fps)) ! \
    audio/x-raw,rate=48000,channels=2 ! opusenc ! queue ! mux. \
    webmmux name=mux ! filesink location="$1" >"$work/clip.log" 2>&1 || fail "the clip could not be made" clip
}

# Plays the first picture of it: that shows whether there is one, whether there is sound, and how long it is.
examine_clip() { # file
  timeout 60 gst-launch-1.0 -v filesrc location="$1" ! decodebin name=in \
    in. ! video/x-raw ! identity eos-after=1 ! progressreport format=time ! fakesink sync=false \
    >"$work/file.log" 2>&1 || true
  if ! grep -q '^Got EOS' "$work/file.log"; then
    if grep -q 'caps = audio/x-raw' "$work/file.log"; then
      refuse "$file has sound, but no video"
    fi
    refuse "$file is no video that this GStreamer can play"
  fi
  grep -q 'caps = audio/x-raw' "$work/file.log" || has_sound=''
  clip_s=$(sed -nE 's#^progressreport.* 0 / ([0-9]+) seconds.*#\1#p' "$work/file.log" | head -n 1)
  # A recording that was never finished does not say how long it is.
  [ "${clip_s:-0}" -gt 0 ] || clip_s=1
}

# The given file, or a clip of our own, at a path that needs no quoting for gst-launch.
prepare_clip() {
  step='clip'
  use_gstreamer
  if [ -n "$file" ]; then
    ln -s "$file" "$work/clip"
    examine_clip "$work/clip"
  else
    make_clip "$work/clip"
  fi
}

start_broadcaster() { # payout address
  local pipeline copies copy
  port=$(free_port)
  copies=$(((broadcast_s + clip_s - 1) / clip_s))
  [ $copies -le $most_copies ] || copies=$most_copies
  pipeline=(
    streamiumpaysink name=broadcaster "stream-name=The streamium demo" "rate=$rate_msat" "payout-address=$1"
    network=regtest "electrum-url=$ELECTRUM_URL" "data-dir=$work/broadcaster.data"
    run-signalling-server=true signalling-server-host=127.0.0.1 "signalling-server-port=$port"
    link-address=127.0.0.1 stun-server=none video-caps=video/x-vp8
    concat name=pictures ! videorate ! videoconvert ! videoscale add-borders=true
    ! "$shape,framerate=$fps/1" ! queue ! broadcaster.
  )
  [ -z "$has_sound" ] ||
    pipeline+=(concat name=sounds ! audioconvert ! audioresample ! queue ! broadcaster.)
  for ((copy = 0; copy < copies; copy++)); do
    pipeline+=(filesrc "location=$work/clip" ! decodebin "name=in$copy" "in$copy." ! video/x-raw ! queue ! pictures.)
    [ -z "$has_sound" ] ||
      pipeline+=("in$copy." ! audio/x-raw ! queue ! sounds.)
  done
  start_pipeline broadcaster "${pipeline[@]}"
}

# What is counted comes straight from the decoder: videoanalyse and level know nothing of payments. The queues
# behind them are long, so that a slow disk or encoder does not hold up the counting.
start_viewer() {
  local pipeline far='max-size-buffers=600 max-size-bytes=0 max-size-time=0'
  # shellcheck disable=SC2206 # $far is three words
  pipeline=(
    streamiumpaysrc name=viewer "uri=$link" network=regtest "max-rate=$rate_msat" "budget=$budget_sat"
    "electrum-url=$ELECTRUM_URL" "data-dir=$work/viewer.data" stun-server=none slate=false
    viewer. ! queue ! video/x-raw ! videoconvert ! videoanalyse ! queue $far ! videoscale add-borders=true ! "$shape"
    ! vp8enc deadline=1 cpu-used=16 keyframe-max-dist=60 target-bitrate=1000000 ! queue ! recording.
    webmmux name=recording ! filesink "location=$recording"
  )
  # shellcheck disable=SC2206
  [ -z "$has_sound" ] ||
    pipeline+=(viewer. ! queue ! audio/x-raw ! audioconvert ! audioresample ! level ! queue $far
      ! opusenc ! queue ! recording.)
  start_pipeline viewer -e "${pipeline[@]}"
}

# Plays the recording: how many frames it has, and a picture from the middle of it.
examine_recording() {
  local pictures
  step='recording'
  recorded_frames=$(gst-launch-1.0 -m filesrc location="$recording" ! matroskademux ! vp8dec ! tee name=t \
    t. ! queue ! videoconvert ! videoanalyse ! fakesink sync=false \
    t. ! queue ! videorate ! video/x-raw,framerate=1/4 ! videoconvert ! pngenc ! \
    multifilesink location="$work/picture-%02d.png" 2>"$work/recording.log" | grep -c GstVideoAnalyse || true)
  pictures=("$work"/picture-*.png)
  [ -e "${pictures[0]}" ] || fail "the recording can't be played" recording viewer
  mv "${pictures[${#pictures[@]} / 2]}" "$picture"
}
