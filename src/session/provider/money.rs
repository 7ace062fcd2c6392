//! What of the provider's side is about money: its chain, what is followed on it, and the settlement engine.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::mpsc::Sender;
use std::time::{Duration, SystemTime};

use bitcoin::{Amount, FeeRate, OutPoint};
use streamium_channel::handshake::GenesisHash;
use streamium_channel::link::StreamName;
use streamium_channel::provider::ProviderConfig;
use streamium_channel::settlement::SINGLE_SETTLEMENT_VB;
use streamium_channel::terms::Track;

use super::handing_out::HandingOut;
use super::{Event, PaidOptions, ProviderStartError};
use crate::chain::{Chain, ElectrumChain, OutpointStatus, USUAL_TARGET_BLOCKS, Watched};
use crate::settle::{Engine, Outside, settlement_fee_rate};
use crate::store::Store;
use crate::wallet::Seed;

/// The fee rate at which a channel must still be worth its settlement: twice what is usual now, within bounds.
const STRESS: u64 = 2;
const STRESSED_MIN: FeeRate = FeeRate::from_sat_per_vb_u32(2);
const STRESSED_MAX: FeeRate = FeeRate::from_sat_per_vb_u32(50);

/// The confirmation target of most settlements: see `settle::fees::target_blocks` for channels of two days.
const SETTLING_TARGET_BLOCKS: u16 = 24;

/// The chain, what is followed on it, and what settles.
pub struct Money {
    pub chain: Box<dyn Chain>,
    pub watched: Watched,
    /// Holds the channels that no session uses.
    pub engine: Engine,
    /// The session of each open channel.
    pub sessions: HashMap<OutPoint, String>,
    /// The session that each due channel had; its consumer may still be there to hear of the settlement.
    pub listeners: HashMap<OutPoint, String>,
    /// The commitments that a server has known at some time.
    pub seen: HashSet<OutPoint>,
    /// Those that none has known yet, and since when.
    pub unseen: HashMap<OutPoint, Duration>,
    /// Commitments on their way to the servers.
    pub handing_out: HandingOut,
    /// By how many hidden blocks deadlines were looked at last; `None`: something has changed since.
    pub deadlines_at: Option<u32>,
}

impl Money {
    pub fn start(
        paid: &PaidOptions,
        data_dir: &Path,
        seed: Seed,
        events: Sender<Event>,
    ) -> Result<Self, ProviderStartError> {
        let chain = ElectrumChain::start_in(
            data_dir,
            paid.chain.servers.clone(),
            paid.chain.proxy.clone(),
            paid.chain.network,
            Box::new(move |event| {
                // A driver that has stopped needs no news.
                let _ = events.send(Event::Chain(event));
            }),
        )?;
        Ok(Self {
            chain: Box::new(chain),
            watched: Watched::default(),
            engine: Engine::new(paid.settle, paid.payout.clone(), paid.chain.network, seed),
            sessions: HashMap::new(),
            listeners: HashMap::new(),
            seen: HashSet::new(),
            unseen: HashMap::new(),
            handing_out: HandingOut::new(),
            deadlines_at: None,
        })
    }

    /// What is asked of a consumer that comes now.
    pub fn config(
        &self,
        paid: &PaidOptions,
        chain: GenesisHash,
        stream: StreamName,
        tracks: Vec<Track>,
    ) -> ProviderConfig {
        let suggested = settlement_fee_rate(self.chain.fee_rate(USUAL_TARGET_BLOCKS));
        ProviderConfig {
            stream,
            chain,
            tracks,
            rate: paid.rate,
            opening: self.opening(paid, suggested),
            window: paid.window,
            grace: paid.grace,
            min_capacity: paid.min_capacity,
            max_capacity: paid.max_capacity,
            min_refund_delay: paid.min_refund_delay,
            max_refund_delay: paid.max_refund_delay,
            commitment_fee_rate_sat_per_kvb: commitment_fee_rate_sat_per_kvb(suggested),
            min_confirmations: paid.min_confirmations,
            unconfirmed_limit: paid.unconfirmed_limit,
            settle_delay: paid.settle.settle_delay,
            funding_timeout: paid.funding_timeout,
            payout: self.engine.payout().told(),
        }
    }

    /// Hands out the commitments that may go now.
    pub fn hand_out(&mut self, now: Duration) {
        while let Some(transaction) = self.handing_out.pop(now) {
            self.chain.broadcast(&transaction);
        }
    }

    /// Returns the fee rate of a settlement made now, which decides whether a balance is worth one.
    pub fn settling_fee_rate(&self) -> FeeRate {
        settlement_fee_rate(self.chain.fee_rate(SETTLING_TARGET_BLOCKS))
    }

    /// What is set; else ten seconds, but at least the payout's dust limit and the settlement at the stressed fee rate.
    fn opening(&self, paid: &PaidOptions, suggested: FeeRate) -> Amount {
        if let Some(opening) = paid.opening {
            return opening;
        }
        let stressed = FeeRate::from_sat_per_kwu(suggested.to_sat_per_kwu().saturating_mul(STRESS));
        let stressed = stressed.clamp(STRESSED_MIN, STRESSED_MAX);
        let fee = stressed.fee_vb(SINGLE_SETTLEMENT_VB).unwrap_or(Amount::MAX_MONEY);
        let settling = self
            .engine
            .payout()
            .told()
            .minimal_non_dust()
            .checked_add(fee)
            .unwrap_or(Amount::MAX_MONEY);
        paid.price().least_opening().max(settling)
    }

    /// The engine, with what it works with.
    pub fn engine<'a>(&'a mut self, store: &'a mut Store, now: Duration) -> (&'a mut Engine, Outside<'a>) {
        let out = Outside {
            store,
            chain: &*self.chain,
            now,
            wall: SystemTime::now(),
        };
        (&mut self.engine, out)
    }

    fn tip_height(&self) -> Option<u32> {
        self.chain.tip().map(|tip| tip.height)
    }

    /// What is known of an output; `None` while no server has answered.
    pub fn status(&self, outpoint: OutPoint) -> Option<OutpointStatus> {
        self.watched.status(outpoint, self.tip_height()?)
    }
}

/// Half of what would confirm within an hour: the consumer may know better, and can bump. But never less than what
/// is relayed, or the commitment would not even be seen.
fn commitment_fee_rate_sat_per_kvb(suggested: FeeRate) -> u64 {
    let half = FeeRate::from_sat_per_kwu(suggested.to_sat_per_kwu() / 2);
    let least = settlement_fee_rate(Some(half));
    least.to_sat_per_kwu().saturating_mul(4)
}
