//! A client's connection, which ends by itself when the client keeps the server waiting.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use crate::descriptors::Connection;

/// The server pings every 30 s, and whoever lives answers.
const SILENCE_LIMIT: Duration = Duration::from_secs(90);
/// The time after which a client that takes nothing is not worth what waits for it.
const DEAFNESS_LIMIT: Duration = Duration::from_secs(5);

pub struct Guest {
    stream: TcpStream,
    reading: Patience,
    writing: Patience,
    _counted: Connection,
}

impl Guest {
    pub fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            reading: Patience::new(SILENCE_LIMIT),
            writing: Patience::new(DEAFNESS_LIMIT),
            _counted: Connection::new(),
        }
    }

    /// Ends both directions, so that whoever waits for the other learns it too.
    fn give_up(&mut self, cx: &mut Context<'_>) -> io::Error {
        let _ = Pin::new(&mut self.stream).poll_shutdown(cx);
        io::ErrorKind::TimedOut.into()
    }
}

impl AsyncRead for Guest {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if self.reading.is_over(cx, read.is_pending()) {
            return Poll::Ready(Err(self.give_up(cx)));
        }
        read
    }
}

impl AsyncWrite for Guest {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if self.writing.is_over(cx, written.is_pending()) {
            return Poll::Ready(Err(self.give_up(cx)));
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// How long something has been waited for.
struct Patience {
    limit: Duration,
    end: Pin<Box<Sleep>>,
    is_waiting: bool,
}

impl Patience {
    fn new(limit: Duration) -> Self {
        Self {
            limit,
            end: Box::pin(tokio::time::sleep(limit)),
            is_waiting: false,
        }
    }

    /// Whether it has been waited too long; if not, the task is woken when it has.
    fn is_over(&mut self, cx: &mut Context<'_>, waits: bool) -> bool {
        if !waits {
            self.is_waiting = false;
            return false;
        }
        if !std::mem::replace(&mut self.is_waiting, true) {
            self.end.as_mut().reset(Instant::now() + self.limit);
        }
        self.end.as_mut().poll(cx).is_ready()
    }
}
