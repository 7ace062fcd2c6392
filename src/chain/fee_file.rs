//! The belief about fees, on disk: one line with a rate in sat per 1,000 weight units and the height since which
//! it is believed. What can't be read is as if it had never been written.

use std::fs;
use std::path::{Path, PathBuf};

use bitcoin::{FeeRate, Network};
use streamium_channel::fee_belief::FeeBelief;

fn path(folder: &Path, network: Network) -> PathBuf {
    folder.join(format!("fees-{network}"))
}

pub(super) fn load(folder: &Path, network: Network) -> Option<FeeBelief> {
    let text = fs::read_to_string(path(folder, network)).ok()?;
    let (rate, height) = text.trim().split_once(' ')?;
    let rate = FeeRate::from_sat_per_kwu(rate.parse().ok()?);
    Some(FeeBelief::new(rate, height.parse().ok()?))
}

/// Writes it whole or not at all.
pub(super) fn save(folder: &Path, network: Network, belief: FeeBelief) -> std::io::Result<()> {
    let path = path(folder, network);
    let new = path.with_extension("new");
    let (rate, height) = (belief.rate().to_sat_per_kwu(), belief.height());
    fs::write(&new, format!("{rate} {height}\n"))?;
    fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_believed_is_believed_after_a_start() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load(dir.path(), Network::Regtest), None);
        let belief = FeeBelief::new(FeeRate::from_sat_per_kwu(1_234), 910_000);
        save(dir.path(), Network::Regtest, belief).unwrap();
        assert_eq!(load(dir.path(), Network::Regtest), Some(belief));
        for nonsense in ["", "1", "x y", "1 -1", "\u{0}"] {
            fs::write(path(dir.path(), Network::Regtest), nonsense).unwrap();
            assert_eq!(load(dir.path(), Network::Regtest), None, "{nonsense:?}");
        }
    }
}
