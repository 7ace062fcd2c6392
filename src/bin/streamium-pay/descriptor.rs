//! `streamium-pay descriptor`: what another wallet needs to take a channel back.

use std::process::ExitCode;

use bitcoin::OutPoint;
use clap::Args;
use gststreamiumpay::refund::descriptor::{private, public};
use gststreamiumpay::store::{Lease, Role, Store};
use gststreamiumpay::wallet::Seed;

use crate::common::{Failure, Place};

/// Prints a channel's descriptor, and how Bitcoin Core's wallet takes the money back with it.
#[derive(Clone, Debug, Args)]
pub struct Descriptor {
    #[command(flatten)]
    place: Place,
    /// The channel: TXID:VOUT, as `streamium-pay channels` lists it.
    outpoint: OutPoint,
    /// Prints the one with the private key, which spends. Whoever reads it can take this channel's money back.
    #[arg(long)]
    private: bool,
}

impl Descriptor {
    pub fn run(&self) -> Result<ExitCode, Failure> {
        let dir = self.place.existing_dir()?;
        let _lease = Lease::take(&dir, Role::Consumer)?;
        let record = Store::open(&dir)?.consumer_channel(self.outpoint)?.record;
        if !self.private {
            println!("{}", public(&record)?);
            eprintln!("To spend with it, another wallet needs the private key: --private prints it.");
            return Ok(ExitCode::SUCCESS);
        }
        let seed = Seed::load(&dir)?.ok_or("the data folder has no seed")?;
        let descriptor = private(&seed, self.place.network, &record)?;
        println!("{descriptor}");
        eprintln!(
            "{}",
            recipe(&descriptor, self.outpoint, record.contract.delay().blocks())
        );
        Ok(ExitCode::SUCCESS)
    }
}

fn recipe(descriptor: &str, outpoint: OutPoint, delay: u16) -> String {
    let (txid, vout) = (outpoint.txid, outpoint.vout);
    format!(
        "
WARNING: this is a private key. Whoever sees it can take the money of this channel; of no other.

With Bitcoin Core, once the commitment transaction has {delay} confirmations (no earlier: it would say that it is
complete, and not be sent; then do not abandon it, but send the hex of gettransaction later with sendrawtransaction):

  bitcoin-cli createwallet refund false true \"\" false true
  bitcoin-cli -rpcwallet=refund importdescriptors '[{{\"desc\":\"{descriptor}\",\"timestamp\":0}}]'
  bitcoin-cli -rpcwallet=refund sendall '[\"ADDRESS\"]' null unset null \\
    '{{\"inputs\":[{{\"txid\":\"{txid}\",\"vout\":{vout},\"sequence\":{delay}}}],\"fee_rate\":2}}'

sendall reckons with a smaller transaction than it makes: ask for at least twice the lowest fee rate."
    )
}
