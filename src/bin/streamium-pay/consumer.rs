//! What the consumer's subcommands share: the folder with its chain, and how long is waited for servers.

use std::time::Duration;

use bitcoin::FeeRate;
use clap::Args;
use gststreamiumpay::refund::Runner;
use gststreamiumpay::report::{Report, Severity};

use crate::common::{Failure, Place, Servers};

/// How long servers are waited for.
#[derive(Clone, Copy, Debug, Args)]
pub struct Patience {
    /// How long to wait for servers, in seconds. A first look at a wallet through Tor takes a while.
    #[arg(long, env = "STREAMIUM_TIMEOUT", value_name = "SECONDS", default_value_t = 60,
          value_parser = clap::value_parser!(u32).range(1..=3_600))]
    timeout: u32,
}

impl Patience {
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.timeout.into())
    }
}

/// The consumer's folder and the servers.
#[derive(Clone, Debug, Args)]
pub struct Consumer {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub servers: Servers,
    /// No transaction pays more than this, in sat/vB.
    #[arg(long, env = "STREAMIUM_MAX_FEE_RATE", value_name = "SAT_PER_VB", default_value_t = 50,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub max_fee_rate: u32,
    #[command(flatten)]
    pub patience: Patience,
}

impl Consumer {
    /// Opens the folder, unless another program uses it, and begins to follow the chain.
    pub fn open(&self) -> Result<Runner, Failure> {
        let config = self.servers.config(self.place.network)?;
        let dir = self.place.existing_dir()?;
        Ok(Runner::open(&dir, &config, self.max_fee_rate())?)
    }

    /// Opens the folder only to look.
    pub fn observe(&self) -> Result<Runner, Failure> {
        let config = self.servers.config(self.place.network)?;
        let dir = self.place.existing_dir()?;
        Ok(Runner::observe(&dir, &config)?)
    }

    pub fn max_fee_rate(&self) -> FeeRate {
        FeeRate::from_sat_per_vb_u32(self.max_fee_rate)
    }
}

/// News to standard output; what goes wrong to standard error, so that a systemd journal can tell them apart.
pub fn say(report: Report) {
    let Some(text) = report.text else { return };
    match report.severity {
        Severity::Info => println!("{text}"),
        Severity::Warning | Severity::Error => eprintln!("{text}"),
    }
}

/// What is only of interest when it goes wrong.
pub fn say_trouble(report: Report) {
    if report.severity != Severity::Info {
        say(report);
    }
}
