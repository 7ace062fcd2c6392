//! Any sequence of what can happen to a consumer's session, and what holds throughout: see [`check`].

mod check;
mod ledger;
mod ops;
mod play;

use crate::common::pair::{consumer_identity, consumer_key, link};
use crate::common::*;
use arbitrary::Unstructured;
use bitcoin::Amount;
use check::Run;
use ops::{Earlier, Op, Setup};
use std::time::Duration;
use streamium_channel::blocks::{MIN_REFUND_DELAY, RefundDelay};
use streamium_channel::consumer::{ConsumerPolicy, ConsumerSession, Past, Resumable};
use streamium_channel::contract::Contract;
use streamium_channel::keys::ChannelKeys;
use streamium_channel::money::{Msat, Rate};
use streamium_channel::record::ConsumerRecord;

/// More would only be slow.
const MAX_OPS: usize = 200;

/// Plays the input.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(setup) = input.arbitrary::<Setup>() else {
        return;
    };
    let mut run = start(setup);
    if let Some(steps) = setup.honest.checked_sub(1) {
        run.play(&Op::Terms(setup.offer));
        for op in ops::HONEST.iter().take(usize::from(steps)) {
            run.play(op);
        }
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
    let policy = wishes(setup);
    let now = seconds(1_000);
    let past = setup.past.map(|earlier| resumable(earlier, policy.refund_delay));
    let from_before = Past {
        spent: past.as_ref().map_or(Amount::ZERO, |past| past.spent),
        resumable: past.iter().cloned().collect(),
        ..Past::default()
    };
    let session = ConsumerSession::new(policy, consumer_identity(), from_before, None, now);
    Run::new(session, policy, past, setup.broke, now)
}

/// The tests' policy, with other figures.
fn wishes(setup: Setup) -> ConsumerPolicy {
    let delay = MIN_REFUND_DELAY + setup.refund_delay % 1_000;
    ConsumerPolicy {
        max_rate: Rate::new(setup.max_rate_msat_per_s.into()),
        max_opening: sat(setup.max_opening_sat.into()),
        max_window: Duration::from_millis(setup.max_window_ms.into()),
        capacity: sat(setup.capacity_sat.into()),
        budget: sat(setup.budget_sat.into()),
        refund_delay: RefundDelay::new(delay).expect("within the bounds"),
        payment_interval: Duration::from_millis(u64::from(setup.payment_interval_ms.max(100))),
        ..policy()
    }
}

/// What an earlier session left on record; `spent` counts against the budget only within one run.
fn resumable(earlier: Earlier, delay: RefundDelay) -> Resumable {
    let key = consumer_key(4);
    let keys = ChannelKeys::new(
        key.x_only_public_key().0,
        self::key(PROVIDER).x_only_public_key().0,
    );
    let agreed = contract(100_000);
    let contract = Contract::new(
        keys.expect("two keys"),
        delay,
        agreed.capacity(),
        agreed.change().clone(),
    );
    let contract = contract.expect("a contract");
    let (paid, carried) = (sat(earlier.paid_sat.into()), sat(earlier.carried_sat.into()));
    Resumable {
        key,
        spent: if earlier.from_disk {
            Amount::ZERO
        } else {
            paid + carried
        },
        from_disk: earlier.from_disk,
        record: ConsumerRecord {
            commitment: commitment(&contract),
            contract,
            outpoint: outpoint(0x21),
            key_index: 4,
            link: link().to_string(),
            paid,
            carried,
            consumed: Msat::new(earlier.consumed_msat.into()),
            rate: Rate::default(),
            agreed: None,
        },
    }
}
