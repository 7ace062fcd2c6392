use bitcoin::consensus::encode::deserialize_hex;
use proptest::prelude::*;

use super::super::testing::{chain, mine, regtest_genesis};
use super::*;

const REGTEST_BITS: u32 = 0x207f_ffff;
/// Easy enough to mine in a test, hard enough that a retarget changes something.
const EASIEST: u32 = 0x1f0f_ffff;
const PERIOD: u32 = 12;

fn regtest() -> HeaderTree {
    HeaderTree::new(Network::Regtest)
}

/// Mainnet's rules with a period of twelve blocks.
fn short_periods(allow_min_difficulty_blocks: bool, network: Network) -> Params {
    let mut params = Params::new(network);
    params.max_attainable_target = Target::from_compact(CompactTarget::from_consensus(EASIEST));
    params.pow_target_spacing = 10;
    params.pow_target_timespan = u64::from(PERIOD) * params.pow_target_spacing;
    params.allow_min_difficulty_blocks = allow_min_difficulty_blocks;
    params
}

/// A tree with those rules, whose checkpoint is its first block.
fn short_tree(allow_min_difficulty_blocks: bool, network: Network) -> (HeaderTree, Header) {
    let first = mine(&regtest_genesis(), 1_000_000, EASIEST, 0);
    let checkpoint = Checkpoint {
        height: 0,
        hash: first.block_hash(),
    };
    let mut tree = HeaderTree::after(short_periods(allow_min_difficulty_blocks, network), checkpoint);
    tree.connect(&[first]).unwrap();
    (tree, first)
}

/// Adds blocks so many seconds apart, with the bits that the tree asks for.
fn grow(tree: &mut HeaderTree, count: u32, apart_s: u32) -> Header {
    let mut last = *tree.header(&tree.tip().unwrap().1).unwrap();
    for _ in 0..count {
        let previous = tree.blocks[&last.block_hash()];
        let time = last.time + apart_s;
        let bits = tree.required_bits(&previous, time).unwrap();
        last = mine(&last, time, bits.to_consensus(), 0);
        tree.connect(&[last]).unwrap();
    }
    last
}

#[test]
fn headers_that_cost_nothing_do_not_pile_up_beside_the_best_chain() {
    let genesis = regtest_genesis();
    let best = chain(&genesis, 1_100, 0);
    let mut tree = regtest();
    tree.connect(&best).unwrap();
    for salt in 1..=30 {
        tree.connect(&chain(&genesis, 1_000, salt)).unwrap();
        let beside = tree.blocks.len() - tree.best.len();
        assert!(beside <= MOST_BESIDE + 1_000, "{beside}");
    }
    assert_eq!(tree.tip().unwrap(), (1_100, best[1_099].block_hash()));
    // A branch that was forgotten with them can still become the best.
    tree.connect(&chain(&genesis, 1_101, 200)).unwrap();
    assert_eq!(tree.height(), Some(1_101));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_valid_chain_is_taken_in_any_portions(count in 1usize..60, portion in 1usize..20) {
        let headers = chain(&regtest_genesis(), count, 0);
        let mut tree = regtest();
        for portion in headers.chunks(portion) {
            tree.connect(portion).unwrap();
        }
        prop_assert_eq!(tree.height(), Some(count as u32));
        for (height, header) in (1..).zip(&headers) {
            prop_assert_eq!(tree.at(height), Some(header.block_hash()));
        }
    }

    #[test]
    fn a_header_with_any_bit_wrong_is_refused_and_those_before_it_stay(
        count in 1usize..30,
        at in any::<prop::sample::Index>(),
        bit in 0usize..640,
    ) {
        let mut headers = chain(&regtest_genesis(), count + 1, 0);
        let at = at.index(count);
        let mut bytes = bitcoin::consensus::serialize(&headers[at]);
        bytes[bit / 8] ^= 1 << (bit % 8);
        headers[at] = bitcoin::consensus::deserialize(&bytes).unwrap();
        // On regtest every other change still has the work, by luck; then the next header does not link.
        let mut tree = regtest();
        prop_assert!(tree.connect(&headers).is_err());
        prop_assert!(tree.height().unwrap() >= at as u32);
        prop_assert!(tree.height().unwrap() <= at as u32 + 1);
    }

    /// Random forks, compared with a plain model: the best tip is the longest, the first of its length.
    #[test]
    fn the_best_chain_is_the_one_with_the_most_work(forks in prop::collection::vec(
        (any::<prop::sample::Index>(), 1usize..6), 1..12)) {
        let mut tree = regtest();
        let mut known = vec![regtest_genesis()];
        let mut best = (0, regtest_genesis().block_hash());
        for (salt, (at, count)) in (1u8..).zip(forks) {
            let base = known[at.index(known.len())];
            let headers = chain(&base, count, salt);
            tree.connect(&headers).unwrap();
            let height = tree.height_of(&headers[count - 1].block_hash()).unwrap();
            if height > best.0 {
                best = (height, headers[count - 1].block_hash());
            }
            known.extend(headers);
            prop_assert_eq!(tree.tip(), Some(best));
        }
        for header in &known {
            check_ancestry(&tree, header)?;
        }
    }

    /// For a fuzzer too: whatever comes, an answer.
    #[test]
    fn nonsense_is_refused(bytes in prop::collection::vec(any::<[u8; 32]>(), 5..6)) {
        let bytes = bytes.concat();
        let headers: Vec<Header> = bytes.chunks(80)
            .map(|bytes| bitcoin::consensus::deserialize(bytes).unwrap())
            .collect();
        for network in [Network::Bitcoin, Network::Regtest, Network::Testnet4] {
            prop_assert!(HeaderTree::new(network).connect(&headers).is_err());
        }
    }
}

