//! Links, from any bytes.

use streamium_channel::link::{Link, MAX_STREAM_NAME, StreamName};

/// What is a link is the same link once written and read again.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(name) = StreamName::new(text) {
        assert!(!text.is_empty() && text.len() <= MAX_STREAM_NAME);
        assert_eq!(name.as_str(), text);
    }
    let Ok(link) = text.parse::<Link>() else { return };
    assert!(link.port != 0 && !link.host.is_empty());
    let written = link.to_string();
    let again: Link = written.parse().expect("what was written can be read");
    assert_eq!(again, link);
    assert_eq!(again.to_string(), written);
    // It goes to a shell's users and to the signaller: nothing in it may be taken for something else.
    assert!(written.chars().all(|c| c.is_ascii_graphic()), "{written:?}");
    let uri = link.signalling_uri();
    assert!(uri.chars().all(|c| c.is_ascii_graphic()), "{uri:?}");
    assert!(uri.ends_with(&format!(":{}", link.port)));
}
