//! Any sequence of what can happen to a provider's session, and what holds throughout: see [`check`].

mod check;
mod held;
mod ledger;
mod ops;
mod play;

use crate::common::pair::{provider_identity, provider_key};
use crate::common::*;
use arbitrary::Unstructured;
use bitcoin::Amount;
use check::Run;
use ops::{Earlier, Op, Setup};
use std::time::Duration;
use streamium_channel::contract::{Channel, Contract};
use streamium_channel::keys::ChannelKeys;
use streamium_channel::money::{Msat, Rate};
use streamium_channel::payment::Payment;
use streamium_channel::provider::{ProviderConfig, ProviderSession};
use streamium_channel::record::{PaymentRecord, ProviderRecord};

/// More would only be slow.
const MAX_OPS: usize = 200;

/// Plays the input.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(setup) = input.arbitrary::<Setup>() else {
        return;
    };
    let mut run = start(setup);
    for op in ops::HONEST.iter().take(usize::from(setup.honest)) {
        run.play(op);
    }
    for _ in 0..MAX_OPS {
        // An input that has ended goes on in zeros, for ever.
        let Ok(op) = input.arbitrary::<Op>() else { break };
        run.play(&op);
        if input.is_empty() {
            break;
        }
    }
    run.let_it_end();
}

/// The one place where a session is made.
fn start(setup: Setup) -> Run {
    let config = terms(setup);
    let now = seconds(1_000);
    let session = ProviderSession::new(config.clone(), provider_identity(), now);
    let left = setup.unconfirmed_left_sat.map(|sat| Amount::from_sat(sat.into()));
    Run::new(session, config, setup.past.map(earlier), left, now)
}

/// The tests' terms, with other figures.
fn terms(setup: Setup) -> ProviderConfig {
    ProviderConfig {
        rate: Rate::new(1 + u64::from(setup.rate_msat_per_s)),
        opening: sat(1 + u64::from(setup.opening_sat)),
        grace: Duration::from_millis(u64::from(setup.grace_ms)),
        min_confirmations: 1 + u16::from(setup.min_confirmations),
        unconfirmed_limit: sat(u64::from(setup.unconfirmed_limit_sat)),
        settle_delay: seconds(1 + u64::from(setup.settle_delay_s)),
        funding_timeout: seconds(60),
        ..config()
    }
}

/// What an earlier session left on record.
fn earlier(earlier: Earlier) -> ProviderRecord {
    let key = provider_key(4);
    let keys = ChannelKeys::new(
        self::key(CONSUMER).x_only_public_key().0,
        key.key.x_only_public_key().0,
    );
    let agreed = contract(50_000);
    let contract = Contract::new(
        keys.expect("two keys"),
        agreed.delay(),
        agreed.capacity(),
        agreed.change().clone(),
    );
    let contract = contract.expect("a contract");
    let channel = Channel::new(contract.clone(), outpoint(0x21)).expect("a channel");
    let paid = sat(u64::from(earlier.paid_sat) % 49_671);
    ProviderRecord {
        contract,
        outpoint: channel.outpoint(),
        key_index: key.index,
        stream: config().stream.to_string(),
        rate: config().rate,
        commitment: commitment(channel.contract()),
        follows: None,
        went_on_to: None,
        best: Payment::sign(&channel, &self::key(CONSUMER), paid)
            .ok()
            .map(PaymentRecord::from),
        carried: sat(earlier.carried_sat.into()),
        consumed: Msat::new(earlier.consumed_msat.into()),
    }
}
