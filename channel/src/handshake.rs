//! What binds signed terms to this very connection: both DTLS certificates and both nonces
//! (protocol.md section 4).

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// 32 bytes that travel as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Bytes32([u8; 32]);

/// A nonce: 32 bytes that its side draws at random for one session.
pub type Nonce = Bytes32;

/// SHA-256 of a DTLS certificate in DER, as the transport itself holds it (never the SDP line).
pub type CertificateHash = Bytes32;

/// The hash of a chain's genesis block: names the chain. In the order of bytes that people print.
pub type GenesisHash = Bytes32;

/// Not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("expected 64 hexadecimal digits")]
pub struct Bytes32Error;

impl Bytes32 {
    /// Wraps the bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The genesis hash of `network`.
    pub fn genesis(network: bitcoin::Network) -> GenesisHash {
        use bitcoin::hashes::Hash;
        let mut bytes = bitcoin::blockdata::constants::genesis_block(network)
            .block_hash()
            .to_byte_array();
        bytes.reverse();
        Self(bytes)
    }
}

impl FromStr for Bytes32 {
    type Err = Bytes32Error;

    fn from_str(hex: &str) -> Result<Self, Bytes32Error> {
        bitcoin::hex::FromHex::from_hex(hex)
            .map(Self)
            .map_err(|_| Bytes32Error)
    }
}

impl TryFrom<String> for Bytes32 {
    type Error = Bytes32Error;

    fn try_from(hex: String) -> Result<Self, Bytes32Error> {
        hex.parse()
    }
}

impl From<Bytes32> for String {
    fn from(bytes: Bytes32) -> String {
        bytes.to_string()
    }
}

impl fmt::Display for Bytes32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Bytes32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes32({self})")
    }
}

/// The connection as one side sees it, once DTLS is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Certificates {
    /// The certificate that this side presents.
    pub own: CertificateHash,
    /// The certificate that the peer really presented.
    pub peer: CertificateHash,
}
