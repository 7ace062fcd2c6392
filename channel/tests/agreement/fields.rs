//! Every field of the terms, at every stage, as docs/protocol.md has it.

use crate::common::pair::Pair;
use crate::common::*;
use std::path::Path;
use streamium_channel::agreement::{Agreement, Stage};
use streamium_channel::bitcoin::Amount;
use streamium_channel::money::Rate;
use streamium_channel::terms::Terms;

/// Every field with its two cells.
fn documented() -> Vec<(String, String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/protocol.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, section) = text.split_once("### What may change").unwrap();
    let (_, table) = section.split_once("| --- | --- | --- |\n").unwrap();
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        (
            cells[0].trim_matches('`').to_owned(),
            cells[1].into(),
            cells[2].into(),
        )
    })
    .collect()
}

fn terms() -> Terms {
    let mut pair = Pair::new();
    pair.authorizes = None;
    pair.until("the question", |pair| !pair.questions.is_empty());
    let mut terms = pair.questions[0].1.clone();
    terms.settle_delay_ms = 60_000;
    terms
}

/// The terms with one field lower or higher; where there is no order, with another value.
fn changed(terms: &Terms, field: &str, up: bool) -> Terms {
    let mut other = terms.clone();
    // A field that the terms gain breaks this.
    let Terms {
        version,
        chain,
        stream,
        tracks,
        rate,
        opening,
        window_ms,
        min_capacity,
        max_capacity,
        min_refund_delay,
        max_refund_delay,
        commitment_fee_rate_sat_per_kvb,
        min_confirmations,
        unconfirmed_limit,
        settle_delay_ms,
        valid_ms,
        channel_key,
        provider_certificate,
        consumer_certificate,
        provider_nonce,
        consumer_nonce,
    } = &mut other;
    let one = if up { 1 } else { -1 };
    let amount = |amount: &mut Amount| *amount = sat(amount.to_sat().checked_add_signed(one).unwrap());
    let bytes = |byte| streamium_channel::handshake::Bytes32::new([byte; 32]);
    let delay = |blocks| streamium_channel::blocks::RefundDelay::new(blocks).unwrap();
    match field {
        "version" => *version += 1,
        "chain" => *chain = bytes(9),
        "stream" => stream.push('x'),
        "tracks" => tracks.truncate(1),
        "rate_msat_per_s" => *rate = Rate::new(rate.msat_per_s().checked_add_signed(one).unwrap()),
        "opening_sat" => amount(opening),
        "window_ms" => *window_ms = window_ms.checked_add_signed(one as i32).unwrap(),
        "min_capacity_sat" => amount(min_capacity),
        "max_capacity_sat" => amount(max_capacity),
        "min_refund_delay_blocks" => *min_refund_delay = delay(if up { 150 } else { 144 }),
        "max_refund_delay_blocks" => *max_refund_delay = delay(if up { 1_009 } else { 1_007 }),
        "commitment_fee_rate_sat_per_kvb" => *commitment_fee_rate_sat_per_kvb += 1,
        "min_confirmations" => *min_confirmations = min_confirmations.checked_add_signed(one as i16).unwrap(),
        "unconfirmed_limit_sat" => amount(unconfirmed_limit),
        "settle_delay_ms" => *settle_delay_ms = settle_delay_ms.checked_add_signed(one as i32).unwrap(),
        "valid_ms" => *valid_ms += 1,
        "channel_key" => *channel_key = key(STRANGER).x_only_public_key().0,
        "provider_certificate" => *provider_certificate = bytes(9),
        "consumer_certificate" => *consumer_certificate = bytes(9),
        "provider_nonce" => *provider_nonce = bytes(9),
        "consumer_nonce" => *consumer_nonce = bytes(9),
        other => panic!("{other} is documented, and no field"),
    }
    other
}

/// Whether a lower and a higher value continue, by a cell's words.
fn meant(cell: &str) -> (bool, bool) {
    match cell.split([';', ':', ' ']).next().unwrap() {
        "equal" => (false, false),
        "not" if cell.starts_with("not higher") => (true, false),
        "not" if cell.starts_with("not lower") => (false, true),
        "verified" | "bounds" | "none" | "fresh" => (true, true),
        other => panic!("{other}"),
    }
}

#[test]
fn every_field_of_the_terms_may_change_as_documented() {
    let (terms, table) = (terms(), documented());
    let agreed = Agreement::of(&terms);
    let fields = serde_json::to_value(&terms).unwrap();
    let fields: Vec<_> = fields.as_object().unwrap().keys().cloned().collect();
    assert_eq!(table.len(), fields.len());
    assert!(
        fields
            .iter()
            .all(|field| table.iter().any(|(of, ..)| of == field))
    );
    let resumed = |opened| Stage::Resumed { opened };
    for (field, goes_on, opens) in &table {
        // An opening payment that is not owed any more is of no matter.
        let paid = if field == "opening_sat" { "none" } else { goes_on };
        let stages = [
            (resumed(false), goes_on.as_str()),
            (resumed(true), paid),
            (Stage::Opened, opens),
        ];
        for (stage, cell) in stages {
            let continues = |up| agreed.continues(&changed(&terms, field, up), stage).is_ok();
            let found = (continues(false), continues(true));
            assert_eq!(found, meant(cell), "{field}, {stage:?}, lower and higher");
        }
    }
}
