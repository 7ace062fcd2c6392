//! `streamium-pay settle`: settles what is due in a provider's data folder.

use std::process::ExitCode;

use clap::Args;
use gststreamiumpay::store::{Lease, Role, Store};

use crate::common::{Failure, Place, Servers};

/// The options of `settle`.
#[derive(Clone, Debug, Args)]
pub struct Settle {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    servers: Servers,
}

impl Settle {
    pub fn run(&self) -> Result<ExitCode, Failure> {
        let dir = self.place.data_dir();
        let _chain = self.servers.config(self.place.network)?;
        let _lease = Lease::take(&dir, Role::Provider)?;
        let (channels, _damaged) = Store::open(&dir)?.unsettled()?;
        println!("{} channels are not settled yet.", channels.len());
        Ok(ExitCode::FAILURE)
    }
}
