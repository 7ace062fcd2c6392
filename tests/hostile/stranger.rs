//! A consumer of the test's own, which says what the test wants and holds real keys and real commitments.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::key::{Keypair, Secp256k1};
use bitcoin::{Network, OutPoint, ScriptBuf, Transaction, XOnlyPublicKey};
use gststreamiumpay::peer::{Peer, PeerEvent, ProviderPeer};
use gststreamiumpay::session::provider::ProviderInputs;
use serde_json::{Value, json};
use streamium_channel::blocks::RefundDelay;
use streamium_channel::contract::{Channel, Contract};
use streamium_channel::cooperative::Closing;
use streamium_channel::handshake::{Bytes32, Certificates};
use streamium_channel::keys::ChannelKeys;
use streamium_channel::payment::Payment;
use streamium_channel::script::ChangeScript;
use streamium_channel::terms::{Track, TrackKind};

use crate::common::coins::sat;
use crate::common::regtest::Regtest;
use crate::common::wait::PATIENCE;
use crate::common::wire::CERTIFICATES;

pub const CAPACITY: u64 = 20_000;

#[derive(Default)]
struct State {
    inbox: VecDeque<Value>,
    gate: bool,
    ended: bool,
}

/// Its end of the connection. It answers pings by itself: who is silent is soon gone.
#[derive(Clone)]
struct Line {
    id: String,
    provider: ProviderInputs,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl Line {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.state.1.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().unwrap()
    }

    fn text(&self, text: &str) {
        self.provider.peer_event(&self.id, PeerEvent::Text(text.into()));
    }
}

impl Peer for Line {
    fn send(&self, message: &str) -> Result<(), String> {
        let message: Value = serde_json::from_str(message).unwrap();
        if message["type"] == "ping" {
            self.text(r#"{"type":"pong"}"#);
            return Ok(());
        }
        self.change(|state| state.inbox.push_back(message));
        Ok(())
    }

    fn certificates(&self) -> Result<Certificates, String> {
        Ok(CERTIFICATES)
    }

    fn end(&self) {
        self.change(|state| state.ended = true);
    }
}

impl ProviderPeer for Line {
    fn set_gate(&self, open: bool) {
        self.change(|state| state.gate = open);
    }

    fn tracks(&self) -> Vec<Track> {
        vec![Track {
            kind: TrackKind::Video,
            codecs: "VP8".into(),
        }]
    }
}

/// Whoever it is, it has a connection.
pub struct Stranger {
    pub id: String,
    line: Line,
    key: Keypair,
}

impl Stranger {
    /// Connects; says nothing yet.
    pub fn new(provider: &ProviderInputs, number: u32) -> Self {
        let id = format!("stranger-{number}");
        let line = Line {
            id: id.clone(),
            provider: provider.clone(),
            state: Arc::default(),
        };
        provider.added(&id, Box::new(line.clone()));
        provider.peer_event(&id, PeerEvent::Open);
        let mut secret = [0x61; 32];
        secret[..4].copy_from_slice(&number.to_be_bytes());
        Self {
            id,
            line,
            key: Keypair::from_seckey_slice(&Secp256k1::new(), &secret).unwrap(),
        }
    }

    pub fn say(&self, message: &Value) {
        self.say_text(&message.to_string());
    }

    pub fn say_text(&self, text: &str) {
        self.line.text(text);
    }

    pub fn is_open(&self) -> bool {
        self.line.lock().gate
    }

    pub fn has_ended(&self) -> bool {
        self.line.lock().ended
    }

