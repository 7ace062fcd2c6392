//! What of the consumer's side is about money: its wallet, chain and store, and the channels that hold some.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;

use bitcoin::key::Keypair;
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{Amount, FeeRate, Network, OutPoint, ScriptBuf};
use streamium_channel::consumer::ChannelKeys;
use streamium_channel::money::Msat;
use streamium_channel::script::ChangeScript;

use super::{ConsumerStartError, Event};
use crate::chain::{Chain, ChainConfig, ElectrumChain, OutpointStatus, USUAL_TARGET_BLOCKS};
use crate::keys;
use crate::refund::{Engine, Means};
use crate::session::nonce;
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
        })
    }

    /// The key, its index and the change script of the next channel, all reserved for ever.
    pub fn channel_keys(&mut self, network: Network) -> Result<ChannelKeys, String> {
        let index = self
            .store
            .next_key_index(Role::Consumer)
            .map_err(|error| error.to_string())?;
        let key = keys::channel(self.wallet.seed(), network, Role::Consumer, index);
        let change = self
            .wallet
            .fresh_change_script()
            .map_err(|error| error.to_string())?;
        Ok(ChannelKeys {
            key: key.map_err(|error| error.to_string())?,
            index,
            change: ChangeScript::new(change).map_err(|error| error.to_string())?,
        })
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

/// For a session that can't pay: the key is drawn at random and forgotten, and no money ever goes to the script.
pub fn throw_away_keys() -> Result<ChannelKeys, String> {
    let key = Keypair::from_seckey_slice(&Secp256k1::new(), nonce()?.as_bytes());
    let key = key.map_err(|error| error.to_string())?;
    let script = ScriptBuf::new_p2tr(&Secp256k1::new(), key.x_only_public_key().0, None);
    let change = ChangeScript::new(script).map_err(|error| error.to_string())?;
    Ok(ChannelKeys {
        key,
        index: 0,
        change,
    })
}
