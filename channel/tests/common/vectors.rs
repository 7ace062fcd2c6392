//! What the tests of the vectors share: the files, and the session that they are of.

use serde_json::Value;
use std::path::Path;
use streamium_channel::bitcoin::hex::DisplayHex;

/// Holds a vector against its file; writes the file where that is asked for.
pub fn same(name: &str, computed: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name);
    let text = serde_json::to_string_pretty(computed).unwrap() + "\n";
    if std::env::var_os("STREAMIUM_WRITE_VECTORS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        stored,
        text,
        "{} differs from what the code computes",
        path.display()
    );
}

pub fn secret(byte: u8) -> String {
    [byte; 32].to_lower_hex_string()
}
