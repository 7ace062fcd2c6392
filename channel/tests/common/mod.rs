//! Two parties for the tests: fixed keys, plain terms, and a pair of sessions in simulated time.
#![allow(dead_code)]

pub mod pair;
pub mod vectors;

use std::time::Duration;
use streamium_channel::bitcoin::hashes::Hash;
use streamium_channel::bitcoin::key::{Keypair, Secp256k1};
use streamium_channel::bitcoin::transaction::Version;
use streamium_channel::bitcoin::{
    Amount, FeeRate, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness,
    absolute,
};
use streamium_channel::blocks::RefundDelay;
use streamium_channel::consumer::ConsumerPolicy;
use streamium_channel::contract::{Channel, Contract};
use streamium_channel::handshake::Bytes32;
use streamium_channel::keys::ChannelKeys;
use streamium_channel::link::StreamName;
use streamium_channel::message::ConsumerMessage;
use streamium_channel::money::Rate;
use streamium_channel::provider::ProviderConfig;
use streamium_channel::script::ChangeScript;
use streamium_channel::terms::{Track, TrackKind};

pub const CONSUMER: u8 = 0x11;
pub const PROVIDER: u8 = 0x22;
pub const IDENTITY: u8 = 0x33;
pub const STRANGER: u8 = 0x44;

pub fn sat(sat: u64) -> Amount {
    Amount::from_sat(sat)
}

pub fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub fn key(byte: u8) -> Keypair {
    Keypair::from_seckey_slice(&Secp256k1::new(), &[byte; 32]).unwrap()
}

/// A P2TR script that nobody in the tests spends from.
pub fn p2tr(byte: u8) -> ScriptBuf {
    let key = key(byte).x_only_public_key().0;
    let mut script = vec![0x51, 0x20];
    script.extend(key.serialize());
    ScriptBuf::from_bytes(script)
}

pub fn contract(capacity: u64) -> Contract {
    let keys = ChannelKeys::new(
        key(CONSUMER).x_only_public_key().0,
        key(PROVIDER).x_only_public_key().0,
    )
    .unwrap();
    let change = ChangeScript::new(p2tr(0x55)).unwrap();
    Contract::new(keys, RefundDelay::new(288).unwrap(), sat(capacity), change).unwrap()
}

pub fn outpoint(byte: u8) -> OutPoint {
    OutPoint {
        txid: Txid::from_byte_array([byte; 32]),
        vout: 1,
    }
}

pub fn channel(capacity: u64) -> Channel {
    Channel::new(contract(capacity), outpoint(7)).unwrap()
}

/// A transaction whose second output is the channel's; its input is made up.
pub fn commitment(contract: &Contract) -> Transaction {
    let script_pubkey = contract.script().unwrap().script_pubkey().clone();
    Transaction {
        version: Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: vec![TxIn {
            previous_output: outpoint(9),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::from_slice(&[vec![1u8; 64]]),
            ..TxIn::default()
        }],
        output: vec![
            TxOut {
                value: sat(10_000),
                script_pubkey: p2tr(0x66),
            },
            TxOut {
                value: contract.capacity(),
                script_pubkey,
            },
        ],
    }
}

pub fn tracks() -> Vec<Track> {
    vec![
        Track {
            kind: TrackKind::Video,
            codecs: "VP8".into(),
        },
        Track {
            kind: TrackKind::Audio,
            codecs: "OPUS".into(),
        },
    ]
}

/// What a consumer says first.
pub fn hello(versions: Vec<u16>, chain: Bytes32) -> ConsumerMessage {
    ConsumerMessage::Hello {
        versions,
        chain,
        nonce: Bytes32::new([2; 32]),
    }
}

/// 100 sat a second, an opening of 1,000 sat.
pub fn config() -> ProviderConfig {
    ProviderConfig {
        stream: StreamName::new("cats").unwrap(),
        chain: Bytes32::genesis(Network::Regtest),
        tracks: tracks(),
        rate: Rate::new(100_000),
        opening: sat(1_000),
        window: seconds(5),
        grace: Duration::from_millis(500),
        min_capacity: sat(4_000),
        max_capacity: sat(1_000_000),
        min_refund_delay: RefundDelay::new(144).unwrap(),
        max_refund_delay: RefundDelay::new(1_008).unwrap(),
        commitment_fee_rate_sat_per_kvb: 1_000,
        min_confirmations: 1,
        unconfirmed_limit: sat(1_000),
        settle_delay: seconds(60),
        funding_timeout: seconds(3_600),
        payout: p2tr(0x77),
    }
}

pub fn policy() -> ConsumerPolicy {
    ConsumerPolicy {
        max_rate: Rate::new(1_000_000),
        max_opening: sat(5_000),
        max_window: seconds(30),
        max_fee_rate: FeeRate::from_sat_per_vb_u32(50),
        capacity: sat(50_000),
        budget: sat(50_000),
        refund_delay: RefundDelay::new(288).unwrap(),
        payment_interval: seconds(1),
    }
}

/// With so many satoshis to lock in a channel, and to pay in all.
pub fn policy_of(capacity: u64, budget: u64) -> ConsumerPolicy {
    ConsumerPolicy {
        capacity: sat(capacity),
        budget: sat(budget),
        ..policy()
    }
}
