//! What of the consumer's side is about money: its wallet, chain and store, and the channels that hold some.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;

use bitcoin::{Amount, FeeRate, Network, OutPoint, ScriptBuf};
use streamium_channel::consumer::ChannelKeys;
use streamium_channel::money::Msat;
use streamium_channel::script::ChangeScript;

use super::{ConsumerStartError, Event};
use crate::chain::{Chain, ChainConfig, ElectrumChain, OutpointStatus, USUAL_TARGET_BLOCKS};
use crate::keys;
use crate::refund::{Engine, Means};
use crate::store::{Role, Store};
use crate::wallet::{Syncs, Wallet};

/// The wallet, the chain, the store, and the engine that brings money back.
pub struct Money {
    pub chain: Box<dyn Chain>,
    pub wallet: Wallet,
    pub store: Store,
    /// The channels that may still hold our money.
    refunds: Engine,
    dir: PathBuf,
    /// What each account that this run has used has paid in all, by its present channel.
    pub accounts: HashMap<OutPoint, Amount>,
    /// What this run has paid through channels that no account goes on with.
    pub left_behind: Amount,
    /// The channels that the provider does not go on with: not asked for again in this run.
    pub refused: HashSet<OutPoint>,
    /// What was believed of the provider's count beyond our own.
    pub tolerated: Msat,
    funding_script: Option<ScriptBuf>,
    pub syncs: Syncs,
    pub synced_once: bool,
    pub awaiting: Option<Awaiting>,
    /// Keys that no proposal has named yet.
    reserved: Option<ChannelKeys>,
}

/// Funds that the session waits for.
pub struct Awaiting {
    pub capacity: Amount,
    pub fee_rate: FeeRate,
    /// The amount last asked for.
    pub asked: Option<Amount>,
}

impl Money {
    pub fn start(
        config: &ChainConfig,
        (dir, max_fee_rate): (&Path, FeeRate),
        wallet: Wallet,
        store: Store,
        events: Sender<Event>,
    ) -> Result<Self, ConsumerStartError> {
        let chain = ElectrumChain::start_in(
            dir,
            config.servers.clone(),
            config.proxy.clone(),
            config.network,
            Box::new(move |event| {
                // A driver that has stopped needs no news.
                let _ = events.send(Event::Chain(event));
            }),
        )?;
        Ok(Self {
            chain: Box::new(chain),
            wallet,
            store,
            refunds: Engine::new(config.network, max_fee_rate),
            dir: dir.to_owned(),
            accounts: HashMap::new(),
            left_behind: Amount::ZERO,
            refused: HashSet::new(),
            tolerated: Msat::ZERO,
            funding_script: None,
            syncs: Syncs::default(),
            synced_once: false,
            awaiting: None,
            reserved: None,
        })
    }

    /// The key, its index and the change script of the next channel, all reserved for ever. They are the same until
    /// [`Money::proposed`]: what no proposal has named is given out again, so that nobody who keeps us from opening a channel
    /// uses any up.
    pub fn channel_keys(&mut self, network: Network) -> Result<ChannelKeys, String> {
        if let Some(keys) = &self.reserved {
            return Ok(keys.clone());
        }
        // Whoever used this seed before reserved a change script with each key, so no key of an index beyond was used.
        let used = self.wallet.scripts_of_the_past();
        self.store
            .pass_key_indices(Role::Consumer, used)
            .map_err(|error| error.to_string())?;
        let index = self
            .store
            .next_key_index(Role::Consumer)
            .map_err(|error| error.to_string())?;
        let key = keys::channel(self.wallet.seed(), network, Role::Consumer, index);
        let change = self
            .wallet
            .fresh_change_script()
            .map_err(|error| error.to_string())?;
        let keys = ChannelKeys {
            key: key.map_err(|error| error.to_string())?,
            index,
            change: ChangeScript::new(change).map_err(|error| error.to_string())?,
        };
        self.reserved = Some(keys.clone());
        Ok(keys)
    }

    /// A channel is about to be proposed with the reserved keys: they are used up.
    pub fn proposed(&mut self) {
        self.reserved = None;
    }

    /// Lets the refund engine do something.
    pub fn refunds<T>(&mut self, act: impl FnOnce(&mut Engine, &mut Means<'_>, &Path) -> T) -> T {
        let mut means = Means {
            store: &mut self.store,
            wallet: &mut self.wallet,
            chain: &*self.chain,
        };
        act(&mut self.refunds, &mut means, &self.dir)
    }

    /// What the chain says of a channel; `None` while no server has answered.
    pub fn status(&self, outpoint: OutPoint) -> Option<OutpointStatus> {
        self.refunds.status(&*self.chain, outpoint)
    }

    /// Follows this funding script; true if it is another than before.
    pub fn follow_funding(&mut self, script: ScriptBuf) -> bool {
        let is_new = self.funding_script.as_ref() != Some(&script);
        if is_new {
            self.chain.watch(&script);
            self.funding_script = Some(script);
        }
        is_new
    }

    /// Asks for the wallet's news.
    pub fn sync(&mut self) {
        self.syncs.ask(&self.wallet, &*self.chain);
    }

    /// An answer has come.
    pub fn sync_done(&mut self) {
        self.syncs.done(&self.wallet, &*self.chain);
    }

    /// The session is over.
    pub fn release_session(&mut self) {
        self.awaiting = None;
    }

    /// What the chain suggests for the commitment.
    pub fn fee_rate(&self) -> Option<FeeRate> {
        self.chain.fee_rate(USUAL_TARGET_BLOCKS)
    }

    /// No more news from the chain.
    pub fn stop(&self) {
        self.chain.stop();
    }
}