    /// The next message of this type, or of any of them; what comes before it is passed over.
    pub fn wait(&self, kinds: &[&str]) -> Value {
        let end = Instant::now() + PATIENCE;
        let mut state = self.line.lock();
        loop {
            while let Some(message) = state.inbox.pop_front() {
                if kinds.iter().any(|kind| message["type"] == *kind) {
                    return message;
                }
                let last = ["close", "refused", "busy"].contains(&message["type"].as_str().unwrap());
                assert!(!last, "{} waited for {kinds:?}, and was told {message}", self.id);
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{} waited in vain for {kinds:?}", self.id);
            (state, _) = self.line.state.1.wait_timeout(state, left).unwrap();
        }
    }

    /// Whether it has been told so by now.
    pub fn was_told(&self, kind: &str) -> bool {
        let state = self.line.lock();
        state.inbox.iter().any(|message| message["type"] == kind)
    }

    /// Says hello, and is sent terms.
    pub fn hello(&self) -> Value {
        self.say_hello();
        self.wait(&["terms"])["terms"].clone()
    }

    pub fn say_hello(&self) {
        let chain = Bytes32::genesis(Network::Regtest).to_string();
        self.say(&json!({ "type": "hello", "versions": [1], "chain": chain, "nonce": "5a".repeat(32) }));
    }

    /// Proposes a channel under these terms, which is accepted.
    pub fn open(&self, terms: &Value) -> Contract {
        let provider: XOnlyPublicKey = terms["channel_key"].as_str().unwrap().parse().unwrap();
        let consumer = self.key.x_only_public_key().0;
        let mut change = vec![0x51, 0x20];
        change.extend(consumer.serialize());
        let change = ChangeScript::new(ScriptBuf::from_bytes(change)).unwrap();
        let keys = ChannelKeys::new(consumer, provider).unwrap();
        let contract = Contract::new(keys, RefundDelay::SHORTEST, sat(CAPACITY), change).unwrap();
        self.say(&json!({
            "type": "open",
            "capacity_sat": CAPACITY,
            "consumer_key": consumer.to_string(),
            "change_script": contract.change().script().to_hex_string(),
            "refund_delay_blocks": RefundDelay::SHORTEST.blocks(),
        }));
        self.wait(&["accept"]);
        contract
    }

    pub fn send_commitment(&self, tx: &Transaction, contract: &Contract) -> Channel {
        let script = contract.script().unwrap().script_pubkey().clone();
        let output = tx.output.iter().position(|output| output.script_pubkey == script);
        let output = output.expect("it pays the channel") as u32;
        let outpoint = OutPoint::new(tx.compute_txid(), output);
        self.say(&json!({ "type": "commitment", "transaction": serialize_hex(tx), "output": output }));
        Channel::new(contract.clone(), outpoint).unwrap()
    }

    pub fn pay(&self, channel: &Channel, cumulative: u64) {
        let payment = Payment::sign(channel, &self.key, sat(cumulative)).unwrap();
        self.say(&json!({
            "type": "payment",
            "outpoint": channel.outpoint().to_string(),
            "cumulative_sat": cumulative,
            "signature": payment.signature().to_string(),
        }));
    }

    /// Closes, and offers a cooperative close that leaves the provider `balance` and a miner `fee`.
    pub fn close(&self, channel: &Channel, payout: &ScriptBuf, balance: u64, fee: u64) {
        let closing = Closing {
            channel,
            balance: sat(balance),
            payout,
            fee: sat(fee),
        };
        self.say(&json!({
            "type": "close",
            "reason": "x",
            "closing": [{
                "outpoint": channel.outpoint().to_string(),
                "balance_sat": balance,
                "fee_sat": fee,
                "signature": closing.offer(&self.key).unwrap().to_string(),
            }],
        }));
    }

    /// Leaves.
    pub fn leave(&self) {
        self.line.provider.removed(&self.id);
    }
}

fn wallet(regtest: &Regtest, args: &[&str]) -> Value {
    let answer = regtest.cli(&[&["-rpcwallet=miner"], args].concat());
    serde_json::from_str(&answer).unwrap()
}

/// A signed transaction of the miner's wallet with these outputs, not sent. `spending`: the inputs of another, which
/// it conflicts with.
pub fn made(
    regtest: &Regtest,
    outputs: &Value,
    fee_rate_sat_per_vb: u64,
    spending: Option<&Transaction>,
) -> Transaction {
    let inputs: Vec<_> = spending.iter().flat_map(|tx| &tx.input).collect();
    let inputs: Vec<_> = inputs
        .iter()
        .map(|input| json!({ "txid": input.previous_output.txid, "vout": input.previous_output.vout }))
        .collect();
    let options = json!({
        "fee_rate": fee_rate_sat_per_vb,
        "replaceable": true,
        "change_type": "bech32",
        "add_inputs": spending.is_none(),
    });
    let funded = wallet(
        regtest,
        &[
            "walletcreatefundedpsbt",
            &json!(inputs).to_string(),
            &outputs.to_string(),
            "0",
            &options.to_string(),
        ],
    );
    let signed = wallet(regtest, &["walletprocesspsbt", funded["psbt"].as_str().unwrap()]);
    assert_eq!(signed["complete"], true);
    deserialize_hex(signed["hex"].as_str().unwrap()).unwrap()
}

/// A commitment for each of these contracts, all in one transaction, not sent.
pub fn commitment(regtest: &Regtest, contracts: &[&Contract]) -> Transaction {
    let outputs: Vec<_> = contracts
        .iter()
        .map(|contract| {
            let address = contract.script().unwrap().address(Network::Regtest).unwrap();
            let mut output = serde_json::Map::new();
            output.insert(address.to_string(), json!(contract.capacity().to_btc()));
            Value::Object(output)
        })
        .collect();
    made(regtest, &json!(outputs), 2, None)
}
