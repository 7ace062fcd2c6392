//! The room for consumers who have not paid, as a provider's driver tells the relay.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How much room there is. All clones are the same. Without a driver that says otherwise there is enough.
#[derive(Debug, Clone)]
pub struct Room(Arc<Figures>);

#[derive(Debug)]
struct Figures {
    slots: AtomicUsize,
    free: AtomicUsize,
}

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Figures {
            slots: AtomicUsize::new(usize::MAX),
            free: AtomicUsize::new(usize::MAX),
        }))
    }
}

impl Room {
    /// Sets how many slots there are, and how many of them are free.
    pub fn set(&self, slots: usize, free: usize) {
        self.0.slots.store(slots, Ordering::SeqCst);
        self.0.free.store(free, Ordering::SeqCst);
    }

    pub fn slots(&self) -> usize {
        self.0.slots.load(Ordering::SeqCst)
    }

    pub fn free(&self) -> usize {
        self.0.free.load(Ordering::SeqCst)
    }
}
