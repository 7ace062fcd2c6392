//! `streamium-pay restore`: puts channels back from their backups.

use std::io::{self, BufRead, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use gststreamiumpay::refund::restore::restore;
use gststreamiumpay::wallet::Seed;

use crate::common::{Failure, Place};

/// Puts channels back from their backup files (backups/*.json of the lost data folder); then `refund` works again.
#[derive(Clone, Debug, Args)]
pub struct Restore {
    #[command(flatten)]
    place: Place,
    /// The backup files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A file with the seed's words, - for standard input. Without it the folder's own seed is used; if there is none,
    /// the words are asked for.
    #[arg(long, value_name = "FILE")]
    seed_file: Option<PathBuf>,
}

impl Restore {
    pub fn run(&self) -> Result<ExitCode, Failure> {
        let dir = self.place.data_dir();
        let words = match &self.seed_file {
            Some(path) if path == Path::new("-") => Some(ask()?),
            Some(path) => {
                Some(std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?)
            }
            None if Seed::load(&dir)?.is_none() => Some(ask()?),
            None => None,
        };
        let seed = words.map(|words| Seed::from_words(&words)).transpose()?;
        let restored = restore(&dir, self.place.network, &self.files, seed.as_ref())?;
        for outpoint in restored {
            println!(
                "Channel {outpoint} is back on record; `streamium-pay refund` takes its money back when it is due."
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// One line of words. They are shown as they are typed: pipe them in where somebody may look.
fn ask() -> Result<String, Failure> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        eprintln!("The words of the seed, on one line (they are shown as you type):");
    }
    let mut words = String::new();
    stdin.lock().read_line(&mut words)?;
    Ok(words)
}
