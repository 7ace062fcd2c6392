//! Terms: what a provider offers, signed with its identity key over this very connection
//! (protocol.md section 4).

use crate::blocks::RefundDelay;
use crate::handshake::{CertificateHash, Certificates, GenesisHash, Nonce};
use crate::money::Rate;
use crate::secp::secp;
use crate::spend;
use crate::tagged::Canonical;
use bitcoin::secp256k1::{Keypair, schnorr};
use bitcoin::{Amount, FeeRate, XOnlyPublicKey};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use thiserror::Error;

/// The version of the protocol that this crate speaks.
pub const PROTOCOL_VERSION: u16 = 1;

const TAG: &str = "streamium-pay/terms/1";

/// The kind of a paid track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrackKind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
}

/// One track of the stream. All of them together are what the rate buys.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Track {
    /// Sound or pictures.
    pub kind: TrackKind,
    /// The encoding names that the provider may send, such as `VP8` or `OPUS`, separated by commas.
    pub codecs: String,
}

/// The offer itself. Field by field in protocol.md section 4, where the canonical form is fixed too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The protocol version chosen from those in `hello`.
    pub version: u16,
    /// The chain.
    pub chain: GenesisHash,
    /// The stream name.
    pub stream: String,
    /// What is sold.
    pub tracks: Vec<Track>,
    /// The price, in millisatoshi per second.
    #[serde(rename = "rate_msat_per_s")]
    pub rate: Rate,
    /// The first payment, in sat: at least the cost of settling it.
    #[serde(rename = "opening_sat", with = "bitcoin::amount::serde::as_sat")]
    pub opening: Amount,
    /// How far ahead the consumer should stay, in milliseconds.
    pub window_ms: u32,
    /// The least capacity, in sat.
    #[serde(rename = "min_capacity_sat", with = "bitcoin::amount::serde::as_sat")]
    pub min_capacity: Amount,
    /// The largest capacity, in sat.
    #[serde(rename = "max_capacity_sat", with = "bitcoin::amount::serde::as_sat")]
    pub max_capacity: Amount,
    /// The shortest refund delay the provider takes, in blocks.
    #[serde(rename = "min_refund_delay_blocks")]
    pub min_refund_delay: RefundDelay,
    /// The longest refund delay the provider takes, in blocks.
    #[serde(rename = "max_refund_delay_blocks")]
    pub max_refund_delay: RefundDelay,
    /// The least fee rate of the commitment transaction, in sat per 1,000 vB.
    pub commitment_fee_rate_sat_per_kvb: u64,
    /// From how many confirmations on the whole balance counts as credit.
    pub min_confirmations: u16,
    /// Up to how much of the balance counts as credit before that, in sat.
    #[serde(rename = "unconfirmed_limit_sat", with = "bitcoin::amount::serde::as_sat")]
    pub unconfirmed_limit: Amount,
    /// After at most this long without a paying consumer the provider settles, in milliseconds.
    pub settle_delay_ms: u32,
    /// For how long after its arrival an answer to this offer is taken, in milliseconds.
    pub valid_ms: u32,
    /// The provider's key for this channel.
    pub channel_key: XOnlyPublicKey,
    /// The certificate the provider presents.
    pub provider_certificate: CertificateHash,
    /// The certificate the provider sees the consumer present.
    pub consumer_certificate: CertificateHash,
    /// The nonce the provider drew.
    pub provider_nonce: Nonce,
    /// The nonce from `hello`.
    pub consumer_nonce: Nonce,
}

/// Why an offer is not believed, or makes no sense. Nothing has been locked when one of these appears.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TermsError {
    /// Another key than the link's signed, or something was changed on the way.
    #[error("the terms are not signed by the key in the link: wrong key, or changed on the way")]
    Signature,
    /// Another key than the link's signed a new rate, or it is not for this session.
    #[error("the new rate is not signed by the key in the link, for this session")]
    RateSignature,
    /// Somebody sits between the two ends: the connection is not with the signer.
    #[error("the connection does not end at the signer of the terms: somebody is in the middle")]
    Certificates,
    /// Terms of another session, replayed.
    #[error("the terms answer another session's hello")]
    Nonce,
    /// A version we did not offer.
    #[error("protocol version {0} was not asked for")]
    Version(u16),
    /// Another chain.
    #[error("the provider is on another chain ({0})")]
    Chain(GenesisHash),
    /// Another stream of the same provider.
    #[error("the terms are for the stream {found:?}, not for {wanted:?}")]
    Stream {
        /// The name in the terms.
        found: String,
        /// The name in the link.
        wanted: String,
    },
    /// Bounds the wrong way round, or a paid stream with nothing in it.
    #[error("the terms contradict themselves: {0}")]
    Contradiction(&'static str),
}

