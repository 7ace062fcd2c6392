//! The block of each network from which headers are followed.
//!
//! Everything before it is taken as given, as it is by a node that assumes these blocks valid.

use bitcoin::constants::genesis_block;
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Network};

/// A block that is in the chain, whatever servers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    pub height: u32,
    pub hash: BlockHash,
}

impl Checkpoint {
    /// The one compiled in.
    ///
    /// The hashes are the bases of Bitcoin Core's assumeutxo snapshots (`src/kernel/chainparams.cpp`,
    /// `m_assumeutxo_data`, version 31).
    /// Mainnet's was compared with the same table in the program `bitcoind` of Debian's Bitcoin Knots 29.4
    /// and with an independent list of block filter checkpoints (C#, every 10,000 blocks): all three agree.
    /// Those of signet and both testnets are in Core's source and in lists made from it; there was no second
    /// source that does not derive from the first.
    pub fn of(network: Network) -> Self {
        match network {
            Network::Bitcoin => Self::new(
                910_000,
                "0000000000000000000108970acb9522ffd516eae17acddcb1bd16469194a821",
            ),
            Network::Signet => Self::new(
                290_000,
                "0000000577f2741bb30cd9d39d6d71b023afbeb9764f6260786a97969d5c9ac0",
            ),
            Network::Testnet => Self::new(
                4_840_000,
                "00000000000000f4971a7fb37fbdff89315b69a2e1920c467654a382f0d64786",
            ),
            Network::Testnet4 => Self::new(
                120_000,
                "000000000bd2317e51b3c5794981c35ba894ce27d3e772d5c39ecd9cbce01dc8",
            ),
            Network::Regtest => Self {
                height: 0,
                hash: genesis_block(Network::Regtest).block_hash(),
            },
        }
    }

    /// A test reads each; a hash that could not be read would be one that no chain has.
    fn new(height: u32, hash: &str) -> Self {
        Self {
            height,
            hash: hash.parse().unwrap_or_else(|_| BlockHash::all_zeros()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::params::Params;

    #[test]
    fn each_is_readable_has_work_and_enough_of_its_period_before_it() {
        for network in [
            Network::Bitcoin,
            Network::Signet,
            Network::Testnet,
            Network::Testnet4,
        ] {
            let checkpoint = Checkpoint::of(network);
            let params = Params::new(network);
            assert_ne!(checkpoint.hash, BlockHash::all_zeros());
            assert!(params.max_attainable_target.is_met_by(checkpoint.hash));
            // The median time of the eleven blocks before the next one can be told.
            assert!(checkpoint.height % 2016 >= 10, "{network}");
        }
    }
}
