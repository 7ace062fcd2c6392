//! What happened in all runs, so that nobody takes a quiet world for a safe one.

use std::fmt;
use std::ops::AddAssign;
use std::time::Duration;

macro_rules! totals {
    ($($name:ident $words:literal),* $(,)?) => {
        #[derive(Clone, Copy, Debug, Default)]
        pub struct Totals {
            pub runs: u64,
            pub time: Duration,
            $(pub $name: u64,)*
        }

        impl AddAssign for Totals {
            fn add_assign(&mut self, other: Self) {
                self.runs += other.runs;
                self.time += other.time;
                $(self.$name += other.$name;)*
            }
        }

        impl fmt::Display for Totals {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} runs, {:.1} h", self.runs, self.time.as_secs_f64() / 3_600.0)?;
                $(write!(f, ", {} {}", self.$name, $words)?;)*
                Ok(())
            }
        }
    };
}

totals! {
    messages "messages", payments "payments", paid_sat "sat paid", sessions "connections", resumed "resumed",
    not_resumed "not resumed", rolled "rolled over", cuts "cuts", offered "rates offered", repriced "rates changed",
    left_over_rate "left for a rate", provider_crashes "provider crashes",
    consumer_crashes "consumer crashes", freezes "suspensions", reorganised "reorganisations",
    double_spent "double spends", drifts "left for drift", faults "other faults", channels "channels", toggles "presses of the button", odd_closes "odd closes", unknown "commitments that nobody knew",
    settled "settled", cooperative "closed cooperatively", refunded "refunded", vanished "never confirmed",
}
