//! `streamium-pay balance`, `address` and `withdraw`: the viewer's small wallet.

use std::process::ExitCode;

use bitcoin::address::NetworkUnchecked;
use bitcoin::{Address, Amount, FeeRate};
use clap::Args;
use gststreamiumpay::chain::USUAL_TARGET_BLOCKS;
use gststreamiumpay::report::sats;
use gststreamiumpay::store::{Lease, Role};
use gststreamiumpay::wallet::{Wallet, WithdrawalAmount};

use crate::common::{Failure, Place};
use crate::consumer::{Consumer, say_trouble};

/// Below, nothing is relayed.
const MIN_FEE_RATE: FeeRate = FeeRate::from_sat_per_vb_u32(1);

/// Says what the viewer's wallet has, and what its channels hold.
#[derive(Clone, Debug, Args)]
pub struct Balance {
    #[command(flatten)]
    consumer: Consumer,
}

impl Balance {
    pub fn run(&self) -> Result<ExitCode, Failure> {
        let mut runner = self.consumer.observe()?;
        runner.finish(self.consumer.patience.duration(), &mut say_trouble)?;
        let balance = runner.wallet.balance();
        let held: Amount = runner
            .engine
            .positions()
            .map(|(channel, _)| channel.channel.contract().capacity())
            .sum();
        println!("confirmed    {}", sats(balance.confirmed));
        println!("unconfirmed  {}", sats(balance.unconfirmed));
        println!("waiting      {}", sats(balance.waiting));
        println!("reserved     {}", sats(balance.reserved));
        println!("in channels  {}", sats(held));
        Ok(ExitCode::SUCCESS)
    }
}

/// Shows where to send money to. Asks no server.
#[derive(Clone, Debug, Args)]
pub struct FundingAddress {
    #[command(flatten)]
    place: Place,
}

impl FundingAddress {
    pub fn run(&self) -> Result<ExitCode, Failure> {
        let dir = self.place.data_dir();
        let _lease = Lease::take(&dir, Role::Consumer)?;
        let address = Wallet::open(&dir, self.place.network)?.funding_address()?;
        println!("{address}\nbitcoin:{address}");
        Ok(ExitCode::SUCCESS)
    }
}

/// Sends money of the viewer's wallet to an address. Money in channels is left alone.
#[derive(Clone, Debug, Args)]
pub struct Withdraw {
    #[command(flatten)]
    consumer: Consumer,
    /// Where to.
    address: Address<NetworkUnchecked>,
    /// So much arrives; the fee comes on top.
    #[arg(
        long,
        value_name = "N",
        conflicts_with = "all",
        required_unless_present = "all"
    )]
    amount_sat: Option<u64>,
    /// Everything that can be spent now; the fee is taken from it.
    #[arg(long)]
    all: bool,
}

impl Withdraw {
    pub fn run(&self) -> Result<ExitCode, Failure> {
        let network = self.consumer.place.network;
        let address = self.address.clone();
        if !address.is_valid_for_network(network) {
            let address = address.assume_checked();
            return Err(format!("{address} is not an address of {network}: nothing was sent").into());
        }
        let address = address.require_network(network)?;
        let mut runner = self.consumer.open()?;
        let patience = self.consumer.patience.duration();
        runner.finish(patience, &mut say_trouble)?;
        let suggested = runner.fee_rate(USUAL_TARGET_BLOCKS).unwrap_or(MIN_FEE_RATE);
        let fee_rate = suggested.max(MIN_FEE_RATE).min(self.consumer.max_fee_rate());
        let amount = match self.amount_sat {
            Some(sat) => WithdrawalAmount::Exactly(Amount::from_sat(sat)),
            None => WithdrawalAmount::All,
        };
        let built = runner.wallet.withdraw(&address, fee_rate, amount)?;
        let txid = built.tx.compute_txid();
        // It is on record: should no server take it now, the next start hands it out again.
        runner
            .send(&built.tx, patience)
            .map_err(|error| format!("{txid} is kept and handed out again at the next start: {error}"))?;
        println!("Sent in {txid}, for a fee of {}.", sats(built.fee));
        Ok(ExitCode::SUCCESS)
    }
}
