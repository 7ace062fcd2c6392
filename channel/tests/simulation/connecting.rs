//! A new connection, with new sessions on both sides.

use crate::common::{self, p2tr, sat};
use crate::events::Conn;
use crate::keys;
use crate::link::Link;
use crate::provider::Live;
use crate::world::World;
use std::time::Duration;
use streamium_channel::bitcoin::FeeRate;
use streamium_channel::blocks::RefundDelay;
use streamium_channel::consumer::{Arrivals, ConsumerIdentity, ConsumerPolicy, ConsumerSession};
use streamium_channel::handshake::{Bytes32, Certificates};
use streamium_channel::message::GateState;
use streamium_channel::money::Rate;
use streamium_channel::provider::{ProviderConfig, ProviderIdentity, ProviderSession};

/// The consumer's bound.
pub const MAX_RATE: Rate = Rate::new(1_000_000);

impl World {
    /// A new connection, if both are there.
    pub fn connect(&mut self) {
        if !self.provider.up || !self.consumer.up || self.consumer.live.is_some() || self.consumer.stopped {
            return;
        }
        self.conn += 1;
        self.totals.sessions += 1;
        let conn = self.conn;
        self.links.insert(conn, Link::new());
        (self.audio_last, self.video_last) = (None, None);
        self.consumer.arrivals = Arrivals::default();
        self.connect_provider(conn);
        self.connect_consumer(conn);
    }

    fn connect_provider(&mut self, conn: Conn) {
        let keys = ProviderIdentity {
            identity: keys::identity(),
            channel_key: self.provider.fresh_key(),
            nonce: nonce(conn, 1),
            certificates: Certificates {
                own: Bytes32::new([0xaa; 32]),
                peer: Bytes32::new([0xbb; 32]),
            },
        };
        let config = self.terms_of_a_connection();
        let mut session = ProviderSession::new(config, keys, self.provider_now());
        session.tip(self.chain.height);
        session.suggest_fee_rate(self.fee_rate());
        let effects = session.start();
        self.provider.sessions.insert(
            conn,
            Live {
                session,
                gate: GateState::Unpaid,
            },
        );
        self.provider_effects(conn, effects);
    }

    fn connect_consumer(&mut self, conn: Conn) {
        let keys = ConsumerIdentity {
            link: common::pair::link(),
            chain: self.provider_config().chain,
            nonce: nonce(conn, 2),
            certificates: Certificates {
                own: Bytes32::new([0xbb; 32]),
                peer: Bytes32::new([0xaa; 32]),
            },
        };
        let (past, now) = (self.past(), self.consumer_now());
        let (policy, suggested) = (self.policy(), self.suggested_fee_rate());
        let mut session = ConsumerSession::new(policy, keys, past, Some(suggested), now);
        session.set_playing(self.consumer.playing, now);
        let effects = session.start();
        self.consumer.live = Some((conn, session));
        self.consumer.last_tick = self.now;
        self.consumer_effects(conn, effects);
    }

    pub fn provider_config(&self) -> ProviderConfig {
        let conditions = &self.conditions;
        ProviderConfig {
            rate: self.provider.rate,
            opening: sat(conditions.opening_sat),
            window: conditions.window,
            grace: conditions.grace,
            min_capacity: sat(1_000),
            max_capacity: sat(1_000_000_000),
            min_confirmations: conditions.min_confirmations,
            unconfirmed_limit: sat(conditions.unconfirmed_limit_sat),
            settle_delay: conditions.settle_delay,
            funding_timeout: Duration::from_secs(60),
            payout: p2tr(0x77),
            ..common::config()
        }
    }

    fn policy(&mut self) -> ConsumerPolicy {
        let refund_delay = self.refund_delay();
        ConsumerPolicy {
            max_rate: MAX_RATE,
            max_opening: sat(self.conditions.max_opening_sat()),
            max_window: self.conditions.max_window(),
            max_fee_rate: FeeRate::from_sat_per_vb_u32(50),
            capacity: sat(self.conditions.capacity_sat),
            budget: self.consumer.budget,
            refund_delay: RefundDelay::new(refund_delay).unwrap(),
            payment_interval: Duration::from_secs(1),
        }
    }
}

fn nonce(conn: Conn, side: u8) -> Bytes32 {
    let mut bytes = [side; 32];
    bytes[..8].copy_from_slice(&conn.to_le_bytes());
    Bytes32::new(bytes)
}
