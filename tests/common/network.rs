//! A piece of network that can be cut and frozen.
#![allow(dead_code)]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Passes on what comes at its port to another port of this machine.
pub struct Cable {
    pub port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    connections: Mutex<Vec<TcpStream>>,
    frozen: AtomicBool,
    /// Nobody gets through.
    unplugged: AtomicBool,
}

impl Cable {
    /// To an Electrum server with this address.
    pub fn to_server(url: &str) -> Self {
        let (_, port) = url.rsplit_once(':').unwrap();
        Self::to(port.parse().unwrap())
    }

    /// What an Electrum server at the far end is reached by.
    pub fn url(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.port)
    }

    pub fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::<Shared>::default();
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for from in listener.incoming() {
                if accepting.unplugged.load(Ordering::SeqCst) {
                    continue;
                }
                // As if nobody were there, if nobody is.
                let (Ok(from), Ok(to)) = (from, TcpStream::connect(("127.0.0.1", target))) else {
                    continue;
                };
                for (from, to) in [(&from, &to), (&to, &from)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let shared = accepting.clone();
                    std::thread::spawn(move || pass(from, to, &shared));
                }
                accepting.connections.lock().unwrap().extend([from, to]);
            }
        });
        Self { port, shared }
    }

    /// Closes all connections. New ones can be made.
    pub fn cut(&self) {
        for connection in self.shared.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// Nothing passes any more through the connections that there are, and nobody is told.
    pub fn freeze(&self) {
        self.shared.frozen.store(true, Ordering::SeqCst);
    }

    /// Those connections stay dead; new ones are good.
    pub fn replace(&self) {
        self.shared.connections.lock().unwrap().clear();
        self.shared.frozen.store(false, Ordering::SeqCst);
    }

    /// Closes all connections, and new ones at once.
    pub fn unplug(&self) {
        self.shared.unplugged.store(true, Ordering::SeqCst);
        self.cut();
    }

    pub fn plug(&self) {
        self.shared.unplugged.store(false, Ordering::SeqCst);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, shared: &Shared) {
    let mut buffer = [0; 4096];
    let mut dead = false;
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        dead |= shared.frozen.load(Ordering::SeqCst);
        if !dead && to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    if dead {
        // The other side is not told: it would be by a close.
        std::thread::sleep(Duration::from_secs(600));
    }
    let _ = to.shutdown(Shutdown::Both);
}
