//! A channel's descriptor, for people who take a refund with another wallet.

use bitcoin::{Network, PrivateKey};
use miniscript::descriptor::checksum::desc_checksum;
use streamium_channel::record::ConsumerRecord;

use crate::keys;
use crate::store::Role;
use crate::wallet::{Seed, SeedError};

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum DescriptorError {
    #[error(transparent)]
    Script(#[from] streamium_channel::script::ScriptError),
    #[error(transparent)]
    Seed(#[from] SeedError),
    #[error("the channel's key does not derive from this seed")]
    WrongSeed,
    #[error("its checksum can't be made: {0}")]
    Checksum(String),
}

/// With both public keys, and its checksum: it finds the money, and can't spend it.
pub fn public(record: &ConsumerRecord) -> Result<String, DescriptorError> {
    Ok(record.contract.script()?.descriptor().to_owned())
}

/// With the consumer's private key (WIF) in place of its public key, and its checksum: it spends.
pub fn private(seed: &Seed, network: Network, record: &ConsumerRecord) -> Result<String, DescriptorError> {
    let key = keys::channel(seed, network, Role::Consumer, record.key_index)?;
    let consumer = record.contract.keys().consumer();
    if key.x_only_public_key().0 != consumer {
        return Err(DescriptorError::WrongSeed);
    }
    let wif = PrivateKey::new(key.secret_key(), network).to_wif();
    let public = public(record)?;
    let body = public.split('#').next().unwrap_or_default();
    let body = body.replace(&consumer.to_string(), &wif);
    let checksum = desc_checksum(&body).map_err(|error| DescriptorError::Checksum(error.to_string()))?;
    Ok(format!("{body}#{checksum}"))
}
