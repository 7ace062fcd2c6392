//! A new rate for a running session, in its provider's signed word (protocol.md section 7).
//!
//! Signed are the price and how it is to be answered, over this very session: both DTLS certificates and both nonces
//! of its terms. Nothing else of the terms can change with it.

use crate::money::Rate;
use crate::secp::secp;
use crate::spend;
use crate::tagged::Canonical;
use crate::terms::{Terms, TermsError};
use bitcoin::XOnlyPublicKey;
use bitcoin::secp256k1::{Keypair, schnorr};
use serde::{Deserialize, Serialize};
use std::time::Duration;

const TAG: &str = "streamium-pay/rate/1";

/// A provider makes no two offers of a session closer together than this: a consumer, or the person whom it asks, has
/// to keep up.
pub const OFFER_INTERVAL: Duration = Duration::from_secs(10);

/// For how long a consumer may think about it: an application may have to ask a person.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// A new rate. It holds from when the provider has read that the consumer takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateOffer {
    /// Orders the offers of a session: each has a higher one than the last, which it replaces.
    pub number: u32,
    /// The price, in millisatoshi per second. Not zero.
    #[serde(rename = "rate_msat_per_s")]
    pub rate: Rate,
    /// For how long after its arrival an answer is waited for, in milliseconds.
    pub answer_ms: u32,
}

impl RateOffer {
    /// Signs as the provider, with its identity key, for the session of these terms.
    pub fn sign(&self, terms: &Terms, identity: &Keypair) -> schnorr::Signature {
        spend::sign(&self.canonical(terms).message(), identity)
    }

    /// Believes the offer only if it is the link's provider's, for the session of these terms.
    ///
    /// # Errors
    /// See [`TermsError`].
    pub fn verify(
        &self,
        signature: &schnorr::Signature,
        terms: &Terms,
        identity: &XOnlyPublicKey,
    ) -> Result<(), TermsError> {
        secp()
            .verify_schnorr(signature, &self.canonical(terms).message(), identity)
            .map_err(|_| TermsError::RateSignature)?;
        if self.rate.is_free() {
            return Err(TermsError::Contradiction("a paid session that becomes free"));
        }
        Ok(())
    }

    /// The bytes that are hashed, for the test vectors.
    pub fn canonical_form(&self, terms: &Terms) -> Vec<u8> {
        self.canonical(terms).form().to_vec()
    }

    fn canonical(&self, terms: &Terms) -> Canonical {
        Canonical::new(TAG)
            .u32(self.number)
            .u64(self.rate.msat_per_s())
            .u32(self.answer_ms)
            .bytes(terms.provider_certificate.as_bytes())
            .bytes(terms.consumer_certificate.as_bytes())
            .bytes(terms.provider_nonce.as_bytes())
            .bytes(terms.consumer_nonce.as_bytes())
    }
}
