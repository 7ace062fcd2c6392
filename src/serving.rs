//! The common part of the elements' own servers: a thread with all of a server's sockets, and accepting that never
//! ends.

use std::io;
use std::net::TcpListener;
use std::thread::JoinHandle;
use std::time::Duration;

use futures::channel::oneshot;
use futures::future::select;
use tokio::net::TcpStream;

/// After a failure to accept, such as too many open files, which would be repeated at once.
const PAUSE: Duration = Duration::from_millis(100);

/// A thread that serves. Dropping it ends that, and closes all its sockets.
pub struct ServerThread {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ServerThread {
    /// Runs what `serve` makes of the listener, in a runtime of its own.
    ///
    /// # Errors
    /// When the system gives no thread, or the like.
    pub fn start<F: Future<Output = ()>>(
        name: &str,
        listener: TcpListener,
        serve: impl FnOnce(tokio::net::TcpListener) -> F + Send + 'static,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            runtime.block_on(async {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
                    return;
                };
                let serving = std::pin::pin!(serve(listener));
                select(serving, stopped).await;
            });
            // With it go all connections.
            drop(runtime);
        })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for ServerThread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The next connection, however often accepting fails before it; `failed` hears of that.
pub async fn accept(listener: &tokio::net::TcpListener, failed: impl Fn(io::Error)) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => failed(error),
        }
        tokio::time::sleep(PAUSE).await;
    }
}
