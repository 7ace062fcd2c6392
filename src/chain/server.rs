//! One server's thread: connect, serve, and when that ends, wait and connect again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use bitcoin::Transaction;
use electrum_client::Socks5Config;
use electrum_client::raw_client::RawClient;

use super::electrum::{Shared, Timing};
use super::session::{self, End, Known};
use super::state::{Command, ServerIndex};
use super::{BroadcastError, ElectrumUrl, Socks5Proxy, SyncError, Transport, UnreachableReason};

/// Everything a server's thread works with.
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) index: ServerIndex,
    pub(super) url: ElectrumUrl,
    pub(super) proxy: Option<Socks5Proxy>,
    pub(super) timing: Timing,
    pub(super) commands: Receiver<Command>,
    /// What is being asked. A connection that breaks meanwhile leaves it here.
    pub(super) asking: Option<Asking>,
    pub(super) known: Known,
}

/// A question that must be answered, whatever happens.
pub(super) enum Asking {
    /// Can be asked again: nothing happens if the server has it already.
    Broadcast(Arc<Transaction>),
    /// Can't: the request is used up.
    Sync,
}

impl Worker {
    /// Runs until the chain is stopped, or the server turns out to follow another network.
    pub(super) fn run(mut self) {
        self.shared.load_headers();
        let mut back_off = self.timing.first_retry;
        let mut excused = false;
        while !self.shared.is_stopping() {
            let started = Instant::now();
            let end = self.attempt();
            let lived = started.elapsed() >= self.timing.settled;
            if let Some(Asking::Sync) = self.asking {
                self.asking = None;
                self.sync_failed("the connection broke".to_owned());
            }
            let why = match end {
                End::Stopped => return,
                // A notification electrum-client can't read broke the connection, not the server: once
                // more at once, without a word to anyone. Not again and again, though.
                End::Unreadable { .. } if lived || !excused => {
                    excused = true;
                    self.shared.lock().forget(self.index);
                    continue;
                }
                End::Unreadable { words } => UnreachableReason::WrongAnswer { words },
                End::Failed(why) => why,
            };
            let for_good = matches!(why, UnreachableReason::WrongNetwork { .. });
            self.give_up(why);
            if for_good {
                return self.refuse_until_stopped();
            }
            if lived {
                back_off = self.timing.first_retry;
                excused = false;
            }
            self.wait(back_off);
            back_off = (back_off * 2).min(self.timing.last_retry);
        }
    }

    /// One connection, from its beginning to its end.
    fn attempt(&mut self) -> End {
        // electrum-client and bdk_electrum index and unwrap in places where a server decides what is there.
        // Such a panic is that server's fault and ends that connection, not the plugin.
        catch_unwind(AssertUnwindSafe(|| self.connect_and_serve())).unwrap_or_else(|_| {
            let words = "an answer the Electrum library could not take".to_owned();
            End::Failed(UnreachableReason::WrongAnswer { words })
        })
    }

    fn connect_and_serve(&mut self) -> End {
        let ElectrumUrl {
            transport,
            host,
            port,
        } = self.url.clone();
        let (target, timeout) = ((host.as_str(), port), Some(self.timing.request_timeout));
        match (transport, self.proxy.clone()) {
            (Transport::Tcp, None) => self.serve(RawClient::new(target, timeout, None)),
            (Transport::Ssl, None) => self.serve(RawClient::new_ssl(target, true, timeout, None)),
            (Transport::Tcp, Some(proxy)) => {
                let proxy = Socks5Config::new(proxy.address());
                self.serve(RawClient::new_proxy(target, &proxy, timeout, None))
            }
            (Transport::Ssl, Some(proxy)) => {
                let proxy = Socks5Config::new(proxy.address());
                self.serve(RawClient::new_proxy_ssl(target, true, &proxy, timeout, None))
            }
        }
    }

    fn serve<S: std::io::Read + std::io::Write>(
        &mut self,
        connected: Result<RawClient<S>, electrum_client::Error>,
    ) -> End {
        match connected {
            Ok(client) => session::serve(self, client),
            Err(error) => session::end_by(error),
        }
    }

    /// Says that the server is out of reach, then answers what was asked of it: in this order, so that
    /// nothing asked in between waits in the queue.
    fn give_up(&mut self, why: UnreachableReason) {
        self.shared.lock().unreachable(self.index, why);
        if let Some(Asking::Broadcast(tx)) = self.asking.take() {
            self.refuse(Command::Broadcast(tx));
        }
        let queued: Vec<Command> = self.commands.try_iter().collect();
        queued.into_iter().for_each(|command| self.refuse(command));
    }

    fn refuse(&self, command: Command) {
        match command {
            Command::Broadcast(tx) => {
                let unreachable = Err(BroadcastError::Unreachable);
                self.shared
                    .lock()
                    .broadcast_answer(self.index, tx.compute_txid(), unreachable);
            }
            // Another server may be there to take it.
            Command::Sync(request) => self.shared.lock().sync_wallet(request),
            // All watched scripts are subscribed on the next connection.
            Command::Watch(_) | Command::Wake => {}
        }
    }

    pub(super) fn sync_failed(&self, words: String) {
        let server = self.url.clone();
        self.shared
            .lock()
            .sync_answer(Err(SyncError::Server { server, words }));
    }

    /// Waits before the next attempt; a stop ends it early.
    fn wait(&self, duration: Duration) {
        let until = Instant::now() + duration;
        while !self.shared.is_stopping() {
            match self
                .commands
                .recv_timeout(until.saturating_duration_since(Instant::now()))
            {
                Ok(command) => self.refuse(command),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// The rest of the life of a server that can't be used.
    fn refuse_until_stopped(&self) {
        while !self.shared.is_stopping() {
            match self.commands.recv() {
                Ok(command) => self.refuse(command),
                Err(_) => return,
            }
        }
    }
}
