//! Any sequence of what can happen to a provider's session, and what holds throughout: see [`check`].

mod check;
mod ledger;
mod ops;
mod play;

use crate::common::pair::provider_identity;
use crate::common::*;
use arbitrary::Unstructured;
use bitcoin::Amount;
use check::Run;
use ops::{Op, Setup};
use std::time::Duration;
use streamium_channel::money::Rate;
use streamium_channel::provider::{ProviderConfig, ProviderSession};

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
    Run::new(session, config, left, now)
}

/// The tests' terms, with other figures.
fn terms(setup: Setup) -> ProviderConfig {
    ProviderConfig {
        rate: Rate::new(1 + u64::from(setup.rate_msat_per_s)),
        opening: sat(1 + u64::from(setup.opening_sat)),
        grace: Duration::from_millis(u64::from(setup.grace_ms)),
        min_confirmations: u16::from(setup.min_confirmations),
        unconfirmed_limit: sat(u64::from(setup.unconfirmed_limit_sat)),
        settle_delay: seconds(1 + u64::from(setup.settle_delay_s)),
        funding_timeout: seconds(60),
        ..config()
    }
}
