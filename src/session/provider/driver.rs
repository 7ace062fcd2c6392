//! The loop: events in, effects out, in order.

use std::collections::HashMap;
use std::sync::mpsc::Sender;
use std::time::Duration;

use bitcoin::secp256k1::Keypair;
use streamium_channel::message::{GateState, encode};
use streamium_channel::provider::{AccountRecord, EndReason, ProviderEffect as Effect, ProviderNotice};

use super::live::{CONNECT_TIMEOUT, LINGER, Live, Phase};
use super::money::Money;
use super::stats::Counts;
use super::{Event, ProviderOptions, ProviderStartError, notices};
use crate::catalogue;
use crate::chain::Servers;
use crate::report::{Report, ReportHandler};
use crate::room::Room;
use crate::session::{Clock, GROUP_COMMIT};
use crate::store::Store;
use crate::wallet::Seed;

/// At the end the chain's answers are waited for no longer than this.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// Without anything to do the loop looks around this often.
const IDLE: Duration = Duration::from_secs(1);

pub struct Driver {
    pub(super) options: ProviderOptions,
    pub(super) identity: Keypair,
    pub(super) seed: Seed,
    pub(super) store: Store,
    /// Chain and settlements; `None` for a free stream.
    pub(super) money: Option<Money>,
    pub(super) sessions: HashMap<String, Live>,
    /// Payments and accounts that wait for the next group commit, and since when.
    pub(super) accounts: Vec<AccountRecord>,
    pub(super) accounts_since: Option<Duration>,
    clock: Clock,
    report: ReportHandler,
    /// Who waits for the end, and until when at most.
    pub(super) stopping: Option<(Sender<()>, Duration)>,
    pub(super) counts: Counts,
    /// Read by the relay, which admits consumers.
    pub(super) room: Room,
    /// When somebody last went for want of descriptors.
    pub(super) made_room_at: Option<Duration>,
}

impl Driver {
    pub fn new(
        options: ProviderOptions,
        identity: Keypair,
        seed: Seed,
        store: Store,
        events: Sender<Event>,
        clock: Clock,
        report: ReportHandler,
    ) -> Result<Self, ProviderStartError> {
        let money = match &options.paid {
            Some(paid) => Some(Money::start(paid, &options.data_dir, seed.clone(), events)?),
            None => None,
        };
        let servers = options
            .paid
            .as_ref()
            .map(|paid| Servers::new(&paid.chain.servers));
        let counts = Counts::new(store.earned()?, servers.unwrap_or_default());
        Ok(Self {
            options,
            identity,
            seed,
            store,
            money,
            sessions: HashMap::new(),
            accounts: Vec::new(),
            accounts_since: None,
            clock,
            report,
            stopping: None,
            counts,
            room: Room::default(),
            made_room_at: None,
        })
    }

    /// Takes up what an earlier run left to be settled.
    pub fn start(&mut self) {
        self.recover();
    }

    pub fn now(&self) -> Duration {
        (self.clock)()
    }

    pub fn say(&self, report: Report) {
        debug_assert_eq!(report.check(&catalogue::SINK), Ok(()));
        (self.report)(report);
    }

    /// True once everything that can be done at the end has been done.
    pub fn has_stopped(&self) -> bool {
        let now = self.now();
        self.stopping
            .as_ref()
            .is_some_and(|(_, until)| now >= *until || self.is_settled_for_now())
    }

    /// The last words.
    pub fn finish(mut self) -> Option<Sender<()>> {
        self.commit_accounts();
        self.publish(self.now());
        if let Some(money) = &self.money {
            money.chain.stop();
        }
        for (_, live) in self.sessions.drain() {
            live.peer.end();
        }
        self.stopping.take().map(|(done, _)| done)
    }

    /// How long to wait for the next event.
    pub fn wait(&self) -> Duration {
        let now = self.now();
        let sessions = self.sessions.values().filter_map(|live| live.next(now));
        let commit = self
            .accounts_since
            .map(|since| since.saturating_add(GROUP_COMMIT));
        let engine = self.money.as_ref().and_then(|money| money.engine.next());
        let waiting = self.money.as_ref().and_then(|money| money.handing_out.next());
        let next = sessions
            .chain(commit)
            .chain(waiting)
            .chain(engine)
            .min()
            .unwrap_or(Duration::MAX);
        next.saturating_sub(now).min(IDLE)
    }

    pub fn event(&mut self, event: Event) {
        match event {
            Event::Added { id, peer } => self.added(id, peer),
            Event::Peer { id, event } => self.peer_event(&id, event),
            Event::Removed { id } => self.removed(&id),
            Event::Rate(rate) => self.set_rate(rate),
            Event::Chain(event) => self.chain_event(event),
            Event::MakeRoom(origin) => self.make_room(&origin),
            Event::Stop { done } => self.stop(done),
        }
    }

