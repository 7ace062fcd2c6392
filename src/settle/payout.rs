//! Where earnings go: one address, or a fresh one for each settlement from an output descriptor.

use std::str::FromStr;

use bitcoin::address::NetworkUnchecked;
use bitcoin::bip32::ChildNumber;
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{Address, Network, NetworkKind, ScriptBuf};
use miniscript::descriptor::Wildcard;
use miniscript::{Descriptor, DescriptorPublicKey, ForEachKey};

/// Where earnings go. Always of the network it was checked for, and public.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payout {
    /// One address for all.
    Address(Address),
    /// A descriptor with a wildcard (BIP380): each settlement takes its next script. A bump keeps its script.
    Descriptor(Box<PayoutDescriptor>),
}

/// A descriptor with a wildcard, whose scripts have addresses on `network`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayoutDescriptor {
    descriptor: Descriptor<DescriptorPublicKey>,
    network: Network,
}

/// Why a text says no payout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayoutError {
    #[error("\"{text}\" is no address: {reason}")]
    NoAddress { text: String, reason: String },
    #[error("\"{text}\" is not of network {network}")]
    OtherNetwork { text: String, network: Network },
    /// The text is not repeated: it may hold a secret with a slip in it.
    #[error("the output descriptor can't be read: {0}")]
    NoDescriptor(String),
    #[error(
        "the descriptor holds a private key, which has no business here: give the public one (a wallet shows it \
         with xpub or tpub; Bitcoin Core lists it with `listdescriptors`)"
    )]
    PrivateKey,
    #[error(
        "the descriptor has keys of another network than {network}: xpub is for bitcoin, tpub for the others"
    )]
    KeysOfOtherNetwork { network: Network },
    #[error("the descriptor names several chains (<0;1>): name one, as in /0/*")]
    Multipath,
    #[error(
        "the descriptor has hardened steps (' or h) after its public key, which only a private key can take"
    )]
    Hardened,
    #[error("no script can be derived from the descriptor: {0}")]
    Derive(String),
}

impl Payout {
    /// Reads an address or a descriptor of `network`.
    ///
    /// # Errors
    /// See [`PayoutError`].
    pub fn parse(text: &str, network: Network) -> Result<Self, PayoutError> {
        if text.contains('(') {
            return parse_descriptor(text.trim(), network);
        }
        let address =
            Address::<NetworkUnchecked>::from_str(text).map_err(|error| PayoutError::NoAddress {
                text: text.to_owned(),
                reason: error.to_string(),
            })?;
        let address = address
            .require_network(network)
            .map_err(|_| PayoutError::OtherNetwork {
                text: text.to_owned(),
                network,
            })?;
        Ok(Self::Address(address))
    }

    /// The descriptor to count indices for; `None` where there is one address.
    pub fn descriptor(&self) -> Option<String> {
        match self {
            Self::Address(_) => None,
            Self::Descriptor(descriptor) => Some(descriptor.descriptor.to_string()),
        }
    }

    /// The address at an index, which means nothing where there is only one.
    ///
    /// # Errors
    /// [`PayoutError::Derive`] for an index that BIP32 does not have.
    pub fn address(&self, index: u32) -> Result<Address, PayoutError> {
        match self {
            Self::Address(address) => Ok(address.clone()),
            Self::Descriptor(descriptor) => derive(&descriptor.descriptor, descriptor.network, index),
        }
    }

    /// What consumers are told in `accept`, for a cooperative close: the first script. It gets money only if a consumer
    /// closes cooperatively after paying, which ours never does, so no index is used up for each session.
    pub fn told(&self) -> ScriptBuf {
        self.address(0)
            .map(|address| address.script_pubkey())
            .unwrap_or_default()
    }
}

impl From<Address> for Payout {
    fn from(address: Address) -> Self {
        Self::Address(address)
    }
}

fn parse_descriptor(text: &str, network: Network) -> Result<Payout, PayoutError> {
    let parsed = Descriptor::<DescriptorPublicKey>::parse_descriptor(&Secp256k1::new(), text);
    let (descriptor, secrets) = parsed.map_err(|error| no_descriptor(text, &error))?;
    if !secrets.is_empty() {
        return Err(PayoutError::PrivateKey);
    }
    descriptor
        .sanity_check()
        .map_err(|error| no_descriptor(text, &error))?;
    if descriptor.is_multipath() {
        return Err(PayoutError::Multipath);
    }
    let kind = NetworkKind::from(network);
    let is_of_network = |key: &DescriptorPublicKey| match key {
        DescriptorPublicKey::XPub(key) => key.xkey.network == kind,
        DescriptorPublicKey::MultiXPub(key) => key.xkey.network == kind,
        DescriptorPublicKey::Single(_) => true,
    };
    if !descriptor.for_each_key(is_of_network) {
        return Err(PayoutError::KeysOfOtherNetwork { network });
    }
    // The library panics on some of these.
    let is_hardened = |key: &DescriptorPublicKey| match key {
        DescriptorPublicKey::XPub(key) => {
            key.wildcard == Wildcard::Hardened
                || key.derivation_path.into_iter().any(ChildNumber::is_hardened)
        }
        _ => false,
    };
    if descriptor.for_any_key(is_hardened) {
        return Err(PayoutError::Hardened);
    }
    let first = derive(&descriptor, network, 0)?;
    Ok(if descriptor.has_wildcard() {
        Payout::Descriptor(Box::new(PayoutDescriptor { descriptor, network }))
    } else {
        Payout::Address(first)
    })
}

