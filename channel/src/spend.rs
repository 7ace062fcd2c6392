//! What all transactions that spend channels share: sighashes of a leaf, and witness order.

use crate::contract::Channel;
use crate::script::Leaf;
use crate::secp::secp;
use bitcoin::hashes::Hash;
use bitcoin::secp256k1::{Keypair, Message, schnorr};
use bitcoin::sighash::{Prevouts, SighashCache, TapSighashType};
use bitcoin::{Transaction, TxOut, Witness};
use thiserror::Error;

/// The transaction does not have the shape that its signature hash needs: our mistake, never a peer's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no signature hash: {0}")]
pub struct SighashError(String);

/// SIGHASH_DEFAULT for `leaf`: commits to every input and output.
pub(crate) fn sighash_all(
    tx: &Transaction,
    input: usize,
    spent: &[TxOut],
    leaf: &Leaf,
) -> Result<Message, SighashError> {
    sighash(tx, input, &Prevouts::All(spent), leaf, TapSighashType::Default)
}

/// SIGHASH_SINGLE|ANYONECANPAY for the payment leaf: commits to this input and the output beside it.
pub(crate) fn sighash_single(
    tx: &Transaction,
    input: usize,
    channel: &Channel,
) -> Result<Message, SighashError> {
    let spent = Prevouts::One(input, channel.output());
    sighash(
        tx,
        input,
        &spent,
        channel.script().payment(),
        TapSighashType::SinglePlusAnyoneCanPay,
    )
}

/// For a signature of this type; `None` if it commits to outputs that others spend, which are not known.
pub(crate) fn sighash_of(
    tx: &Transaction,
    input: usize,
    channel: &Channel,
    leaf: &Leaf,
    kind: TapSighashType,
) -> Result<Option<Message>, SighashError> {
    use TapSighashType as Kind;
    let spent = [channel.output()];
    let prevouts = match kind {
        Kind::AllPlusAnyoneCanPay | Kind::NonePlusAnyoneCanPay | Kind::SinglePlusAnyoneCanPay => {
            Prevouts::One(input, channel.output())
        }
        _ if tx.input.len() == 1 => return sighash(tx, input, &Prevouts::All(&spent), leaf, kind).map(Some),
        _ => return Ok(None),
    };
    sighash(tx, input, &prevouts, leaf, kind).map(Some)
}

fn sighash<T: std::borrow::Borrow<TxOut>>(
    tx: &Transaction,
    input: usize,
    spent: &Prevouts<'_, T>,
    leaf: &Leaf,
    kind: TapSighashType,
) -> Result<Message, SighashError> {
    SighashCache::new(tx)
        .taproot_script_spend_signature_hash(input, spent, leaf.hash(), kind)
        .map(|hash| Message::from_digest(hash.to_byte_array()))
        .map_err(|e| SighashError(e.to_string()))
}

/// Deterministic BIP340 signature: without auxiliary randomness the test vectors are reproducible.
pub(crate) fn sign(message: &Message, key: &Keypair) -> schnorr::Signature {
    secp().sign_schnorr_no_aux_rand(message, key)
}

/// The payment leaf's witness. The script checks the consumer first, so its signature lies on top.
pub(crate) fn payment_witness(leaf: &Leaf, consumer: &[u8], provider: &[u8]) -> Witness {
    Witness::from_slice(&[provider, consumer, leaf.script().as_bytes(), &leaf.control()])
}

/// The refund leaf's witness.
pub(crate) fn refund_witness(leaf: &Leaf, consumer: &[u8]) -> Witness {
    Witness::from_slice(&[consumer, leaf.script().as_bytes(), &leaf.control()])
}
