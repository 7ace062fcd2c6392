//! Who is neither consumer nor provider. What an observer can do to transactions is tried on a real node, in
//! `tests/node/observer.rs` and `tests/node/pinning.rs`; here is what can be done with what was overheard.

use crate::common::*;
use crate::harness::*;
use streamium_channel::bitcoin::hashes::Hash;
use streamium_channel::bitcoin::key::Secp256k1;
use streamium_channel::bitcoin::secp256k1::{Message, schnorr};
use streamium_channel::bitcoin::sighash::{Prevouts, SighashCache, TapSighashType};
use streamium_channel::bitcoin::{FeeRate, TxOut};
use streamium_channel::payment::Payment;
use streamium_channel::settlement::{Claim, Settlement};

/// Whether this signature of a settlement's witness holds for the transaction, whatever its outputs are by now.
fn holds(
    settled: &streamium_channel::bitcoin::Transaction,
    channel: &streamium_channel::contract::Channel,
    item: usize,
    key: &streamium_channel::bitcoin::key::Keypair,
) -> bool {
    let bytes = settled.input[0].witness.nth(item).unwrap();
    let kind = match bytes.get(64) {
        Some(byte) => TapSighashType::from_consensus_u8(*byte).unwrap(),
        None => TapSighashType::Default,
    };
    let spent: [TxOut; 1] = [channel.output()];
    let hash = SighashCache::new(settled)
        .taproot_script_spend_signature_hash(
            0,
            &Prevouts::All(&spent),
            channel.script().payment().hash(),
            kind,
        )
        .unwrap();
    let signature = schnorr::Signature::from_slice(&bytes[..64]).unwrap();
    let message = Message::from_digest(hash.to_byte_array());
    let public = key.x_only_public_key().0;
    Secp256k1::new()
        .verify_schnorr(&signature, &message, &public)
        .is_ok()
}

#[test]
fn an_observer_that_rewrites_a_settlement_breaks_the_providers_signature() {
    let channel = channel(50_000);
    let payment = Payment::sign(&channel, &key(CONSUMER), sat(2_000)).unwrap();
    let provider = key(PROVIDER);
    let claim = Claim {
        channel: &channel,
        payment: &payment,
        key: &provider,
    };
    let settled = Settlement::new(&[claim], &p2tr(0x77), FeeRate::from_sat_per_vb_u32(2)).unwrap();
    let settled = settled.transaction;
    assert!(holds(&settled, &channel, 0, &provider) && holds(&settled, &channel, 1, &key(CONSUMER)));
    let mut redirected = settled.clone();
    redirected.output[1].script_pubkey = p2tr(0x44);
    assert!(
        holds(&redirected, &channel, 1, &key(CONSUMER)),
        "the consumer's does not cover the payout"
    );
    assert!(
        !holds(&redirected, &channel, 0, &provider),
        "so the provider's must, all of it"
    );
}

#[test]
fn what_was_overheard_pays_nobody_else() {
    // A payment that a third party has seen, in a session of its own: its channel is not there.
    let mut pair = playing();
    let overheard: Vec<_> = texts(&pair, "->")
        .into_iter()
        .filter(|text| text.contains("\"payment\""))
        .collect();
    assert!(overheard.len() > 1);
    stranger(&mut pair);
    for text in &overheard {
        answered(&mut pair, "a payment of another's channel", text, "unexpected");
    }
}
