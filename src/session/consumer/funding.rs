//! From terms to a commitment: the funding address, the wallet's syncs, the amount to ask for.

use bitcoin::{Address, Amount, FeeRate, Script};
use streamium_channel::contract::Contract;
use streamium_channel::money::Msat;

use super::driver::Driver;
use super::money::{Awaiting, Money};
use super::{ConsumerStatus, notices};
use crate::report::{Report, Severity, sats};
use crate::wallet::bip21;

impl Driver {
    /// Follows the funding address, and syncs.
    pub(super) fn watch_funding(&mut self) {
        let Some(money) = &mut self.money else { return };
        let address = match money.wallet.funding_address() {
            Ok(address) => address,
            Err(error) => return self.fail(&error.to_string()),
        };
        let is_new = money.follow_funding(address.script_pubkey());
        money.sync();
        if is_new {
            self.set_status(ConsumerStatus::FundingAddress(address.to_string()));
        }
    }

    /// The session wants a channel: if the wallet can pay for it, at once; else a person is asked.
    pub(super) fn await_funds(&mut self, capacity: Amount, fee_rate: FeeRate) -> Result<(), String> {
        let rate = self.rate();
        let Some(money) = &mut self.money else {
            return Err(notices::no_chain(rate));
        };
        money.awaiting = Some(Awaiting {
            capacity,
            fee_rate,
            asked: None,
        });
        // Before the first sync the wallet only seems empty.
        if money.synced_once {
            self.check_funds()
        } else {
            Ok(())
        }
    }

    fn check_funds(&mut self) -> Result<(), String> {
        let now = self.now();
        let Some(money) = &mut self.money else {
            return Ok(());
        };
        let Some(awaiting) = &mut money.awaiting else {
            return Ok(());
        };
        let Some(missing) = money.wallet.missing_for(awaiting.capacity, awaiting.fee_rate) else {
            let was_asked = awaiting.asked.is_some();
            money.awaiting = None;
            let balance = money.wallet.spendable();
            if was_asked {
                let report = Report::new("funded").sat("balance-sat", balance);
                self.say(report.say(format!("Funds seen: {} in the wallet.", sats(balance))));
            }
            self.with_session(|session| session.funded(now));
            return Ok(());
        };
        if awaiting.asked.replace(missing) == Some(missing) {
            return Ok(());
        }
        let capacity = awaiting.capacity;
        let address = money
            .wallet
            .funding_address()
            .map_err(|error| error.to_string())?;
        let balance = money.wallet.spendable();
        self.ask_for_funds(&address, missing, (capacity, balance));
        Ok(())
    }

    fn ask_for_funds(&self, address: &Address, missing: Amount, (capacity, balance): (Amount, Amount)) {
        let uri = bip21(address, missing);
        let budget = self.options.policy.budget.min(capacity);
        let buys = self.rate().time(Msat::from(budget));
        self.set_status(ConsumerStatus::State("awaiting-funds"));
        self.say(
            Report::new("funding-required")
                .text_field("address", address)
                .sat("amount-sat", missing)
                .text_field("uri", &uri)
                .sat("capacity-sat", capacity)
                .sat("balance-sat", balance)
                .number("buys-ms", u64::try_from(buys.as_millis()).unwrap_or(u64::MAX))
                .say(notices::please_fund(address, missing, &uri, buys)),
        );
    }

    pub(super) fn build_commitment(&mut self, contract: &Contract, script: &Script, fee_rate: FeeRate) {
        let now = self.now();
        self.looks.wallet_changed();
        let Some(money) = &mut self.money else { return };
        match money
            .wallet
            .build_commitment(script, contract.capacity(), fee_rate)
        {
            Ok(built) => self.with_session(|session| session.commitment_built(built.tx, built.vout, now)),
            Err(error) => self.with_session(|session| session.commitment_failed(error.to_string(), now)),
        }
    }

    pub(super) fn synced(&mut self, update: bdk_wallet::Update) {
        self.looks.wallet_changed();
        let Some(money) = &mut self.money else { return };
        let applied = money.wallet.apply(update);
        money.sync_done();
        money.synced_once = true;
        if let Err(error) = applied {
            let words = format!("The wallet could not take what the server sent: {error}.");
            self.say(Report::new("wallet").say(words).severity(Severity::Warning));
        }
        if let Err(words) = self.check_funds() {
            self.fail(&words);
        }
    }

    /// The wallet has news to fetch.
    pub(super) fn sync(&mut self) {
        if let Some(money) = self.money.as_mut() {
            Money::sync(money);
        }
    }
}
