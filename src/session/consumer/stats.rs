//! What the consumer's driver lets others read.

use std::time::Duration;

use bitcoin::Amount;
use streamium_channel::consumer::{ChannelFigures, ConsumerSession, Figures};
use streamium_channel::money::{Msat, Rate};

use super::driver::Driver;
use crate::chain::{ChainFigures, Servers};
use crate::peer::TrackFigures;
use crate::session::Published;
use crate::session::published::INTERVAL;
use crate::wallet::Balance;

/// A consumer at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConsumerStats {
    /// As the terms have it.
    pub rate: Rate,
    /// Paid since the start.
    pub paid: Amount,
    /// What arrived by our own count, through all channels of the account.
    pub consumed: Msat,
    pub budget_left: Amount,
    /// `None` where only free streams can be watched.
    pub wallet: Option<Balance>,
    /// `None` before there is one, and after the session.
    pub channel: Option<ChannelFigures>,
    /// Of the present connection.
    pub tracks: Vec<TrackFigures>,
    pub chain: ChainFigures,
}

/// What is kept between two looks.
#[derive(Debug, Default)]
pub struct Looks {
    pub servers: Servers,
    /// `None` once the wallet has changed.
    balance: Option<Balance>,
    /// What arrived by the last session's count.
    consumed: Msat,
    published: Published<ConsumerStats>,
    published_at: Option<Duration>,
}

impl Looks {
    pub fn new(servers: Servers) -> Self {
        Self {
            servers,
            ..Self::default()
        }
    }

    pub fn published(&self) -> Published<ConsumerStats> {
        self.published.clone()
    }

    pub fn wallet_changed(&mut self) {
        self.balance = None;
    }
}

impl Driver {
    /// Lets others read how everything stands, if that was not done just now.
    pub(super) fn publish_when_due(&mut self, now: Duration) {
        let at = self.looks.published_at;
        if at.is_none_or(|at| now >= at.saturating_add(INTERVAL)) {
            self.publish(now);
        }
    }

    pub(super) fn publish(&mut self, now: Duration) {
        self.looks.published_at = Some(now);
        let stats = self.stats(now);
        self.looks.published.publish(stats);
    }

    fn stats(&mut self, now: Duration) -> ConsumerStats {
        let figures = self.session().map(|session| session.figures(now));
        if let Some(Figures {
            channel: Some(_),
            consumed,
            ..
        }) = figures
        {
            self.looks.consumed = consumed;
        }
        let left = || {
            let left = self.options.policy.budget.checked_sub(self.spent());
            left.unwrap_or(Amount::ZERO)
        };
        ConsumerStats {
            rate: self.rate(),
            paid: self.paid(),
            consumed: self.looks.consumed,
            budget_left: figures.as_ref().map_or_else(left, |figures| figures.budget_left),
            wallet: self.balance(),
            channel: figures.and_then(|figures| figures.channel),
            tracks: self.track_figures(),
            chain: self
                .looks
                .servers
                .figures(self.money.as_ref().and_then(|money| money.chain.tip())),
        }
    }

    /// Listing coins takes a while in a wallet with a past.
    fn balance(&mut self) -> Option<Balance> {
        let money = self.money.as_ref()?;
        Some(*self.looks.balance.get_or_insert_with(|| money.wallet.balance()))
    }

    fn session(&self) -> Option<&ConsumerSession> {
        let session = self.live.as_ref()?.session.as_ref();
        session.filter(|session| !session.has_ended())
    }

    fn track_figures(&self) -> Vec<TrackFigures> {
        let live = self.live.as_ref();
        live.map(|live| live.peer.track_figures()).unwrap_or_default()
    }
}
