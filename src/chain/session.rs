//! One connection to one server: subscriptions, what changes, what is asked.
//!
//! electrum-client reads notifications only while a call is made, so an idle connection is pinged a few
//! times a second. That also finds a half-open connection within the request time-out.
//!
//! A script is never unsubscribed at the server: electrum-client holds the lock that a notification needs
//! while it waits for the answer, and waits for itself. The next connection just leaves it out.

use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant, SystemTime};

use bdk_electrum::BdkElectrumClient;
use bitcoin::absolute::Height;
use bitcoin::constants::genesis_block;
use bitcoin::{Script, ScriptBuf, Transaction, Txid};
use electrum_client::raw_client::RawClient;
use electrum_client::{ElectrumApi, Error, HeaderNotification};

use super::broadcast::{classify, words_of};
use super::involvement::involves;
use super::server::{Asking, Worker};
use super::state::{Command, View};
use super::{Tip, UnreachableReason, WalletRequest, fee};

/// The confirmation target of the fee estimate.
const FEE_TARGET_BLOCKS: usize = 6;
/// How many unused scripts in a row end a full scan (BIP44's gap limit).
const STOP_GAP: usize = 20;
/// How many histories a wallet sync asks for at once.
const SYNC_BATCH: usize = 20;

/// How a connection ended.
pub(super) enum End {
    Stopped,
    Failed(UnreachableReason),
    /// The library could not read what came. With `blockchain.scripthash.subscribe` that happens with an
    /// honest server: a script whose last transaction vanished has the status null.
    Unreadable {
        words: String,
    },
}

pub(super) fn end_by(error: Error) -> End {
    End::Failed(match error {
        Error::JSON(error) => {
            return End::Unreadable {
                words: error.to_string(),
            };
        }
        Error::NotSubscribed(_) => {
            return End::Unreadable {
                words: error.to_string(),
            };
        }
        Error::IOError(ref io) if is_timeout(io) => UnreachableReason::TimedOut,
        Error::SharedIOError(ref io) if is_timeout(io) => UnreachableReason::TimedOut,
        Error::Protocol(words) => UnreachableReason::WrongAnswer {
            words: words_of(&words),
        },
        Error::AllAttemptsErrored(errors) => match errors.into_iter().next_back() {
            Some(last) => return end_by(last),
            None => UnreachableReason::Connection {
                words: "the name has no address".to_owned(),
            },
        },
        Error::Hex(_) | Error::Bitcoin(_) | Error::InvalidResponse(_) | Error::Message(_) => {
            UnreachableReason::WrongAnswer {
                words: error.to_string(),
            }
        }
        other => UnreachableReason::Connection {
            words: other.to_string(),
        },
    })
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn wrong(words: impl Into<String>) -> End {
    End::Failed(UnreachableReason::WrongAnswer { words: words.into() })
}

struct Session<'a, S: Read + Write> {
    worker: &'a mut Worker,
    client: BdkElectrumClient<RawClient<S>>,
    subscribed: HashSet<ScriptBuf>,
    /// Scripts whose transactions could not all be fetched; asked again after a while.
    incomplete: HashSet<ScriptBuf>,
    refreshed: Instant,
}

/// Serves a fresh connection until it ends.
pub(super) fn serve<S: Read + Write>(worker: &mut Worker, client: RawClient<S>) -> End {
    let mut session = Session {
        worker,
        client: BdkElectrumClient::new(client),
        subscribed: HashSet::new(),
        incomplete: HashSet::new(),
        refreshed: Instant::now(),
    };
    match session.run() {
        Err(end) => end,
        Ok(never) => match never {},
    }
}

