//! One thread, whatever comes: connections are limited in number and each in time, so that no scraper, slow or hostile,
//! takes more than that from a broadcast.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::http::{MAX_HEAD, Step, answer};
use crate::serving::{ServerThread, accept};

/// More wait until one is done.
const MAX_CONNECTIONS: usize = 32;

/// A connection may take so long in all.
const MAX_TIME: Duration = Duration::from_secs(5);

/// Gives the page as it is now; must not block.
pub type Page = Arc<dyn Fn() -> String + Send + Sync>;

/// A running server. Dropping it closes all its sockets.
pub struct Server {
    address: SocketAddr,
    _thread: ServerThread,
}

impl Server {
    /// Listens at `address`; at port 0 the system chooses one.
    pub fn start(address: SocketAddr, page: Page) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let thread = ServerThread::start("streamium-metrics", listener, |listener| serve(listener, page))?;
        Ok(Self {
            address,
            _thread: thread,
        })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn serve(listener: tokio::net::TcpListener, page: Page) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let stream = accept(&listener, drop).await;
        let page = page.clone();
        tokio::spawn(async move {
            // Who is too slow, or goes, gets no answer.
            let _ = tokio::time::timeout(MAX_TIME, converse(stream, &page)).await;
            drop(place);
        });
    }
}

async fn converse(mut stream: TcpStream, page: &Page) -> io::Result<()> {
    let mut received = Vec::new();
    let answer = loop {
        let left = MAX_HEAD.saturating_sub(received.len()) as u64;
        if (&mut stream).take(left).read_buf(&mut received).await? == 0 {
            return Ok(());
        }
        if let Step::Answer(answer) = answer(&received, || page()) {
            break answer;
        }
    };
    stream.write_all(&answer).await?;
    stream.shutdown().await?;
    // Closing with something unread would reset the connection, and take the answer with it.
    let mut rest = [0; 1_024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpStream as Client;

    fn server() -> Server {
        Server::start(([127, 0, 0, 1], 0).into(), Arc::new(|| "page".to_owned())).unwrap()
    }

    fn get(address: SocketAddr) -> String {
        let mut client = Client::connect(address).unwrap();
        client.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn the_page_is_served_again_and_again() {
        let server = server();
        for _ in 0..100 {
            let text = get(server.address());
            assert!(
                text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("\r\n\r\npage"),
                "{text}"
            );
        }
    }

    #[test]
    fn scrapers_that_say_nothing_are_let_go_and_others_are_served() {
        let server = server();
        let mut silent: Vec<_> = (0..=MAX_CONNECTIONS)
            .map(|_| Client::connect(server.address()).unwrap())
            .collect();
        assert!(get(server.address()).ends_with("page"));
        let mut rest = Vec::new();
        let read = silent[0].read_to_end(&mut rest);
        assert!(read.is_ok() && rest.is_empty(), "{read:?}");
    }

    #[test]
    fn a_request_without_an_end_is_refused() {
        let server = server();
        let mut client = Client::connect(server.address()).unwrap();
        // It may be let go in the middle of it.
        let _ = client.write_all(&[b'x'; 4 * MAX_HEAD]);
        let mut text = Vec::new();
        let _ = client.read_to_end(&mut text);
        assert!(text.len() < MAX_HEAD);
    }

    #[test]
    fn stopping_closes_every_socket() {
        let server = server();
        let address = server.address();
        let mut open = Client::connect(address).unwrap();
        get(address);
        drop(server);
        assert_eq!(open.read(&mut [0; 1]).unwrap_or(0), 0);
        drop(open);
        assert!(Client::connect(address).is_err());
        drop(TcpListener::bind(address).unwrap());
    }

    #[test]
    fn a_port_that_is_taken_is_said() {
        let server = server();
        let second = Server::start(server.address(), Arc::new(String::new));
        assert_eq!(
            second.err().map(|error| error.kind()),
            Some(io::ErrorKind::AddrInUse)
        );
    }
}
