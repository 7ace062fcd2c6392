//! What the chain says in the end became of each channel. Nothing here is taken from the elements.

use std::collections::HashMap;

use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::{Amount, Block, OutPoint, Transaction};

use crate::common::regtest::Regtest;

/// The spends of all outputs in the blocks since the beginning.
pub struct Spends(HashMap<OutPoint, (Transaction, usize)>);

/// What became of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The consumer paid so much.
    Settled {
        paid: Amount,
    },
    /// All of it went back.
    Refunded,
    Unspent,
}

impl Spends {
    pub fn since(regtest: &Regtest, first_block: u32) -> Self {
        let blocks = (first_block..=regtest.height()).map(|height| {
            let hash = regtest.cli(&["getblockhash", &height.to_string()]);
            deserialize_hex::<Block>(&regtest.cli(&["getblock", &hash, "0"])).unwrap()
        });
        let mut spends = HashMap::new();
        for tx in blocks.flat_map(|block| block.txdata) {
            for (index, input) in tx.input.iter().enumerate() {
                spends.insert(input.previous_output, (tx.clone(), index));
            }
        }
        Self(spends)
    }

    pub fn of(&self, outpoint: OutPoint) -> Option<&Transaction> {
        self.0.get(&outpoint).map(|(tx, _)| tx)
    }

    /// A settlement has version 3, and the consumer's change where the channel's input is.
    pub fn outcome(&self, outpoint: OutPoint, capacity: Amount) -> Outcome {
        match self.0.get(&outpoint) {
            None => Outcome::Unspent,
            Some((tx, index)) if tx.version.0 == 3 => Outcome::Settled {
                paid: capacity - tx.output[*index].value,
            },
            // A refund, or a cooperative close of a channel that paid nothing.
            Some(_) => Outcome::Refunded,
        }
    }
}

/// What a transaction's inputs hold more than its outputs.
pub fn fee(regtest: &Regtest, tx: &Transaction) -> Amount {
    let spent = |input: &bitcoin::TxIn| {
        let of = input.previous_output;
        regtest.raw_tx(of.txid).output[of.vout as usize].value
    };
    let inputs: Amount = tx.input.iter().map(spent).sum();
    inputs - tx.output.iter().map(|output| output.value).sum::<Amount>()
}
