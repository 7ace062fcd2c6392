//! A channel as the provider has it on record, and what of it counts.

use crate::common::p2tr;
use crate::common::pair::provider_key;
use bitcoin::{Amount, FeeRate};
use streamium_channel::contract::Channel;
use streamium_channel::payment::Payment;
use streamium_channel::provider::{AccountRecord, CommitmentStatus};
use streamium_channel::record::{PaymentRecord, ProviderRecord};
use streamium_channel::settlement::{Claim, Settlement, SettlementError};

pub struct Held {
    pub record: ProviderRecord,
    pub channel: Channel,
    pub status: CommitmentStatus,
    pub unconfirmed_limit: Amount,
    /// The session is done with it.
    pub released: bool,
}

impl Held {
    pub fn new(record: ProviderRecord, unconfirmed_limit: Amount) -> Self {
        Self {
            channel: record.restore().expect("a record that can be restored").0,
            record,
            status: CommitmentStatus::Mempool,
            unconfirmed_limit,
            released: false,
        }
    }

    pub fn balance(&self) -> Amount {
        self.record.best.map_or(Amount::ZERO, |best| best.cumulative)
    }

    /// Of this channel, and of those before it.
    pub fn counts(&self, min_confirmations: u16) -> Amount {
        let balance = self.balance();
        self.record.carried
            + match self.status {
                CommitmentStatus::Missing => Amount::ZERO,
                CommitmentStatus::Confirmed { confirmations }
                    if confirmations >= min_confirmations.into() =>
                {
                    balance
                }
                _ => balance.min(self.unconfirmed_limit),
            }
    }

    pub fn is_at_deadline(&self) -> bool {
        match self.status {
            CommitmentStatus::Confirmed { confirmations } => {
                confirmations >= self.record.contract.delay().last_usable_confirmation()
            }
            _ => false,
        }
    }

    /// What is written never goes back, and is valid.
    pub fn book(&mut self, account: &AccountRecord) {
        let cumulative = |best: Option<PaymentRecord>| best.map(|best| best.cumulative);
        assert!(!self.released, "a channel that was let go of");
        assert!(
            cumulative(account.best) >= cumulative(self.record.best),
            "the balance went backwards"
        );
        assert_eq!(account.carried, self.record.carried);
        if let Some(best) = account.best.filter(|_| account.best != self.record.best) {
            Payment::check(&self.channel, best.cumulative, best.signature).expect("what is stored is valid");
        }
        (self.record.best, self.record.consumed) = (account.best, account.consumed);
        assert!(
            self.balance() <= self.record.contract.payable(),
            "{}",
            self.balance()
        );
    }

    /// Whatever is on record can be settled, or is not worth it.
    pub fn settles(&self) {
        let (channel, payment) = self.record.restore().expect("what is stored is valid");
        let Some(payment) = payment else { return };
        let key = provider_key(self.record.key_index).key;
        let claim = Claim {
            channel: &channel,
            payment: &payment,
            key: &key,
        };
        match Settlement::new(&[claim], &p2tr(0x77), FeeRate::from_sat_per_vb_u32(1)) {
            Ok(made) => assert_eq!(made.payout + made.fee, payment.cumulative()),
            Err(SettlementError::NotWorthIt { balance, fee, dust }) => assert!(balance < fee + dust),
            Err(error) => panic!("{error}"),
        }
    }
}