/// Ancestors by walking, against what the tree says.
fn check_ancestry(tree: &HeaderTree, header: &Header) -> Result<(), TestCaseError> {
    let tip = header.block_hash();
    let (mut hash, mut fork) = (tip, None);
    for height in (0..=tree.height_of(&tip).unwrap()).rev() {
        prop_assert_eq!(tree.ancestor(&tip, height), Some(hash));
        prop_assert_eq!(tree.is_best(&hash), tree.at(height) == Some(hash));
        if tree.at(height) == Some(hash) {
            fork = fork.or(Some(height));
        }
        hash = tree.header(&hash).unwrap().prev_blockhash;
    }
    prop_assert_eq!(tree.fork_height(&tip), fork);
    Ok(())
}

#[test]
fn takes_the_first_blocks_of_mainnet() {
    let genesis = genesis_block(Network::Bitcoin).header;
    let checkpoint = Checkpoint {
        height: 0,
        hash: genesis.block_hash(),
    };
    let mut tree = HeaderTree::after(Params::MAINNET, checkpoint);
    let headers: Vec<Header> = [
        "010000006fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000982051fd1e4ba744bbbe680e1fee14677ba1a3c3540bf7b1cdb606e857233e0e61bc6649ffff001d01e36299",
        "010000004860eb18bf1b1620e37e9490fc8a427514416fd75159ab86688e9a8300000000d5fdcc541e25de1c7a5addedf24858b8bb665c9f36ef744ee42c316022c90f9bb0bc6649ffff001d08d2bd61",
    ]
    .iter()
    .map(|hex| deserialize_hex(hex).unwrap())
    .collect();
    tree.connect(&[&[genesis], headers.as_slice()].concat()).unwrap();
    assert_eq!(tree.height(), Some(2));
    assert_eq!(
        tree.tip().unwrap().1.to_string(),
        "000000006a625f06636b8bb6ac7b960a8d03705d1ace08b1a19da3fdcc99ddbd"
    );
}

#[test]
fn a_header_without_work_is_refused() {
    let mut header = chain(&regtest_genesis(), 1, 0)[0];
    while header.target().is_met_by(header.block_hash()) {
        header.nonce += 1;
    }
    let error = regtest().connect(&[header]).unwrap_err();
    assert!(matches!(error, HeaderError::NoWork { height: 1, .. }), "{error}");
}

#[test]
fn a_header_with_easier_or_harder_bits_is_refused() {
    for bits in [0x207f_fffe, 0x2100_ffff, 0x1f7f_ffff] {
        let mut header = mine(&regtest_genesis(), 2_000_000_000, REGTEST_BITS, 0);
        header.bits = CompactTarget::from_consensus(bits);
        let error = regtest().connect(&[header]).unwrap_err();
        assert!(matches!(error, HeaderError::WrongBits { .. }), "{error}");
    }
}

#[test]
fn a_header_that_links_to_nothing_is_refused() {
    let headers = chain(&regtest_genesis(), 2, 0);
    let error = regtest().connect(&headers[1..]).unwrap_err();
    assert!(matches!(error, HeaderError::Unlinked { .. }), "{error}");
}

#[test]
fn a_header_older_than_the_median_of_eleven_is_refused() {
    let headers = chain(&regtest_genesis(), 20, 0);
    let mut tree = regtest();
    tree.connect(&headers).unwrap();
    let last = headers[19];
    // Ten minutes apart: the median of the last eleven is five blocks back.
    let at_median = mine(&last, headers[14].time, REGTEST_BITS, 0);
    let error = tree.connect(&[at_median]).unwrap_err();
    assert!(matches!(error, HeaderError::TooOld { height: 21, .. }), "{error}");
    tree.connect(&[mine(&last, headers[14].time + 1, REGTEST_BITS, 0)])
        .unwrap();
}

