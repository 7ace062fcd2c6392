//! The relay between webrtcsink's signaller and the signalling server, while the element runs; and that server, where the
//! element runs its own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gst::glib;

use super::server;
use crate::inner::{Relay, RelayEvent, ServerAddress, Signaller};
use crate::origin::Origin;
use crate::room::Room;
use crate::signalling_server::{Options, SignallingServer};

/// What there is of it. With a signaller of another kind, which has no such server, there is nothing.
#[derive(Default)]
pub struct Signalling {
    own_server: Mutex<Option<SignallingServer>>,
    relay: Mutex<Option<Running>>,
}

struct Running {
    relay: Arc<Relay>,
    signaller: Signaller,
    handler: glib::SignalHandlerId,
    /// The server's address, as set by the user or by [`Self::serve`].
    uri: Arc<Mutex<String>>,
}

impl Signalling {
    /// Runs the element's own server, if there shall be one. Before all that asks the signaller for its address.
    pub fn serve(&self, options: Option<&Options>, signaller: Option<&Signaller>) -> Result<(), String> {
        if let Some((options, signaller)) = options.zip(signaller) {
            *lock(&self.own_server) = Some(server::start(options, signaller)?);
        }
        Ok(())
    }

    /// Puts a relay before the server. Before webrtcsink goes to PAUSED, where it starts its signaller.
    pub fn start(
        &self,
        signaller: &Signaller,
        room: Room,
        make_room: impl Fn(&Origin) + Send + Sync + 'static,
        on_event: impl Fn(RelayEvent) + Send + Sync + 'static,
    ) -> Result<(), String> {
        let Some(server) = signaller.uri().filter(|_| signaller.is_standard()) else {
            return Ok(());
        };
        let mut address = ServerAddress::new(signaller, &server);
        if let Some(own) = &*lock(&self.own_server) {
            address = address.own(own.secret());
        }
        let relay = Relay::start(address, room, make_room, on_event)
            .map_err(|error| format!("no port of this machine could be opened for the signaller: {error}"))?;
        let relay = Arc::new(relay);
        let uri = Arc::new(Mutex::new(server));
        // The user may set another.
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
        *lock(&self.relay) = Some(running);
        Ok(())
    }

    /// The server's address, if there is one.
    pub fn server(&self) -> Option<String> {
        lock(&self.relay)
            .as_ref()
            .map(|running| lock(&running.uri).clone())
    }

    /// Ends it: after webrtcsink has stopped its signaller.
    pub fn stop(&self) {
        let running = lock(&self.relay).take();
        if let Some(running) = running {
            running.signaller.disconnect(running.handler);
            let uri = lock(&running.uri).clone();
            running.signaller.set_uri(&uri);
            drop(running.relay);
        }
        let own_server = lock(&self.own_server).take();
        drop(own_server);
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
