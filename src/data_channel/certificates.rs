//! The DTLS certificates that a session really uses, to bind signed terms to.

use bitcoin::hashes::{Hash, sha256};
use gst::glib;
use gst::prelude::*;
use gst_webrtc::{WebRTCDTLSTransport, WebRTCRTPTransceiver};

/// SHA-256 over the DER of both sides' certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Certificates {
    pub own: [u8; 32],
    pub peer: [u8; 32],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    #[error("the session is gone")]
    SessionGone,
    #[error("the session has no data channel transport yet")]
    NoTransport,
    #[error("the DTLS handshake has not given both certificates yet")]
    NoCertificate,
    #[error("a certificate is not PEM")]
    NotPem,
    #[error("media runs on another transport than the data channel")]
    NotBundled,
}

/// Reads both certificates of a session whose data channel is open, and checks that its media runs on that same
/// transport.
///
/// It reads webrtcbin's properties: call it from the driver's own thread, never in a callback of a data
/// channel's or of webrtcbin's (it would hang there for good).
pub fn certificates(webrtcbin: &gst::Element) -> Result<Certificates, CertificateError> {
    let sctp = webrtcbin
        .property::<Option<glib::Object>>("sctp-transport")
        .ok_or(CertificateError::NoTransport)?;
    let transport = sctp
        .property::<Option<WebRTCDTLSTransport>>("transport")
        .ok_or(CertificateError::NoTransport)?;
    check_bundled(webrtcbin, &transport)?;
    let own = transport.certificate().ok_or(CertificateError::NoCertificate)?;
    let peer = transport
        .remote_certificate()
        .ok_or(CertificateError::NoCertificate)?;
    Ok(Certificates {
        own: fingerprint(&own)?,
        peer: fingerprint(&peer)?,
    })
}

/// Media on a transport of its own would not be covered by what the terms sign. A transceiver without a
/// transport (rejected, or not negotiated yet) carries nothing.
fn check_bundled(webrtcbin: &gst::Element, data: &WebRTCDTLSTransport) -> Result<(), CertificateError> {
    for index in 0i32.. {
        let transceiver =
            webrtcbin.emit_by_name::<Option<WebRTCRTPTransceiver>>("get-transceiver", &[&index]);
        let Some(transceiver) = transceiver else { break };
        let ends: [Option<Option<WebRTCDTLSTransport>>; 2] = [
            transceiver.sender().map(|sender| sender.property("transport")),
            transceiver
                .receiver()
                .map(|receiver| receiver.property("transport")),
        ];
        for media in ends.into_iter().flatten().flatten() {
            if media != *data {
                return Err(CertificateError::NotBundled);
            }
        }
    }
    Ok(())
}

/// SHA-256 over the first certificate of a PEM text, as an SDP's `a=fingerprint:sha-256` has it.
fn fingerprint(pem: &str) -> Result<[u8; 32], CertificateError> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let (_, rest) = pem.split_once(BEGIN).ok_or(CertificateError::NotPem)?;
    let (body, _) = rest.split_once(END).ok_or(CertificateError::NotPem)?;
    // GLib skips what is not base64, so look first.
    let base64 =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=') || c.is_ascii_whitespace();
    if !body.chars().all(base64) {
        return Err(CertificateError::NotPem);
    }
    let der = glib::base64_decode(body);
    if der.is_empty() {
        return Err(CertificateError::NotPem);
    }
    Ok(sha256::Hash::hash(&der).to_byte_array())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_the_bytes_behind_the_pem() {
        let pem = "-----BEGIN CERTIFICATE-----\nc3RyZWFt\naXVt\n-----END CERTIFICATE-----\n";
        assert_eq!(
            fingerprint(pem),
            Ok(sha256::Hash::hash(b"streamium").to_byte_array())
        );
    }

    /// A browser compares the two, GStreamer long did not. With a certificate that is set from outside, together with its
    /// key, webrtcbin offers a hash over both.
    #[test]
    fn what_is_offered_is_the_hash_of_the_certificate_that_is_presented() {
        gst::init().unwrap();
        let webrtcbin = gst::ElementFactory::make("webrtcbin").build().unwrap();
        let pipeline = gst::Pipeline::new();
        pipeline.add(&webrtcbin).unwrap();
        webrtcbin.set_state(gst::State::Ready).unwrap();
        crate::data_channel::DataChannel::create(&webrtcbin, |_| ()).unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let (sender, offers) = std::sync::mpsc::channel();
        let promise = gst::Promise::with_change_func(move |reply| {
            let offer = reply
                .unwrap()
                .unwrap()
                .get::<gst_webrtc::WebRTCSessionDescription>("offer");
            sender.send(offer.unwrap().sdp().as_text().unwrap()).unwrap();
        });
        webrtcbin.emit_by_name::<()>("create-offer", &[&None::<gst::Structure>, &promise]);
        let sdp = offers.recv_timeout(std::time::Duration::from_secs(60)).unwrap();
        let sctp = webrtcbin.property::<glib::Object>("sctp-transport");
        let own = sctp
            .property::<WebRTCDTLSTransport>("transport")
            .certificate()
            .unwrap();
        pipeline.set_state(gst::State::Null).unwrap();
        let (_, offered) = sdp.split_once("a=fingerprint:sha-256 ").unwrap();
        let bytes = fingerprint(&own).unwrap();
        let hash: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        assert!(offered.starts_with(&hash.join(":")), "{sdp}");
    }

    #[test]
    fn refuses_what_is_not_pem() {
        for text in [
            "",
            "-----BEGIN CERTIFICATE-----",
            "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----",
        ] {
            assert_eq!(fingerprint(text), Err(CertificateError::NotPem));
        }
        let odd = "-----BEGIN CERTIFICATE-----\nc3Ry!!!!\n-----END CERTIFICATE-----";
        assert_eq!(fingerprint(odd), Err(CertificateError::NotPem));
    }
}