#[test]
fn the_target_changes_once_a_period_and_only_as_it_must() {
    let (mut tree, _) = short_tree(false, Network::Bitcoin);
    // Twice too fast.
    let last = grow(&mut tree, PERIOD - 1, 5);
    let required = tree
        .required_bits(&tree.blocks[&last.block_hash()], last.time + 5)
        .unwrap();
    assert!(Target::from_compact(required) < Target::from_compact(last.bits));
    let unchanged = mine(&last, last.time + 5, EASIEST, 0);
    let error = tree.connect(&[unchanged]).unwrap_err();
    assert!(matches!(error, HeaderError::WrongBits { .. }), "{error}");
    let next = grow(&mut tree, 1, 5);
    assert_eq!((next.bits, tree.height()), (required, Some(PERIOD)));
    // Within the period it stays, however late a block is.
    let late = grow(&mut tree, 1, 100_000);
    assert_eq!(late.bits, required);
    let easy = mine(&late, late.time + 100_000, EASIEST, 0);
    assert!(tree.connect(&[easy]).is_err());
    // A fork of less work but more blocks does not win.
    let tip = tree.tip();
    let first = tree.at(0).unwrap();
    let mut fork = *tree.header(&first).unwrap();
    for _ in 0..PERIOD - 1 {
        fork = mine(&fork, fork.time + 10, EASIEST, 7);
        tree.connect(&[fork]).unwrap();
    }
    assert_eq!(tree.tip(), tip);
}

#[test]
fn a_test_network_s_late_block_may_be_the_easiest_and_the_next_goes_back() {
    let (mut tree, _) = short_tree(true, Network::Testnet);
    grow(&mut tree, PERIOD, 5);
    let hard = grow(&mut tree, 1, 10);
    assert_ne!(hard.bits.to_consensus(), EASIEST);
    let not_late = mine(&hard, hard.time + 20, EASIEST, 0);
    assert!(tree.connect(&[not_late]).is_err());
    let late = mine(&hard, hard.time + 21, EASIEST, 0);
    tree.connect(&[late]).unwrap();
    assert_eq!(grow(&mut tree, 1, 10).bits, hard.bits);
}

#[test]
fn testnet_4_refuses_a_period_that_begins_long_before_the_last_ended() {
    for (network, is_refused) in [(Network::Testnet4, true), (Network::Testnet, false)] {
        let (mut tree, _) = short_tree(true, network);
        let ordinary = grow(&mut tree, PERIOD - 2, 10);
        let last = mine(&ordinary, ordinary.time + 10_000, EASIEST, 0);
        tree.connect(&[last]).unwrap();
        let time = last.time - 601;
        let bits = tree
            .required_bits(&tree.blocks[&last.block_hash()], time)
            .unwrap();
        let warped = mine(&last, time, bits.to_consensus(), 0);
        assert_eq!(tree.connect(&[warped]).is_err(), is_refused, "{network}");
    }
}

#[test]
fn a_tree_begins_with_the_headers_that_lead_to_its_checkpoint() {
    // Regtest's rules; the checkpoint is inside the second period.
    let mut params = Params::REGTEST;
    params.pow_target_timespan = u64::from(PERIOD) * params.pow_target_spacing;
    let headers = [vec![regtest_genesis()], chain(&regtest_genesis(), 40, 0)].concat();
    let checkpoint = Checkpoint {
        height: 17,
        hash: headers[17].block_hash(),
    };
    let empty = HeaderTree::after(params, checkpoint);
    assert_eq!((empty.first_height(), empty.height()), (12, None));

    let mut tree = empty.clone();
    tree.connect(&headers[12..]).unwrap();
    assert_eq!(
        (tree.height(), tree.at(12)),
        (Some(40), Some(headers[12].block_hash()))
    );
    assert_eq!(tree.at(11), None);

    let other = chain(&headers[14], 20, 5);
    let elsewhere = [&headers[12..15], other.as_slice()].concat();
    for wrong in [&headers[11..], &headers[13..], &headers[12..17], &elsewhere, &[]] {
        let error = empty.clone().connect(wrong).unwrap_err();
        assert!(matches!(error, HeaderError::NotTheCheckpoint { .. }), "{error}");
    }
    // Nothing forks off before it: what is there is there.
    assert!(tree.connect(&chain(&headers[11], 40, 3)).is_err());
}

#[test]
fn changes_are_told_from_the_fork_on() {
    let mut tree = regtest();
    let headers = chain(&regtest_genesis(), 5, 0);
    tree.connect(&headers).unwrap();
    let (from, changed) = tree.take_changes().unwrap();
    assert_eq!((from, changed.len()), (0, 6));
    assert_eq!(tree.take_changes(), None);
    let fork = chain(&headers[2], 4, 1);
    tree.connect(&fork).unwrap();
    assert_eq!(tree.take_changes(), Some((4, fork)));
}
