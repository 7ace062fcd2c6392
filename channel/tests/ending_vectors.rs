//! The test vectors of how channels end and go on: settlements of several, cooperative closes, the refund with its fee,
//! and the proof of `resume`. As `vectors.rs`: recomputed here, written anew with `STREAMIUM_WRITE_VECTORS=1`.

mod common;

use common::pair::terms;
use common::vectors::{same, secret};
use common::*;
use serde_json::{Value, json};
use streamium_channel::bitcoin::consensus::encode::serialize_hex;
use streamium_channel::bitcoin::hashes::{Hash, HashEngine, sha256};
use streamium_channel::bitcoin::hex::DisplayHex;
use streamium_channel::bitcoin::{Amount, FeeRate, ScriptBuf};
use streamium_channel::blocks::RefundDelay;
use streamium_channel::contract::{Channel, Contract};
use streamium_channel::cooperative::Closing;
use streamium_channel::keys::ChannelKeys;
use streamium_channel::payment::Payment;
use streamium_channel::refund::refund;
use streamium_channel::resume::Challenge;
use streamium_channel::script::ChangeScript;
use streamium_channel::settlement::{Claim, Settlement};

/// A channel of the settlement: both secret keys, its delay, capacity, change and output.
struct Member {
    consumer: u8,
    provider: u8,
    channel: Channel,
    payment: Payment,
}

fn member(n: u8, delay: u16, capacity: u64, paid: u64) -> Member {
    let (consumer, provider) = (0x10 + n, 0x20 + n);
    let keys = ChannelKeys::new(
        key(consumer).x_only_public_key().0,
        key(provider).x_only_public_key().0,
    );
    let change = ChangeScript::new(p2tr(0x50 + n)).unwrap();
    let delay = RefundDelay::new(delay).unwrap();
    let contract = Contract::new(keys.unwrap(), delay, sat(capacity), change).unwrap();
    let channel = Channel::new(contract, outpoint(n)).unwrap();
    let payment = Payment::sign(&channel, &key(consumer), sat(paid)).unwrap();
    Member {
        consumer,
        provider,
        channel,
        payment,
    }
}

#[test]
fn a_settlement_of_several_channels() {
    let members = [
        member(1, 144, 50_000, 1_000),
        member(2, 1_008, 100_000, 99_670),
        member(3, 4_032, 20_000, 12_345),
    ];
    let keys: Vec<_> = members.iter().map(|member| key(member.provider)).collect();
    let claims: Vec<_> = members
        .iter()
        .zip(&keys)
        .map(|(member, key)| Claim {
            channel: &member.channel,
            payment: &member.payment,
            key,
        })
        .collect();
    let settlement = Settlement::new(&claims, &p2tr(0x77), FeeRate::from_sat_per_vb_u32(2)).unwrap();
    let channels: Vec<Value> = members
        .iter()
        .map(|member| {
            let contract = member.channel.contract();
            json!({
                "consumer_secret_key": secret(member.consumer),
                "provider_secret_key": secret(member.provider),
                "refund_delay_blocks": contract.delay(),
                "capacity_sat": contract.capacity().to_sat(),
                "change_script": contract.change(),
                "outpoint": member.channel.outpoint(),
                "cumulative_sat": member.payment.cumulative().to_sat(),
                "signature": member.payment.signature().to_string(),
            })
        })
        .collect();
    same(
        "settlement.json",
        &json!({
            "comment": "One settlement of several channels, at 2 sat/vB of its own size. Amounts in sat.",
            "channels": channels,
            "payout_script": p2tr(0x77),
            "fee_sat": settlement.fee.to_sat(),
            "payout_sat": settlement.payout.to_sat(),
            "transaction": serialize_hex(&settlement.transaction),
        }),
    );
}

fn closing(balance: u64, fee: u64, payout: &ScriptBuf) -> Value {
    let channel = channel(50_000);
    let closing = Closing {
        channel: &channel,
        balance: sat(balance),
        payout,
        fee: sat(fee),
    };
    let offer = closing.offer(&key(CONSUMER)).unwrap();
    let transaction = closing.complete(&offer, sat(balance), &key(PROVIDER)).unwrap();
    json!({
        "balance_sat": balance,
        "fee_sat": fee,
        "payout_script": payout,
        "dust_limit_sat": payout.minimal_non_dust().to_sat(),
        "consumer_signature": offer,
        "transaction": serialize_hex(&transaction),
    })
}

#[test]
fn cooperative_closes() {
    let (taproot, witness) = (
        p2tr(0x77),
        ScriptBuf::from_hex(&format!("0014{}", "77".repeat(20))).unwrap(),
    );
    same(
        "closing.json",
        &json!({
            "comment": "Cooperative closes of the channel of channel.json: with a balance, at the dust limit, and below it.",
            "closings": [
                closing(1_000, 1_025, &taproot),
                closing(330, 1_025, &taproot),
                closing(329, 1_025, &taproot),
                closing(294, 1_025, &witness),
                closing(293, 1_025, &witness),
            ],
        }),
    );
}

#[test]
fn refunds() {
    let channel = channel(50_000);
    let refunds: Vec<Value> = [1, 2, 25]
        .map(|rate| {
            let rate_of = FeeRate::from_sat_per_vb_u32(rate);
            let transaction = refund(&channel, &key(CONSUMER), &p2tr(0x55), rate_of).unwrap();
            let value: Amount = transaction.output.iter().map(|output| output.value).sum();
            json!({
                "fee_rate_sat_per_vb": rate,
                "vsize": transaction.vsize(),
                "fee_sat": (sat(50_000) - value).to_sat(),
                "destination": p2tr(0x55),
                "transaction": serialize_hex(&transaction),
            })
        })
        .into();
    same(
        "refund.json",
        &json!({
            "comment": "Refunds of the channel of channel.json. The fee is what capacity and output differ by.",
            "refunds": refunds,
        }),
    );
}

#[test]
fn the_proof_of_resume() {
    let (terms, outpoint) = (terms(), outpoint(7));
    let challenge = Challenge::of(&terms, outpoint);
    let form = challenge.canonical_form();
    same(
        "resume.json",
        &json!({
            "comment": "The proof in `resume`, in the session of terms.json, for the channel of channel.json. hash is what is signed.",
            "tag": "streamium-pay/resume/1",
            "consumer_secret_key": secret(CONSUMER),
            "outpoint": outpoint,
            "provider_certificate": terms.provider_certificate,
            "consumer_certificate": terms.consumer_certificate,
            "provider_nonce": terms.provider_nonce,
            "consumer_nonce": terms.consumer_nonce,
            "canonical_form": form.to_lower_hex_string(),
            "hash": tagged("streamium-pay/resume/1", &form),
            "signature": challenge.sign(&key(CONSUMER)),
        }),
    );
}

/// BIP340's tagged hash, by hand.
fn tagged(tag: &str, form: &[u8]) -> String {
    let tag = sha256::Hash::hash(tag.as_bytes());
    let mut engine = sha256::Hash::engine();
    engine.input(tag.as_byte_array());
    engine.input(tag.as_byte_array());
    engine.input(form);
    sha256::Hash::from_engine(engine)
        .to_byte_array()
        .to_lower_hex_string()
}
