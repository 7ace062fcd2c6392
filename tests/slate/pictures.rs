//! The pictures, looked at and scanned. With `SLATE_PICTURES=DIR` they are written there, to be looked at by people.

use gst::prelude::*;
use gststreamiumpay::slate::{Code, Painter, Slate, Tone};

use crate::common::webrtc::init;

const URI: &str = "bitcoin:BC1P5CYXNUXMEUWUVKWFEM96LQZSZD02N6XDCJRS20CAC6YQJJWUDPXQKEDRCR?amount=0.00051234";

fn funding() -> Slate {
    Slate {
        title: "The streamium demo".into(),
        facts: vec![
            "2,000 sat a minute, 120,000 sat an hour".into(),
            "Provider 79be667e…16f81798".into(),
        ],
        status: "Waiting for funds".into(),
        tone: Tone::Ask,
        notes: vec![
            "Send 51,234 sat from any wallet.".into(),
            "That is up to 25 min of video.".into(),
            "What is not spent stays yours.".into(),
            "In the wallet: 0 sat.".into(),
        ],
        code: Some(Code {
            content: URI.into(),
            caption: "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr".into(),
        }),
    }
}

fn caps(width: i32, height: i32) -> gst::Caps {
    gst::Caps::builder("video/x-raw")
        .field("format", "I420")
        .field("width", width)
        .field("height", height)
        .field("framerate", gst::Fraction::new(0, 1))
        .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
        .build()
}

/// Runs a picture through a pipeline; answers the messages.
fn through(buffer: &gst::Buffer, caps: &gst::Caps, rest: &str) -> Vec<gst::Message> {
    let pipeline =
        gst::parse::launch(&format!("appsrc name=in format=time ! videoconvert ! {rest}")).unwrap();
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    let source = pipeline
        .by_name("in")
        .unwrap()
        .downcast::<gst_app::AppSrc>()
        .unwrap();
    source.set_caps(Some(caps));
    pipeline.set_state(gst::State::Playing).unwrap();
    source.push_buffer(buffer.copy()).unwrap();
    source.end_of_stream().unwrap();
    let bus = pipeline.bus().unwrap();
    let mut messages = Vec::new();
    while let Some(message) = bus.timed_pop(gst::ClockTime::from_seconds(60)) {
        let done = matches!(message.type_(), gst::MessageType::Eos | gst::MessageType::Error);
        messages.push(message);
        if done {
            break;
        }
    }
    pipeline.set_state(gst::State::Null).unwrap();
    messages
}

pub fn keep(buffer: &gst::Buffer, caps: &gst::Caps, name: &str) {
    let Some(folder) = std::env::var_os("SLATE_PICTURES") else {
        return;
    };
    let file = std::path::Path::new(&folder).join(format!("{name}.png"));
    through(
        buffer,
        caps,
        &format!("pngenc ! filesink location={}", file.display()),
    );
}

/// What a scanner reads from a picture.
pub fn scan(buffer: &gst::Buffer, caps: &gst::Caps) -> Option<String> {
    through(buffer, caps, "zbar cache=false ! fakesink")
        .iter()
        .find_map(|message| {
            let structure = message
                .structure()
                .filter(|structure| structure.name() == "barcode")?;
            structure.get::<String>("symbol").ok()
        })
}

#[test]
fn the_code_is_read_from_the_picture_in_every_size() {
    init();
    for (width, height) in [
        (640, 360),
        (1280, 720),
        (1920, 1080),
        (640, 480),
        (720, 1280),
        (480, 480),
    ] {
        let caps = caps(width, height);
        let picture = Painter::new().unwrap().paint(&funding(), &caps).unwrap();
        keep(&picture, &caps, &format!("funding-{width}x{height}"));
        assert_eq!(scan(&picture, &caps).as_deref(), Some(URI), "{width}x{height}");
    }
}

fn caps_hd() -> gst::Caps {
    caps(1280, 720)
}

fn pixels(slate: &Slate) -> Vec<u8> {
    let picture = Painter::new().unwrap().paint(slate, &caps_hd()).unwrap();
    picture.map_readable().unwrap().to_vec()
}

#[test]
fn what_a_provider_calls_itself_is_shown_and_not_obeyed() {
    init();
    let blank = pixels(&Slate::default());
    for title in [
        "<span size='999999'>",
        "&",
        "a\u{202e}b",
        "</span></markup>",
        &"x".repeat(5_000),
        "日本語 🎬",
    ] {
        let slate = Slate {
            title: title.to_owned(),
            ..Slate::default()
        };
        let shown = pixels(&slate);
        let changed = shown
            .iter()
            .zip(&blank)
            .filter(|(shown, blank)| shown != blank)
            .count();
        // A line of letters, and not a screen full of them.
        assert!(changed > 50, "{title:?} is not shown");
        assert!(changed < blank.len() / 10, "{title:?} fills the picture");
    }
    let hidden = Slate {
        title: "\u{200b}\u{202e}\n".to_owned(),
        ..Slate::default()
    };
    assert!(pixels(&hidden) == blank);
}

#[test]
fn every_part_is_drawn() {
    init();
    let whole = pixels(&funding());
    for part in [
        Slate {
            title: String::new(),
            ..funding()
        },
        Slate {
            facts: Vec::new(),
            ..funding()
        },
        Slate {
            status: String::new(),
            ..funding()
        },
        Slate {
            notes: Vec::new(),
            ..funding()
        },
        Slate {
            code: None,
            ..funding()
        },
        Slate {
            tone: Tone::Trouble,
            ..funding()
        },
    ] {
        assert!(pixels(&part) != whole, "{part:?}");
    }
}

/// As full as it can be.
fn crowded() -> Slate {
    Slate {
        title: "Saturday night's long and winding talk about everything".into(),
        facts: vec![
            "1,234,567 sat a minute, 74,074,020 sat an hour".into(),
            "Provider 79be667e…16f81798".into(),
        ],
        notes: vec!["A sentence that goes on for longer than there is room beside the code. ".repeat(2); 4],
        ..funding()
    }
}

#[test]
fn the_code_is_read_however_much_is_said() {
    init();
    for (width, height) in [(640, 360), (1280, 720), (640, 480), (720, 1280)] {
        let caps = caps(width, height);
        let picture = Painter::new().unwrap().paint(&crowded(), &caps).unwrap();
        keep(&picture, &caps, &format!("crowded-{width}x{height}"));
        assert_eq!(scan(&picture, &caps).as_deref(), Some(URI), "{width}x{height}");
    }
}

#[test]
fn caps_without_a_size_are_refused() {
    init();
    let caps = gst::Caps::builder("video/x-raw").field("format", "I420").build();
    assert!(Painter::new().unwrap().paint(&funding(), &caps).is_err());
}