impl<S: Read + Write> Session<'_, S> {
    fn run(&mut self) -> Result<std::convert::Infallible, End> {
        self.check_network()?;
        let tip = to_tip(self.client.inner.block_headers_subscribe().map_err(end_by)?)?;
        self.worker.shared.lock().reachable(self.worker.index, tip);
        if let Some(Asking::Broadcast(tx)) = self.worker.asking.take() {
            self.broadcast(tx)?;
        }
        let watched = self.worker.shared.lock().watched();
        for script in watched {
            self.subscribe(script)?;
        }
        self.refresh_fee_rate()?;
        loop {
            self.wait_for_commands()?;
            self.client.inner.ping().map_err(end_by)?;
            self.take_notifications()?;
            if self.refreshed.elapsed() >= self.worker.timing.refresh {
                self.refreshed = Instant::now();
                self.refresh_fee_rate()?;
                for script in std::mem::take(&mut self.incomplete) {
                    self.fetch_history(&script)?;
                }
            }
        }
    }

    fn check_network(&self) -> Result<(), End> {
        let expected = genesis_block(self.worker.shared.network).block_hash();
        let found = self.client.inner.block_header(0).map_err(end_by)?.block_hash();
        if found == expected {
            Ok(())
        } else {
            Err(End::Failed(UnreachableReason::WrongNetwork { expected, found }))
        }
    }

    /// Executes what is asked, until nothing was for one pump interval.
    fn wait_for_commands(&mut self) -> Result<(), End> {
        let mut timeout = self.worker.timing.pump;
        loop {
            if self.worker.shared.is_stopping() {
                return Err(End::Stopped);
            }
            match self.worker.commands.recv_timeout(timeout) {
                Ok(command) => self.execute(command)?,
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => return Err(End::Stopped),
            }
            // Take what else is queued, then pump: a stream of commands must not hold up notifications.
            timeout = Duration::ZERO;
        }
    }

    fn execute(&mut self, command: Command) -> Result<(), End> {
        match command {
            Command::Watch(script) => self.subscribe(script),
            Command::Broadcast(tx) => self.broadcast(tx),
            Command::Sync(request) => self.sync(request),
            Command::Wake => Ok(()),
        }
    }

    fn subscribe(&mut self, script: ScriptBuf) -> Result<(), End> {
        if !self.worker.shared.lock().is_watched(&script) {
            return Ok(());
        }
        if self.subscribed.insert(script.clone()) {
            let status = self.client.inner.script_subscribe(&script).map_err(end_by)?;
            if status.is_none() {
                self.worker
                    .shared
                    .lock()
                    .set_view(self.worker.index, script, View::new());
                return Ok(());
            }
        }
        self.fetch_history(&script)
    }

    fn take_notifications(&mut self) -> Result<(), End> {
        let mut newest = None;
        while let Some(header) = self.client.inner.block_headers_pop().map_err(end_by)? {
            newest = Some(header);
        }
        if let Some(header) = newest {
            self.worker
                .shared
                .lock()
                .set_tip(self.worker.index, to_tip(header)?);
        }
        let mut changed = Vec::new();
        for script in &self.subscribed {
            let mut notified = false;
            while self.client.inner.script_pop(script).map_err(end_by)?.is_some() {
                notified = true;
            }
            if notified {
                changed.push(script.clone());
            }
        }
        changed.iter().try_for_each(|script| self.fetch_history(script))
    }

    fn fetch_history(&mut self, script: &Script) -> Result<(), End> {
        if !self.worker.shared.lock().is_watched(script) {
            return Ok(());
        }
        let history = match self.client.inner.script_get_history(script) {
            Ok(history) => history,
            // Too long for this server, for one.
            Err(Error::Protocol(_)) => {
                self.incomplete.insert(script.to_owned());
                return Ok(());
            }
            Err(error) => return Err(end_by(error)),
        };
        // Held here until they are in a view: whatever is in none is dropped from the common store.
        let mut found = Vec::new();
        let mut view = View::new();
        for entry in history {
            let Some(tx) = self.fetch_transaction(entry.tx_hash)? else {
                self.incomplete.insert(script.to_owned());
                continue;
            };
            found.push((entry.tx_hash, tx));
            // 0 and −1 mean unconfirmed.
            view.push((
                entry.tx_hash,
                u32::try_from(entry.height).ok().filter(|&height| height > 0),
            ));
        }
        let mut state = self.worker.shared.lock();
        for (txid, tx) in &found {
            state.add_transaction(*txid, Arc::clone(tx));
        }
        if let Some((txid, _)) = found
            .iter()
            .find(|(_, tx)| !involves(tx, script, state.transactions()))
        {
            return Err(wrong(format!(
                "{txid} has nothing to do with the script it is listed for"
            )));
        }
        state.set_view(self.worker.index, script.to_owned(), view);
        Ok(())
    }

    /// The transaction with that txid; `None` if the server does not give it (any more).
    fn fetch_transaction(&self, txid: Txid) -> Result<Option<Arc<Transaction>>, End> {
        if let Some(tx) = self.worker.shared.lock().transaction(&txid) {
            return Ok(Some(tx));
        }
        let tx = match self.client.inner.transaction_get(&txid) {
            Ok(tx) => tx,
            // Replaced or evicted since it was listed; a notification follows.
            Err(Error::Protocol(_)) => return Ok(None),
            Err(error) => return Err(end_by(error)),
        };
        let sent = tx.compute_txid();
        if sent != txid {
            return Err(wrong(format!("asked for {txid}, it sent {sent}")));
        }
        Ok(Some(Arc::new(tx)))
    }

    fn broadcast(&mut self, tx: Arc<Transaction>) -> Result<(), End> {
        let txid = tx.compute_txid();
        self.worker.asking = Some(Asking::Broadcast(Arc::clone(&tx)));
        let answer = match self.client.inner.transaction_broadcast(&tx) {
            Ok(_) => Ok(()),
            Err(Error::Protocol(error)) => classify(&words_of(&error)),
            Err(error) => return Err(end_by(error)),
        };
        self.worker.asking = None;
        self.worker
            .shared
            .lock()
            .broadcast_answer(self.worker.index, txid, answer);
        Ok(())
    }

    fn sync(&mut self, request: WalletRequest) -> Result<(), End> {
        self.worker.asking = Some(Asking::Sync);
        let answer = match request {
            WalletRequest::Sync(request) => self
                .client
                .sync(request, SYNC_BATCH, false)
                .map(bdk_wallet::Update::from),
            WalletRequest::FullScan(request) => self
                .client
                .full_scan(request, STOP_GAP, SYNC_BATCH, false)
                .map(bdk_wallet::Update::from),
        };
        match answer {
            Ok(update) => {
                self.worker.shared.lock().sync_answer(Ok(Box::new(update)));
                Ok(())
            }
            Err(error) => {
                self.worker.sync_failed(error.to_string());
                // After a refusal or a disagreement the connection is as good as before.
                match error {
                    Error::Protocol(_) | Error::Message(_) => Ok(()),
                    error => Err(end_by(error)),
                }
            }
        }
    }

    fn refresh_fee_rate(&self) -> Result<(), End> {
        let estimate = self.ask_rate(|client| client.estimate_fee(FEE_TARGET_BLOCKS, None))?;
        let floor = match self.ask_rate(|client| client.mempool_get_info().map(|info| info.mempoolminfee))? {
            Some(floor) => Some(floor),
            // Before protocol 1.6; from there on it is gone.
            None => self.ask_rate(|client| client.relay_fee())?,
        };
        let rate = estimate.max(floor);
        self.worker.shared.lock().set_fee_rate(self.worker.index, rate);
        Ok(())
    }

    /// A rate, in BTC per 1,000 vB; `None` where the server has none or does not know the question.
    fn ask_rate(
        &self,
        ask: impl FnOnce(&RawClient<S>) -> Result<f64, Error>,
    ) -> Result<Option<bitcoin::FeeRate>, End> {
        match ask(&self.client.inner) {
            Ok(rate) => Ok(fee::from_btc_per_kvb(rate)),
            Err(Error::Protocol(_) | Error::InvalidResponse(_)) => Ok(None),
            Err(error) => Err(end_by(error)),
        }
    }
}

fn to_tip(notification: HeaderNotification) -> Result<Tip, End> {
    let height = u32::try_from(notification.height)
        .ok()
        .filter(|height| Height::from_consensus(*height).is_ok());
    Ok(Tip {
        height: height.ok_or_else(|| wrong("a height no block can have"))?,
        hash: notification.header.block_hash(),
        header_time: SystemTime::UNIX_EPOCH + Duration::from_secs(notification.header.time.into()),
        learnt: SystemTime::now(),
    })
}
