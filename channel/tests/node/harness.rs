//! The shared node, channels on its chain, and signatures made by hand where the crate refuses to make them.

use crate::common::{p2tr, sat};
use crate::regtest::{Regtest, TxStatus};
use serde_json::{Value, json};
use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, PoisonError};
use streamium_channel::bitcoin::consensus::encode::serialize_hex;
use streamium_channel::bitcoin::hashes::Hash;
use streamium_channel::bitcoin::key::{Keypair, Secp256k1};
use streamium_channel::bitcoin::secp256k1::Message;
use streamium_channel::bitcoin::sighash::{Annex, Prevouts, SighashCache, TapSighash, TapSighashType};
use streamium_channel::bitcoin::{
    Address, Amount, Denomination, FeeRate, Network, ScriptBuf, Transaction, TxOut, Txid, Witness,
};
use streamium_channel::blocks::RefundDelay;
use streamium_channel::commitment;
use streamium_channel::contract::{Channel, Contract};
use streamium_channel::keys::ChannelKeys;
use streamium_channel::payment::Payment;
use streamium_channel::script::{ChangeScript, Leaf};
use streamium_channel::settlement::{Claim, Settlement};

/// The shortest that is allowed, so that few blocks have to be mined.
pub const DELAY: u16 = 144;

pub const CAPACITY: u64 = 50_000;

pub const RATE: FeeRate = FeeRate::from_sat_per_vb_u32(2);

/// How nodes begin their refusals by the rules for version 3 (BIP431).
pub const TRUC: &str = "truc-";

pub const INVALID_SIGNATURE: &str = "(Invalid Schnorr signature)";

/// An empty signature is not invalid, it is a "no".
pub const FALSE_AT_END: &str =
    "(Script evaluated without error but finished with a false/empty top stack element)";

/// The key behind every consumer's change script, which is that key untweaked.
pub const CHANGE: u8 = 0x55;

pub const PAYOUT: u8 = 0x77;

/// A change that someone may try, and what to call it.
pub type Attempt<'a, T> = (&'a str, &'a dyn Fn(&mut T));

static TURN: Mutex<()> = Mutex::new(());

/// The node, for as long as a test holds it.
pub struct Node {
    chain: &'static Regtest,
    _turn: MutexGuard<'static, ()>,
}

/// Waits for the node. A test that failed leaves unconfirmed transactions at worst; they do not bind others.
pub fn node() -> Node {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    Node {
        chain: Regtest::shared(),
        _turn: turn,
    }
}

impl Deref for Node {
    type Target = Regtest;

    fn deref(&self) -> &Regtest {
        self.chain
    }
}

