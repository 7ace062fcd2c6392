//! Figures for people.

use std::time::Duration;

/// An amount for people: `1,234 sat`.
pub fn sats(amount: bitcoin::Amount) -> String {
    let digits = amount.to_sat().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + " sat"
}

/// A time for people: `14 s`, `3 min`, `2 h 5 min`.
pub fn span(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds < 120 => format!("{seconds} s"),
        seconds if seconds < 7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::Amount;

    #[test]
    fn figures_are_readable() {
        for (sat, text) in [
            (0, "0 sat"),
            (999, "999 sat"),
            (1_000, "1,000 sat"),
            (1_234_567, "1,234,567 sat"),
        ] {
            assert_eq!(sats(Amount::from_sat(sat)), text);
        }
        assert_eq!(span(Duration::from_secs(14)), "14 s");
        assert_eq!(span(Duration::from_secs(200)), "3 min");
        assert_eq!(span(Duration::from_secs(7_500)), "2 h 5 min");
    }
}
