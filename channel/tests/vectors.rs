//! The test vectors in `channel/vectors/`, with which an implementation in another language is checked. This test
//! recomputes them; `STREAMIUM_WRITE_VECTORS=1 cargo test -p streamium-channel --test vectors` writes them anew.

mod common;

use common::pair::consumer_identity;
use common::pair::terms;
use common::vectors::{same, secret};
use common::*;
use serde_json::{Value, json};
use streamium_channel::bitcoin::consensus::encode::serialize_hex;
use streamium_channel::bitcoin::hex::DisplayHex;
use streamium_channel::bitcoin::{FeeRate, Network};
use streamium_channel::contract::Channel;
use streamium_channel::cooperative::Closing;
use streamium_channel::message::{ConsumerMessage, ProviderMessage, decode, encode};
use streamium_channel::money::Rate;
use streamium_channel::payment::{Payment, payment_transaction};
use streamium_channel::rate_offer::RateOffer;
use streamium_channel::refund::refund;
use streamium_channel::resume::Challenge;
use streamium_channel::settlement::{Claim, Settlement};

const RATE: FeeRate = FeeRate::from_sat_per_vb_u32(2);

#[test]
fn transactions() {
    let channel = Channel::new(contract(50_000), outpoint(7)).unwrap();
    let script = channel.script();
    let payments: Vec<_> = [1, 1_000, 49_670]
        .map(|amount| {
            let payment = Payment::sign(&channel, &key(CONSUMER), sat(amount)).unwrap();
            json!({
                "cumulative_sat": amount,
                "unsigned_transaction": serialize_hex(&payment_transaction(&channel, sat(amount)).unwrap()),
                "signature": payment.signature().to_string(),
            })
        })
        .into();
    let payment = Payment::sign(&channel, &key(CONSUMER), sat(1_000)).unwrap();
    let claim = Claim {
        channel: &channel,
        payment: &payment,
        key: &key(PROVIDER),
    };
    let settlement = Settlement::new(&[claim], &p2tr(0x77), RATE).unwrap();
    let payout = p2tr(0x77);
    let closing = Closing {
        channel: &channel,
        balance: sat(0),
        payout: &payout,
        fee: sat(400),
    };
    let offer = closing.offer(&key(CONSUMER)).unwrap();
    same(
        "channel.json",
        &json!({
            "comment": "Signatures use no auxiliary randomness, so they are reproducible. Amounts in sat, fee rate 2 sat/vB.",
            "consumer_secret_key": secret(CONSUMER),
            "provider_secret_key": secret(PROVIDER),
            "consumer_key": key(CONSUMER).x_only_public_key().0,
            "provider_key": key(PROVIDER).x_only_public_key().0,
            "refund_delay_blocks": 288,
            "capacity_sat": 50_000,
            "change_script": p2tr(0x55),
            "outpoint": channel.outpoint(),
            "descriptor": script.descriptor(),
            "script_pubkey": script.script_pubkey(),
            "regtest_address": script.address(Network::Regtest).unwrap().to_string(),
            "payment_leaf": { "script": script.payment().script(), "hash": script.payment().hash(), "control_block": script.payment().control().to_lower_hex_string() },
            "refund_leaf": { "script": script.refund().script(), "hash": script.refund().hash(), "control_block": script.refund().control().to_lower_hex_string() },
            "payments": payments,
            "settlement": {
                "payout_script": payout,
                "cumulative_sat": 1_000,
                "fee_sat": settlement.fee.to_sat(),
                "transaction": serialize_hex(&settlement.transaction),
            },
            "refund": {
                "destination": p2tr(0x55),
                "transaction": serialize_hex(&refund(&channel, &key(CONSUMER), &p2tr(0x55), RATE).unwrap()),
            },
            "cooperative_close": {
                "balance_sat": 0,
                "fee_sat": 400,
                "consumer_signature": offer,
                "transaction": serialize_hex(&closing.complete(&offer, sat(0), &key(PROVIDER)).unwrap()),
            },
        }),
    );
}

#[test]
fn signed_terms() {
    let terms = terms();
    same(
        "terms.json",
        &json!({
            "comment": "canonical_form is hashed with the BIP340 tag and signed by the identity key.",
            "tag": "streamium-pay/terms/1",
            "identity_secret_key": secret(IDENTITY),
            "identity_key": key(IDENTITY).x_only_public_key().0,
            "terms": terms,
            "canonical_form": terms.canonical_form().to_lower_hex_string(),
            "signature": terms.sign(&key(IDENTITY)),
        }),
    );
}

fn new_rate() -> RateOffer {
    RateOffer {
        number: 7,
        rate: Rate::new(200_000),
        answer_ms: 120_000,
    }
}

#[test]
fn signed_rate() {
    let (terms, offer) = (terms(), new_rate());
    same(
        "rate.json",
        &json!({
            "comment": "A new rate in the session of terms.json. canonical_form is hashed with the BIP340 tag and signed by the identity key.",
            "tag": "streamium-pay/rate/1",
            "identity_key": key(IDENTITY).x_only_public_key().0,
            "offer": offer,
            "provider_certificate": terms.provider_certificate,
            "consumer_certificate": terms.consumer_certificate,
            "provider_nonce": terms.provider_nonce,
            "consumer_nonce": terms.consumer_nonce,
            "canonical_form": offer.canonical_form(&terms).to_lower_hex_string(),
            "signature": offer.sign(&terms, &key(IDENTITY)),
        }),
    );
}

