//! The DTLS certificate that this side presents: ECDSA over P-256, as browsers do and RFC 8827 asks for. GStreamer's own is
//! RSA, with which a peer that speaks the ECDSA suites alone has no suite in common.

use std::sync::LazyLock;

use gst::prelude::*;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};

use super::CAT;

/// One certificate with its key for the process, as GStreamer has it: PEM, the certificate first.
static PEM: LazyLock<Option<String>> = LazyLock::new(|| generate().ok());

/// The element that holds the certificate of a transport.
const HOLDER: &str = "dtlssrtpdec";

/// Has every transport that webrtcbin makes from now on present it. Where that is not possible, GStreamer's own stays.
///
/// The callback runs with webrtcbin's lock held: it touches the new element alone, which has not started yet.
pub fn present(webrtcbin: &gst::Element) {
    let Some(bin) = webrtcbin.downcast_ref::<gst::Bin>() else {
        return;
    };
    bin.connect_deep_element_added(|_, _, element| {
        if element.factory().is_some_and(|factory| factory.name() == HOLDER)
            && let Some(pem) = PEM.as_deref()
        {
            element.set_property("pem", pem);
        }
    });
    if PEM.is_none() {
        gst::warning!(
            CAT,
            obj = webrtcbin,
            "no ECDSA certificate could be made: RSA is presented"
        );
    }
}

/// Makes a self-signed certificate. Its hash is all that counts, so it is valid for as long as the library's default says.
fn generate() -> Result<String, rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "WebRTC");
    Ok(params.self_signed(&key)?.pem() + &key.serialize_pem())
}

#[cfg(test)]
mod tests {
    use super::super::certificates::fingerprint;
    use super::*;
    use gst::glib;

    /// `id-ecPublicKey` with the curve `prime256v1`.
    const P256: &[u8] =
        b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";

    /// What a webrtcbin offers that was told to present ours.
    fn offered_fingerprint() -> [u8; 32] {
        gst::init().unwrap();
        let webrtcbin = gst::ElementFactory::make("webrtcbin").build().unwrap();
        present(&webrtcbin);
        let pipeline = gst::Pipeline::new();
        pipeline.add(&webrtcbin).unwrap();
        webrtcbin.set_state(gst::State::Ready).unwrap();
        let channel = webrtcbin.emit_by_name::<Option<gst_webrtc::WebRTCDataChannel>>(
            "create-data-channel",
            &[&"x", &None::<gst::Structure>],
        );
        assert!(channel.is_some());
        pipeline.set_state(gst::State::Playing).unwrap();
        let (sender, offers) = std::sync::mpsc::channel();
        let promise = gst::Promise::with_change_func(move |reply| {
            let reply = reply.unwrap().unwrap();
            let offer = reply
                .get::<gst_webrtc::WebRTCSessionDescription>("offer")
                .unwrap();
            sender.send(offer.sdp().as_text().unwrap()).unwrap();
        });
        webrtcbin.emit_by_name::<()>("create-offer", &[&None::<gst::Structure>, &promise]);
        let sdp = offers.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
        pipeline.set_state(gst::State::Null).unwrap();
        let (_, hash) = sdp.split_once("a=fingerprint:sha-256 ").unwrap();
        let bytes: Vec<u8> = hash
            .split_whitespace()
            .next()
            .unwrap()
            .split(':')
            .map(|byte| u8::from_str_radix(byte, 16).unwrap())
            .collect();
        bytes.try_into().unwrap()
    }

    #[test]
    fn what_is_offered_is_an_ecdsa_certificate_of_this_process() {
        let own = PEM.as_deref().unwrap();
        assert_eq!(offered_fingerprint(), fingerprint(own).unwrap());
    }

    #[test]
    fn it_is_one_over_p256() {
        let own = PEM.as_deref().unwrap();
        let (_, rest) = own.split_once("-----BEGIN CERTIFICATE-----\n").unwrap();
        let (body, key) = rest.split_once("-----END CERTIFICATE-----\n").unwrap();
        let certificate = glib::base64_decode(body);
        assert!(certificate.windows(P256.len()).any(|part| part == P256));
        assert!(key.starts_with("-----BEGIN PRIVATE KEY-----\n"));
        assert!(certificate.len() < 512, "short enough for one datagram");
    }
}
