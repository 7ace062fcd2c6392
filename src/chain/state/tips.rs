//! The servers' chains of headers, and the best of them.

use std::time::{Duration, SystemTime};

use bitcoin::BlockHash;
use bitcoin::block::Header;

use super::{ServerIndex, State};
use crate::chain::spv::headers::{HeaderError, HeaderTree};
use crate::chain::{ChainEvent, Tip};

impl State {
    pub(in crate::chain) fn tip(&self) -> Option<Tip> {
        self.tip
    }

    pub(in crate::chain) fn headers(&self) -> &HeaderTree {
        &self.headers
    }

    /// A server's newest block, once all headers up to it are verified.
    pub(in crate::chain) fn tip_of(&self, index: ServerIndex) -> Option<(u32, Header)> {
        let tip = self.servers[index].tip?;
        Some((self.headers.height_of(&tip)?, *self.headers.header(&tip)?))
    }

    /// What was kept on disk; only before any server is asked.
    pub(in crate::chain) fn set_headers(&mut self, headers: HeaderTree) {
        self.headers = headers;
    }

    pub(in crate::chain) fn take_header_changes(&mut self) -> Option<(usize, Vec<Header>)> {
        self.headers.take_changes()
    }

    /// Verifies and takes headers.
    pub(in crate::chain) fn connect(&mut self, headers: &[Header]) -> Result<(), HeaderError> {
        let result = self.headers.connect(headers);
        self.tell_best();
        result
    }

    /// All of a server's headers up to its newest block are in.
    pub(in crate::chain) fn set_tip(&mut self, index: ServerIndex, tip: BlockHash) {
        let first = self.servers[index].tip.replace(tip).is_none();
        self.tell_best();
        if first {
            self.dispatch_syncs();
        }
    }

    /// Tells of the best chain, if it is another than before. Not while the only servers are still sending theirs:
    /// what is known by then is long past.
    fn tell_best(&mut self) {
        if self.servers.iter().all(|server| server.tip.is_none()) {
            return;
        }
        let Some(best) = self.best_tip() else { return };
        if self.tip.is_some_and(|told| told.hash == best.hash) {
            return;
        }
        self.tip = Some(best);
        self.believe();
        self.tell(ChainEvent::Tip(best));
        // Blocks may have left the best chain, or come into it.
        self.refresh_all();
    }

    fn best_tip(&self) -> Option<Tip> {
        let (height, hash) = self.headers.tip()?;
        Some(Tip {
            height,
            hash,
            header_time: self.time_of(&hash)?,
            learnt: SystemTime::now(),
        })
    }

    pub(super) fn time_of(&self, hash: &BlockHash) -> Option<SystemTime> {
        let header = self.headers.header(hash)?;
        Some(SystemTime::UNIX_EPOCH + Duration::from_secs(header.time.into()))
    }
}
