//! The proof with which a consumer takes up an open channel on a new connection (protocol.md section 4).
//!
//! It is a BIP340 signature by the consumer's channel key, over this very connection: both DTLS certificates and
//! both nonces. So a payment or a proof that was seen on another connection opens nothing.

use crate::handshake::{CertificateHash, Nonce};
use crate::secp::secp;
use crate::spend;
use crate::tagged::Canonical;
use crate::terms::Terms;
use bitcoin::hashes::Hash;
use bitcoin::secp256k1::{Keypair, schnorr};
use bitcoin::{OutPoint, XOnlyPublicKey};

const TAG: &str = "streamium-pay/resume/1";

/// What is signed. Both sides build it from the terms of this session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The channel to go on with.
    pub outpoint: OutPoint,
    /// The certificate the provider presents.
    pub provider_certificate: CertificateHash,
    /// The certificate the consumer presents.
    pub consumer_certificate: CertificateHash,
    /// The provider's nonce.
    pub provider_nonce: Nonce,
    /// The consumer's nonce.
    pub consumer_nonce: Nonce,
}

impl Challenge {
    /// The challenge that these terms pose for a channel.
    pub const fn of(terms: &Terms, outpoint: OutPoint) -> Self {
        Self {
            outpoint,
            provider_certificate: terms.provider_certificate,
            consumer_certificate: terms.consumer_certificate,
            provider_nonce: terms.provider_nonce,
            consumer_nonce: terms.consumer_nonce,
        }
    }

    /// Signs as the consumer, with the channel's key.
    pub fn sign(&self, consumer: &Keypair) -> schnorr::Signature {
        spend::sign(&self.canonical().message(), consumer)
    }

    /// Whether the consumer of the channel signed it.
    pub fn is_signed_by(&self, signature: &schnorr::Signature, consumer: &XOnlyPublicKey) -> bool {
        let message = self.canonical().message();
        secp().verify_schnorr(signature, &message, consumer).is_ok()
    }

    /// The bytes that are hashed, for the test vectors.
    pub fn canonical_form(&self) -> Vec<u8> {
        self.canonical().form().to_vec()
    }

    /// The txid in the order of bytes in which transactions hold it.
    fn canonical(&self) -> Canonical {
        Canonical::new(TAG)
            .bytes(self.outpoint.txid.as_byte_array())
            .u32(self.outpoint.vout)
            .bytes(self.provider_certificate.as_bytes())
            .bytes(self.consumer_certificate.as_bytes())
            .bytes(self.provider_nonce.as_bytes())
            .bytes(self.consumer_nonce.as_bytes())
    }
}
