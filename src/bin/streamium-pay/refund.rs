//! `streamium-pay refund`: takes back what providers never settled, and says what is still locked.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use gststreamiumpay::refund::{HeldChannel, Position, Runner};
use gststreamiumpay::report::{sats, span};

use crate::common::Failure;
use crate::consumer::{Consumer, say};

/// The average time between two blocks.
const BLOCK: Duration = Duration::from_secs(600);

/// How soon a request to end is followed.
const LOOK_AROUND: Duration = Duration::from_millis(500);

/// Takes back what providers never settled.
///
/// Says which channels hold money and when each comes back, hands out what can be handed out now, and ends. Nothing is
/// lost if it is called too early, too late or twice.
#[derive(Clone, Debug, Args)]
pub struct Refund {
    #[command(flatten)]
    consumer: Consumer,
    /// Stays until every channel is closed for good: for a systemd unit.
    #[arg(long)]
    watch: bool,
}

impl Refund {
    pub fn run(&self) -> Result<ExitCode, Failure> {
        let mut runner = self.consumer.open()?;
        if self.watch {
            return watch(&mut runner);
        }
        runner.finish(self.consumer.patience.duration(), &mut say)?;
        tell(&runner);
        Ok(ExitCode::SUCCESS)
    }
}

fn watch(runner: &mut Runner) -> Result<ExitCode, Failure> {
    let ended = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&ended);
    ctrlc::set_handler(move || flag.store(true, Ordering::SeqCst))?;
    let mut told = false;
    while !ended.load(Ordering::SeqCst) {
        runner.step(LOOK_AROUND).into_iter().for_each(say);
        if runner.is_done() {
            if !std::mem::replace(&mut told, true) {
                tell(runner);
            }
            if runner.engine.positions().next().is_none() {
                println!("Every channel is closed for good.");
                break;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(runner: &Runner) {
    let mut open = 0;
    for (channel, position) in runner.engine.positions() {
        println!("{}", sentence(channel, position));
        open += 1;
    }
    if open == 0 {
        println!("No channel holds money.");
    }
}

/// One line for a channel.
pub fn sentence(channel: &HeldChannel, position: Position) -> String {
    let (outpoint, contract) = (channel.channel.outpoint(), channel.channel.contract());
    let at = match position {
        Position::Unknown => "no server has answered for it yet".to_owned(),
        Position::Missing => {
            "no server knows its commitment transaction, which was handed out again".to_owned()
        }
        Position::Unconfirmed => format!(
            "its commitment transaction is not confirmed yet; {} blocks after that it comes back",
            contract.delay().blocks()
        ),
        Position::Locked { blocks } => format!(
            "comes back in {blocks} block{}, in about {}",
            if blocks == 1 { "" } else { "s" },
            span(BLOCK.saturating_mul(blocks))
        ),
        Position::Due => "comes back now; the refund has been handed out".to_owned(),
        Position::Closing {
            txid,
            confirmations,
            ours,
        } => format!(
            "{} in {txid}, {confirmations} confirmation{}",
            if ours {
                "comes back"
            } else {
                "was closed by the provider"
            },
            if confirmations == 1 { "" } else { "s" }
        ),
    };
    format!("{outpoint}: {}: {at}.", sats(contract.capacity()))
}
