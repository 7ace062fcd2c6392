//! Cooperative closes: the consumer's offers for channels that are not worth their settlement.

use super::session::ConsumerSession;
use super::state::{ConsumerChannel, Next, State};
use crate::cooperative::Closing;
use crate::message::ClosingOffer;
use crate::settlement::SINGLE_SETTLEMENT_VB;
use bitcoin::{Amount, FeeRate};

/// A cooperative close costs at most this part of what comes back: more would be burnt for not having to wait for the
/// refund, which costs less.
const CLOSING_FEE_PART: u64 = 10;

impl ConsumerSession {
    /// A balance that does not cover its settlement would never be settled, and lock our money for the whole delay:
    /// offer a closing transaction that pays it in full and gives the rest back at once.
    pub(super) fn closing_offers(&self) -> Vec<ClosingOffer> {
        let State::Open(open) = &self.state else {
            return Vec::new();
        };
        let present = self.offer(&open.channel, open.purse.paid());
        let next = match &open.next {
            Next::Ready(next) => self.offer(next, Amount::ZERO),
            _ => None,
        };
        present.into_iter().chain(next).collect()
    }

    /// Returns what was agreed for the commitment, or what the chain suggests now, within the policy. What the terms
    /// of a later connection ask of commitments is for those of other channels.
    fn closing_fee_rate(&self, channel: &ConsumerChannel) -> FeeRate {
        let agreed = channel.fee_rate;
        let present = self.suggested_fee_rate.unwrap_or(agreed).max(agreed);
        self.policy.relayed(present)
    }

    fn offer(&self, channel: &ConsumerChannel, balance: Amount) -> Option<ClosingOffer> {
        let rate = self.closing_fee_rate(channel);
        let settling = rate
            .fee_vb(SINGLE_SETTLEMENT_VB)?
            .checked_add(channel.payout.minimal_non_dust())?;
        if balance >= settling {
            return None;
        }
        // A closing transaction is no larger: it has a sighash byte less.
        let fee = rate.fee_vb(SINGLE_SETTLEMENT_VB)?;
        let back = channel.channel.contract().capacity().checked_sub(balance)?;
        if fee > back.checked_div(CLOSING_FEE_PART)? {
            return None;
        }
        let closing = Closing {
            channel: &channel.channel,
            balance,
            payout: &channel.payout,
            fee,
        };
        let signature = closing.offer(&channel.key).ok()?;
        Some(ClosingOffer {
            outpoint: channel.outpoint(),
            balance,
            fee,
            signature,
        })
    }
}
