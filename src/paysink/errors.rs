//! Which of webrtcsink's errors end the broadcast.
//!
//! webrtcsink turns every complaint of its signaller into an element error, also those that a single consumer
//! causes. They can only be told apart by their words; what is not known here stays an error.

/// What to do about an error of the inner sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The broadcast can't go on: let the error through.
    Ours,
    /// The connection to the signalling server is gone or can't be made.
    Signaller,
    /// One consumer's, or a note of the signalling server's: say it, go on.
    Consumer,
    /// One consumer's, but webrtcsink's signaller has stopped listening over it: say it, connect anew.
    ConsumerStoppedSignaller,
}

/// Classifies an error by its debug string, where webrtcsink puts its words.
pub fn classify(debug: &str) -> Fault {
    const SIGNALLING: &str = "Signalling error: ";
    let Some((_, words)) = debug.split_once(SIGNALLING) else {
        return Fault::Ours;
    };
    if words.starts_with("Error parsing SDP") {
        Fault::ConsumerStoppedSignaller
    } else if words.starts_with("Error message from server")
        || words.starts_with("Unknown message from server")
    {
        Fault::Consumer
    } else {
        Fault::Signaller
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_consumer_ends_no_broadcast() {
        let cases = [
            (
                "imp.rs(1): x (): /sink:\nSignalling error: Error parsing SDP:  Err(..)",
                Fault::ConsumerStoppedSignaller,
            ),
            (
                "Signalling error: Error message from server: Session x doesn't exist",
                Fault::Consumer,
            ),
            (
                "Signalling error: Unknown message from server: {}",
                Fault::Consumer,
            ),
            (
                "Signalling error: Error receiving: connection refused",
                Fault::Signaller,
            ),
            ("Failed to look up output caps", Fault::Ours),
            ("", Fault::Ours),
        ];
        for (debug, fault) in cases {
            assert_eq!(classify(debug), fault, "{debug}");
        }
    }
}
