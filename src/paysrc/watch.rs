//! The resolver, made anew when the signalling server goes away. Times are on [`crate::boottime`]'s clock.

use std::time::Duration;

use super::control::{Command, Commander};
use crate::backoff::Backoff;
use crate::inner::{Resolver, Signaller};
use streamium_channel::link::Link;

/// A provider that restarts often brings its signalling server: it should not be long until that is noticed.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// A connection this young is not made again.
const FRESH: Duration = Duration::from_secs(5);

/// Watches for producers for as long as the source runs. What its resolvers say comes as numbered commands.
pub struct Watch {
    signaller: Signaller,
    uri: String,
    name: String,
    commander: Commander,
    number: u64,
    resolver: Option<Resolver>,
    begun_at: Duration,
    /// The server has answered once: it is not the wrong one.
    has_listened: bool,
    away: Option<Away>,
    backoff: Backoff,
}

/// The server is away.
struct Away {
    since: Duration,
    retry_at: Duration,
    reason: String,
}

impl Watch {
    pub fn new(signaller: &Signaller, link: &Link, commander: &Commander) -> Self {
        Self {
            signaller: signaller.clone(),
            uri: link.signalling_uri(),
            name: link.stream.as_str().to_owned(),
            commander: commander.clone(),
            number: 0,
            resolver: None,
            begun_at: Duration::ZERO,
            has_listened: false,
            away: None,
            backoff: Backoff::up_to(LONGEST_PAUSE),
        }
    }

    pub fn begin(&mut self, now: Duration) {
        self.number += 1;
        self.begun_at = now;
        let (commander, number) = (self.commander.clone(), self.number);
        self.resolver = Some(Resolver::start(
            &self.signaller,
            &self.uri,
            &self.name,
            move |event| commander.send(Command::Producer(number, event)),
        ));
    }

    /// Asks the server anew, if that was not done just now: after a cut a connection that only listens may be dead
    /// without a sign. True if all producers will be reported again.
    pub fn renew(&mut self, now: Duration) -> bool {
        let due = self.resolver.is_some() && now >= self.begun_at.saturating_add(FRESH);
        if due {
            self.begin(now);
        }
        due
    }

    pub fn stop(&mut self) {
        self.resolver = None;
        self.away = None;
        self.number += 1;
    }

    /// Whether the resolver of this number is the present one.
    pub fn is_current(&self, number: u64) -> bool {
        self.number == number
    }

    /// The present resolver has ended. `listened`: not before the server had answered.
    pub fn failed(&mut self, reason: String, listened: bool, now: Duration) {
        self.resolver = None;
        let since = self.away.as_ref().filter(|_| !listened).map(|away| away.since);
        if listened {
            self.has_listened = true;
            self.backoff.reset();
        }
        self.away = Some(Away {
            since: since.unwrap_or(now),
            retry_at: now.saturating_add(self.backoff.pause()),
            reason,
        });
    }

    /// Why there is no server, if it has been away for longer than `timeout` or has never answered.
    pub fn complaint(&self, now: Duration, timeout: Duration) -> Option<&str> {
        let away = self.away.as_ref().filter(|_| self.resolver.is_none())?;
        let over = !self.has_listened || now >= away.since.saturating_add(timeout);
        over.then_some(away.reason.as_str())
    }

    /// When the server is tried again.
    pub fn next(&self) -> Option<Duration> {
        let away = self.away.as_ref().filter(|_| self.resolver.is_none())?;
        Some(away.retry_at)
    }

    pub fn tick(&mut self, now: Duration) {
        if self.next().is_some_and(|at| now >= at) {
            self.begin(now);
        }
    }
}
