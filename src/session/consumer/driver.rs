//! The loop: events in, effects out, in order.

use std::sync::mpsc::Sender;
use std::time::Duration;

use bitcoin::Amount;
use streamium_channel::agreement::Agreement;
use streamium_channel::consumer::{ConsumerEffect as Effect, ConsumerEnd, ConsumerNotice, ConsumerSession};
use streamium_channel::message::{ConsumerMessage, GateState, encode};
use streamium_channel::money::Rate;

use super::authorizing::{Asked, Asking};
use super::money::Money;
use super::notices;
use super::stats::Looks;
use super::{ConsumerOptions, ConsumerStatus, Event, StatusHandler};
use crate::catalogue;
use crate::chain::Servers;
use crate::peer::ConsumerPeer;
use crate::report::{Report, ReportHandler};
use crate::session::Clock;

/// While a session runs, arriving media is looked at this often.
const MEDIA_INTERVAL: Duration = Duration::from_millis(200);

/// Without a session the loop looks around this often.
const IDLE: Duration = Duration::from_secs(1);

/// At the end the provider's word of its settlement is waited for no longer than this.
const STOP_LIMIT: Duration = Duration::from_millis(1_500);

/// What was paid is said to people no more often than this; programs get each payment.
const PAID_TEXT_INTERVAL: Duration = Duration::from_secs(5);

/// How long a producer may take until its data channel is open. One that has none is not the link's provider.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection and its session.
pub(super) struct Live {
    pub(super) id: String,
    pub(super) peer: Box<dyn ConsumerPeer>,
    pub(super) since: Duration,
    pub(super) session: Option<ConsumerSession>,
    /// Its terms have come, and are the link's provider's.
    pub(super) verified: bool,
    /// The session is over: the connection ends at this time.
    pub(super) ends_at: Option<Duration>,
}

pub struct Driver {
    pub(super) options: ConsumerOptions,
    /// Wallet, chain and store; `None` where only free streams can be watched.
    pub(super) money: Option<Money>,
    pub(super) live: Option<Live>,
    /// The rate of the running session, for words about it.
    rate: Rate,
    pub(super) playing: bool,
    /// Paid since the start.
    pub(super) paid: Amount,
    paid_said: Option<Duration>,
    clock: Clock,
    report: ReportHandler,
    status: StatusHandler,
    /// Where there is an application that decides.
    pub(super) asking: Option<Asking>,
    pub(super) asked: Option<Asked>,
    /// What it has agreed to in this run.
    pub(super) agreed: Option<Agreement>,
    pub(super) stopping: Option<(Sender<()>, Duration)>,
    pub(super) looks: Looks,
}

impl Driver {
    pub fn new(
        options: ConsumerOptions,
        money: Option<Money>,
        clock: Clock,
        (report, status): (ReportHandler, StatusHandler),
        asking: Option<Asking>,
    ) -> Self {
        let servers = options.chain.as_ref().map(|chain| Servers::new(&chain.servers));
        Self {
            options,
            money,
            live: None,
            rate: Rate::default(),
            playing: true,
            paid: Amount::ZERO,
            paid_said: None,
            clock,
            report,
            status,
            asking,
            asked: None,
            agreed: None,
            stopping: None,
            looks: Looks::new(servers.unwrap_or_default()),
        }
    }

    /// Takes up what earlier runs left to be refunded, and syncs the wallet.
    pub fn start(&mut self) {
        self.recover();
        self.watch_funding();
    }

    pub fn now(&self) -> Duration {
        (self.clock)()
    }

    pub fn say(&self, report: Report) {
        debug_assert_eq!(report.check(&catalogue::SOURCE), Ok(()));
        (self.report)(report);
    }

    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Paid since the start.
    pub fn paid(&self) -> Amount {
        self.paid
    }

    pub fn set_status(&self, status: ConsumerStatus) {
        (self.status)(status);
    }

    /// True once the session is over or has been waited for long enough.
    pub fn has_stopped(&self) -> bool {
        let now = self.now();
        let idle = self
            .live
            .as_ref()
            .is_none_or(|live| live.session.as_ref().is_none_or(ConsumerSession::has_ended));
        self.stopping
            .as_ref()
            .is_some_and(|(_, until)| idle || now >= *until)
    }

    /// The last words.
    pub fn finish(mut self) -> Option<Sender<()>> {
        self.publish(self.now());
        if let Some(money) = &self.money {
            money.stop();
        }
        self.stopping.take().map(|(done, _)| done)
    }

    /// How long to wait for the next event.
    pub fn wait(&self) -> Duration {
        let Some(session) = self.live.as_ref().and_then(|live| live.session.as_ref()) else {
            return IDLE;
        };
        let now = self.now();
        let next = session.next(now).unwrap_or(Duration::MAX);
        next.saturating_sub(now).min(MEDIA_INTERVAL)
    }

