//! One sync of the wallet at a time.

use super::Wallet;
use crate::chain::{Chain, WalletRequest};

/// Whether a sync is under way, and whether another is wanted after it.
#[derive(Debug, Default)]
pub struct Syncs {
    running: bool,
    again: bool,
}

impl Syncs {
    /// Asks for the wallet's news, now or after the sync that is under way.
    pub fn ask(&mut self, wallet: &Wallet, chain: &dyn Chain) {
        if self.running {
            self.again = true;
            return;
        }
        let request = wallet.sync_request();
        // A full scan ends at a gap; scripts beyond it that this wallet did give out need a second look.
        self.again = matches!(request, WalletRequest::FullScan(..));
        self.running = true;
        chain.sync_wallet(request);
    }

    /// An answer has come; what changed meanwhile is asked for now.
    pub fn done(&mut self, wallet: &Wallet, chain: &dyn Chain) {
        self.running = false;
        if std::mem::take(&mut self.again) {
            self.ask(wallet, chain);
        }
    }

    /// It has failed. The next block, or the server's return, asks again.
    pub fn failed(&mut self) {
        self.running = false;
    }

    pub fn is_running(&self) -> bool {
        self.running
    }
}
