//! How messages are written (docs/protocol.md section 8): which text is taken, which is answered, which ends the session.

mod common;

use Answer::{End, Error, Taken};
use common::pair::Pair;
use common::*;
use streamium_channel::consumer::ConsumerEffect;
use streamium_channel::contract::Channel;
use streamium_channel::message::{ConsumerMessage, ProviderMessage, encode};
use streamium_channel::payment::Payment;
use streamium_channel::provider::ProviderEffect;

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// It does what it says.
    Taken,
    /// It is answered with `error`, and the session goes on.
    Error,
    /// `error`, and the session ends.
    End,
}

/// What the provider makes of it, with an open channel that has paid.
fn provider(text: &str) -> Answer {
    let mut pair = Pair::playing(policy());
    pair.run(seconds(3));
    provider_of(&mut pair, text)
}

fn provider_of(pair: &mut Pair, text: &str) -> Answer {
    let effects = pair.provider.text(text, pair.now);
    let error = effects
        .iter()
        .position(|e| matches!(e, ProviderEffect::Send(ProviderMessage::Error { .. })));
    let end = effects.iter().position(|e| matches!(e, ProviderEffect::End(_)));
    match (error, end) {
        (None, None) => Taken,
        (Some(_), None) => Error,
        (None, Some(_)) => panic!("{text} ends the session without a word: {effects:?}"),
        (Some(error), Some(end)) => {
            assert!(error < end, "the word of it comes first: {effects:?}");
            End
        }
    }
}

/// What the consumer makes of it, with an open channel.
fn consumer(text: &str) -> Answer {
    let mut pair = Pair::playing(policy());
    pair.run(seconds(3));
    let effects = pair.consumer.text(text, pair.now);
    let is = |wanted: fn(&ConsumerEffect) -> bool| effects.iter().any(wanted);
    match () {
        () if is(|e| matches!(e, ConsumerEffect::Send(ConsumerMessage::Close { .. }))) => {
            assert!(is(|e| matches!(
                e,
                ConsumerEffect::Send(ConsumerMessage::Error { .. })
            )));
            End
        }
        () if is(|e| matches!(e, ConsumerEffect::Send(ConsumerMessage::Error { .. }))) => Error,
        () => Taken,
    }
}

/// Of the pair's channel, over more than it has paid by then.
fn payment() -> String {
    let mut pair = Pair::playing(policy());
    pair.run(seconds(3));
    let (channel, _): (Channel, _) = pair.provider_record.as_ref().unwrap().restore().unwrap();
    let payment = Payment::sign(&channel, &key(CONSUMER), sat(9_000)).unwrap();
    encode(&ConsumerMessage::Payment {
        outpoint: channel.outpoint(),
        cumulative: sat(9_000),
        signature: payment.signature(),
    })
    .unwrap()
}

/// A message with something after its last field.
fn with(message: &str, more: &str) -> String {
    format!("{},{more}}}", message.strip_suffix('}').unwrap())
}

const PING: &str = r#"{"type":"ping"}"#;

