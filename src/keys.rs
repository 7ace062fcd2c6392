//! Which key of the seed is for what (BIP32; the purpose is this project's own, so that no wallet ever derives
//! the same keys).

use bitcoin::NetworkKind;
use bitcoin::bip32::{ChildNumber, DerivationPath};
use bitcoin::secp256k1::Keypair;

use crate::store::Role;
use crate::wallet::{Seed, SeedError};

const PURPOSE: u32 = 7_823;
const IDENTITY: u32 = 0;
const PROVIDER_CHANNELS: u32 = 1;
const CONSUMER_CHANNELS: u32 = 2;

/// The provider's identity: the key in its links.
pub fn identity(seed: &Seed, network: bitcoin::Network) -> Result<Keypair, SeedError> {
    seed.derive(&path(network, IDENTITY, 0))
}

/// A channel's key. `index` must come from [`crate::store::Store::next_key_index`], or a record.
pub fn channel(seed: &Seed, network: bitcoin::Network, role: Role, index: u32) -> Result<Keypair, SeedError> {
    seed.derive(&path(network, branch(role), index))
}

/// Where [`channel`] derives a key, for people.
pub fn channel_path(network: bitcoin::Network, role: Role, index: u32) -> String {
    format!("m/{}", path(network, branch(role), index))
}

const fn branch(role: Role) -> u32 {
    match role {
        Role::Provider => PROVIDER_CHANNELS,
        Role::Consumer => CONSUMER_CHANNELS,
    }
}

/// `m/7823'/coin'/branch'/index'`; indices are below 2^31, so the fallback is never taken.
fn path(network: bitcoin::Network, branch: u32, index: u32) -> DerivationPath {
    let coin = u32::from(NetworkKind::from(network) != NetworkKind::Main);
    [PURPOSE, coin, branch, index]
        .into_iter()
        .map(|number| ChildNumber::from_hardened_idx(number).unwrap_or(ChildNumber::Hardened { index: 0 }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_own_path() {
        use bitcoin::Network::{Bitcoin, Signet};
        let paths = [
            path(Bitcoin, IDENTITY, 0),
            path(Signet, IDENTITY, 0),
            path(Signet, PROVIDER_CHANNELS, 0),
            path(Signet, CONSUMER_CHANNELS, 0),
            path(Signet, CONSUMER_CHANNELS, 1),
        ];
        let texts: std::collections::HashSet<_> = paths.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), paths.len());
        assert!(texts.contains("7823'/1'/2'/1'"), "{texts:?}");
    }
}
