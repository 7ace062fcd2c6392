//! A signalling server that goes away does not end the broadcast: those who watch don't need it, and it is joined again
//! when it is back.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::inner::Signaller;

/// The first pause before another try; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What is known of the connection to the signalling server. Cheap to clone; all clones are the same.
#[derive(Clone, Default)]
pub struct Signalling(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// The server has answered since the start: it is not the wrong one.
    was_joined: bool,
    /// The pause before the next try; `None` while it is joined.
    pause: Option<Duration>,
    /// A try is arranged: what is lost before it begins is no news.
    is_pending: bool,
    rejoining: Option<Rejoining>,
}

struct Rejoining {
    /// Dropped to make the thread end.
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

/// What to do about an error of the signaller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It never answered: the broadcast can't begin.
    NeverJoined,
    /// It is tried again. `news`: this is the first that is heard of it.
    Rejoining { news: bool },
}

impl Signalling {
    /// Notes when the server answers.
    pub fn watch(&self, signaller: &Signaller) {
        let signalling = self.clone();
        signaller.connect_joined(move || {
            let mut state = lock(&signalling.0);
            state.was_joined = true;
            state.pause = None;
        });
    }

    /// The connection broke or could not be made. Runs in the signaller's own thread, so it only arranges for another
    /// try.
    pub fn lost(&self, signaller: &Signaller) -> Loss {
        let mut state = lock(&self.0);
        if !state.was_joined {
            return Loss::NeverJoined;
        }
        let news = state.pause.is_none();
        if state.is_pending {
            return Loss::Rejoining { news: false };
        }
        let pause = state.pause.unwrap_or(FIRST_PAUSE);
        state.pause = Some(pause.saturating_mul(2).min(LONGEST_PAUSE));
        let (stop, stopped) = channel();
        let (signaller, signalling) = (signaller.clone(), self.clone());
        let thread = std::thread::Builder::new()
            .name("streamium-rejoin".into())
            .spawn(move || {
                if stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                    signaller.stop();
                    // Before the start, which may fail at once.
                    lock(&signalling.0).is_pending = false;
                    signaller.start();
                }
            });
        match thread {
            Ok(thread) => {
                state.is_pending = true;
                state.rejoining = Some(Rejoining { stop, thread });
                Loss::Rejoining { news }
            }
            Err(_) => Loss::NeverJoined,
        }
    }

    /// Tries no more: before the signaller itself is stopped.
    pub fn stop(&self) {
        let rejoining = {
            let mut state = lock(&self.0);
            let rejoining = state.rejoining.take();
            *state = State::default();
            rejoining
        };
        if let Some(Rejoining { stop, thread }) = rejoining {
            drop(stop);
            let _ = thread.join();
        }
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
