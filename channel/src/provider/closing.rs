//! Cooperative closes that a consumer offers: which of them are taken.

use super::session::ProviderSession;
use super::state::OpenChannel;
use super::{CommitmentStatus, ProviderEffect as Effect};
use crate::cooperative::{Closing, ClosingTerms};
use crate::message::ClosingOffer;
use bitcoin::{Amount, FeeRate, OutPoint};
use std::collections::BTreeSet;

impl ProviderSession {
    /// Tells what the chain suggests now for a settlement of one channel. It decides which cooperative closes are taken,
    /// so tell it before each message. Until told, what the terms ask of commitments counts.
    pub const fn suggest_fee_rate(&mut self, suggested: FeeRate) {
        self.suggested_fee_rate = Some(suggested);
    }

    /// Takes at most one close of each channel of the session. Each one taken is signed, recorded and broadcast, so a
    /// list that has more offers than there are channels, or two for one of them, is taken for none.
    pub(super) fn close_cooperatively(&self, offers: &[ClosingOffer], out: &mut Vec<Effect>) {
        let outpoints: BTreeSet<OutPoint> = offers.iter().map(|offer| offer.outpoint).collect();
        if offers.len() > self.open_channels().count() || outpoints.len() < offers.len() {
            return;
        }
        out.extend(offers.iter().filter_map(|offer| self.cooperative(offer)));
    }

    /// An offer that pays all that has been paid where that is not worth settling now, at a fee that is right now.
    fn cooperative(&self, offer: &ClosingOffer) -> Option<Effect> {
        let open = self
            .open_channels()
            .find(|open| open.channel.outpoint() == offer.outpoint)?;
        if !open.is_known() {
            return None;
        }
        let payout = &self.config.payout;
        let closing = Closing {
            channel: &open.channel,
            balance: offer.balance,
            payout,
            fee: offer.fee,
        };
        let balance = open.best.map_or(Amount::ZERO, |best| best.cumulative());
        let transaction = closing.complete(&offer.signature, balance, &open.key.key).ok()?;
        ClosingTerms::new(self.present_fee_rate())
            .check(&closing, balance, &transaction)
            .ok()?;
        let is_dust = offer.balance < payout.minimal_non_dust();
        Some(Effect::CloseCooperatively {
            outpoint: offer.outpoint,
            transaction,
            payout: if is_dust { Amount::ZERO } else { offer.balance },
        })
    }

    fn present_fee_rate(&self) -> FeeRate {
        let of_terms = FeeRate::from_sat_per_kwu(self.config.commitment_fee_rate_sat_per_kvb.div_ceil(4));
        self.suggested_fee_rate.unwrap_or(of_terms)
    }
}

impl OpenChannel {
    /// True while servers know the commitment. A close of one that nobody knows spends nothing.
    const fn is_known(&self) -> bool {
        self.seen && !matches!(self.status, CommitmentStatus::Missing)
    }
}