    pub fn event(&mut self, event: Event) {
        let now = self.now();
        match event {
            Event::Connected { id, peer } => self.connected(id, peer),
            Event::Peer { id, event } => self.peer_event(&id, event),
            Event::Disconnected { id } => {
                if self.live.as_ref().is_some_and(|live| live.id == id) {
                    self.with_session(|session| session.disconnected(now));
                    self.part(Duration::MAX);
                    self.live = None;
                }
            }
            Event::Playing(playing) => {
                self.playing = playing;
                self.with_session(|session| session.set_playing(playing, now));
            }
            Event::Budget(budget) => {
                self.options.policy.budget = budget;
                self.with_session(|session| session.set_budget(budget, now));
            }
            Event::Authorized { number, yes } => self.authorized(number, yes),
            Event::Chain(event) => self.chain_event(event),
            Event::Stop { done } => {
                self.stopping = Some((done, now.saturating_add(STOP_LIMIT)));
                self.with_session(|session| session.close(ConsumerEnd::Stopped, now));
            }
        }
    }

    pub fn tick(&mut self) {
        let now = self.now();
        self.part(now);
        self.publish_when_due(now);
        let Some(live) = &mut self.live else { return };
        if let Some(session) = &mut live.session {
            session.media(live.peer.arrivals());
            let effects = session.tick(now);
            self.carry_out(effects);
        } else if now >= live.since.saturating_add(CONNECT_TIMEOUT) {
            self.pass_over("it speaks no streamium-pay");
        }
    }

    /// Does something with the session, if there is one, and carries out what follows.
    pub(super) fn with_session(&mut self, act: impl FnOnce(&mut ConsumerSession) -> Vec<Effect>) {
        if let Some(session) = self.live.as_mut().and_then(|live| live.session.as_mut()) {
            let effects = act(session);
            self.carry_out(effects);
        }
    }

    /// Carries effects out in order; the first that fails ends the session, and none after it happens.
    pub(super) fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            if let Err(words) = self.effect(effect) {
                self.fail(&words);
                return;
            }
        }
    }

    fn effect(&mut self, effect: Effect) -> Result<(), String> {
        match effect {
            Effect::Send(message) => {
                let text = encode(&message).map_err(|error| error.to_string())?;
                if let (ConsumerMessage::Open { .. }, Some(money)) = (&message, &mut self.money) {
                    money.proposed();
                }
                // A provider that can't be reached is noticed by its silence; nothing depends on the message.
                if let Some(live) = &self.live {
                    let _ = live.peer.send(&text);
                }
            }
            Effect::Authorize { question, terms } => self.authorize(question, terms)?,
            Effect::AwaitFunds { capacity, fee_rate } => self.await_funds(capacity, fee_rate)?,
            Effect::BuildCommitment {
                contract,
                script,
                fee_rate,
            } => {
                self.build_commitment(&contract, &script, fee_rate);
            }
            Effect::SaveChannel(record) => self.save_channel(&record)?,
            Effect::SavePaid {
                outpoint,
                paid,
                carried,
                consumed,
                rate,
            } => self.save_paid(outpoint, (paid, carried), consumed, rate)?,
            Effect::FreshKeys => self.fresh_keys(),
            // The record is watched from the moment it is saved.
            Effect::Watch { .. } => (),
            Effect::Broadcast(transaction) => {
                if let Some(money) = &self.money {
                    money.chain.broadcast(&transaction);
                }
            }
            Effect::Notice(notice) => self.notice(&notice),
            Effect::End(end) => self.ended(end),
        }
        Ok(())
    }

    fn notice(&mut self, notice: &ConsumerNotice) {
        match notice {
            ConsumerNotice::Terms(terms) => {
                self.rate = terms.rate;
                if let Some(live) = &mut self.live {
                    live.verified = true;
                    live.peer.show();
                }
                if terms.rate.is_free() {
                    self.set_status(ConsumerStatus::State("playing"));
                }
            }
            ConsumerNotice::Rate { new, .. } => self.rate = *new,
            ConsumerNotice::Opening { .. } => self.set_status(ConsumerStatus::State("opening")),
            ConsumerNotice::Paid { added, .. } => {
                self.paid = self.paid.checked_add(*added).unwrap_or(Amount::MAX_MONEY);
                self.set_status(ConsumerStatus::Paid(self.paid));
            }
            ConsumerNotice::Resumed { tolerated, .. } => self.tolerated(*tolerated),
            ConsumerNotice::NotResumed { outpoint, .. } => self.refused(*outpoint),
            ConsumerNotice::RolledOver { from, to } => self.leave_channel(*from, *to),
            ConsumerNotice::Gate { state } => {
                self.set_status(ConsumerStatus::State(match state {
                    GateState::Open => "playing",
                    GateState::Paused => "paused",
                    GateState::Unpaid | GateState::Unconfirmed => "opening",
                    GateState::Starved | GateState::Silent => "starved",
                    GateState::Closed => "stopped",
                }));
            }
            _ => (),
        }
        let now = self.now();
        let is_payment = matches!(notice, ConsumerNotice::Paid { .. });
        let due = self
            .paid_said
            .is_none_or(|last| now >= last.saturating_add(PAID_TEXT_INTERVAL));
        if is_payment && due {
            self.paid_said = Some(now);
        }
        let budget = self.options.policy.budget;
        self.say(notices::report(
            &self.options.link,
            notice,
            self.rate,
            budget,
            !is_payment || due,
        ));
    }
}
