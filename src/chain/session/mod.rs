//! One connection to one server: subscriptions, what changes, what is asked.
//!
//! electrum-client reads notifications only while a call is made, so an idle connection is pinged a few
//! times a second. That also finds a half-open connection within the request time-out.
//!
//! A script is never unsubscribed at the server: electrum-client holds the lock that a notification needs
//! while it waits for the answer, and waits for itself. The next connection just leaves it out.
//!
//! Questions that can be asked at once are: a server may keep each small answer for a second (ElectrumX does, so
//! that an onlooker can't tell them apart).

mod end;
mod fees;
mod headers;
mod known;
mod proofs;
mod scripts;
mod verified;
mod wallet;

use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use bitcoin::{ScriptBuf, Transaction};
use electrum_client::raw_client::RawClient;
use electrum_client::{ElectrumApi, Error};

use super::broadcast::{classify, words_of};
use super::server::{Asking, Worker};
use super::state::{Claim, Command};
pub(super) use end::{End, end_by};
use headers::Following;
pub(super) use known::Known;
use proofs::Attempt;

struct Session<'a, S: Read + Write> {
    worker: &'a mut Worker,
    client: RawClient<S>,
    following: Following,
    subscribed: HashSet<ScriptBuf>,
    /// Scripts whose transactions could not all be fetched; asked again after a while.
    incomplete: HashSet<ScriptBuf>,
    /// What came of asking for the proof of a claim.
    attempts: HashMap<Claim, Attempt>,
    refreshed: Instant,
}

/// Serves a fresh connection until it ends.
pub(super) fn serve<S: Read + Write>(worker: &mut Worker, client: RawClient<S>) -> End {
    let mut session = Session {
        worker,
        client,
        following: Following::default(),
        subscribed: HashSet::new(),
        incomplete: HashSet::new(),
        attempts: HashMap::new(),
        refreshed: Instant::now(),
    };
    match session.run() {
        Err(end) => end,
        Ok(never) => match never {},
    }
}

impl<S: Read + Write> Session<'_, S> {
    fn run(&mut self) -> Result<std::convert::Infallible, End> {
        self.greet()?;
        if let Some(Asking::Broadcast(tx)) = self.worker.asking.take() {
            self.broadcast(tx)?;
        }
        let watched = self.worker.shared.lock().watched();
        self.subscribe(watched)?;
        self.refresh_fee_rates()?;
        loop {
            self.wait_for_commands()?;
            match self.following.is_behind() {
                true => self.follow()?,
                false => self.client.ping().map_err(end_by)?,
            }
            self.take_notifications()?;
            self.prove()?;
            let patience = self.worker.timing.disagreement;
            self.worker.shared.lock().judge(self.worker.index, patience);
            if self.refreshed.elapsed() >= self.worker.timing.refresh {
                self.refreshed = Instant::now();
                self.refresh_fee_rates()?;
                let incomplete: Vec<ScriptBuf> = std::mem::take(&mut self.incomplete).into_iter().collect();
                self.fetch_histories(&incomplete)?;
            }
        }
    }

    /// Executes what is asked, until nothing was for one pump interval.
    fn wait_for_commands(&mut self) -> Result<(), End> {
        // While headers are missing, the next question is already known.
        let mut timeout = match self.following.is_behind() {
            true => Duration::ZERO,
            false => self.worker.timing.pump,
        };
        let mut scripts = Vec::new();
        loop {
            if self.worker.shared.is_stopping() {
                return Err(End::Stopped);
            }
            match self.worker.commands.recv_timeout(timeout) {
                Ok(Command::Watch(script)) => scripts.push(script),
                Ok(Command::Broadcast(tx)) => self.broadcast(tx)?,
                Ok(Command::Sync(request)) => self.sync(request)?,
                Ok(Command::Wake) => {}
                Err(RecvTimeoutError::Timeout) => return self.subscribe(scripts),
                Err(RecvTimeoutError::Disconnected) => return Err(End::Stopped),
            }
            // Take what else is queued, then pump: a stream of commands must not hold up notifications.
            timeout = Duration::ZERO;
        }
    }

    fn take_notifications(&mut self) -> Result<(), End> {
        let mut newest = None;
        while let Some(header) = self.client.block_headers_pop().map_err(end_by)? {
            newest = Some(header);
        }
        if let Some(header) = newest {
            self.following.announced(header)?;
            self.follow()?;
        }
        let mut changed = Vec::new();
        for script in &self.subscribed {
            let mut notified = false;
            while self.client.script_pop(script).map_err(end_by)?.is_some() {
                notified = true;
            }
            if notified {
                changed.push(script.clone());
            }
        }
        self.fetch_histories(&changed)
    }

    fn broadcast(&mut self, tx: Arc<Transaction>) -> Result<(), End> {
        let txid = tx.compute_txid();
        self.worker.asking = Some(Asking::Broadcast(Arc::clone(&tx)));
        let answer = match self.client.transaction_broadcast(&tx) {
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
}
