//! What a driver lets others read, without ever waiting for them or they for it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A driver publishes its statistics no more often than this. It looks around once a second at least, so they are no older
/// than that.
pub(crate) const INTERVAL: Duration = Duration::from_millis(500);

/// The newest of something. All clones read the same. The lock is a leaf, and held for as long as a pointer is copied.
#[derive(Debug, Default)]
pub struct Published<T>(Arc<Mutex<Arc<T>>>);

impl<T> Published<T> {
    pub fn read(&self) -> Arc<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn publish(&self, new: T) {
        let new = Arc::new(new);
        let old = {
            let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *slot, new)
        };
        // Outside the lock, should this be the last.
        drop(old);
    }
}

impl<T> Clone for Published<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