impl Node {
    pub fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.cli(args)).expect("the node answers in JSON")
    }

    /// Mines without waiting for the Electrum server, which these tests do not ask.
    pub fn mine(&self, blocks: u32) {
        self.mine_unseen(blocks);
    }

    pub fn confirmations(&self, txid: Txid) -> u32 {
        match self.tx_status(txid) {
            TxStatus::Confirmed { confirmations } => confirmations,
            other => panic!("{txid} is {other:?}"),
        }
    }

    pub fn confirm_until(&self, txid: Txid, confirmations: u32) {
        let missing = confirmations.saturating_sub(self.confirmations(txid));
        if missing > 0 {
            self.mine(missing);
        }
    }

    /// A fresh output script of the miner's wallet, of the given kind.
    pub fn miner_script(&self, kind: &str) -> ScriptBuf {
        let address = self.cli(&["-rpcwallet=miner", "getnewaddress", "", kind]);
        let address: Address<_> = address.parse().expect("an address");
        address.assume_checked().script_pubkey()
    }

    /// The size by which the node would charge it. Panics unless the node would take it.
    pub fn measured_vsize(&self, tx: &Transaction) -> u64 {
        let answer = self.json(&["testmempoolaccept", &json!([serialize_hex(tx)]).to_string()]);
        assert_eq!(answer[0]["allowed"], true, "{answer}");
        let vsize = answer[0]["vsize"].as_u64().expect("a size");
        assert_eq!(vsize, tx.vsize() as u64, "by which our fees are reckoned");
        vsize
    }

    /// Why the transaction can't be in a block at all, whatever a mempool's policy: a miner who is bribed or
    /// runs other software can't include it either.
    pub fn consensus(&self, tx: &Transaction) -> Result<(), String> {
        let miner = self.nobody().to_string();
        let block = json!([serialize_hex(tx)]).to_string();
        self.try_cli(&["generateblock", &miner, &block, "false"])
            .map(drop)
    }

    /// Asserts that neither the mempool nor a block takes it, both for this reason.
    pub fn assert_invalid(&self, attempt: &str, tx: &Transaction, reason: &str) {
        self.assert_refused(attempt, tx, reason);
        self.assert_no_block(attempt, tx, reason);
    }

    pub fn assert_refused(&self, attempt: &str, tx: &Transaction, reason: &str) {
        assert_says(self.accept(tx).expect_err(attempt), attempt, reason);
    }

    pub fn assert_no_block(&self, attempt: &str, tx: &Transaction, reason: &str) {
        assert_says(self.consensus(tx).expect_err(attempt), attempt, reason);
    }

    /// What an unspent output of the chain (not the mempool) holds.
    pub fn on_chain(&self, txid: Txid, vout: usize) -> Amount {
        let answer = self.json(&["gettxout", &txid.to_string(), &vout.to_string(), "false"]);
        Amount::from_btc(answer["value"].as_f64().expect("it is unspent")).expect("an amount")
    }

    /// What the node says a transaction in its mempool pays.
    pub fn mempool_fee(&self, txid: Txid) -> Amount {
        let answer = self.json(&["getmempoolentry", &txid.to_string()]);
        Amount::from_btc(answer["fees"]["base"].as_f64().expect("a fee")).expect("an amount")
    }
}

// Nodes write some reasons in capitals, some not.
fn assert_says(refusal: String, attempt: &str, reason: &str) {
    let found = refusal.to_lowercase().contains(&reason.to_lowercase());
    assert!(found, "{attempt}: refused for `{refusal}`, not for `{reason}`");
}

/// Both sides of one channel.
pub struct Parties {
    pub consumer: Keypair,
    pub provider: Keypair,
}

/// The keys of channel `index`: each channel has its own.
pub fn parties(index: u8) -> Parties {
    let key = |role: u8| {
        let mut secret = [role; 32];
        secret[31] = index;
        Keypair::from_seckey_slice(&Secp256k1::new(), &secret).expect("a secret key")
    };
    Parties {
        consumer: key(0x11),
        provider: key(0x22),
    }
}

pub fn contract(parties: &Parties, capacity: u64) -> Contract {
    let public = |key: &Keypair| key.x_only_public_key().0;
    let keys = ChannelKeys::new(public(&parties.consumer), public(&parties.provider)).expect("two keys");
    let delay = RefundDelay::new(DELAY).expect("the least");
    let change = ChangeScript::new(p2tr(CHANGE)).expect("P2TR");
    Contract::new(keys, delay, sat(capacity), change).expect("more than dust")
}

/// A channel and the keys to it.
pub struct Open {
    pub channel: Channel,
    pub parties: Parties,
}

/// A channel whose commitment, made by the node's wallet, waits in the mempool.
pub fn unconfirmed(node: &Node) -> Open {
    let parties = parties(0);
    let contract = contract(&parties, CAPACITY);
    let address = address(&contract);
    let tx = node.raw_tx(node.fund(&address, contract.capacity()));
    Open {
        channel: checked(node, &contract, &tx),
        parties,
    }
}

/// A channel whose commitment has one confirmation.
pub fn open(node: &Node) -> Open {
    let open = unconfirmed(node);
    node.mine(1);
    open
}

pub fn address(contract: &Contract) -> Address {
    let script = contract.script().expect("a script");
    script.address(Network::Regtest).expect("an address")
}

/// As the node's JSON wants it.
pub fn btc(amount: Amount) -> String {
    amount.to_string_in(Denomination::Bitcoin)
}

