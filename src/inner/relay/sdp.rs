//! What a consumer may say in its SDP.
//!
//! webrtcsink 0.15 aborts the whole process over an answer that has no codec for the payload type it picks, or
//! contradicts itself, or names a profile or level that it does not know. So the same is worked out here first.

use std::sync::LazyLock;

use gst_webrtc::gst_sdp::{SDPMediaRef, SDPMessage, SDPMessageRef};

/// As webrtcsink has them.
const H264_PROFILES: [&str; 8] = [
    "constrained-baseline",
    "baseline",
    "main",
    "constrained-high",
    "high",
    "high-10",
    "high-4:2:2",
    "high-4:4:4",
];

static H264_LEVELS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let level = |idc| gst_pbutils::codec_utils_h264_get_level(&[0, 0, idc]).ok();
    let levels = (10..63).filter_map(level).map(|level| level.to_string());
    std::iter::once("1b".to_owned()).chain(levels).collect()
});

/// Whether webrtcsink can read this, or what is wrong with it.
pub fn check(sdp: &str) -> Result<(), String> {
    if sdp.is_empty() {
        return Err("it is empty".to_owned());
    }
    let message = SDPMessage::parse_buffer(sdp.as_bytes()).map_err(|_| "it is no SDP".to_owned())?;
    if message.medias_len() == 0 {
        return Err("it has no media".to_owned());
    }
    let mut medias = message.medias();
    medias.try_for_each(|media| check_media(&message, media))
}

/// Of any kind: webrtcsink goes by a medium's place alone.
fn check_media(message: &SDPMessageRef, media: &SDPMediaRef) -> Result<(), String> {
    let kind = media.media().unwrap_or_default();
    let mut payloads = media.formats().map(|format| format.parse::<i32>().ok());
    let Some(Some(first)) = payloads.next() else {
        // Of a data channel, say. In the place of a track webrtcsink ends the session by itself.
        return Ok(());
    };
    let caps = media
        .caps_from_media(first)
        .ok_or_else(|| format!("its {kind} has no codec for payload type {first}"))?;
    let others = payloads
        .flatten()
        .filter_map(|other| media.caps_from_media(other));
    let mut all = std::iter::once(caps.clone()).chain(others);
    let are_named = all.all(|caps| {
        let structure = caps.structure(0);
        structure.is_some_and(|codec| codec.get::<&str>("encoding-name").is_ok())
    });
    if !are_named {
        return Err(format!("its {kind} has a codec without a name"));
    }
    let mut attributes = gst::Caps::new_empty_simple("application/x-unknown");
    let readable = attributes.get_mut().is_some_and(|attributes| {
        message.attributes_to_caps(attributes).is_ok() && media.attributes_to_caps(attributes).is_ok()
    });
    let caps = caps.intersect(&attributes);
    let codec = caps
        .structure(0)
        .filter(|_| readable)
        .ok_or_else(|| format!("its {kind} contradicts itself"))?;
    check_profile(codec).map_err(|what| format!("its {kind} has {what}"))
}

fn check_profile(codec: &gst::StructureRef) -> Result<(), String> {
    let text = |name| {
        codec
            .get_optional::<&str>(name)
            .map_err(|_| format!("a bad {name}"))
    };
    let profile = |profile: &str| {
        let known = H264_PROFILES.contains(&profile);
        known
            .then_some(())
            .ok_or(format!("the unknown profile {profile}"))
    };
    let level = |level: &str| {
        let known = H264_LEVELS.iter().any(|one| one == level);
        known.then_some(()).ok_or(format!("the unknown level {level}"))
    };
    text("profile")?.map_or(Ok(()), profile)?;
    text("level")?.map_or(Ok(()), level)?;
    let Some(id) = text("profile-level-id")?.and_then(|id| u32::from_str_radix(id, 16).ok()) else {
        return Ok(());
    };
    let [_, sps @ ..] = id.to_be_bytes();
    if let Ok(found) = gst_pbutils::codec_utils_h264_get_profile(&sps) {
        profile(&found)?;
    }
    if let Ok(found) = gst_pbutils::codec_utils_h264_get_level(&sps) {
        level(&found)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n";

    fn with(media: &str) -> Result<(), String> {
        gst::init().unwrap();
        check(&format!("{HEAD}{media}"))
    }

    #[test]
    fn what_browsers_answer_passes() {
        let answers = [
            "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack pli\r\n",
            "m=video 9 UDP/TLS/RTP/SAVPF 102\r\na=rtpmap:102 H264/90000\r\n\
             a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n",
            "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n\
             m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=sctp-port:5000\r\n",
            "m=video 9 UDP/TLS/RTP/SAVPF 98\r\na=rtpmap:98 VP9/90000\r\na=fmtp:98 profile-id=0\r\n",
        ];
        for answer in answers {
            assert_eq!(with(answer), Ok(()), "{answer}");
        }
    }

    #[test]
    fn what_would_end_webrtcsink_does_not() {
        let rtpmap = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 VP8/90000\r\n";
        let h264 = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 H264/90000\r\n";
        let answers = [
            (String::new(), "no media"),
            ("m=video 9 UDP/TLS/RTP/SAVPF 96\r\n".to_owned(), "no codec"),
            ("m=application 9 UDP/DTLS/SCTP 96\r\n".to_owned(), "no codec"),
            (
                format!("{rtpmap}a=foo:1\r\na=fmtp:96 a-foo=2\r\n"),
                "contradicts itself",
            ),
            (format!("{rtpmap}a=fmtp:96 profile=x\r\n"), "unknown profile x"),
            (format!("{rtpmap}a=fmtp:96 level=x\r\n"), "unknown level x"),
            (
                format!("{h264}a=fmtp:96 profile-level-id=58a01f\r\n"),
                "unknown profile",
            ),
        ];
        for (answer, what) in answers {
            let error = with(&answer).expect_err(&answer);
            assert!(error.contains(what), "{answer}: {error}");
        }
        for nonsense in ["", "garbage", "\0", "v=0"] {
            assert!(check(nonsense).is_err(), "{nonsense}");
        }
    }
}
