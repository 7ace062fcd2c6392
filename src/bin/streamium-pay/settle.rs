//! `streamium-pay settle`: settles what is due in a provider's data folder.

use std::process::ExitCode;
use std::time::Duration;

use bitcoin::FeeRate;
use clap::Args;
use gststreamiumpay::settle::standalone::{Standalone, print};
use gststreamiumpay::settle::{DEFAULT_MAX_FEE_RATE_SAT_PER_VB, Outlook, Payout, SettlePolicy};

use crate::common::{Failure, Place, Servers};

/// The options of `settle`.
#[derive(Clone, Debug, Args)]
pub struct Settle {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    servers: Servers,
    /// Where the earnings go: an address, or a public output descriptor such as tr(xpub.../0/*).
    #[arg(long, env = "STREAMIUM_PAYOUT", value_name = "ADDRESS|DESCRIPTOR")]
    payout: String,
    /// Stays, until SIGINT or SIGTERM: settles what becomes due, bumps what is not confirmed.
    #[arg(long)]
    watch: bool,
    /// With --watch: how long a channel waits for others to share a settlement with, in seconds.
    #[arg(
        long,
        env = "STREAMIUM_SETTLE_BATCH_DELAY_S",
        value_name = "S",
        default_value_t = 600
    )]
    batch_delay_s: u32,
    /// No settlement pays more, in sat/vB.
    #[arg(long, env = "STREAMIUM_MAX_SETTLE_FEE_RATE", value_name = "SAT_PER_VB",
          default_value_t = DEFAULT_MAX_FEE_RATE_SAT_PER_VB, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    max_fee_rate: u32,
    /// Without --watch: how long servers are waited for, in seconds.
    #[arg(long, env = "STREAMIUM_PATIENCE_S", value_name = "S", default_value_t = 60)]
    patience_s: u32,
}

impl Settle {
    pub fn run(&self) -> Result<ExitCode, Failure> {
        let chain = self.servers.config(self.place.network)?;
        let payout = Payout::parse(&self.payout, self.place.network)?;
        let policy = SettlePolicy {
            // Nobody resumes a channel while no stream runs.
            settle_delay: Duration::ZERO,
            batch_delay: Duration::from_secs(self.batch_delay_s.into()),
            max_fee_rate: FeeRate::from_sat_per_vb_u32(self.max_fee_rate),
        };
        let dir = self.place.data_dir();
        let mut engine = Standalone::start(&dir, &chain, payout, policy, Box::new(|report| print(&report)))?;
        let stopper = engine.stopper();
        ctrlc::set_handler(move || stopper.stop())?;
        if self.watch {
            engine.watch();
            say_rest(&engine.outlook());
            return Ok(ExitCode::SUCCESS);
        }
        let patience = Duration::from_secs(self.patience_s.into());
        match engine.settle(patience) {
            Some(rest) => {
                say_rest(&rest);
                Ok(ExitCode::SUCCESS)
            }
            None => Err("no Electrum server answered, so nothing could be done. All is as it was.".into()),
        }
    }
}

fn say_rest(rest: &[Outlook]) {
    if rest.is_empty() {
        println!("Everything is settled.");
    }
    for channel in rest {
        println!("{channel}.");
    }
}
