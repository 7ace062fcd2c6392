//! What goes wrong with one consumer or with the signalling server, and ends no broadcast.

use std::sync::atomic::{AtomicBool, Ordering};

use gst::glib;
use gst::prelude::*;

use super::crowd::Crowd;
use super::sessions::Sessions;
use super::{CAT, StreamiumPaySink};
use crate::inner::RelayEvent;
use crate::messages::post_report;
use crate::report::{Report, Severity};

/// What an error of webrtcsink's is about. It has only words for it, in its debug string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The connection to the signalling server, or what came over it.
    Signaller,
    /// The signaller has stopped listening over an SDP.
    DeafSignaller,
    /// webrtcsink could not find out what it can encode to.
    Discovery,
    /// The broadcast can't go on.
    Ours,
}

fn classify(debug: &str) -> Fault {
    if debug.contains("Signalling error: Error parsing SDP") {
        Fault::DeafSignaller
    } else if debug.contains("Signalling error: ") {
        Fault::Signaller
    } else if debug.contains("Failed to look up output caps") {
        Fault::Discovery
    } else {
        Fault::Ours
    }
}

/// What of webrtcsink's messages is one of the broadcast's: all but errors that need not end it.
pub fn filter(element: &StreamiumPaySink, message: gst::Message) -> Option<gst::Message> {
    let debug = match message.view() {
        gst::MessageView::Error(error) => error.debug().unwrap_or_default(),
        _ => return Some(message),
    };
    let fault = classify(&debug);
    // Without a relay it is a signaller that we know nothing of.
    let is_ours = element.is_stopping() || element.signalling_server().is_some();
    match fault {
        // The relay says what there is to say of the server.
        Fault::Signaller if is_ours => gst::info!(CAT, obj = element, "signaller: {debug}"),
        Fault::DeafSignaller if is_ours => {
            gst::warning!(CAT, obj = element, "signaller: {debug}");
            // The relay sees it go, and it is started again. Stopping waits for the runtime that this may run in.
            element.call_async(|element| {
                if let Some(signaller) = element.signaller() {
                    signaller.stop();
                }
            });
        }
        // Of one that has outlived its run.
        Fault::Discovery if element.is_stopping() => gst::info!(CAT, obj = element, "stopped: {debug}"),
        _ => return Some(message),
    }
    None
}

/// Answers what the relay notices.
pub struct Faults {
    element: glib::WeakRef<StreamiumPaySink>,
    sessions: Sessions,
    /// It has been said that the server is gone.
    away: AtomicBool,
    crowd: Crowd,
}

impl Faults {
    pub fn new(element: &StreamiumPaySink, sessions: &Sessions) -> Self {
        Self {
            element: element.downgrade(),
            sessions: sessions.clone(),
            away: AtomicBool::new(false),
            crowd: Crowd::default(),
        }
    }

    /// Runs in the relay's task, so it only arranges for what takes time.
    pub fn relay_event(&self, event: RelayEvent) {
        let Some(element) = self.element.upgrade().filter(|element| !element.is_stopping()) else {
            return;
        };
        match event {
            RelayEvent::Joined => self.joined(&element),
            RelayEvent::Lost { reason, joined } => self.lost(&element, &reason, joined),
            RelayEvent::Refused {
                session,
                peer,
                reason,
            } => {
                consumer_error(&element, Some(&session), peer.as_deref(), &reason);
            }
            RelayEvent::Begins { session, origin } => self.sessions.begins(session, origin),
            RelayEvent::TurnedAway {
                session,
                peer,
                reason,
                descriptors,
            } => self
                .crowd
                .turned_away(&element, &session, &peer, reason, descriptors),
            // webrtcsink says nothing of sessions that it ends over an answer it can't use.
            RelayEvent::Ended { session, peer } => {
                self.sessions.is_over(&session);
                if self.sessions.gave_up(&session) {
                    let reason = "webrtcsink could not go on with it";
                    consumer_error(&element, Some(&session), peer.as_deref(), reason);
                }
            }
            RelayEvent::Complaint { details } => consumer_error(&element, None, None, &details),
            RelayEvent::SignallerGone => restart_signaller(&element),
        }
    }

    fn joined(&self, element: &StreamiumPaySink) {
        let server = element.signalling_server().unwrap_or_default();
        let report = Report::new("signalling")
            .text_field("server", &server)
            .flag("reachable", true);
        let report = if self.away.swap(false, Ordering::SeqCst) {
            report.say(format!(
                "The signalling server {server} is back: the stream is listed again."
            ))
        } else {
            report
        };
        post_report(element, &report);
    }

    /// `was_joined`: it is not the wrong server.
    fn lost(&self, element: &StreamiumPaySink, reason: &str, was_joined: bool) {
        if self.away.swap(true, Ordering::SeqCst) {
            return gst::info!(CAT, obj = element, "signalling server: {reason}");
        }
        let server = element.signalling_server().unwrap_or_default();
        let (severity, words) = if was_joined {
            let words = format!(
                "The signalling server {server} is gone ({reason}); trying again. Who watches goes on watching."
            );
            (Severity::Warning, words)
        } else {
            let words = format!("The signalling server {server} can't be reached: {reason}.");
            (Severity::Error, words)
        };
        let report = Report::new("signalling")
            .text_field("server", &server)
            .flag("reachable", false)
            .text_field("reason", reason);
        post_report(element, &report.severity(severity).say(words));
    }
}

/// The relay stays with the server meanwhile, so no session ends.
fn restart_signaller(element: &StreamiumPaySink) {
    gst::warning!(
        CAT,
        obj = element,
        "webrtcsink's signaller has stopped: starting it again"
    );
    // Stopping waits for the runtime that this may run in.
    element.call_async(|element| {
        if let Some(signaller) = element.signaller() {
            signaller.stop();
            if !element.is_stopping() {
                signaller.start();
            }
        }
    });
}

/// Says that something went wrong with one consumer; the broadcast goes on.
pub fn consumer_error(element: &StreamiumPaySink, session: Option<&str>, peer: Option<&str>, reason: &str) {
    gst::warning!(
        CAT,
        obj = element,
        "session {session:?} of consumer {peer:?}: {reason}"
    );
    let known = [("session", session), ("peer", peer), ("reason", Some(reason))];
    let known = known.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let report = known.fold(Report::new("consumer-error"), |report, (name, value)| {
        report.text_field(name, value)
    });
    post_report(element, &report);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_apart_by_their_words() {
        let cases = [
            (
                "imp.rs(1): x (): /sink:\nSignalling error: Error",
                Fault::Signaller,
            ),
            (
                "Signalling error: Error parsing SDP:  Err(..)",
                Fault::DeafSignaller,
            ),
            ("Failed to look up output caps: x", Fault::Discovery),
            ("Failed to prepare: x", Fault::Ours),
            ("", Fault::Ours),
        ];
        for (debug, fault) in cases {
            assert_eq!(classify(debug), fault, "{debug}");
        }
    }
}