    pub fn tick(&mut self) {
        let now = self.now();
        let due: Vec<String> = self
            .sessions
            .iter()
            .filter(|(_, live)| live.next(now).is_some_and(|at| at <= now))
            .map(|(id, _)| id.clone())
            .collect();
        for id in due {
            self.tick_session(&id, now);
        }
        if self
            .accounts_since
            .is_some_and(|since| now >= since.saturating_add(GROUP_COMMIT))
        {
            self.commit_accounts();
        }
        self.drop_gone();
        self.engine(|engine, out| engine.tick(out));
        if let Some(money) = &mut self.money {
            money.hand_out(now);
        }
        self.tick_deadlines(now);
        self.tick_unseen(now);
        self.publish_when_due(now);
    }

    fn tick_session(&mut self, id: &str, now: Duration) {
        let Some(live) = self.sessions.get_mut(id) else {
            return;
        };
        match &mut live.phase {
            Phase::Running(session) => {
                let effects = session.tick(now);
                self.carry_out(id, effects);
            }
            Phase::Connecting | Phase::Waiting(_) if now >= live.since.saturating_add(CONNECT_TIMEOUT) => {
                live.peer.end();
                self.sessions.remove(id);
            }
            Phase::Lingering { until } if now >= *until => {
                live.peer.end();
                self.sessions.remove(id);
            }
            _ => (),
        }
    }

    /// Carries effects out in order; the first that fails ends the session, and none after it happens.
    pub(super) fn carry_out(&mut self, id: &str, effects: Vec<Effect>) {
        for effect in effects {
            if let Err(words) = self.effect(id, effect) {
                self.say(notices::failed(id, &words));
                self.close_session(id, EndReason::Failed(words));
                return;
            }
        }
    }

    pub(super) fn effect(&mut self, id: &str, effect: Effect) -> Result<(), String> {
        match effect {
            Effect::Send(message) => {
                let text = encode(&message).map_err(|error| error.to_string())?;
                // A peer that can't be reached is noticed by its silence; nothing depends on the message.
                if let Some(live) = self.sessions.get(id) {
                    let _ = live.peer.send(&text);
                }
            }
            Effect::SaveChannel(record) => self.save_channel(id, &record)?,
            Effect::SaveAccount(account) => {
                self.accounts.push(account);
                self.accounts_since.get_or_insert((self.clock)());
            }
            Effect::Switch { from, to } => self.switch(id, &from, &to)?,
            Effect::FreshKey => self.fresh_key(id)?,
            Effect::Recall(outpoint) => self.recall(id, outpoint)?,
            Effect::TakeOver(outpoint) => self.take_over(id, outpoint)?,
            Effect::Watch { outpoint, script } => {
                if let Some(money) = &mut self.money {
                    money.watched.add(&*money.chain, outpoint, script);
                }
            }
            Effect::Broadcast(transaction) => {
                let now = self.now();
                if let Some(money) = &mut self.money {
                    money.handing_out.push(transaction);
                    money.hand_out(now);
                }
            }
            Effect::Gate(state) => {
                if let Some(live) = self.sessions.get(id) {
                    live.peer.set_gate(state == GateState::Open);
                }
            }
            Effect::Release { outpoint, keep } => {
                self.commit_accounts();
                self.release(outpoint, keep)?;
            }
            Effect::CloseCooperatively {
                outpoint,
                transaction,
                payout,
            } => self.cooperative(outpoint, &transaction, payout)?,
            Effect::Notice(notice) => self.notice(id, notice),
            Effect::End(reason) => self.ended(id, &reason),
        }
        Ok(())
    }

    pub(super) fn close_session(&mut self, id: &str, reason: EndReason) {
        let now = self.now();
        if let Some(session) = self.sessions.get_mut(id).and_then(Live::session) {
            let effects = session.close(reason, now);
            // Not through `carry_out`: a failure here must not close it again.
            for effect in effects {
                if let Err(words) = self.effect(id, effect) {
                    self.say(notices::failed(id, &words));
                }
            }
        }
    }

    fn ended(&mut self, id: &str, reason: &EndReason) {
        self.say(notices::ended(id, reason));
        let until = self.now().saturating_add(LINGER);
        if let Some(live) = self.sessions.get_mut(id) {
            live.peer.set_gate(false);
            live.phase = Phase::Lingering { until };
        }
    }

    fn notice(&mut self, id: &str, notice: ProviderNotice) {
        let now = self.now();
        self.counts.notice(id, &notice);
        let Some(live) = self.sessions.get_mut(id) else {
            return;
        };
        let rate = live.session().map(|session| session.rate()).unwrap_or_default();
        let say_paid = live.may_say_paid(&notice, now);
        let report = notices::report(id, &notice, rate, say_paid);
        self.say(report);
    }

    fn stop(&mut self, done: Sender<()>) {
        self.stopping = Some((done, self.now().saturating_add(STOP_LIMIT)));
        let ids: Vec<_> = self.sessions.keys().cloned().collect();
        for id in ids {
            self.close_session(&id, EndReason::Stopping);
        }
        self.commit_accounts();
        self.settle_all();
    }
}
