//! What a node's words about a transaction mean.

/// Why no server took a transaction. `words` are the node's own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BroadcastError {
    /// An input is not there: never was, is spent by a confirmed transaction, or is not known *yet*.
    #[error("an input is missing or already spent: {words}")]
    MissingOrSpentInputs { words: String },
    /// An unconfirmed transaction that can't be replaced spends an input.
    #[error("another unconfirmed transaction spends an input: {words}")]
    Conflict { words: String },
    /// It pays too little: to be relayed at all, or to replace another.
    #[error("the fee is too low: {words}")]
    FeeTooLow { words: String },
    /// A time lock still holds.
    #[error("it is too early for this transaction: {words}")]
    NotFinal { words: String },
    /// Anything else.
    #[error("refused: {words}")]
    Rejected { words: String },
    /// No server could be asked, or none answered. Some may have it all the same.
    #[error("no Electrum server answered")]
    Unreachable,
}

/// What a node says of a transaction it has already, in its memory pool or in a block. Not an error.
const ALREADY_KNOWN: [&str; 6] = [
    "txn-already-in-mempool",
    "txn-already-known",
    "txn-same-nonwitness-data-in-mempool",
    "already in block chain",
    "already in utxo set",
    "already in mempool",
];

/// Reads a node's refusal. `Ok` when it has the transaction already.
pub(super) fn classify(words: &str) -> Result<(), BroadcastError> {
    let lower = words.to_ascii_lowercase();
    let says = |patterns: &[&str]| patterns.iter().any(|pattern| lower.contains(pattern));
    let words = tidy(words);
    if says(&ALREADY_KNOWN) {
        Ok(())
    } else if says(&[
        "missingorspent",
        "missing-inputs",
        "missing inputs",
        "inputs-spent",
    ]) {
        Err(BroadcastError::MissingOrSpentInputs { words })
    } else if says(&[
        "insufficient fee",
        "min relay fee",
        "mempool min fee",
        "min-fee-not-met",
    ]) {
        Err(BroadcastError::FeeTooLow { words })
    } else if says(&["txn-mempool-conflict"]) {
        Err(BroadcastError::Conflict { words })
    } else if says(&["non-final", "non-bip68-final"]) {
        Err(BroadcastError::NotFinal { words })
    } else {
        Err(BroadcastError::Rejected { words })
    }
}

/// The one error to report when every server refused: a node's words before a server's silence.
pub(super) fn merge(refusals: Vec<BroadcastError>) -> BroadcastError {
    let mut refusals = refusals.into_iter();
    refusals
        .find(|refusal| *refusal != BroadcastError::Unreachable)
        .unwrap_or(BroadcastError::Unreachable)
}

/// The words of an Electrum error, which is an object or plain text.
pub(super) fn words_of(error: &serde_json::Value) -> String {
    let message = error.get("message").unwrap_or(error);
    tidy(
        &message
            .as_str()
            .map_or_else(|| message.to_string(), str::to_owned),
    )
}

/// One line of bounded length: a server's text ends up on a bus and in logs. ElectrumX appends the whole
/// transaction in brackets.
fn tidy(words: &str) -> String {
    const MAX_CHARS: usize = 200;
    let words = words.split("\n[").next().unwrap_or_default();
    let line: Vec<&str> = words
        .split(|c: char| c.is_control() || c == ' ')
        .filter(|w| !w.is_empty())
        .collect();
    line.join(" ").chars().take(MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_node_s_words() {
        use BroadcastError::*;
        type Check = fn(&Result<(), BroadcastError>) -> bool;
        let cases: [(&str, Check); 12] = [
            ("txn-already-in-mempool", |r| r.is_ok()),
            ("Transaction already in block chain", |r| r.is_ok()),
            ("Transaction outputs already in utxo set", |r| r.is_ok()),
            ("txn-already-known", |r| r.is_ok()),
            ("bad-txns-inputs-missingorspent", |r| {
                matches!(r, Err(MissingOrSpentInputs { .. }))
            }),
            ("Missing inputs", |r| {
                matches!(r, Err(MissingOrSpentInputs { .. }))
            }),
            ("min relay fee not met, 0 < 110", |r| {
                matches!(r, Err(FeeTooLow { .. }))
            }),
            ("insufficient fee, rejecting replacement", |r| {
                matches!(r, Err(FeeTooLow { .. }))
            }),
            ("txn-mempool-conflict", |r| matches!(r, Err(Conflict { .. }))),
            ("non-BIP68-final", |r| matches!(r, Err(NotFinal { .. }))),
            ("bad-txns-nonfinal, non-final", |r| {
                matches!(r, Err(NotFinal { .. }))
            }),
            ("dust", |r| matches!(r, Err(Rejected { .. }))),
        ];
        for (words, expected) in cases {
            assert!(expected(&classify(words)), "{words}: {:?}", classify(words));
        }
    }

    #[test]
    fn keeps_words_to_one_short_line() {
        let words = format!(
            "the transaction was rejected by network rules.\n\ndust\n[{}]",
            "02".repeat(500)
        );
        assert_eq!(
            tidy(&words),
            "the transaction was rejected by network rules. dust"
        );
        assert_eq!(tidy(&"x".repeat(1000)).len(), 200);
    }

    #[test]
    fn reads_either_form_of_error() {
        assert_eq!(
            words_of(&serde_json::json!({"code": 1, "message": "no\nway"})),
            "no way"
        );
        assert_eq!(words_of(&serde_json::json!("no way")), "no way");
        assert_eq!(words_of(&serde_json::json!({"code": 1})), r#"{"code":1}"#);
    }

    #[test]
    fn a_node_s_words_come_before_silence() {
        let rejected = BroadcastError::Rejected { words: "dust".into() };
        assert_eq!(
            merge(vec![BroadcastError::Unreachable, rejected.clone()]),
            rejected
        );
        assert_eq!(
            merge(vec![BroadcastError::Unreachable]),
            BroadcastError::Unreachable
        );
        assert_eq!(merge(vec![]), BroadcastError::Unreachable);
    }
}
