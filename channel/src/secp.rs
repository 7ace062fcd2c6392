//! The one secp256k1 context of the crate. Making one costs milliseconds; using one needs no lock.

use bitcoin::secp256k1::{All, Secp256k1};
use std::sync::LazyLock;

static SECP: LazyLock<Secp256k1<All>> = LazyLock::new(Secp256k1::new);

pub(crate) fn secp() -> &'static Secp256k1<All> {
    &SECP
}
