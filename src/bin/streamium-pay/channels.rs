//! `streamium-pay channels`: lists all channels on record.

use std::collections::HashMap;
use std::process::ExitCode;

use clap::Args;
use gststreamiumpay::refund::{Position, Runner};
use gststreamiumpay::report::sats;
use gststreamiumpay::settings::chain_config;
use gststreamiumpay::store::{Lease, Listed, Role, Store};

use crate::common::{Failure, Place};
use crate::consumer::{Patience, say_trouble};

/// Lists the channels on record, the viewer's and the broadcaster's.
///
/// With --electrum-url it also says in how many blocks the viewer's come back; without, nobody is asked.
#[derive(Clone, Debug, Args)]
pub struct Channels {
    #[command(flatten)]
    place: Place,
    /// Electrum servers: ssl://host:port or tcp://host:port, several separated by commas.
    #[arg(long, env = "STREAMIUM_ELECTRUM_URL", value_name = "URL")]
    electrum_url: Option<String>,
    /// A SOCKS5 proxy (such as Tor's) to reach them through: socks5://host:port.
    #[arg(long, env = "STREAMIUM_ELECTRUM_PROXY", value_name = "URL")]
    electrum_proxy: Option<String>,
    #[command(flatten)]
    patience: Patience,
}

impl Channels {
    pub fn run(&self) -> Result<ExitCode, Failure> {
        let dir = self.place.existing_dir()?;
        let config = chain_config(
            self.place.network,
            self.electrum_url.as_deref(),
            self.electrum_proxy.as_deref(),
        )?;
        let (listed, positions) = match config {
            None => {
                let _lease = Lease::take(&dir, Role::Consumer)?;
                (Store::open(&dir)?.list_channels()?, HashMap::new())
            }
            Some(config) => {
                let mut runner = Runner::observe(&dir, &config)?;
                runner.finish(self.patience.duration(), &mut say_trouble)?;
                (runner.store.list_channels()?, positions(&runner))
            }
        };
        if listed.is_empty() {
            println!("No channel is on record.");
        }
        for channel in &listed {
            println!("{}", line(channel, positions.get(&channel.outpoint)));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn positions(runner: &Runner) -> HashMap<String, Position> {
    let of = |(channel, at): (&gststreamiumpay::refund::HeldChannel, Position)| {
        (channel.channel.outpoint().to_string(), at)
    };
    runner.engine.positions().map(of).collect()
}

fn line(channel: &Listed, position: Option<&Position>) -> String {
    let paid = match channel.role {
        Role::Consumer => "paid",
        Role::Provider => "earned",
    };
    let refund = match (channel.role, position, channel.state.as_str()) {
        (Role::Consumer, Some(Position::Locked { blocks }), _) => format!("refund in {blocks} blocks"),
        (Role::Consumer, Some(Position::Due), _) => "refund now".to_owned(),
        (
            Role::Consumer,
            Some(Position::Closing {
                txid, confirmations, ..
            }),
            _,
        ) => {
            format!("closing in {txid} ({confirmations} confirmations)")
        }
        (Role::Consumer, _, "open" | "refunding") => {
            format!(
                "refund {} blocks after its confirmation",
                channel.refund_delay_blocks
            )
        }
        _ => String::from("-"),
    };
    format!(
        "{} {} {} capacity {} {paid} {} {refund} opened {} UTC",
        channel.role,
        channel.outpoint,
        channel.state,
        sats(channel.capacity),
        sats(channel.paid),
        channel.opened_at
    )
}
