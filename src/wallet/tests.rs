//! The wallet without a chain: coins are put into it by hand. `tests/wallet.rs` has a real one.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use bdk_wallet::chain::{BlockId, ConfirmationBlockTime};
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version;
use bitcoin::{BlockHash, FeeRate, OutPoint, Sequence, Transaction, TxIn, TxOut, Txid, Witness};
use tempfile::TempDir;

use super::*;

const RATE: FeeRate = FeeRate::from_sat_per_kwu(500); // 2 sat/vB

fn open(dir: &TempDir) -> Wallet {
    Wallet::open(dir.path(), Network::Regtest).unwrap()
}

/// A transaction from elsewhere that pays to a script.
fn payment(script: ScriptBuf, sat: u64, version: Version) -> Transaction {
    let elsewhere = OutPoint::new(Txid::hash(&sat.to_le_bytes()), 0);
    Transaction {
        version,
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: vec![TxIn {
            previous_output: elsewhere,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output: vec![TxOut {
            value: Amount::from_sat(sat),
            script_pubkey: script,
        }],
    }
}

/// Puts in an unconfirmed coin, as a sync would.
fn receive(wallet: &mut Wallet, sat: u64) -> OutPoint {
    let script = wallet.funding_script().unwrap();
    receive_at(wallet, payment(script, sat, Version::TWO))
}

fn receive_at(wallet: &mut Wallet, tx: Transaction) -> OutPoint {
    let outpoint = OutPoint::new(tx.compute_txid(), 0);
    wallet.inner.apply_unconfirmed_txs([(tx, 1)]);
    wallet.commit(|_| Ok(())).unwrap();
    outpoint
}

fn block(height: u32) -> BlockId {
    BlockId {
        height,
        hash: BlockHash::hash(&height.to_le_bytes()),
    }
}

/// What a sync tells when `tx` is in block `at` and `tip` is the best.
fn confirm(wallet: &mut Wallet, tx: &Transaction, at: u32, tip: u32) {
    let mut update = Update::default();
    update.tx_update.txs.push(tx.clone().into());
    let anchor = ConfirmationBlockTime {
        block_id: block(at),
        confirmation_time: 1,
    };
    update.tx_update.anchors.insert((anchor, tx.compute_txid()));
    let mut chain = wallet.inner.latest_checkpoint();
    for height in [at, tip] {
        chain = chain.insert(block(height));
    }
    update.chain = Some(chain);
    wallet.apply(update).unwrap();
}

/// Where a channel's output goes.
fn channel(byte: u8) -> ScriptBuf {
    let mut script = vec![0x51, 0x20];
    script.extend([byte; 32]);
    ScriptBuf::from_bytes(script)
}

fn coins(tx: &Transaction) -> HashSet<OutPoint> {
    tx.input.iter().map(|input| input.previous_output).collect()
}

#[test]
fn files_are_private() {
    let temp = TempDir::new().unwrap();
    let dir = temp.path().join("wallet");
    let mut wallet = Wallet::open(&dir, Network::Regtest).unwrap();
    wallet.funding_address().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for file in fs::read_dir(&dir).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn the_funding_address_stays_until_it_received() {
    let dir = TempDir::new().unwrap();
    let mut wallet = open(&dir);
    let first = wallet.funding_address().unwrap();
    assert_eq!(wallet.funding_address().unwrap(), first);
    drop(wallet);
    let mut wallet = open(&dir);
    assert_eq!(wallet.funding_address().unwrap(), first);
    receive(&mut wallet, 10_000);
    assert_ne!(wallet.funding_address().unwrap(), first);
}

#[test]
fn scripts_for_channels_are_never_given_twice() {
    let dir = TempDir::new().unwrap();
    let mut wallet = open(&dir);
    let mut given = HashSet::from([wallet.fresh_change_script().unwrap()]);
    assert!(given.insert(wallet.refund_address().unwrap().script_pubkey()));
    assert!(given.insert(wallet.funding_script().unwrap()));
    drop(wallet);
    let mut wallet = open(&dir);
    assert!(given.insert(wallet.fresh_change_script().unwrap()));
    // Nor does the wallet's own change go to one of them.
    receive(&mut wallet, 100_000);
    let built = wallet
        .build_commitment(&channel(1), Amount::from_sat(50_000), RATE)
        .unwrap();
    let change = built.tx.output[built.change.vout as usize].script_pubkey.clone();
    assert!(change.is_p2tr() && change.len() == 34);
    assert!(given.insert(change));
}

#[test]
fn a_commitment_pays_exactly_and_leaves_change() {
    let dir = TempDir::new().unwrap();
    let mut wallet = open(&dir);
    let capacity = Amount::from_sat(50_000);
    // Just enough, and more than enough; the first would tempt a coin selection to do without change.
    for (byte, sat) in [(1, needed_for(capacity, RATE).to_sat()), (2, 1_000_000)] {
        receive(&mut wallet, sat);
        let built = wallet.build_commitment(&channel(byte), capacity, RATE).unwrap();
        let output = &built.tx.output[built.vout as usize];
        assert_eq!((output.value, &output.script_pubkey), (capacity, &channel(byte)));
        assert_eq!(built.tx.output.len(), 2);
        assert_eq!(built.change.txid, built.tx.compute_txid());
        assert!(built.tx.output[built.change.vout as usize].value >= min_change(RATE));
        assert_eq!(built.tx.version, Version::TWO);
        assert!(built.fee >= RATE.fee_vb(built.tx.vsize() as u64).unwrap());
        assert!(built.fee <= RATE.fee_vb(built.tx.vsize() as u64 + 5).unwrap());
        assert!(built.tx.input.iter().all(|input| !input.witness.is_empty()));
    }
}

#[test]
fn no_coin_is_used_twice_also_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let mut wallet = open(&dir);
    for i in 1..=3 {
        receive(&mut wallet, 60_000 + i);
    }
    let build = |wallet: &mut Wallet, byte| {
        wallet
            .build_commitment(&channel(byte), Amount::from_sat(50_000), RATE)
            .map(|built| coins(&built.tx))
    };
    let first = build(&mut wallet, 1).unwrap();
    let second = build(&mut wallet, 2).unwrap();
    assert!(first.is_disjoint(&second));
    drop(wallet);
    let mut wallet = open(&dir);
    let third = build(&mut wallet, 3).unwrap();
    assert!(third.is_disjoint(&first) && third.is_disjoint(&second));
    assert!(matches!(
        build(&mut wallet, 4),
        Err(CommitmentError::NotEnough { .. })
    ));
    assert_eq!(wallet.spendable(), Amount::ZERO);
    assert_eq!(wallet.balance().reserved, Amount::from_sat(180_006));
}

#[test]
fn not_enough_says_how_much_is_missing() {
    let dir = TempDir::new().unwrap();
    let mut wallet = open(&dir);
    let capacity = Amount::from_sat(50_000);
    let build = |wallet: &mut Wallet| wallet.build_commitment(&channel(1), capacity, RATE);
    let Err(CommitmentError::NotEnough { needed, available }) = build(&mut wallet) else {
        panic!()
    };
    assert!(needed > capacity && needed <= needed_for(capacity, RATE));
    assert_eq!(available, Amount::ZERO);

    receive(&mut wallet, 50_000);
    let Err(CommitmentError::NotEnough { needed, available }) = build(&mut wallet) else {
        panic!()
    };
    assert_eq!(available, Amount::from_sat(50_000));
    assert_eq!(
        wallet.balance().reserved,
        Amount::ZERO,
        "a failed build reserves nothing"
    );
    receive(&mut wallet, (needed - available).to_sat());
    build(&mut wallet).unwrap();
}

#[test]
fn confirmed_coins_come_first() {
    let dir = TempDir::new().unwrap();
    let mut wallet = open(&dir);
    let confirmed = payment(wallet.funding_script().unwrap(), 60_000, Version::TWO);
    confirm(&mut wallet, &confirmed, 5, 5);
    let unconfirmed = receive(&mut wallet, 900_000);
    let built = wallet
        .build_commitment(&channel(1), Amount::from_sat(50_000), RATE)
        .unwrap();
    assert_eq!(
        coins(&built.tx),
        HashSet::from([OutPoint::new(confirmed.compute_txid(), 0)])
    );
    let built = wallet
        .build_commitment(&channel(2), Amount::from_sat(50_000), RATE)
        .unwrap();
    assert_eq!(coins(&built.tx), HashSet::from([unconfirmed]));
    assert_eq!(built.tx.lock_time.to_consensus_u32(), 5);
}

#[test]
fn unconfirmed_version_3_change_waits() {
    let dir = TempDir::new().unwrap();
    let mut wallet = open(&dir);
    let settlement = payment(wallet.fresh_change_script().unwrap(), 90_000, Version(3));
    receive_at(&mut wallet, settlement.clone());
    assert_eq!(
        wallet.balance(),
        Balance {
            waiting: Amount::from_sat(90_000),
            ..Balance::default()
        }
    );
    assert!(matches!(
        wallet.build_commitment(&channel(1), Amount::from_sat(50_000), RATE),
        Err(CommitmentError::NotEnough {
            available: Amount::ZERO,
            ..
        })
    ));
    confirm(&mut wallet, &settlement, 7, 7);
    assert_eq!(
        wallet.balance(),
        Balance {
            confirmed: Amount::from_sat(90_000),
            ..Balance::default()
        }
    );
    wallet
        .build_commitment(&channel(1), Amount::from_sat(50_000), RATE)
        .unwrap();
}

#[test]
fn a_buried_conflict_frees_the_other_coins() {
    let dir = TempDir::new().unwrap();
    let mut wallet = open(&dir);
    let (a, b) = (receive(&mut wallet, 60_000), receive(&mut wallet, 70_000));
    let built = wallet
        .build_commitment(&channel(1), Amount::from_sat(100_000), RATE)
        .unwrap();
    assert_eq!(coins(&built.tx), HashSet::from([a, b]));

    let mut conflict = payment(channel(9), 55_000, Version::TWO);
    conflict.input[0].previous_output = a;
    confirm(&mut wallet, &conflict, 10, 14);
    assert_eq!(
        wallet.balance().reserved,
        Amount::from_sat(70_000),
        "five deep is not buried"
    );
    confirm(&mut wallet, &conflict, 10, 15);
    assert_eq!(wallet.balance().reserved, Amount::ZERO);
    drop(wallet);
    assert_eq!(open(&dir).spendable(), Amount::from_sat(70_000));
}

#[test]
fn an_unsent_transaction_can_be_taken_back() {
    let dir = TempDir::new().unwrap();
    let mut wallet = open(&dir);
    receive(&mut wallet, 60_000);
    let built = wallet
        .build_commitment(&channel(1), Amount::from_sat(50_000), RATE)
        .unwrap();
    wallet.release_unsent(&built.tx.compute_txid()).unwrap();
    assert_eq!(wallet.spendable(), Amount::from_sat(60_000));
}

#[test]
fn nonsense_is_refused() {
    let dir = TempDir::new().unwrap();
    let mut wallet = open(&dir);
    let mut build = |sat, rate| wallet.build_commitment(&channel(1), Amount::from_sat(sat), rate);
    assert!(matches!(build(329, RATE), Err(CommitmentError::Value(_))));
    assert!(matches!(build(u64::MAX, RATE), Err(CommitmentError::Value(_))));
    assert!(matches!(
        build(1_000, FeeRate::MAX),
        Err(CommitmentError::FeeRate(_))
    ));
    assert_eq!(needed_for(Amount::MAX, FeeRate::MAX), Amount::MAX_MONEY);
}

#[test]
fn withdraws_a_part_or_everything() {
    let dir = TempDir::new().unwrap();
    let mut wallet = open(&dir);
    receive(&mut wallet, 60_000);
    receive(&mut wallet, 70_000);
    let address = Address::from_script(&channel(7), Network::Regtest).unwrap();
    let part = wallet
        .withdraw(
            &address,
            RATE,
            WithdrawalAmount::Exactly(Amount::from_sat(20_000)),
        )
        .unwrap();
    assert!(
        part.tx
            .output
            .iter()
            .any(|output| output.value == Amount::from_sat(20_000))
    );
    let left = wallet.spendable();
    let all = wallet.withdraw(&address, RATE, WithdrawalAmount::All).unwrap();
    assert_eq!(all.tx.output.len(), 1);
    assert_eq!(all.tx.output[0].value + all.fee, left);
    assert!(coins(&part.tx).is_disjoint(&coins(&all.tx)));
    assert!(matches!(
        wallet.withdraw(&address, RATE, WithdrawalAmount::All),
        Err(CommitmentError::NotEnough { .. })
    ));
    let elsewhere = Address::from_script(&channel(7), Network::Bitcoin).unwrap();
    assert!(matches!(
        wallet.withdraw(&elsewhere, RATE, WithdrawalAmount::All),
        Err(CommitmentError::OtherNetwork {
            expected: Network::Regtest
        })
    ));
}

#[test]
fn a_wallet_is_refused_where_it_does_not_belong() {
    let dir = TempDir::new().unwrap();
    let wallet = open(&dir);
    assert!(matches!(
        Wallet::open(dir.path(), Network::Regtest),
        Err(WalletError::InUse { .. })
    ));
    drop(wallet);
    assert!(matches!(
        Wallet::open(dir.path(), Network::Signet),
        Err(WalletError::OtherNetwork {
            found: Network::Regtest,
            expected: Network::Signet,
            ..
        })
    ));
    let other = TempDir::new().unwrap();
    Seed::load_or_create(other.path()).unwrap();
    let seed = dir.path().join(SEED_FILE);
    fs::rename(other.path().join(SEED_FILE), &seed).unwrap();
    assert!(matches!(
        Wallet::open(dir.path(), Network::Regtest),
        Err(WalletError::OtherSeed { .. })
    ));
    fs::remove_file(&seed).unwrap();
    assert!(matches!(
        Wallet::open(dir.path(), Network::Regtest),
        Err(WalletError::SeedMissing { .. })
    ));
    assert!(!seed.exists(), "no new seed was put beside another's wallet");
    fs::write(
        dir.path().join(WALLET_FILE),
        "not a database, but long enough to look at it twice",
    )
    .unwrap();
    Seed::load_or_create(dir.path()).unwrap();
    assert!(matches!(
        Wallet::open(dir.path(), Network::Regtest),
        Err(WalletError::Database(_))
    ));
}

#[test]
fn a_height_no_block_can_have_is_not_taken() {
    let dir = TempDir::new().unwrap();
    let mut wallet = open(&dir);
    let chain = Some(wallet.inner.latest_checkpoint().insert(block(500_000_000)));
    let update = Update {
        chain,
        ..Update::default()
    };
    assert!(matches!(
        wallet.apply(update),
        Err(WalletError::ImpossibleHeight { height: 500_000_000 })
    ));
    receive(&mut wallet, 60_000);
    wallet
        .build_commitment(&channel(1), Amount::from_sat(50_000), RATE)
        .unwrap();
}

#[test]
fn writes_payment_requests() {
    let address = Address::from_script(&channel(7), Network::Regtest).unwrap();
    let uri = bip21(&address, Amount::from_sat(51_234));
    assert_eq!(uri, format!("bitcoin:{address}?amount=0.00051234"));
}

#[test]
fn what_is_asked_for_is_more_than_a_plain_commitment_needs() {
    let capacity = Amount::from_sat(50_000);
    assert_eq!(
        needed_for(capacity, RATE),
        Amount::from_sat(50_000 + 2 * (97 + 290) + 330 + 1_200)
    );
    let dir = TempDir::new().unwrap();
    let mut wallet = open(&dir);
    assert_eq!(
        wallet.missing_for(capacity, RATE),
        Some(needed_for(capacity, RATE))
    );
    receive(&mut wallet, needed_for(capacity, RATE).to_sat() - 1);
    assert_eq!(wallet.missing_for(capacity, RATE), Some(Amount::from_sat(1_000)));
    receive(&mut wallet, 1_000);
    assert_eq!(wallet.missing_for(capacity, RATE), None);
}

/// A commitment as it is in the mempool, with the wallet's change in it.
fn committed(wallet: &mut Wallet, sat: u64) -> Commitment {
    let coin = payment(wallet.funding_script().unwrap(), sat, Version::TWO);
    confirm(wallet, &coin, 5, 5);
    let built = wallet
        .build_commitment(&channel(1), Amount::from_sat(50_000), RATE)
        .unwrap();
    receive_at(wallet, built.tx.clone());
    built
}

#[test]
fn a_child_lifts_both_to_the_rate_asked_for() {
    let dir = TempDir::new().unwrap();
    let mut wallet = open(&dir);
    let built = committed(&mut wallet, 70_000);
    let target = FeeRate::from_sat_per_vb_u32(10);
    let child = wallet.build_child(&built.tx, built.vout, target, None).unwrap();
    assert_eq!(coins(&child.tx), HashSet::from([built.change]));
    let size = (built.tx.vsize() + child.tx.vsize()) as u64;
    assert_eq!(built.fee + child.fee, target.fee_vb(size).unwrap());
    let change = built.tx.output[built.change.vout as usize].value;
    assert_eq!(child.tx.output[0].value + child.fee, change);
    assert!(wallet.inner.is_mine(child.tx.output[0].script_pubkey.clone()));

    // One that replaces it pays its fee and its own bytes, to the same address.
    wallet.reserve_for(&child.tx).unwrap();
    receive_at(&mut wallet, child.tx.clone());
    let earlier = Some((&child.tx, child.fee));
    let next = wallet.build_child(&built.tx, built.vout, RATE, earlier).unwrap();
    assert_eq!(next.fee, child.fee + Amount::from_sat(child.tx.vsize() as u64));
    assert_eq!(next.tx.output[0].script_pubkey, child.tx.output[0].script_pubkey);
}

#[test]
fn a_child_takes_confirmed_coins_only_and_as_few_as_it_can() {
    let dir = TempDir::new().unwrap();
    let mut wallet = open(&dir);
    let built = committed(&mut wallet, 52_000);
    let unconfirmed = receive(&mut wallet, 500_000);
    let target = FeeRate::from_sat_per_vb_u32(20);
    // All of the change goes, as it is not enough, and nothing else is confirmed.
    let child = wallet.build_child(&built.tx, built.vout, target, None).unwrap();
    assert_eq!(child.tx.output[0].value, Amount::from_sat(330));
    let earlier = Some((&child.tx, child.fee));
    wallet.reserve_for(&child.tx).unwrap();
    let error = wallet
        .build_child(&built.tx, built.vout, target, earlier)
        .unwrap_err();
    assert!(matches!(error, ChildError::NotEnough { .. }), "{error}");

    let [small, large] = [20_000, 30_000].map(|sat| {
        let coin = payment(wallet.funding_script().unwrap(), sat, Version::TWO);
        confirm(&mut wallet, &coin, 5, 5);
        OutPoint::new(coin.compute_txid(), 0)
    });
    let next = wallet
        .build_child(&built.tx, built.vout, target, earlier)
        .unwrap();
    assert_eq!(coins(&next.tx), HashSet::from([built.change, large]));
    assert!(!coins(&next.tx).contains(&unconfirmed) && !coins(&next.tx).contains(&small));
}

#[test]
fn change_that_something_else_spends_is_left_to_it() {
    let dir = TempDir::new().unwrap();
    let mut wallet = open(&dir);
    let first = committed(&mut wallet, 150_000);
    let second = wallet
        .build_commitment(&channel(2), Amount::from_sat(50_000), RATE)
        .unwrap();
    assert_eq!(coins(&second.tx), HashSet::from([first.change]));
    let target = FeeRate::from_sat_per_vb_u32(10);
    let error = wallet
        .build_child(&first.tx, first.vout, target, None)
        .unwrap_err();
    assert!(matches!(error, ChildError::ChangeTaken), "{error}");
    // What the wallet has not seen in a mempool yet can't have a child there.
    let error = wallet
        .build_child(&second.tx, second.vout, target, None)
        .unwrap_err();
    assert!(matches!(error, ChildError::UnknownParent(_)), "{error}");
}

#[test]
fn a_dead_commitment_frees_its_childs_coins_with_its_own() {
    let dir = TempDir::new().unwrap();
    let mut wallet = open(&dir);
    let built = committed(&mut wallet, 52_000);
    let beside = payment(wallet.funding_script().unwrap(), 30_000, Version::TWO);
    confirm(&mut wallet, &beside, 5, 5);
    let target = FeeRate::from_sat_per_vb_u32(20);
    let child = wallet.build_child(&built.tx, built.vout, target, None).unwrap();
    wallet.reserve_for(&child.tx).unwrap();
    assert_eq!(wallet.spendable(), Amount::ZERO);

    let mut conflict = payment(channel(9), 40_000, Version::TWO);
    conflict.input[0].previous_output = built.tx.input[0].previous_output;
    confirm(&mut wallet, &conflict, 10, 14);
    assert_eq!(wallet.buried_conflict(&built.tx), None, "five deep");
    assert_eq!(wallet.spendable(), Amount::ZERO);
    confirm(&mut wallet, &conflict, 10, 15);
    assert_eq!(wallet.buried_conflict(&built.tx), Some(conflict.compute_txid()));
    assert_eq!(wallet.spendable(), Amount::from_sat(30_000));
    assert_eq!(wallet.buried_conflict(&conflict), None);
}

#[test]
fn a_withdrawal_is_kept_until_it_is_buried() {
    let dir = TempDir::new().unwrap();
    let mut wallet = open(&dir);
    let coin = payment(wallet.funding_script().unwrap(), 70_000, Version::TWO);
    confirm(&mut wallet, &coin, 5, 5);
    let address = Address::from_script(&channel(7), Network::Regtest).unwrap();
    let sent = wallet.withdraw(&address, RATE, WithdrawalAmount::All).unwrap();
    drop(wallet);
    let mut wallet = open(&dir);
    assert_eq!(
        wallet.pending_withdrawals().unwrap(),
        std::slice::from_ref(&sent.tx)
    );
    confirm(&mut wallet, &sent.tx, 6, 10);
    assert_eq!(
        wallet.pending_withdrawals().unwrap(),
        std::slice::from_ref(&sent.tx)
    );
    confirm(&mut wallet, &sent.tx, 6, 11);
    assert_eq!(wallet.pending_withdrawals().unwrap(), []);
}

#[test]
fn a_change_script_of_the_same_seed_is_adopted_and_no_other() {
    let (home, away) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let mut wallet = open(&home);
    let given: Vec<ScriptBuf> = (0..30).map(|_| wallet.fresh_change_script().unwrap()).collect();
    Seed::load(home.path())
        .unwrap()
        .unwrap()
        .store(away.path())
        .unwrap();
    let mut restored = open(&away);
    assert!(restored.adopt_change_script(&given[29]).unwrap());
    assert!(
        restored.adopt_change_script(&given[29]).unwrap(),
        "twice does no harm"
    );
    assert!(!restored.adopt_change_script(&channel(3)).unwrap());
    assert!(!given.contains(&restored.fresh_change_script().unwrap()));
}
