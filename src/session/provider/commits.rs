//! Payments and accounts are written a few at a time.

use std::collections::HashMap;

use streamium_channel::provider::{AccountRecord, EndReason};

use super::driver::Driver;
use crate::report::{Report, Severity};

impl Driver {
    /// Writes what waits. If that fails media stops: rather no stream than lost money.
    pub(super) fn commit_accounts(&mut self) {
        self.accounts_since = None;
        if self.accounts.is_empty() {
            return;
        }
        // Later ones of a channel include the earlier ones.
        let mut latest: HashMap<_, AccountRecord> = HashMap::new();
        for update in self.accounts.drain(..) {
            latest.insert(update.outpoint, update);
        }
        let updates: Vec<_> = latest.into_values().collect();
        if let Err(error) = self.store.save_accounts(&updates) {
            let words = format!("payments can't be recorded, so all media stops: {error}");
            self.say(Report::new("store-failed").say(&words).severity(Severity::Error));
            let ids: Vec<_> = self.sessions.keys().cloned().collect();
            for id in ids {
                self.close_session(&id, EndReason::Failed(words.clone()));
            }
        }
    }
}