/// Channels whose commitment, one transaction for all of them, has one confirmation.
pub fn open_many(node: &Node, count: u8) -> Vec<Open> {
    let all: Vec<_> = (0..count).map(parties).collect();
    let contracts: Vec<_> = all.iter().map(|parties| contract(parties, CAPACITY)).collect();
    let pays: serde_json::Map<_, _> = contracts
        .iter()
        .map(|contract| (address(contract).to_string(), json!(btc(contract.capacity()))))
        .collect();
    let txid = node.cli(&["-rpcwallet=miner", "sendmany", "", &json!(pays).to_string()]);
    let tx = node.raw_tx(txid.parse().expect("a transaction id"));
    let channels = contracts.iter().map(|contract| checked(node, contract, &tx));
    let opened = all
        .into_iter()
        .zip(channels)
        .map(|(parties, channel)| Open { channel, parties });
    let opened = opened.collect();
    node.mine(1);
    opened
}

/// What the provider does with a commitment it is shown.
pub fn checked(node: &Node, contract: &Contract, tx: &Transaction) -> Channel {
    let script = contract.script().expect("a script").script_pubkey().clone();
    let vout = tx.output.iter().position(|output| output.script_pubkey == script);
    let vout = vout.expect("an output pays the channel") as u32;
    commitment::check(contract, tx, vout, Some(node.height())).expect("a good commitment")
}

impl Open {
    /// A payment that the provider has checked.
    pub fn pay(&self, cumulative: u64) -> Payment {
        let signed = Payment::sign(&self.channel, &self.parties.consumer, sat(cumulative)).expect("payable");
        Payment::check(&self.channel, sat(cumulative), signed.signature()).expect("its own signature")
    }

    pub fn claim<'a>(&'a self, payment: &'a Payment) -> Claim<'a> {
        Claim {
            channel: &self.channel,
            payment,
            key: &self.parties.provider,
        }
    }

    pub fn settle(&self, payment: &Payment, fee_rate: FeeRate) -> Settlement {
        Settlement::new(&[self.claim(payment)], &p2tr(PAYOUT), fee_rate).expect("worth settling")
    }

    /// The same with a payout script.
    pub fn settle_to(&self, payment: &Payment, payout: &ScriptBuf) -> Settlement {
        Settlement::new(&[self.claim(payment)], payout, RATE).expect("worth settling")
    }

    /// A signature by `key` for a leaf and the transaction as it is, whatever that is.
    pub fn sign(&self, tx: &Transaction, leaf: &Leaf, key: &Keypair, kind: TapSighashType) -> Vec<u8> {
        let spent = [self.channel.output()];
        let mut signature = sign(tx, 0, &spent, leaf, key, kind);
        if kind != TapSighashType::Default {
            signature.push(kind as u8);
        }
        signature
    }

    /// The payment leaf's witness around the consumer's signature, with a good one by the provider.
    pub fn complete(&self, mut tx: Transaction, consumer: &[u8]) -> Transaction {
        let leaf = self.channel.script().payment();
        let provider = self.sign(&tx, leaf, &self.parties.provider, TapSighashType::Default);
        tx.input[0].witness = leaf_witness(leaf, &[&provider, consumer]);
        tx
    }
}

/// A leaf's witness: what its script takes, the last item on top, then script and control block.
pub fn leaf_witness(leaf: &Leaf, stack: &[&[u8]]) -> Witness {
    let control = leaf.control();
    Witness::from_slice(&[stack, &[leaf.script().as_bytes(), &control]].concat())
}

/// 64 bytes, by `key` for input `input`, whatever the transaction is; its annex is committed to.
pub fn sign(
    tx: &Transaction,
    input: usize,
    spent: &[TxOut],
    leaf: &Leaf,
    key: &Keypair,
    kind: TapSighashType,
) -> Vec<u8> {
    let annex = tx.input[input].witness.taproot_annex();
    let annex = annex.map(|bytes| Annex::new(bytes).expect("it starts with 0x50"));
    let leaf = Some((leaf.hash(), u32::MAX));
    let hash = SighashCache::new(tx)
        .taproot_signature_hash(input, &Prevouts::All(spent), annex, leaf, kind)
        .expect("a signature hash");
    sign_hash(hash, key).to_vec()
}

pub fn sign_hash(hash: TapSighash, key: &Keypair) -> [u8; 64] {
    let message = Message::from_digest(hash.to_byte_array());
    Secp256k1::new()
        .sign_schnorr_no_aux_rand(&message, key)
        .serialize()
}
