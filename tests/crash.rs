//! Both sides killed before and after each write that has to be durable, then started again on the same folders: the
//! session goes on, the records agree with each other and with the chain, and nothing is paid twice.
//!
//! The points are those of `store::crash`; provider and consumer run in one process, so that both die at the same moment.

#[path = "kill/chain.rs"]
mod chain;
#[path = "crash/child.rs"]
mod child;
mod common;
#[path = "crash/place.rs"]
mod place;
#[path = "kill/process.rs"]
mod process;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use child::Act;
use common::regtest::Regtest;
use place::Place;

/// Where a session writes: which point, and at which of its visits there.
const IN_A_SESSION: [(&str, u32); 12] = [
    ("wallet/commit", 1),
    ("wallet/commit", 4),
    ("consumer/key-index", 1),
    ("provider/key-index", 1),
    ("consumer/insert-channel", 1),
    ("provider/insert-channel", 1),
    ("consumer/save-paid", 1),
    ("consumer/save-paid", 3),
    ("provider/save-accounts", 1),
    ("provider/save-accounts", 3),
    ("provider/set-state", 1),
    ("provider/insert-settlement", 1),
];

/// Where the rest is written: when settlements are buried.
const AFTERWARDS: [(&str, u32); 2] = [("provider/set-state", 1), ("consumer/set-state", 1)];

/// Where a refund is: the provider never comes back.
const REFUND: (&str, u32) = ("consumer/insert-transaction", 1);

/// So many at a time.
const AT_ONCE: usize = 3;

/// Kills at a point, then lets all go on; answers the place where it happened.
fn dies_and_goes_on(regtest: &Regtest, act: Act, point: &str, visit: u32) -> Place {
    let place = Place::new(regtest);
    if act == Act::Bury {
        place.run(Act::Session);
    }
    place.dies(act, point, visit);
    place.run(Act::Session);
    place
}

#[test]
#[ignore = "takes minutes: cargo test --test crash -- --ignored both"]
fn both_sides_go_on_after_a_crash_at_every_durable_write() {
    let regtest = Regtest::start();
    let sessions = IN_A_SESSION
        .iter()
        .map(|(point, visit)| (Act::Session, *point, *visit));
    let later = AFTERWARDS
        .iter()
        .map(|(point, visit)| (Act::Bury, *point, *visit));
    let cases: Vec<_> = sessions
        .chain(later)
        .flat_map(|(act, point, visit)| {
            ["before", "after"].map(|moment| (act, format!("{point}:{moment}"), visit))
        })
        .collect();
    let (next, done) = (Mutex::new(cases.into_iter()), AtomicBool::new(false));
    let places: Vec<Place> = std::thread::scope(|scope| {
        // Blocks come as on a chain, only faster, but with time to say what is in each.
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                regtest.mine(1);
                std::thread::sleep(Duration::from_secs(4));
            }
        });
        let workers: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                scope.spawn(|| {
                    let mut places = Vec::new();
                    loop {
                        let Some((act, point, visit)) = next.lock().unwrap().next() else {
                            break;
                        };
                        places.push(dies_and_goes_on(&regtest, act, &point, visit));
                    }
                    places
                })
            })
            .collect();
        let joined: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        done.store(true, Ordering::SeqCst);
        joined
            .into_iter()
            .flat_map(|places| places.expect("a case failed"))
            .collect()
    });
    println!("{} crashes", places.len());
    place::bury(&regtest, &places);
    places.iter().for_each(|place| place.check(&regtest));
}

#[test]
fn a_refund_survives_a_crash_where_it_is_written() {
    let regtest = Regtest::start();
    let places = ["before", "after"].map(|moment| {
        let place = Place::new(&regtest);
        // The provider dies when it records the first payment, and never comes back.
        place.dies(Act::Session, "provider/save-accounts:before", 1);
        (place, format!("{}:{moment}", REFUND.0))
    });
    regtest.mine(150);
    for (place, point) in &places {
        place.dies(Act::Refund, point, REFUND.1);
        place.run(Act::Refund);
        assert!(place.is_refunded_once(), "{point}");
    }
}