fn no_descriptor(text: &str, error: &miniscript::Error) -> PayoutError {
    if text.contains("prv") {
        PayoutError::PrivateKey
    } else {
        PayoutError::NoDescriptor(error.to_string())
    }
}

fn derive(
    descriptor: &Descriptor<DescriptorPublicKey>,
    network: Network,
    index: u32,
) -> Result<Address, PayoutError> {
    let derive = |error: &dyn std::error::Error| PayoutError::Derive(error.to_string());
    let definite = descriptor
        .at_derivation_index(index)
        .map_err(|error| derive(&error))?;
    let secp = Secp256k1::verification_only();
    let public = definite
        .derived_descriptor(&secp)
        .map_err(|error| derive(&error))?;
    public.address(network).map_err(|error| derive(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    // BIP86's test vector: account xpub and its first two receiving addresses.
    const XPUB: &str = "xpub6BgBgsespWvERF3LHQu6CnqdvfEvtMcQjYrcRzx53QJjSxarj2afYWcLteoGVky7D3UKDP9QyrLprQ3VCECoY49yfdDEHGCtMMj92pReUsQ";
    const FIRST: &str = "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr";
    const SECOND: &str = "bc1p4qhjn9zdvkux4e44uhx8tc55attvtyu358kutcqkudyccelu0was9fqzwh";
    const XPRV: &str = "xprv9s21ZrQH143K3GJpoapnV8SFfukcVBSfeCficPSGfubmSFDxo1kuHnLisriDvSnRRuL2Qrg5ggqHKNVpxR86QEC8w35uxmGoggxtQTPvfUu";
    const TPUB: &str = "tpubD6NzVbkrYhZ4XgiXtGrdW5XDAPFCL9h7we1vwNCpn8tGbBcgfVYjXyhWo4E1xkh56hjod1RhGjxbaTLV3X4FyWuejifB9jusQ46QzG87VKp";

    #[test]
    fn a_descriptor_gives_a_fresh_address_for_each_index() {
        let payout = Payout::parse(&format!("tr({XPUB}/0/*)"), Network::Bitcoin).unwrap();
        let found = [0, 1].map(|index| payout.address(index).unwrap().to_string());
        assert_eq!(found, [FIRST, SECOND]);
        assert!(payout.address(1 << 31).is_err(), "hardened");
        let with_checksum = payout.descriptor().unwrap();
        assert_eq!(Payout::parse(&with_checksum, Network::Bitcoin).unwrap(), payout);
        let wrong = with_checksum.replace(with_checksum.split_once('#').unwrap().1, "qqqqqqqq");
        assert!(matches!(
            Payout::parse(&wrong, Network::Bitcoin),
            Err(PayoutError::NoDescriptor(_))
        ));
    }

    #[test]
    fn a_descriptor_without_a_wildcard_is_one_address() {
        let payout = Payout::parse(&format!("tr({XPUB}/0/1)"), Network::Bitcoin).unwrap();
        assert_eq!(payout.descriptor(), None);
        assert_eq!(payout.address(7).unwrap().to_string(), SECOND);
        assert_eq!(payout, Payout::parse(SECOND, Network::Bitcoin).unwrap());
    }

    #[test]
    fn private_keys_are_refused_and_not_repeated() {
        for text in [
            format!("tr({XPRV}/0/*)"),
            format!("tr({XPRV}/0/*)#qqqqqqqq"),
            "wpkh(cVpPVruEDdmutPzisEsYvtST1usBR3ntr8pXSyt6D2YYqXRyPcFW)".to_owned(),
        ] {
            let error = Payout::parse(&text, Network::Regtest).unwrap_err();
            assert_eq!(error, PayoutError::PrivateKey, "{text}");
            assert!(!error.to_string().contains(&text));
        }
    }

    #[test]
    fn what_is_of_another_network_or_no_single_chain_is_refused() {
        let refused = |text: String, network| Payout::parse(&text, network).unwrap_err();
        let keys = |network| PayoutError::KeysOfOtherNetwork { network };
        assert_eq!(
            refused(format!("tr({XPUB}/0/*)"), Network::Signet),
            keys(Network::Signet)
        );
        assert_eq!(
            refused(format!("wpkh({TPUB}/0/*)"), Network::Bitcoin),
            keys(Network::Bitcoin)
        );
        assert!(Payout::parse(&format!("wpkh({TPUB}/0/*)"), Network::Regtest).is_ok());
        assert_eq!(
            refused(format!("tr({XPUB}/<0;1>/*)"), Network::Bitcoin),
            PayoutError::Multipath
        );
        assert!(matches!(
            refused(FIRST.into(), Network::Signet),
            PayoutError::OtherNetwork { .. }
        ));
        for text in ["tr(", "tr(nonsense)", "sh(sh())"] {
            let error = refused(text.into(), Network::Bitcoin);
            assert!(matches!(error, PayoutError::NoDescriptor(_)), "{text}: {error}");
        }
        for path in ["/0/*'", "/0'/*", "/0/*h"] {
            assert_eq!(
                refused(format!("tr({XPUB}{path})"), Network::Bitcoin),
                PayoutError::Hardened
            );
        }
        // No address: it could not be shown, nor recorded.
        assert!(matches!(
            refused(format!("pk({XPUB}/0/*)"), Network::Bitcoin),
            PayoutError::Derive(_)
        ));
    }
}
