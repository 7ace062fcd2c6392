//! The origin of a peer, by which peers share fairly: an address, or the id that a signalling server has given it.
//!
//! Ids are free, so whoever's address is known counts by that. Of IPv6 the first 64 bits count: one customer has all the
//! rest.

use std::net::{IpAddr, Ipv6Addr};

/// An origin. All peers of one share what one may have.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    Address(IpAddr),
    /// An id at a signalling server of somebody else, which knows the address and does not tell.
    Peer(String),
}

impl Origin {
    pub fn of(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = u128::from(address) >> 64 << 64;
                IpAddr::V6(Ipv6Addr::from(network))
            }
            v4 => v4,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_customer_is_one_origin() {
        let of = |text: &str| Origin::of(text.parse().unwrap());
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}