#[test]
fn fields_that_are_not_known_are_ignored_whatever_is_in_them() {
    let deep = format!(r#""later":{}{}"#, "[".repeat(126), "]".repeat(126));
    let long = format!(r#""later":"{}""#, "x".repeat(60_000));
    for more in [
        r#""later":1e400"#,
        r#""later":-1E999"#,
        r#""later":18446744073709551616"#,
        r#""later":804.0"#,
        r#""later":"\ud800""#,
        r#""later":"\udc00\ud800x""#,
        r#""\ud800":1"#,
        r#""later":[{"a":[1e400,{"b":"\udfff"}]}]"#,
        r#""later":null"#,
        r#""later":1,"later":2"#,
        r#""later":{"a":1,"a":1e400}"#,
        r#""cumulative_sat ":1"#,
        &deep,
        &long,
    ] {
        for message in [PING, &payment(), r#"{"type":"pause"}"#] {
            assert_eq!(provider(&with(message, more)), Taken, "{message} {more:.40}");
        }
        assert_eq!(consumer(&with(PING, more)), Taken, "{more:.40}");
        let unknown = with(r#"{"type":"teleport"}"#, more);
        assert_eq!(
            (provider(&unknown), consumer(&unknown)),
            (Error, Error),
            "{more:.40}"
        );
    }
}

#[test]
fn what_is_not_one_object_with_a_type_is_no_message() {
    let long = with(PING, &format!(r#""later":"{}""#, "x".repeat(65_536)));
    let deep = format!(r#""later":{}{}"#, "[".repeat(127), "]".repeat(127));
    let deep = with(PING, &deep);
    for text in [
        &deep,
        "",
        " ",
        "null",
        "7",
        "\"ping\"",
        "[]",
        r#"[{"type":"ping"}]"#,
        "{}",
        r#"{"type":7}"#,
        r#"{"type":null}"#,
        r#"{"type":["ping"]}"#,
        r#"{"type":"\ud800"}"#,
        r#"{"type":"ping","type":"ping"}"#,
        r#"{"type":"ping","type":"pause"}"#,
        r#"{"Type":"ping"}"#,
        r#"{"type":"ping"} x"#,
        r#"{"type":"ping"}{"type":"ping"}"#,
        r#"{"type":"ping",}"#,
        r#"{'type':'ping'}"#,
        r#"{type:"ping"}"#,
        r#"{"type":"ping" /* now */}"#,
        r#"{"type":"ping","later":NaN}"#,
        r#"{"type":"ping","later":01}"#,
        r#"{"type":"ping","later":.5}"#,
        "{\"type\":\"ping\",\"later\":\"a\nb\"}",
        "\u{feff}{\"type\":\"ping\"}",
        &long,
    ] {
        assert_eq!(provider(text), End, "{text:.60}");
        assert_eq!(consumer(text), End, "{text:.60}");
    }
    for text in [
        " {\"type\":\"ping\"}\r\n",
        "{\t\"type\" : \"ping\" }",
        r#"{"\u0074ype":"p\u0069ng"}"#,
        r#"{"later":1,"type":"ping"}"#,
    ] {
        assert_eq!((provider(text), consumer(text)), (Taken, Taken), "{text}");
    }
}

#[test]
fn integers_are_digits_alone() {
    let message = payment();
    assert_eq!(provider(&message), Taken);
    for (number, answer) in [
        ("9000", Taken),
        ("9000.0", End),
        ("9e3", End),
        ("9E+3", End),
        ("90000e-1", End),
        ("-0", End),
        ("-9000", End),
        ("\"9000\"", End),
        ("null", End),
        ("true", End),
        ("[9000]", End),
        ("{}", End),
        ("18446744073709551616", End),
        ("1e400", End),
    ] {
        let text = message.replacen("9000", number, 1);
        assert_eq!(provider(&text), answer, "{number}");
    }
    let credit = |msat: &str| {
        format!(
            r#"{{"type":"credit","outpoint":"{}","balance_sat":1000,"consumed_msat":{msat},"gate":"open"}}"#,
            own_outpoint()
        )
    };
    for (number, answer) in [("1", Taken), ("1.0", End), ("1e0", End), ("-1", End)] {
        assert_eq!(consumer(&credit(number)), answer, "{number}");
    }
    for (versions, answer) in [
        ("[1]", Taken),
        ("[9,1]", Taken),
        ("[1.0]", End),
        ("1", End),
        ("[65536,1]", End),
    ] {
        let mut pair = Pair::new();
        let text = encode(&hello(vec![1], config().chain)).unwrap();
        let text = text.replacen("[1]", versions, 1);
        assert_eq!(provider_of(&mut pair, &text), answer, "{versions}");
    }
}

#[test]
fn a_known_field_stands_once_and_is_what_it_should_be() {
    let message = payment();
    for more in [
        r#""cumulative_sat":9000"#,
        r#""outpoint":null"#,
        r#""signature":1e400"#,
        r#""type":"payment""#,
        r#""\u0063umulative_sat":9000"#,
    ] {
        assert_eq!(provider(&with(&message, more)), End, "{more}");
    }
    let close = r#"{"type":"close","reason":"x"}"#;
    for (more, answer) in [
        (r#""refused_rate":1e400"#, End),
        (r#""refused_rate":"\ud800""#, End),
        (r#""refused_rate":7,"refused_rate":7"#, End),
        (r#""closing":{}"#, End),
        (r#""closing":[1e400]"#, End),
        (r#""closing":[],"closing":[]"#, End),
    ] {
        assert_eq!(provider(&with(close, more)), answer, "{more}");
    }
    // What is optional is left out; `null` is taken for that.
    for more in [
        r#""closing":null"#,
        r#""closing":[]"#,
        r#""refused_rate":null"#,
        r#""later":1e400"#,
    ] {
        let mut pair = Pair::playing(policy());
        let effects = pair.provider.text(&with(close, more), pair.now);
        assert!(
            !effects
                .iter()
                .any(|e| matches!(e, ProviderEffect::Send(ProviderMessage::Error { .. }))),
            "{more}: {effects:?}"
        );
    }
    assert_eq!(
        provider(r#"{"type":"close"}"#),
        End,
        "a reason is a field like others"
    );
    assert_eq!(provider(r#"{"type":"close","reason":"\ud800"}"#), End);
}

#[test]
fn words_of_a_list_are_those_of_this_version_but_for_the_codes_of_errors() {
    let channel = |state: &str| format!(r#"{{"type":"channel","outpoint":"{}",{state}}}"#, own_outpoint());
    let credit = |gate: &str| {
        format!(
            r#"{{"type":"credit","outpoint":"{}","balance_sat":1000,"consumed_msat":1,"gate":"{gate}"}}"#,
            own_outpoint()
        )
    };
    for (text, answer) in [
        (channel(r#""state":"seen""#), Taken),
        (channel(r#""state":"seen","confirmations":1e400"#), Taken),
        (channel(r#""state":"confirmed","confirmations":2"#), Taken),
        (
            channel(r#""state":"confirmed","confirmations":2,"later":1e400"#),
            Taken,
        ),
        (channel(r#""state":"confirmed""#), End),
        (
            channel(r#""state":"confirmed","confirmations":2,"confirmations":3"#),
            End,
        ),
        (channel(r#""state":"seen","state":"seen""#), End),
        (channel(r#""state":"Seen""#), End),
        (channel(r#""state":"buried""#), End),
        (credit("paused"), Taken),
        (credit("ajar"), End),
        (r#"{"type":"error","code":"zap","words":"x"}"#.to_owned(), Taken),
        (r#"{"type":"error","code":7,"words":"x"}"#.to_owned(), End),
        (r#"{"type":"Ping"}"#.to_owned(), Error),
    ] {
        assert_eq!(consumer(&text), answer, "{text}");
    }
}

#[test]
fn hexadecimal_is_read_in_capitals_as_well_and_outpoints_have_one_form() {
    let message = payment();
    let upper = |field: &str| {
        let (head, rest) = message.split_once(&format!("\"{field}\":\"")).unwrap();
        let (value, tail) = rest.split_once('"').unwrap();
        format!("{head}\"{field}\":\"{}\"{tail}", value.to_uppercase())
    };
    for field in ["signature", "outpoint"] {
        assert_ne!(upper(field), message);
        assert_eq!(provider(&upper(field)), Taken, "{field}");
    }
    let outpoint = own_outpoint();
    let (txid, index) = outpoint.split_once(':').unwrap();
    for (other, answer) in [
        (format!("{txid}:0{index}"), End),
        (format!("{txid}:+{index}"), End),
        (format!("{txid}:"), End),
        (txid.to_owned(), End),
        (format!("{txid}:4294967296"), End),
        (format!("0x{txid}:{index}"), End),
        (format!(" {outpoint}"), End),
        (format!("{txid}:7"), Error),
    ] {
        assert_eq!(
            provider(&message.replacen(&outpoint, &other, 1)),
            answer,
            "{other}"
        );
    }
    let (head, _) = message.split_once("\"signature\":\"").unwrap();
    for (signature, answer) in [
        (format!("{}83", "01".repeat(64)), End),
        ("01".repeat(64), End),
        (format!("{}01", "01".repeat(64)), End),
        (format!("{}8", "01".repeat(64)), End),
        (format!("0x{}83", "01".repeat(63)), End),
    ] {
        let text = format!("{head}\"signature\":\"{signature}\"}}");
        assert_eq!(provider(&text), answer, "{signature}");
    }
    // A fresh session, to which the same proposal is made in capitals.
    let agreed = contract(50_000);
    let open = encode(&ConsumerMessage::Open {
        capacity: agreed.capacity(),
        consumer_key: agreed.keys().consumer(),
        change_script: agreed.change().clone(),
        refund_delay: agreed.delay(),
    })
    .unwrap();
    let key = agreed.keys().consumer().to_string();
    let mut pair = Pair::with(config(), policy(), common::pair::consumer_identity());
    pair.funded = false;
    pair.until("terms", |pair| !pair.notices.is_empty());
    assert_eq!(
        provider_of(&mut pair, &open.replacen(&key, &key.to_uppercase(), 1)),
        Taken
    );
}

fn own_outpoint() -> String {
    let pair = Pair::playing(policy());
    pair.provider_record.as_ref().unwrap().outpoint.to_string()
}
