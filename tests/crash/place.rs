//! The folders of one case, and what has to be in them in the end.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bitcoin::{Address, Amount, Network, OutPoint};
use gststreamiumpay::store::{STORE_FILE, Store};
use gststreamiumpay::wallet::Wallet;
use rusqlite::Connection;

use crate::chain::{Outcome, Spends, fee};
use crate::child::{Act, Script};
use crate::common::coins::{new_address, sat};
use crate::common::regtest::Regtest;
use crate::process::Process;

/// What the consumer's wallet begins with: enough for three channels.
const COINS: u64 = 3;
const COIN_SAT: u64 = 60_000;

pub struct Place {
    dir: tempfile::TempDir,
    electrum_url: String,
    payout: Address,
    first_block: u32,
}

impl Place {
    /// With a wallet that has money, or will at the next block.
    pub fn new(regtest: &Regtest) -> Self {
        let place = Self {
            dir: tempfile::tempdir().unwrap(),
            electrum_url: regtest.electrum_url().to_owned(),
            payout: new_address(regtest),
            first_block: regtest.height(),
        };
        let address = Wallet::open(&place.folder("c"), Network::Regtest)
            .unwrap()
            .funding_address()
            .unwrap();
        for _ in 0..COINS {
            regtest.fund(&address, sat(COIN_SAT));
        }
        place
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn start(&self, act: Act, crash: Option<(String, u32)>) -> Process {
        let script = Script {
            act,
            dir: self.dir.path().display().to_string(),
            electrum_url: self.electrum_url.clone(),
            payout: self.payout.to_string(),
            crash,
        };
        let script = serde_json::to_string(&script).unwrap();
        Process::running("child::acts", "", &script, &self.folder("log"))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder("log")).unwrap_or_default()
    }

    /// Does it, and is killed at this visit to this point.
    pub fn dies(&self, act: Act, point: &str, visit: u32) {
        let (status, said) = self.start(act, Some((point.to_owned(), visit))).wait();
        assert_eq!(
            status.signal(),
            Some(9),
            "{point} was not reached: {said:?} {:?}\n{}",
            self.states(),
            self.log()
        );
    }

    /// Does it.
    pub fn run(&self, act: Act) {
        let (status, said) = self.start(act, None).wait();
        assert!(status.success(), "{act:?}: {said:?}\n{}", self.log());
    }

    fn store(&self, name: &str) -> Store {
        Store::open(&self.folder(name)).unwrap()
    }

    fn owed(&self) -> usize {
        self.store("p").unsettled().unwrap().0.len() + self.store("c").unspent().unwrap().0.len()
    }

    /// For the one who has to find out why.
    fn states(&self) -> Vec<String> {
        let of = |side: &str| {
            let db = Connection::open(self.folder(&side[..1]).join(STORE_FILE)).unwrap();
            let sql = format!(
                "SELECT group_concat(outpoint || ' ' || state || ' ' || coalesce(spent_by, '-')) FROM {side}_channel"
            );
            db.query_row(&sql, [], |row| row.get::<_, Option<String>>(0))
                .unwrap()
                .unwrap_or_default()
        };
        ["provider", "consumer"]
            .iter()
            .filter(|_| self.owed() > 0)
            .map(|side| of(side))
            .collect()
    }

    pub fn is_refunded_once(&self) -> bool {
        let channels = self.store("c").unspent().unwrap().0;
        channels.len() == 1 && channels[0].refunds.len() == 1
    }

    /// Both records, the chain and the wallet say the same.
    pub fn check(&self, regtest: &Regtest) {
        let spends = Spends::since(regtest, self.first_block);
        let mut left = sat(COINS * COIN_SAT);
        for (outpoint, capacity, paid, balance, given_up) in self.rows() {
            let outcome = spends.outcome(outpoint, capacity);
            if given_up && outcome == Outcome::Unspent {
                continue;
            }
            let cashed = match outcome {
                Outcome::Settled { paid } => paid,
                Outcome::Refunded => Amount::ZERO,
                Outcome::Unspent => panic!("channel {outpoint} was never spent: {}", self.log()),
            };
            assert_eq!(
                cashed, balance,
                "what the provider has on record is what it cashed"
            );
            assert!(cashed <= paid, "{cashed} cashed, {paid} on the consumer's record");
            left = left - cashed - fee(regtest, &regtest.raw_tx(outpoint.txid));
            if outcome == Outcome::Refunded {
                left -= fee(regtest, spends.of(outpoint).unwrap());
            }
        }
        let has = Wallet::open(&self.folder("c"), Network::Regtest)
            .unwrap()
            .balance();
        let has = has.confirmed + has.unconfirmed + has.waiting + has.reserved;
        assert_eq!(has, left, "what the wallet has is what was not paid");
    }

    /// All channels on record: outpoint, capacity, paid, balance, and whether its commitment was never sent.
    fn rows(&self) -> Vec<(OutPoint, Amount, Amount, Amount, bool)> {
        let consumer = Connection::open(self.folder("c").join(STORE_FILE)).unwrap();
        let provider = Connection::open(self.folder("p").join(STORE_FILE)).unwrap();
        let mut select = consumer
            .prepare("SELECT outpoint, capacity_sat, paid_sat, state = 'abandoned' FROM consumer_channel")
            .unwrap();
        let rows = select.query_map([], |row| {
            let outpoint: String = row.get(0)?;
            let sql = "SELECT balance_sat FROM provider_channel WHERE outpoint = ?1";
            let balance = provider
                .query_row(sql, [&outpoint], |row| row.get(0))
                .unwrap_or(0);
            Ok((
                outpoint.parse().unwrap(),
                sat(row.get(1)?),
                sat(row.get(2)?),
                sat(balance),
                row.get(3)?,
            ))
        });
        rows.unwrap().collect::<Result<_, _>>().unwrap()
    }
}

/// Lets blocks pass until nothing is owed at any place: settlements at first, then refunds.
pub fn bury(regtest: &Regtest, places: &[Place]) {
    let running: Vec<Process> = places.iter().map(|place| place.start(Act::Bury, None)).collect();
    let end = Instant::now() + Duration::from_secs(480);
    for round in 0_u32.. {
        let owed: usize = places.iter().map(Place::owed).sum();
        if owed == 0 {
            break;
        }
        assert!(
            Instant::now() < end,
            "{owed} channels are still owed: {:?}",
            places.iter().map(Place::states).collect::<Vec<_>>()
        );
        // At first one by one, as settlements are made and buried; then the refund delay is over at once.
        regtest.mine(if round < 12 { 1 } else { 50 });
        // Both engines conclude nothing from a block before servers have had two seconds to say what is in it.
        let moment = Instant::now() + Duration::from_secs(4);
        while places.iter().map(Place::owed).sum::<usize>() == owed && Instant::now() < moment {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    // They end by themselves, with their wallets up to date.
    for (process, place) in running.into_iter().zip(places) {
        let (status, said) = process.wait();
        assert!(status.success(), "{said:?}\n{}", place.log());
    }
}