#[test]
fn messages() {
    use streamium_channel::message::{ChannelState, ClosingOffer, ErrorCode, GateState};
    let contract = contract(50_000);
    let channel = Channel::new(contract.clone(), outpoint(7)).unwrap();
    let outpoint = channel.outpoint();
    let payment = Payment::sign(&channel, &key(CONSUMER), sat(1_000)).unwrap();
    let payout = p2tr(0x77);
    let closing = Closing {
        channel: &channel,
        balance: sat(0),
        payout: &payout,
        fee: sat(400),
    };
    let consumer = [
        ConsumerMessage::Hello {
            versions: vec![1],
            chain: config().chain,
            nonce: consumer_identity().nonce,
        },
        ConsumerMessage::Open {
            capacity: contract.capacity(),
            consumer_key: contract.keys().consumer(),
            change_script: contract.change().clone(),
            refund_delay: contract.delay(),
        },
        ConsumerMessage::Resume {
            outpoint,
            signature: Challenge::of(&terms(), outpoint).sign(&key(CONSUMER)),
        },
        ConsumerMessage::Renew,
        ConsumerMessage::Commitment {
            transaction: commitment(&contract),
            output: 1,
        },
        ConsumerMessage::Payment {
            outpoint,
            cumulative: sat(1_000),
            signature: payment.signature(),
        },
        ConsumerMessage::Pause,
        ConsumerMessage::Play,
        ConsumerMessage::Close {
            reason: "stopped by the viewer".into(),
            closing: Vec::new(),
            refused_rate: None,
        },
        ConsumerMessage::Close {
            reason: "changed my mind".into(),
            closing: vec![ClosingOffer {
                outpoint,
                balance: sat(0),
                fee: sat(400),
                signature: closing.offer(&key(CONSUMER)).unwrap(),
            }],
            refused_rate: None,
        },
        ConsumerMessage::Close {
            reason: "the rate went up to 200000 msat/s, above max-rate (150000 msat/s)".into(),
            closing: Vec::new(),
            refused_rate: Some(7),
        },
        ConsumerMessage::AcceptRate { number: 7 },
        ConsumerMessage::Ping,
        ConsumerMessage::Pong,
        ConsumerMessage::Error {
            code: ErrorCode::UnknownType,
            words: "unknown message type".into(),
        },
    ];
    let terms = terms();
    let signature = terms.sign(&key(IDENTITY));
    let new_rate = new_rate();
    let provider = [
        ProviderMessage::Rate {
            offer: new_rate,
            signature: new_rate.sign(&terms, &key(IDENTITY)),
        },
        ProviderMessage::RateChanged { number: 7 },
        ProviderMessage::Terms {
            terms: Box::new(terms),
            signature,
        },
        ProviderMessage::Accept {
            payout_script: payout.clone(),
        },
        ProviderMessage::Resumed {
            outpoint,
            balance: sat(1_000),
            signature: Some(payment.signature()),
            carried: sat(49_670),
            consumed_msat: 50_123_456,
            payout_script: payout.clone(),
        },
        ProviderMessage::NotResumed {
            outpoint,
            reason: "it is being settled".into(),
        },
        ProviderMessage::Busy {
            reason: "too many viewers are waiting to pay".into(),
        },
        ProviderMessage::Refused {
            reason: "funding took too long".into(),
        },
        ProviderMessage::Channel {
            outpoint,
            state: ChannelState::Seen,
        },
        ProviderMessage::Channel {
            outpoint,
            state: ChannelState::Confirmed { confirmations: 3 },
        },
        ProviderMessage::Channel {
            outpoint,
            state: ChannelState::Rejected {
                reason: "double-spent".into(),
            },
        },
        ProviderMessage::Credit {
            outpoint,
            balance: sat(1_000),
            consumed_msat: 123_456,
            gate: GateState::Open,
        },
        ProviderMessage::Close {
            reason: "the stream ends".into(),
        },
        ProviderMessage::Settled {
            outpoint,
            txid: outpoint.txid,
        },
        ProviderMessage::Ping,
        ProviderMessage::Pong,
        ProviderMessage::Error {
            code: ErrorCode::Payment,
            words: "the signature is not the consumer's".into(),
        },
    ];
    let texts = |texts: Vec<String>| -> Vec<Value> {
        texts
            .iter()
            .map(|text| serde_json::from_str(text).unwrap())
            .collect()
    };
    for message in &consumer {
        assert_eq!(
            decode::<ConsumerMessage>(&encode(message).unwrap()).as_ref(),
            Ok(message)
        );
    }
    for message in &provider {
        assert_eq!(
            decode::<ProviderMessage>(&encode(message).unwrap()).as_ref(),
            Ok(message)
        );
    }
    same(
        "messages.json",
        &json!({
            "comment": "One example of each message and variant. The order of fields has no meaning.",
            "consumer": texts(consumer.iter().map(|m| encode(m).unwrap()).collect()),
            "provider": texts(provider.iter().map(|m| encode(m).unwrap()).collect()),
        }),
    );
}
