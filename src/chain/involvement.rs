//! Whether a transaction has to do with a script, which a server's word alone does not show.

use std::collections::HashMap;
use std::sync::Arc;

use bitcoin::{OutPoint, Script, Transaction, Txid};

/// Whether `tx` pays to `script`, or spends an output of a known transaction that does.
///
/// `known` holds transactions by their checked txids, so what an input refers to can be looked up and not
/// made up.
pub(super) fn involves(tx: &Transaction, script: &Script, known: &HashMap<Txid, Arc<Transaction>>) -> bool {
    tx.output
        .iter()
        .any(|output| output.script_pubkey.as_script() == script)
        || tx
            .input
            .iter()
            .any(|input| pays(&input.previous_output, script, known))
}

fn pays(outpoint: &OutPoint, script: &Script, known: &HashMap<Txid, Arc<Transaction>>) -> bool {
    known
        .get(&outpoint.txid)
        .and_then(|tx| tx.output.get(usize::try_from(outpoint.vout).ok()?))
        .is_some_and(|output| output.script_pubkey.as_script() == script)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::{Amount, ScriptBuf, Sequence, TxIn, TxOut, Witness};

    fn script(byte: u8) -> ScriptBuf {
        ScriptBuf::from_bytes(vec![byte; 4])
    }

    fn tx(spends: OutPoint, pays_to: ScriptBuf) -> Transaction {
        Transaction {
            version: bitcoin::transaction::Version::TWO,
            lock_time: bitcoin::absolute::LockTime::ZERO,
            input: vec![TxIn {
                previous_output: spends,
                script_sig: ScriptBuf::new(),
                sequence: Sequence::MAX,
                witness: Witness::new(),
            }],
            output: vec![TxOut {
                value: Amount::from_sat(1),
                script_pubkey: pays_to,
            }],
        }
    }

    #[test]
    fn an_output_or_a_known_spend_involves_a_script() {
        let funding = Arc::new(tx(OutPoint::null(), script(1)));
        let txid = funding.compute_txid();
        let spend = tx(OutPoint::new(txid, 0), script(2));
        let no_such_output = tx(OutPoint::new(txid, 7), script(2));
        let known = HashMap::from([(txid, Arc::clone(&funding))]);

        assert!(involves(&funding, &script(1), &HashMap::new()));
        assert!(involves(&spend, &script(1), &known));
        assert!(!involves(&spend, &script(1), &HashMap::new()));
        assert!(!involves(&no_such_output, &script(1), &known));
        assert!(!involves(&spend, &script(3), &known));
    }
}
