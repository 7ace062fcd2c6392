//! A viewer's folder, worked on by the library or by the command, with channels whose provider is the test.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use bitcoin::secp256k1::{Keypair, Secp256k1};
use bitcoin::{Amount, FeeRate, OutPoint, ScriptBuf, Transaction, Txid};
use gststreamiumpay::refund::{OpeningError, Position, Runner};
use gststreamiumpay::report::Report;
use gststreamiumpay::store::Role;
use streamium_channel::blocks::RefundDelay;
use streamium_channel::contract::{Channel, Contract};
use streamium_channel::keys::ChannelKeys;
use streamium_channel::money::{Msat, Rate};
use streamium_channel::payment::Payment;
use streamium_channel::record::ConsumerRecord;
use streamium_channel::script::ChangeScript;
use streamium_channel::settlement::{Claim, Settlement};

pub use crate::common::coins::mine_empty;
use crate::common::coins::take_out;
use crate::common::driver::chain;
use crate::common::regtest::{Regtest, TxStatus};
pub use crate::common::wait::PATIENCE;

pub const DELAY: u16 = 144;

pub const CAPACITY: Amount = Amount::from_sat(50_000);

/// Of commitments and refunds, unless a test is about it.
pub const RATE: FeeRate = FeeRate::from_sat_per_vb_u32(2);

pub const MAX_RATE: FeeRate = FeeRate::from_sat_per_vb_u32(50);

pub fn provider_key() -> Keypair {
    Keypair::from_seckey_slice(&Secp256k1::new(), &[0x42; 32]).unwrap()
}

pub struct Viewer {
    pub runner: Runner,
    pub reports: Vec<Report>,
}

/// A channel as the test knows it: it is its provider, too.
pub struct Opened {
    pub channel: Channel,
    pub consumer: Keypair,
    pub commitment: Transaction,
    pub commitment_fee: Amount,
}

impl Opened {
    pub fn outpoint(&self) -> OutPoint {
        self.channel.outpoint()
    }

    /// What the provider would cash with, having been paid `sat`.
    pub fn settlement(&self, sat: u64, fee_rate: FeeRate) -> Transaction {
        let payment = Payment::sign(&self.channel, &self.consumer, Amount::from_sat(sat)).unwrap();
        let key = provider_key();
        let claim = Claim {
            channel: &self.channel,
            payment: &payment,
            key: &key,
        };
        let payout = ScriptBuf::new_p2tr(&Secp256k1::new(), key.x_only_public_key().0, None);
        Settlement::new(&[claim], &payout, fee_rate).unwrap().transaction
    }
}

impl Viewer {
    pub fn open(regtest: &Regtest, dir: &Path) -> Self {
        Self {
            runner: Runner::open(dir, &chain(regtest), MAX_RATE).unwrap(),
            reports: Vec::new(),
        }
    }

