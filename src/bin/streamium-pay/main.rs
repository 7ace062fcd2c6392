//! `streamium-pay`: what a broadcaster or a viewer does with a data folder while no stream uses it.
//!
//! One module a subcommand. Exit codes: 0 when everything that could be done has been done, 1 when something
//! failed, 2 for a command line that makes no sense.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unreachable
)]

mod channels;
mod common;
mod consumer;
mod descriptor;
mod funds;
mod refund;
mod restore;
mod settle;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use gststreamiumpay::config::Config;

use common::Failure;

/// The companion of the GStreamer elements streamiumpaysink and streamiumpaysrc.
#[derive(Debug, Parser)]
#[command(name = "streamium-pay", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Settles what viewers have paid to a broadcaster whose stream does not run.
    Settle(settle::Settle),
    Refund(refund::Refund),
    Channels(channels::Channels),
    Descriptor(descriptor::Descriptor),
    Balance(funds::Balance),
    Address(funds::FundingAddress),
    Withdraw(funds::Withdraw),
    Restore(restore::Restore),
}

fn main() -> ExitCode {
    match parse().and_then(run) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("streamium-pay: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// The command line; what is neither on it nor in the environment is from the configuration file, where that has it.
fn parse() -> Result<Arguments, Failure> {
    let config = Config::load().map_err(|error| format!("{error}."))?;
    let command = Arguments::command().mut_subcommands(|command| {
        command.mut_args(|argument| {
            let name = argument.get_id().as_str().replace('_', "-");
            match config.value(None, &name) {
                Some((text, _)) => argument.required(false).default_value(text),
                None => argument,
            }
        })
    });
    Ok(Arguments::from_arg_matches(&command.get_matches())?)
}

fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    match arguments.command {
        Command::Settle(settle) => settle.run(),
        Command::Refund(refund) => refund.run(),
        Command::Channels(channels) => channels.run(),
        Command::Descriptor(descriptor) => descriptor.run(),
        Command::Balance(balance) => balance.run(),
        Command::Address(address) => address.run(),
        Command::Withdraw(withdraw) => withdraw.run(),
        Command::Restore(restore) => restore.run(),
    }
}
