//! Keys by index, made once for all runs.

use crate::common::key;
use std::collections::BTreeMap;
use std::sync::Mutex;
use streamium_channel::bitcoin::key::{Keypair, Secp256k1};
use streamium_channel::provider::ChannelKey;

static MADE: Mutex<BTreeMap<(u8, u32), Keypair>> = Mutex::new(BTreeMap::new());

fn made(role: u8, index: u32) -> Keypair {
    let mut keys = MADE.lock().unwrap();
    *keys.entry((role, index)).or_insert_with(|| {
        let mut secret = [role; 32];
        secret[..4].copy_from_slice(&(index + 1).to_le_bytes());
        Keypair::from_seckey_slice(&Secp256k1::new(), &secret).unwrap()
    })
}

pub fn provider(index: u32) -> ChannelKey {
    ChannelKey {
        key: made(0x22, index),
        index,
    }
}

pub fn consumer(index: u32) -> Keypair {
    made(0x11, index)
}

pub fn identity() -> Keypair {
    static KEY: std::sync::OnceLock<Keypair> = std::sync::OnceLock::new();
    *KEY.get_or_init(|| key(crate::common::IDENTITY))
}
