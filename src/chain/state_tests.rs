use std::sync::mpsc::{self, Receiver};
use std::time::SystemTime;

use bitcoin::hashes::Hash;
use bitcoin::{Amount, BlockHash, TxOut};

use super::*;
use crate::chain::Transport;

/// A state with so many servers, and what comes out of it.
struct Fixture {
    state: State,
    events: Receiver<Outgoing>,
    commands: Vec<Receiver<Command>>,
}

impl Fixture {
    fn new(servers: usize) -> Self {
        let (outgoing, events) = mpsc::channel();
        let url = |i| ElectrumUrl {
            transport: Transport::Tcp,
            host: "h".into(),
            port: i as u16 + 1,
        };
        let (named, commands) = (0..servers)
            .map(|i| {
                let (sender, receiver) = mpsc::channel();
                ((url(i), sender), receiver)
            })
            .unzip();
        Self {
            state: State::new(named, outgoing),
            events,
            commands,
        }
    }

    /// All reachable, at those heights; what that told is dropped.
    fn reachable(heights: &[u32]) -> Self {
        let mut fixture = Self::new(heights.len());
        for (index, height) in heights.iter().enumerate() {
            fixture.state.reachable(index, tip(*height));
        }
        fixture.told();
        fixture
    }

    fn told(&self) -> Vec<ChainEvent> {
        self.events.try_iter().flatten().collect()
    }

    /// The heights told last for a script, if any were.
    fn heights(&self) -> Option<Vec<Option<u32>>> {
        self.told()
            .into_iter()
            .filter_map(|event| match event {
                ChainEvent::Script { transactions, .. } => {
                    Some(transactions.iter().map(|tx| tx.height).collect())
                }
                _ => None,
            })
            .next_back()
    }

    fn broadcast_results(&self) -> Vec<Result<(), BroadcastError>> {
        self.told()
            .into_iter()
            .filter_map(|event| match event {
                ChainEvent::Broadcast { result, .. } => Some(result),
                _ => None,
            })
            .collect()
    }

    /// A watched script with one transaction that pays to it.
    fn watch_one(&mut self) -> (ScriptBuf, Txid) {
        let script = ScriptBuf::from_bytes(vec![0x51]);
        let tx = paying(&script, 1);
        let txid = tx.compute_txid();
        self.state.add_transaction(txid, Arc::new(tx));
        self.state.watch(&script);
        (script, txid)
    }
}

fn tip(height: u32) -> Tip {
    let hash = BlockHash::hash(&height.to_le_bytes());
    Tip {
        height,
        hash,
        header_time: SystemTime::UNIX_EPOCH,
        learnt: SystemTime::UNIX_EPOCH,
    }
}

fn paying(script: &Script, sat: u64) -> Transaction {
    Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: vec![],
        output: vec![TxOut {
            value: Amount::from_sat(sat),
            script_pubkey: script.to_owned(),
        }],
    }
}

fn unreachable() -> UnreachableReason {
    UnreachableReason::TimedOut
}

fn rejected() -> BroadcastError {
    BroadcastError::Rejected { words: "dust".into() }
}

#[test]
fn a_script_without_transactions_is_told_too_and_only_once() {
    let mut f = Fixture::reachable(&[10, 10]);
    let (script, _) = f.watch_one();
    assert_eq!(f.heights(), None, "nobody has answered");
    f.state.set_view(0, script.clone(), vec![]);
    assert_eq!(f.heights(), Some(vec![]));
    f.state.set_view(1, script, vec![]);
    assert_eq!(f.heights(), None, "nothing new");
}

#[test]
fn watching_again_repeats_what_is_known() {
    let mut f = Fixture::reachable(&[10]);
    let (script, txid) = f.watch_one();
    f.state.set_view(0, script.clone(), vec![(txid, Some(9))]);
    assert_eq!(f.heights(), Some(vec![Some(9)]));
    f.state.watch(&script);
    assert_eq!(f.heights(), Some(vec![Some(9)]));
    assert_eq!(f.commands[0].try_iter().count(), 1, "asked once");
}

#[test]
fn heights_come_from_the_highest_tip() {
    let mut f = Fixture::reachable(&[10, 12]);
    let (script, txid) = f.watch_one();
    f.state.set_view(0, script.clone(), vec![(txid, Some(9))]);
    assert_eq!(f.heights(), Some(vec![Some(9)]));
    f.state.set_view(1, script, vec![(txid, None)]);
    assert_eq!(
        f.heights(),
        Some(vec![None]),
        "the higher one has seen the block go"
    );
    f.state.set_tip(0, tip(13));
    assert_eq!(
        f.heights(),
        Some(vec![Some(9)]),
        "now the other is the higher one"
    );
}

