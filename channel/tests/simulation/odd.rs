//! What the two may do that this crate would not, and what may be told to them: other terms for each connection, other
//! delays for each channel, made-up fee rates, commitments that nobody knows, closes at any stage, a thumb on the pause
//! button.

use crate::common::sat;
use crate::events::{Event, Mishap, Side};
use crate::keys;
use crate::world::World;
use std::time::Duration;
use streamium_channel::bitcoin::{Amount, FeeRate};
use streamium_channel::contract::Channel;
use streamium_channel::cooperative::Closing;
use streamium_channel::message::{ClosingOffer, ConsumerMessage, encode};
use streamium_channel::provider::ProviderConfig;

/// 50 messages a second.
const TOGGLE_INTERVAL: Duration = Duration::from_millis(20);

impl World {
    /// What a provider offers over a new connection: fees have changed, or it tries something.
    pub fn terms_of_a_connection(&mut self) -> ProviderConfig {
        let mut config = self.provider_config();
        if self.dice.percent(self.conditions.fickle) {
            let (opening, window) = (self.conditions.opening_sat, self.conditions.window);
            let most = self.conditions.capacity_sat * 3 / 4;
            config.opening = sat(self.dice.pick(&[opening, opening / 2, opening * 2, most]));
            config.window = self.dice.pick(&[window, window / 2, window * 2, window * 10]);
            let per_kvb = [1_000, 1_000, 5_000, 40_000, 100_000];
            config.commitment_fee_rate_sat_per_kvb = self.dice.pick(&per_kvb);
        }
        config
    }

    /// The delay that the consumer asks for over this connection.
    pub fn refund_delay(&mut self) -> u16 {
        match self.conditions.delays {
            true => self.dice.pick(&[144, 170, 288]),
            false => self.conditions.refund_delay,
        }
    }

    /// What confirms soon.
    pub fn fee_rate(&self) -> FeeRate {
        FeeRate::from_sat_per_vb_u32(self.conditions.fee_rate)
    }

    /// What a server says of it.
    pub fn suggested_fee_rate(&mut self) -> FeeRate {
        match self.dice.percent(self.conditions.lies) {
            true => FeeRate::from_sat_per_vb_u32(5_000),
            false => self.fee_rate(),
        }
    }

    /// The viewer presses play or pause.
    pub fn press(&mut self) {
        self.consumer.playing = !self.consumer.playing;
        self.consumer.pressed_at = Some(self.now);
        let playing = self.consumer.playing;
        self.with_consumer(|session, now| session.set_playing(playing, now));
    }

    /// And goes on to, so many times in all; 0: it begins. In the end all is as it was.
    pub fn toggle(&mut self, times: u32) {
        let times = match times {
            0 => self.dice.between(1, 60) as u32 * 2,
            times => times,
        };
        self.totals.toggles += 1;
        self.press();
        if times > 1 {
            let again = self.now + TOGGLE_INTERVAL + self.dice.up_to(Duration::from_micros(900));
            self.queue.push(again, Event::Mishap(Mishap::Toggle(times - 1)));
        }
    }

    /// An offer to close the present channel, signed with its key, whatever its session thinks.
    pub fn odd_close(&mut self) {
        let (Some(outpoint), Some((conn, _))) = (self.consumer.present, &self.consumer.live) else {
            return;
        };
        let (conn, record) = (*conn, &self.consumer.disk[&outpoint]);
        let channel = Channel::new(record.contract.clone(), outpoint).unwrap();
        let (paid, payable) = (record.paid, record.contract.payable());
        let key = keys::consumer(record.key_index);
        let balance = self.dice.pick(&[Amount::ZERO, paid / 2, paid, paid, payable]);
        let fee = sat(self.dice.pick(&[0, 205, 205, 2_050]));
        let closing = Closing {
            channel: &channel,
            balance,
            payout: &crate::common::p2tr(0x77),
            fee,
        };
        let Ok(signature) = closing.offer(&key) else {
            return;
        };
        self.totals.odd_closes += 1;
        let message = ConsumerMessage::Close {
            reason: "odd".into(),
            closing: vec![ClosingOffer {
                outpoint,
                balance,
                fee,
                signature,
            }],
            refused_rate: None,
        };
        self.judge_signed_close(outpoint, balance);
        self.send(Side::Provider, conn, encode(&message).unwrap());
    }
}