/// What a consumer holds the terms against.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The key in the link.
    pub identity: XOnlyPublicKey,
    /// The stream name in the link.
    pub stream: &'a str,
    /// The chain the consumer is on.
    pub chain: GenesisHash,
    /// The connection as the consumer sees it.
    pub certificates: Certificates,
    /// The nonce in its `hello`.
    pub nonce: Nonce,
}

impl Terms {
    /// Signs as the provider, with its identity key.
    pub fn sign(&self, identity: &Keypair) -> schnorr::Signature {
        spend::sign(&self.canonical().message(), identity)
    }

    /// Believes the terms only if they are the link's provider's, for this stream and this connection.
    ///
    /// # Errors
    /// See [`TermsError`]. The signature is checked first, so that the other errors speak of the provider's words.
    pub fn verify(&self, signature: &schnorr::Signature, expected: &Expected<'_>) -> Result<(), TermsError> {
        secp()
            .verify_schnorr(signature, &self.canonical().message(), &expected.identity)
            .map_err(|_| TermsError::Signature)?;
        if self.provider_certificate != expected.certificates.peer
            || self.consumer_certificate != expected.certificates.own
        {
            return Err(TermsError::Certificates);
        }
        if self.consumer_nonce != expected.nonce {
            return Err(TermsError::Nonce);
        }
        if self.version != PROTOCOL_VERSION {
            return Err(TermsError::Version(self.version));
        }
        if self.chain != expected.chain {
            return Err(TermsError::Chain(self.chain));
        }
        if self.stream != expected.stream {
            return Err(TermsError::Stream {
                found: self.stream.clone(),
                wanted: expected.stream.to_owned(),
            });
        }
        self.check_consistent()
    }

    fn check_consistent(&self) -> Result<(), TermsError> {
        if self.rate.is_free() {
            return Ok(());
        }
        let contradiction = match () {
            () if self.tracks.is_empty() => "a rate, but no track",
            () if self.min_capacity > self.max_capacity => "least capacity above the largest",
            () if self.min_refund_delay > self.max_refund_delay => "shortest refund delay above the longest",
            () if self.opening >= self.max_capacity => "an opening payment above the largest capacity",
            () => return Ok(()),
        };
        Err(TermsError::Contradiction(contradiction))
    }

    /// The window as a duration.
    pub const fn window(&self) -> Duration {
        Duration::from_millis(self.window_ms as u64)
    }

    /// The least fee rate of the commitment, rounded up to what the type can hold.
    pub fn commitment_fee_rate(&self) -> FeeRate {
        FeeRate::from_sat_per_kwu(self.commitment_fee_rate_sat_per_kvb.div_ceil(4))
    }

    /// The bytes that are hashed, for the test vectors.
    pub fn canonical_form(&self) -> Vec<u8> {
        self.canonical().form().to_vec()
    }

    fn canonical(&self) -> Canonical {
        let tracks = u16::try_from(self.tracks.len()).unwrap_or(u16::MAX);
        let head = Canonical::new(TAG)
            .u16(self.version)
            .bytes(self.chain.as_bytes())
            .text(&self.stream)
            .u16(tracks);
        let with_tracks = self.tracks.iter().fold(head, |form, track| {
            let kind = match track.kind {
                TrackKind::Audio => 0,
                TrackKind::Video => 1,
            };
            form.u16(kind).text(&track.codecs)
        });
        with_tracks
            .u64(self.rate.msat_per_s())
            .u64(self.opening.to_sat())
            .u32(self.window_ms)
            .u64(self.min_capacity.to_sat())
            .u64(self.max_capacity.to_sat())
            .u16(self.min_refund_delay.blocks())
            .u16(self.max_refund_delay.blocks())
            .u64(self.commitment_fee_rate_sat_per_kvb)
            .u16(self.min_confirmations)
            .u64(self.unconfirmed_limit.to_sat())
            .u32(self.settle_delay_ms)
            .u32(self.valid_ms)
            .bytes(&self.channel_key.serialize())
            .bytes(self.provider_certificate.as_bytes())
            .bytes(self.consumer_certificate.as_bytes())
            .bytes(self.provider_nonce.as_bytes())
            .bytes(self.consumer_nonce.as_bytes())
    }
}
