//! Consumers of a free stream that have gone without a word.

use super::driver::Driver;

impl Driver {
    /// A free stream pings nobody, so its consumers' transport has to tell who is gone.
    pub(super) fn drop_gone(&mut self) {
        if self.options.paid.is_some() {
            return;
        }
        let gone = self.sessions.iter().filter(|(_, live)| live.peer.is_gone());
        let gone: Vec<String> = gone.map(|(id, _)| id.clone()).collect();
        for id in gone {
            if let Some(live) = self.sessions.get(&id) {
                live.peer.end();
            }
            self.removed(&id);
        }
    }
}
