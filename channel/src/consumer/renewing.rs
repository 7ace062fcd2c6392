//! The next channel: opened while the present one still pays, so that media never stops (protocol.md section 5).

use super::session::{CHANNEL_TIMEOUT, ConsumerSession, TERMS_TIMEOUT};
use super::state::{Next, Opening, Paying, State};
use super::{ChannelKeys, ConsumerEffect as Effect, ConsumerNotice, ConsumerPolicy};
use crate::fault::Fault;
use crate::message::ConsumerMessage;
use crate::terms::Terms;
use bitcoin::Amount;
use std::time::Duration;

/// The next channel is opened when so much of the present one is used, in percent: what is left lasts until its
/// commitment is confirmed, at any usual rate.
const USED_PERCENT: u64 = 80;

/// And when the present one has only this many blocks left until its provider must settle it: two hours, in which
/// the next one's commitment gets its confirmation.
const LEAD_BLOCKS: u32 = 12;

/// With this many left it is left for the next one although some of it is unused.
const LEAVE_BLOCKS: u32 = 3;

/// After an attempt that failed, another is made this much later.
const RETRY_AFTER: Duration = Duration::from_secs(30);

impl Next {
    /// None, for a while.
    pub(super) const fn later(now: Duration) -> Self {
        Next::None {
            not_before: now.saturating_add(RETRY_AFTER),
        }
    }

    /// None for this session.
    const NEVER: Self = Next::None {
        not_before: Duration::MAX,
    };
}

impl Paying {
    /// How many blocks the provider has left until it must settle.
    fn blocks_left(&self) -> u32 {
        let last = self.channel.channel.contract().delay().last_usable_confirmation();
        last.saturating_sub(self.channel.confirmations)
    }

    fn is_nearly_used(&self) -> bool {
        let payable = self.channel.channel.contract().payable().to_sat();
        self.purse.paid().to_sat().saturating_mul(100) >= payable.saturating_mul(USED_PERCENT)
    }

    /// Whether the budget allows an opening payment when all of the present channel is used.
    fn may_go_on(&self, policy: &ConsumerPolicy, spent: Amount) -> bool {
        let payable = self.channel.channel.contract().payable();
        let wanted = [spent, self.purse.carried(), payable, self.terms.opening]
            .into_iter()
            .try_fold(Amount::ZERO, Amount::checked_add);
        wanted.is_some_and(|wanted| wanted <= policy.budget)
    }

    /// Whether the present channel is to be left for the next although some of it is unused.
    pub(super) fn is_old(&self, now: Duration) -> bool {
        self.is_aging(LEAVE_BLOCKS, now)
    }

    /// Its depth is the provider's word: who lies about it earns no opening payment after the other.
    fn is_aging(&self, blocks: u32, now: Duration) -> bool {
        self.blocks_left() <= blocks && self.purse.has_used_opening(now)
    }
}

impl ConsumerSession {
    /// Asks for the next channel if it is time.
    pub(super) fn renew(&mut self, now: Duration, out: &mut Vec<Effect>) {
        let State::Open(open) = &mut self.state else {
            return;
        };
        match &open.next {
            Next::None { not_before } if now < *not_before => return,
            Next::None { .. } => (),
            Next::AwaitTerms(_, since) if now >= since.saturating_add(TERMS_TIMEOUT) => {
                open.next = Next::later(now);
                return;
            }
            Next::Opening(_, Opening::Asked(..), since) if now >= since.saturating_add(CHANNEL_TIMEOUT) => {
                open.next = Next::later(now);
                return;
            }
            Next::Opening(_, Opening::AwaitFunds(terms), since)
                if now >= since.saturating_add(Duration::from_millis(u64::from(terms.valid_ms))) =>
            {
                open.next = Next::later(now);
                return;
            }
            _ => return,
        }
        let confirmed = open.channel.acknowledged
            && open.channel.confirmations >= u32::from(open.terms.min_confirmations);
        let wanted = open.is_nearly_used() || open.is_aging(LEAD_BLOCKS, now);
        if confirmed && wanted && self.playing && open.may_go_on(&self.policy, self.past.spent) {
            open.next = Next::Wanted;
            out.push(Effect::Notice(ConsumerNotice::Renewing {
                outpoint: open.channel.outpoint(),
            }));
            out.push(Effect::FreshKeys);
        }
    }

    /// Fresh keys for the next channel: its terms are asked for.
    pub fn fresh_keys(&mut self, keys: ChannelKeys, now: Duration) -> Vec<Effect> {
        if let State::Open(open) = &mut self.state
            && matches!(open.next, Next::Wanted)
        {
            open.next = Next::AwaitTerms(keys, now);
            return vec![Effect::Send(ConsumerMessage::Renew)];
        }
        Vec::new()
    }

    /// There are no fresh keys: tried again later.
    pub fn no_fresh_keys(&mut self, now: Duration) {
        if let State::Open(open) = &mut self.state
            && matches!(open.next, Next::Wanted)
        {
            open.next = Next::later(now);
        }
    }

    /// Terms for the next channel, verified. Price and tracks are what was agreed, or there is no next channel.
    pub(super) fn renewed(
        &mut self,
        terms: Box<Terms>,
        now: Duration,
        out: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        let policy = self.judged();
        let State::Open(open) = &mut self.state else {
            return Ok(());
        };
        let Next::AwaitTerms(keys, _) = &open.next else {
            return Ok(());
        };
        let keys = keys.clone();
        open.next = Next::NEVER;
        let changed = match () {
            () if terms.rate != open.terms.rate => Some("rate"),
            () if terms.tracks != open.terms.tracks => Some("tracks"),
            () if terms.window_ms > open.terms.window_ms => Some("window"),
            () if terms.opening > open.terms.opening => Some("opening payment"),
            () => None,
        };
        if let Some(what) = changed {
            return Err(Fault::Renewal(what));
        }
        match policy.judge(&terms) {
            Ok(capacity) => {
                let fee_rate = policy.fee_rate(&terms, self.suggested_fee_rate);
                out.push(Effect::AwaitFunds { capacity, fee_rate });
                open.next = Next::Opening(keys, Opening::AwaitFunds(terms), now);
            }
            Err(refusal) => out.push(Effect::Notice(ConsumerNotice::NotRenewed(refusal))),
        }
        Ok(())
    }
}
