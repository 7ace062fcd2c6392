use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, SystemTime};

use bitcoin::block::Header;
use bitcoin::{Amount, Network, Script, TxOut};

use super::*;
use crate::chain::spv::testing::{chain, regtest_genesis};
use crate::chain::{BroadcastError, Transport};

/// A state with so many servers, and what comes out of it.
struct Fixture {
    state: State,
    events: Receiver<Outgoing>,
    commands: Vec<Receiver<Command>>,
    /// A chain to be at, by height.
    headers: Vec<Header>,
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
            state: State::new(named, outgoing, Network::Regtest),
            events,
            commands,
            headers: [vec![regtest_genesis()], chain(&regtest_genesis(), 20, 0)].concat(),
        }
    }

    /// All reachable, at those heights; what that told is dropped.
    fn reachable(heights: &[usize]) -> Self {
        let mut fixture = Self::new(heights.len());
        for (index, height) in heights.iter().enumerate() {
            fixture.state.reachable(index);
            fixture.at(index, *height);
        }
        fixture.told();
        fixture
    }

    /// The server's newest block is at that height.
    fn at(&mut self, index: ServerIndex, height: usize) {
        self.state.connect(&self.headers[1..=height]).unwrap();
        self.state.set_tip(index, self.headers[height].block_hash());
    }

    /// The server follows a chain of its own after `after`.
    fn forks(&mut self, index: ServerIndex, after: usize, count: usize) -> Vec<Header> {
        let fork = chain(&self.headers[after], count, 1);
        self.state.connect(&fork).unwrap();
        self.state.set_tip(index, fork[count - 1].block_hash());
        fork
    }

    fn prove(&mut self, txid: Txid, height: usize) {
        let claim = Claim {
            txid,
            height: height as u32,
            block: self.headers[height].block_hash(),
        };
        self.state.add_proofs(&[claim]);
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

    /// What is told of disagreements when each server is judged now: words, or nothing for an agreement.
    fn judged(&mut self) -> Vec<Option<String>> {
        self.told();
        for index in 0..self.commands.len() {
            self.state.judge(index, Duration::ZERO);
        }
        self.told()
            .into_iter()
            .filter_map(|event| match event {
                ChainEvent::Disagreement { words, .. } => Some(Some(words)),
                ChainEvent::Agreement { .. } => Some(None),
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
    f.prove(txid, 9);
    assert_eq!(f.heights(), Some(vec![Some(9)]));
    f.state.watch(&script);
    assert_eq!(f.heights(), Some(vec![Some(9)]));
    assert_eq!(f.commands[0].try_iter().count(), 1, "asked once");
}

#[test]
fn a_height_counts_only_when_it_is_proven() {
    let mut f = Fixture::reachable(&[10, 10]);
    let (script, txid) = f.watch_one();
    f.state.set_view(0, script.clone(), vec![(txid, Some(5))]);
    assert_eq!(f.heights(), Some(vec![None]), "not missing: unconfirmed");
    let block = f.headers[5].block_hash();
    let claim = Claim {
        txid,
        height: 5,
        block,
    };
    assert_eq!(f.state.unproven(0), vec![claim]);
    assert_eq!(f.state.unproven(1), vec![]);
    f.state.add_proofs(&[claim]);
    assert_eq!(f.heights(), Some(vec![Some(5)]));
    assert_eq!(f.state.unproven(0), vec![]);
    // Another server's word changes nothing.
    f.state.set_view(1, script, vec![(txid, Some(7))]);
    assert_eq!(f.heights(), None);
}

#[test]
fn a_claim_that_is_not_proven_yet_is_told_as_such() {
    let mut f = Fixture::reachable(&[10, 10]);
    let (script, txid) = f.watch_one();
    let claimed = |f: &Fixture| {
        let told = f.told().into_iter().filter_map(|event| match event {
            ChainEvent::Script { transactions, .. } => Some(transactions[0].is_claimed),
            _ => None,
        });
        told.collect::<Vec<_>>()
    };
    f.state.set_view(0, script.clone(), vec![(txid, None)]);
    assert_eq!(claimed(&f), [false], "in the mempool");
    f.state.set_view(1, script.clone(), vec![(txid, Some(5))]);
    assert_eq!(claimed(&f), [true], "one of two says so");
    f.prove(txid, 5);
    assert_eq!(claimed(&f), [false], "proven");
    f.state.set_view(1, script, vec![(txid, None)]);
    assert_eq!(claimed(&f), [false; 0], "nothing new");
}

#[test]
fn a_proof_counts_while_its_block_is_in_the_best_chain() {
    let mut f = Fixture::reachable(&[10]);
    let (script, txid) = f.watch_one();
    f.state.set_view(0, script, vec![(txid, Some(9))]);
    f.prove(txid, 9);
    f.told();
    let fork = f.forks(0, 8, 3);
    assert_eq!(f.heights(), Some(vec![None]), "its block is gone");
    // In a block of the same height again, which the server does not notify of.
    let block = fork[0].block_hash();
    let again = Claim {
        txid,
        height: 9,
        block,
    };
    assert_eq!(f.state.unproven(0), vec![again]);
    f.state.add_proofs(&[again]);
    assert_eq!(f.heights(), Some(vec![Some(9)]));
    // And back to the first chain.
    f.at(0, 20);
    assert_eq!(f.heights(), None, "proven there before");
    assert_eq!(f.state.proven_height(&txid), Some(9));
}

#[test]
fn a_fork_of_less_work_takes_nothing_away() {
    let mut f = Fixture::reachable(&[10, 10]);
    let (script, txid) = f.watch_one();
    f.state.set_view(0, script, vec![(txid, Some(9))]);
    f.prove(txid, 9);
    f.told();
    f.forks(1, 8, 2);
    assert!(f.told().is_empty());
    assert_eq!(f.state.tip().unwrap().hash, f.headers[10].block_hash());
}

#[test]
fn heights_wait_for_the_server_s_headers() {
    let mut f = Fixture::new(1);
    let (script, txid) = f.watch_one();
    f.state.reachable(0);
    f.state.set_view(0, script, vec![(txid, Some(9))]);
    assert_eq!(f.state.unproven(0), vec![], "there is no block to prove it in");
    f.state.connect(&f.headers[1..=15]).unwrap();
    assert!(f.told().iter().all(|event| !matches!(event, ChainEvent::Tip(_))));
    f.at(0, 20);
    assert_eq!(f.state.unproven(0).len(), 1);
}

#[test]
fn what_one_server_leaves_out_another_tells() {
    let mut f = Fixture::reachable(&[12, 10]);
    let (script, txid) = f.watch_one();
    f.state.set_view(0, script.clone(), vec![]);
    f.state.set_view(1, script, vec![(txid, Some(9))]);
    f.prove(txid, 9);
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
    f.state.reachable(0);
    f.at(0, 11);
    f.told();
    f.state.set_view(0, script, vec![(txid, Some(11))]);
    f.prove(txid, 11);
    assert_eq!(f.heights(), Some(vec![Some(11)]));
}

#[test]
fn a_server_that_lags_is_told_of_once_and_when_it_is_back() {
    let mut f = Fixture::reachable(&[13, 10]);
    assert_eq!(f.judged(), vec![], "three blocks may be on their way");
    f.at(0, 14);
    let said = f.judged();
    assert_eq!(said.len(), 1);
    assert!(said[0].as_ref().unwrap().contains("4 blocks behind"), "{said:?}");
    assert_eq!(f.judged(), vec![]);
    f.at(1, 12);
    assert_eq!(f.judged(), vec![None]);
    assert_eq!(f.judged(), vec![]);
}

#[test]
fn a_server_is_given_time() {
    let mut f = Fixture::reachable(&[20, 10]);
    f.state.judge(1, Duration::from_secs(3600));
    assert!(f.told().is_empty());
}

#[test]
fn a_server_on_another_chain_is_told_of() {
    let mut f = Fixture::reachable(&[10, 10]);
    f.forks(1, 8, 1);
    let said = f.judged();
    assert!(said[0].as_ref().unwrap().contains("after block 8"), "{said:?}");
    // It was right: now the other one is behind.
    f.forks(1, 8, 3);
    let said = f.judged();
    assert!(said[0].as_ref().unwrap().contains("after block 8"), "{said:?}");
    assert_eq!(said[1], None);
}

#[test]
fn a_frozen_server_is_told_of_when_others_are_fresh() {
    let mut f = Fixture::reachable(&[10, 10]);
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() as u32;
    let last = f.headers[10];
    let fresh = crate::chain::spv::testing::mine(&last, now, 0x207f_ffff, 3);
    f.state.connect(&[fresh]).unwrap();
    f.state.set_tip(0, fresh.block_hash());
    let said = f.judged();
    assert_eq!(said.len(), 1);
    assert!(said[0].as_ref().unwrap().contains("two hours"), "{said:?}");
}

#[test]
fn a_claim_without_proof_is_told_of_until_it_is_taken_back_or_proven() {
    let mut f = Fixture::reachable(&[10, 10]);
    let (script, txid) = f.watch_one();
    for take_back in [true, false] {
        f.state.set_view(1, script.clone(), vec![(txid, Some(7))]);
        assert_eq!(f.judged(), vec![], "not asked yet");
        f.state.no_proof(1, txid, 7);
        let said = f.judged();
        assert!(said[0].as_ref().unwrap().contains("block 7"), "{said:?}");
        match take_back {
            true => f.state.set_view(1, script.clone(), vec![(txid, None)]),
            false => f.prove(txid, 7),
        }
        assert_eq!(f.judged(), vec![None]);
    }
    f.state.set_view(1, script.clone(), vec![(txid, Some(11))]);
    let said = f.judged();
    assert!(said[0].as_ref().unwrap().contains("block 11"), "{said:?}");
}

#[test]
fn one_lying_estimate_is_believed_up_to_twice_the_last() {
    let says = |sat_per_vb| Estimates {
        rates: [Some(FeeRate::from_sat_per_vb_u32(sat_per_vb)); 4],
        floor: None,
    };
    let vb = |rate| Some(FeeRate::from_sat_per_vb_u32(rate));
    let mut f = Fixture::reachable(&[10, 10]);
    f.state.set_estimates(0, says(3));
    assert_eq!(f.state.fee_rate(6), vb(3));
    // The only one that has said something, at the deadline, again and again.
    for _ in 0..3 {
        f.state.set_estimates(0, says(95));
        f.state.set_estimates(0, says(500));
        assert_eq!([2, 6, 24, 144].map(|within| f.state.fee_rate(within)), [vb(6); 4]);
    }
    // Of two the lower counts.
    f.state.set_estimates(1, says(4));
    assert_eq!(f.state.fee_rate(6), vb(4));
}

#[test]
fn a_disputed_server_is_asked_last_and_its_fees_don_t_count() {
    let mut f = Fixture::reachable(&[10, 20]);
    f.judged();
    let says = |sat_per_kwu| Estimates {
        rates: [Some(FeeRate::from_sat_per_kwu(sat_per_kwu)); 4],
        floor: None,
    };
    f.state.set_estimates(0, says(9_000));
    f.state.set_estimates(1, says(1_000));
    assert_eq!(f.state.fee_rate(6), Some(FeeRate::from_sat_per_kwu(1_000)));
    f.state.sync_wallet(sync());
    assert!(matches!(f.commands[1].try_recv(), Ok(Command::Sync(_))));
}

fn sync() -> WalletRequest {
    WalletRequest::Sync(bdk_wallet::chain::spk_client::SyncRequest::builder_at(0).build())
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
    for index in 0..2 {
        f.state.reachable(index);
        f.at(index, 10);
    }
    f.at(1, 9);
    let tips = f
        .told()
        .into_iter()
        .filter(|event| matches!(event, ChainEvent::Tip(_)))
        .count();
    assert_eq!((tips, f.state.tip().unwrap().height), (1, 10));
    f.at(1, 11);
    assert_eq!(f.state.tip().unwrap().height, 11);
}

#[test]
fn a_sync_waits_for_the_first_server_and_fails_with_the_last() {
    let mut f = Fixture::new(2);
    f.state.sync_wallet(sync());
    f.state.unreachable(0, unreachable());
    f.state.reachable(1);
    assert!(
        !f.told()
            .iter()
            .any(|event| matches!(event, ChainEvent::WalletSyncFailed(_)))
    );
    assert!(
        f.commands[1].try_recv().is_err(),
        "not before its headers are known"
    );
    f.at(1, 5);
    assert!(matches!(f.commands[1].try_recv(), Ok(Command::Sync(_))));
    f.state.unreachable(1, unreachable());
    f.told();
    f.state.sync_wallet(sync());
    assert!(matches!(
        f.told()[..],
        [ChainEvent::WalletSyncFailed(SyncError::NoServer)]
    ));
}