#[test]
fn what_one_server_leaves_out_another_tells() {
    let mut f = Fixture::reachable(&[12, 10]);
    let (script, txid) = f.watch_one();
    f.state.set_view(0, script.clone(), vec![]);
    f.state.set_view(1, script, vec![(txid, Some(9))]);
    assert_eq!(f.heights(), Some(vec![Some(9)]));
}

#[test]
fn a_lost_server_changes_nothing_until_it_is_back() {
    let mut f = Fixture::reachable(&[10]);
    let (script, txid) = f.watch_one();
    f.state.set_view(0, script.clone(), vec![(txid, None)]);
    f.told();
    f.state.unreachable(0, unreachable());
    f.state.unreachable(0, unreachable());
    assert_eq!(f.told().len(), 1, "said once, and nothing of the script");
    f.state.reachable(0, tip(11));
    f.told();
    f.state.set_view(0, script, vec![(txid, Some(11))]);
    assert_eq!(f.heights(), Some(vec![Some(11)]));
}

#[test]
fn unwatching_forgets() {
    let mut f = Fixture::reachable(&[10]);
    let (script, txid) = f.watch_one();
    f.state.set_view(0, script.clone(), vec![(txid, None)]);
    f.told();
    f.state.unwatch(&script);
    f.state.set_view(0, script, vec![(txid, Some(9))]);
    assert!(f.told().is_empty());
    assert!(f.state.transaction(&txid).is_none());
}

#[test]
fn one_acceptance_is_enough_and_is_told_at_once() {
    let mut f = Fixture::reachable(&[10, 10, 10]);
    let tx = paying(&ScriptBuf::new(), 5);
    let txid = tx.compute_txid();
    f.state.broadcast(&tx);
    f.state.broadcast_answer(0, txid, Err(rejected()));
    assert_eq!(f.broadcast_results(), vec![]);
    f.state.broadcast_answer(1, txid, Ok(()));
    assert_eq!(f.broadcast_results(), vec![Ok(())]);
    f.state
        .broadcast_answer(2, txid, Err(BroadcastError::Unreachable));
    assert_eq!(f.broadcast_results(), vec![]);
}

#[test]
fn a_question_asked_again_after_its_answer_is_answered_again() {
    let mut f = Fixture::reachable(&[10, 10]);
    let tx = paying(&ScriptBuf::new(), 5);
    let txid = tx.compute_txid();
    f.state.broadcast(&tx);
    f.state.broadcast_answer(0, txid, Ok(()));
    assert_eq!(f.broadcast_results(), vec![Ok(())]);
    // Server 1 is still silent.
    f.state.broadcast(&tx);
    f.state.broadcast_answer(0, txid, Ok(()));
    assert_eq!(f.broadcast_results(), vec![Ok(())]);
}

#[test]
fn a_refusal_waits_for_all_that_may_still_accept() {
    let mut f = Fixture::reachable(&[10, 10]);
    f.state.unreachable(1, unreachable());
    let tx = paying(&ScriptBuf::new(), 5);
    f.state.broadcast(&tx);
    f.state.broadcast_answer(0, tx.compute_txid(), Err(rejected()));
    assert_eq!(
        f.broadcast_results(),
        vec![Err(rejected())],
        "the lost one is not waited for"
    );

    f.state.unreachable(0, unreachable());
    f.state.broadcast(&tx);
    assert_eq!(f.broadcast_results(), vec![Err(BroadcastError::Unreachable)]);
}

#[test]
fn the_best_tip_is_told_once() {
    let mut f = Fixture::new(2);
    f.state.reachable(0, tip(10));
    f.state.reachable(1, tip(10));
    f.state.set_tip(1, tip(9));
    let tips = f
        .told()
        .into_iter()
        .filter(|event| matches!(event, ChainEvent::Tip(_)))
        .count();
    assert_eq!((tips, f.state.tip()), (1, Some(tip(10))));
    f.state.set_tip(1, tip(11));
    assert_eq!(f.state.tip(), Some(tip(11)));
}

#[test]
fn a_sync_waits_for_the_first_server_and_fails_with_the_last() {
    let request = || WalletRequest::Sync(bdk_wallet::chain::spk_client::SyncRequest::builder_at(0).build());
    let mut f = Fixture::new(2);
    f.state.sync_wallet(request());
    f.state.unreachable(0, unreachable());
    assert!(
        !f.told()
            .iter()
            .any(|event| matches!(event, ChainEvent::WalletSyncFailed(_)))
    );
    f.state.reachable(1, tip(5));
    assert!(matches!(f.commands[1].try_recv(), Ok(Command::Sync(_))));
    f.state.unreachable(1, unreachable());
    f.told();
    f.state.sync_wallet(request());
    assert!(matches!(
        f.told()[..],
        [ChainEvent::WalletSyncFailed(SyncError::NoServer)]
    ));
}
