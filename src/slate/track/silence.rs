//! Silence as live sound, without a gap.

use std::time::Duration;

use super::filler::{Filler, Peer, Piece, Scene, choose};

/// As long as one packet of Opus.
const PERIOD: gst::ClockTime = gst::ClockTime::from_mseconds(20);

/// What is missing beyond this is left out.
const LONGEST: gst::ClockTime = gst::ClockTime::from_mseconds(500);

const RATE: i32 = 48_000;
const CHANNELS: i32 = 2;
const LEFT_AND_RIGHT: gst::Bitmask = gst::Bitmask(3);

pub struct Silence;

impl Filler for Silence {
    fn period(&self) -> Duration {
        PERIOD.into()
    }

    fn choose(&self, live: Option<&gst::Caps>, peer: &dyn Peer) -> Option<gst::Caps> {
        let format = gst_audio::AUDIO_FORMAT_S16.to_str();
        let usual = gst::Caps::builder("audio/x-raw")
            .field("format", format)
            .field("layout", "interleaved")
            .field("rate", RATE)
            .field("channels", CHANNELS)
            .field("channel-mask", LEFT_AND_RIGHT)
            .build();
        let any = gst_audio::AudioCapsBuilder::new_interleaved().build();
        choose(peer, live, &usual, &any)
    }

    fn fill(&mut self, scene: &Scene<'_>) -> Result<Option<Piece>, String> {
        let info = gst_audio::AudioInfo::from_caps(scene.caps).map_err(|error| error.to_string())?;
        let first = || scene.now.saturating_sub(PERIOD);
        let begin = scene
            .end
            .unwrap_or_else(first)
            .max(scene.now.saturating_sub(LONGEST));
        let missing = scene.now.saturating_sub(begin);
        let samples = missing.nseconds().saturating_mul(info.rate().into()) / 1_000_000_000;
        let size = usize::try_from(samples.saturating_mul(info.bpf().into())).unwrap_or(0);
        if size == 0 {
            return Ok(None);
        }
        let mut bytes = vec![0; size];
        info.format_info().fill_silence(&mut bytes);
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        if let Some(buffer) = buffer.get_mut() {
            // Rounded up, so that roundings add up to nothing.
            let length = samples.saturating_mul(1_000_000_000).div_ceil(info.rate().into());
            buffer.set_duration(gst::ClockTime::from_nseconds(length));
        }
        Ok(Some((buffer, begin)))
    }
}