    /// Goes on until something holds.
    pub fn until(&mut self, what: &str, mut holds: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(
                Instant::now() < deadline,
                "waited in vain for {what} at {:?}, found {:?}; said: {:#?}",
                self.runner.tip_height(),
                self.runner
                    .engine
                    .positions()
                    .map(|(_, position)| position)
                    .collect::<Vec<_>>(),
                self.reports
            );
            let reports = self.runner.step(Duration::from_millis(100));
            self.reports.extend(reports);
        }
    }

    pub fn fund(&mut self, regtest: &Regtest, sat: u64) {
        let wanted = self.runner.wallet.spendable() + Amount::from_sat(sat);
        let address = self.runner.wallet.funding_address().unwrap();
        regtest.fund(&address, Amount::from_sat(sat));
        regtest.mine(1);
        self.until("the funds", |viewer| viewer.runner.wallet.spendable() == wanted);
    }

    /// All that a session does for a channel, up to the point where the commitment may be sent.
    pub fn try_open(&mut self, dir: &Path, fee_rate: FeeRate) -> Result<Opened, OpeningError> {
        let runner = &mut self.runner;
        let index = runner.store.next_key_index(Role::Consumer).unwrap();
        let path = format!("m/7823'/1'/2'/{index}'").parse().unwrap();
        let consumer = runner.wallet.seed().derive(&path).unwrap();
        let keys = ChannelKeys::new(
            consumer.x_only_public_key().0,
            provider_key().x_only_public_key().0,
        );
        let change = ChangeScript::new(runner.wallet.fresh_change_script().unwrap()).unwrap();
        let delay = RefundDelay::new(DELAY).unwrap();
        let contract = Contract::new(keys.unwrap(), delay, CAPACITY, change).unwrap();
        let script = contract.script().unwrap().script_pubkey().clone();
        let built = runner
            .wallet
            .build_commitment(&script, CAPACITY, fee_rate)
            .unwrap();
        let outpoint = OutPoint::new(built.tx.compute_txid(), built.vout);
        let record = ConsumerRecord {
            contract: contract.clone(),
            outpoint,
            key_index: index,
            link: "streamium://provider.example:8443/cats?key=…".into(),
            commitment: built.tx.clone(),
            paid: Amount::ZERO,
            carried: Amount::ZERO,
            consumed: Msat::ZERO,
            rate: Rate::default(),
            agreed: None,
        };
        crate::disk::before_opening(outpoint);
        let opened = runner.with_engine(|engine, means, _| engine.open(means, dir, &record));
        self.reports.extend(self.runner.engine.reports());
        opened.map(|()| Opened {
            channel: Channel::new(contract, outpoint).unwrap(),
            consumer,
            commitment: built.tx,
            commitment_fee: built.fee,
        })
    }

    pub fn open_channel(&mut self, dir: &Path, fee_rate: FeeRate) -> Opened {
        self.try_open(dir, fee_rate).unwrap()
    }

    /// The same, with its commitment confirmed.
    pub fn open_confirmed(&mut self, regtest: &Regtest, dir: &Path) -> Opened {
        let opened = self.open_channel(dir, RATE);
        self.until("the commitment in the mempool", |viewer| {
            viewer.position(&opened) == Some(Position::Unconfirmed)
        });
        regtest.mine(1);
        self.until("the commitment's confirmation", |viewer| {
            matches!(viewer.position(&opened), Some(Position::Locked { .. }))
        });
        opened
    }

    /// `None` once nothing of it is followed any more.
    pub fn position(&self, opened: &Opened) -> Option<Position> {
        let mut positions = self.runner.engine.positions();
        positions
            .find(|(held, _)| held.channel.outpoint() == opened.outpoint())
            .map(|(_, position)| position)
    }

    pub fn refunds(&self, opened: &Opened) -> Vec<Transaction> {
        let stored = self.runner.store.consumer_channel(opened.outpoint()).unwrap();
        stored.refunds.into_iter().map(|made| made.tx).collect()
    }

    pub fn children(&self, opened: &Opened) -> Vec<Transaction> {
        let stored = self.runner.store.consumer_channel(opened.outpoint()).unwrap();
        stored.children.into_iter().map(|made| made.tx).collect()
    }

    /// Follows a spend until it has so many confirmations.
    pub fn until_closing(&mut self, opened: &Opened, txid: Txid, confirmations: u32, ours: bool) {
        let wanted = Position::Closing {
            txid,
            confirmations,
            ours,
        };
        self.until(&format!("{wanted:?}"), |viewer| {
            viewer.position(opened) == Some(wanted)
        });
    }

    pub fn state(&self, opened: &Opened) -> String {
        let outpoint = opened.outpoint().to_string();
        let listed = self.runner.store.list_channels().unwrap();
        let found = listed.into_iter().find(|channel| channel.outpoint == outpoint);
        found.unwrap().state
    }

    pub fn said(&self, name: &str) -> usize {
        self.reports.iter().filter(|report| report.name == name).count()
    }
}

/// Waits until the node has a transaction in its mempool.
pub fn until_pending(viewer: &mut Viewer, regtest: &Regtest, txid: Txid) {
    viewer.until("the node's mempool", |_| {
        regtest.tx_status(txid) == TxStatus::InMempool
    });
}

/// Runs the command; `stdin` is what it is told.
pub fn run(arguments: &[&str], stdin: &str) -> Output {
    use std::io::Write;
    let mut child = Command::new(env!("CARGO_BIN_EXE_streamium-pay"))
        .args(arguments)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read leaves the pipe closed.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

/// Runs a command on a folder with the chain; panics with what it said unless it succeeds.
pub fn command(regtest: &Regtest, dir: &Path, arguments: &[&str]) -> String {
    let output = run(
        &with_chain(regtest, &with_folder(dir, arguments))
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>(),
        "",
    );
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (said, complained) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {said}{complained}");
    said
}

pub fn with_folder(dir: &Path, arguments: &[&str]) -> Vec<String> {
    let mut all: Vec<String> = arguments.iter().map(|part| (*part).to_owned()).collect();
    all.extend([
        "--network=regtest".to_owned(),
        format!("--data-dir={}", dir.display()),
    ]);
    all
}

pub fn with_chain(regtest: &Regtest, arguments: &[String]) -> Vec<String> {
    let mut all = arguments.to_vec();
    all.push(format!("--electrum-url={}", regtest.electrum_url()));
    all
}

/// One figure of `streamium-pay balance`, in satoshi.
pub fn figure(balance: &str, name: &str) -> u64 {
    let line = balance.lines().find(|line| line.starts_with(name)).unwrap();
    let digits: String = line.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

/// Does away with the last blocks and with the mempool, then builds a longer chain of empty blocks.
pub fn reorganise(regtest: &Regtest, depth: u32) {
    take_out(regtest, depth);
    regtest.stop_node();
    regtest.start_node();
    mine_empty(regtest, depth + 1);
}

/// Adds to the node's configuration and restarts it.
pub fn configure(regtest: &Regtest, lines: &str) {
    use std::io::Write;
    let path = regtest.data_dir().join("node/bitcoin.conf");
    regtest.stop_node();
    let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(lines.as_bytes()).unwrap();
    drop(file);
    regtest.start_node();
    regtest.wait_for_electrum();
}
