//! Whether a transaction may spend a channel, by its witness: what a server makes up can't.

use crate::contract::Channel;
use crate::script::Leaf;
use crate::secp::secp;
use crate::spend;
use bitcoin::sighash::TapSighashType;
use bitcoin::{Transaction, XOnlyPublicKey, taproot};

/// The validity of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signature {
    Good,
    Bad,
    /// It commits to outputs that the transaction's other inputs spend, which are not known.
    Open,
}

/// Whether `tx` spends the channel with a leaf of it and the signatures that the leaf asks for: a settlement, a
/// cooperative close, a refund. What can't be checked is the provider's signature over a settlement of several channels, and
/// the consumer's over a refund together with coins of others, since both commit to outputs that are not known here.
pub fn may_spend(channel: &Channel, tx: &Transaction) -> bool {
    let spends = |input: &bitcoin::TxIn| input.previous_output == channel.outpoint();
    let Some(index) = tx.input.iter().position(spends) else {
        return false;
    };
    let witness: Vec<&[u8]> = tx
        .input
        .get(index)
        .map_or(Vec::new(), |input| input.witness.iter().collect());
    let keys = channel.contract().keys();
    match witness.as_slice() {
        [provider, consumer, script, control] => {
            let leaf = channel.script().payment();
            is_leaf(leaf, script, control)
                // It signs payments for its own input alone, and closes of nothing else: never what is not known.
                && check(channel, tx, index, leaf, consumer, &keys.consumer()) == Signature::Good
                && check(channel, tx, index, leaf, provider, &keys.provider()) != Signature::Bad
        }
        [consumer, script, control] => {
            let leaf = channel.script().refund();
            is_leaf(leaf, script, control)
                && check(channel, tx, index, leaf, consumer, &keys.consumer()) != Signature::Bad
        }
        _ => false,
    }
}

fn is_leaf(leaf: &Leaf, script: &[u8], control: &[u8]) -> bool {
    script == leaf.script().as_bytes() && control == leaf.control().as_slice()
}

fn check(
    channel: &Channel,
    tx: &Transaction,
    input: usize,
    leaf: &Leaf,
    signature: &[u8],
    key: &XOnlyPublicKey,
) -> Signature {
    let Ok(signature) = taproot::Signature::from_slice(signature) else {
        return Signature::Bad;
    };
    let kind: TapSighashType = signature.sighash_type;
    match spend::sighash_of(tx, input, channel, leaf, kind) {
        Ok(Some(message)) => match secp().verify_schnorr(&signature.signature, &message, key) {
            Ok(()) => Signature::Good,
            Err(_) => Signature::Bad,
        },
        Ok(None) => Signature::Open,
        Err(_) => Signature::Bad,
    }
}
