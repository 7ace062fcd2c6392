//! The relay between webrtcsink's signaller and the signalling server, while the element runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gst::glib;

use crate::inner::{Relay, RelayEvent, ServerAddress, Signaller};

/// What there is of it. With a signaller of another kind, which has no such server, there is nothing.
#[derive(Default)]
pub struct Signalling(Mutex<Option<Running>>);

struct Running {
    relay: Arc<Relay>,
    signaller: Signaller,
    handler: glib::SignalHandlerId,
    /// The server's address, as set by the user or by webrtcsink.
    uri: Arc<Mutex<String>>,
}

impl Signalling {
    /// Puts a relay before the server. Before webrtcsink goes to PAUSED, where it starts its signaller.
    pub fn start(
        &self,
        signaller: &Signaller,
        on_event: impl Fn(RelayEvent) + Send + Sync + 'static,
    ) -> Result<(), String> {
        let Some(server) = signaller.uri().filter(|_| signaller.is_standard()) else {
            return Ok(());
        };
        let relay = Relay::start(ServerAddress::new(signaller, &server), on_event)
            .map_err(|error| format!("no port of this machine could be opened for the signaller: {error}"))?;
        let relay = Arc::new(relay);
        let uri = Arc::new(Mutex::new(server));
        // webrtcsink sets the address of its own server when it starts that, so late.
        let (for_uri, its_uri) = (relay.clone(), uri.clone());
        let handler = signaller.connect_uri(move |signaller| {
            let set = signaller.uri().unwrap_or_default();
            if !set.starts_with(for_uri.uri()) {
                for_uri.set_server(ServerAddress::new(signaller, &set));
                *lock(&its_uri) = set;
                signaller.set_uri(for_uri.uri());
            }
        });
        signaller.set_uri(relay.uri());
        let running = Running {
            relay,
            signaller: signaller.clone(),
            handler,
            uri,
        };
        *lock(&self.0) = Some(running);
        Ok(())
    }

    /// The server's address, if there is one.
    pub fn server(&self) -> Option<String> {
        lock(&self.0).as_ref().map(|running| lock(&running.uri).clone())
    }

    /// Ends it: after webrtcsink has stopped its signaller.
    pub fn stop(&self) {
        let Some(running) = lock(&self.0).take() else {
            return;
        };
        running.signaller.disconnect(running.handler);
        let uri = lock(&running.uri).clone();
        running.signaller.set_uri(&uri);
        drop(running.relay);
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
