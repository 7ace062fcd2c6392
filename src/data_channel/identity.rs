//! The DTLS certificate that this side presents: ECDSA over P-256, as browsers do and RFC 8827 asks for. GStreamer's own is
//! RSA, with which a peer that speaks the ECDSA suites alone has no suite in common.

use std::sync::LazyLock;

use gst::glib;
use gst::prelude::*;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

use super::CAT;

/// One certificate with its key for the process, as GStreamer has it: PEM, the certificate first.
static PEM: LazyLock<Option<String>> = LazyLock::new(|| generate().ok());

/// The element that holds the certificate of a transport.
const HOLDER: &str = "dtlssrtpdec";

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// `id-ecPublicKey` with the curve `prime256v1`.
const P256: &[u8] = b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
/// `ecdsa-with-SHA256`.
const ECDSA_SHA256: &[u8] = b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02";
const COMMON_NAME: &[u8] = b"\x06\x03\x55\x04\x03\x0c\x06WebRTC";
/// Its hash is all that counts, so it is valid at any time.
const VALIDITY: &[u8] = b"\x30\x20\x17\x0d700101000000Z\x18\x0f99991231235959Z";

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

fn generate() -> Result<String, ring::error::Unspecified> {
    let random = SystemRandom::new();
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random)?;
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key.as_ref(), &random)
        .map_err(|_| ring::error::Unspecified)?;
    let serial: [u8; 8] = ring::rand::generate(&random)?.expose();
    let name = der(SEQUENCE, &[&der(SET, &[&der(SEQUENCE, &[COMMON_NAME])])]);
    let public = der(0x03, &[b"\0", pair.public_key().as_ref()]);
    let body = der(
        SEQUENCE,
        &[
            // Version 3.
            b"\xa0\x03\x02\x01\x02",
            // Positive, and of its shortest form.
            &der(0x02, &[b"\x01", &serial]),
            ECDSA_SHA256,
            &name,
            VALIDITY,
            &name,
            &der(SEQUENCE, &[P256, &public]),
        ],
    );
    let signature = pair.sign(&random, &body)?;
    let certificate = der(
        SEQUENCE,
        &[&body, ECDSA_SHA256, &der(0x03, &[b"\0", signature.as_ref()])],
    );
    Ok(pem("CERTIFICATE", &certificate) + &pem("PRIVATE KEY", key.as_ref()))
}

/// One value: tag, length, and its parts one after the other.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let length = body.len().to_be_bytes();
    let length = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    let mut value = vec![tag];
    match length {
        [] => value.push(0),
        [short] if *short < 0x80 => value.push(*short),
        // No value here has more than 127 bytes of length.
        long => {
            value.push(0x80 | u8::try_from(long.len()).unwrap_or(0x7f));
            value.extend(long);
        }
    }
    value.extend(body);
    value
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = glib::base64_encode(der);
    let lines: Vec<&str> = (0..text.len())
        .step_by(64)
        .filter_map(|at| text.get(at..text.len().min(at + 64)))
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::super::certificates::fingerprint;
    use super::*;

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
