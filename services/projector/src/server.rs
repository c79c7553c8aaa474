//! The listener: HTTP/1.1 with a limit on everything a stranger can send or hold.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};

/// Most connections at once; the next ones wait in the system's queue until one ends.
pub const CONNECTIONS_MAX: usize = 512;
/// A request's head, and an idle connection, take at most this long; then the connection is closed.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// A connection lives at most this long, whatever it does: slow readers do not hold a place for ever.
pub const CONNECTION_LIFE: Duration = Duration::from_secs(600);
/// Most bytes of a request's head; above it the answer is 431 and the connection ends.
pub const HEAD_BYTES_MAX: usize = 16 << 10;
/// Most headers of a request; above it the answer is 431.
pub const HEADERS_MAX: usize = 64;
/// Time that open requests have to end when the server stops.
const DRAIN: Duration = Duration::from_secs(3);
/// Pause after an accept that failed (no file descriptor left, most likely).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Threads that answer questions; each may wait for rows.
const ANSWER_THREADS: usize = 4;

/// A running server. Dropped, it goes on; [`Server::stop`] ends it.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: std::thread::JoinHandle<()>,
}

impl Server {
    /// Serves `router` on `listener` from a thread of its own. Each request carries its peer's address ([`ConnectInfo`]).
    ///
    /// # Errors
    /// If the listener cannot be used, or the system has no thread left.
    pub fn start(listener: TcpListener, router: Router) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(ANSWER_THREADS)
            .thread_name("api-rows")
            .build()?;
        let guard = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        drop(guard);
        let (stop, stopped) = watch::channel(false);
        let thread = std::thread::Builder::new()
            .name("api".to_owned())
            .spawn(move || runtime.block_on(serve(listener, router, stopped)))?;
        Ok(Self {
            address,
            stop,
            thread,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, lets open requests end for three seconds, and waits for that.
    ///
    /// # Errors
    /// If the thread panicked.
    pub fn stop(self) -> std::thread::Result<()> {
        self.stop.send_replace(true);
        self.thread.join()
    }
}

async fn serve(
    listener: tokio::net::TcpListener,
    router: Router,
    mut stopped: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let open = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            _ = stopped.wait_for(|stop| *stop) => break,
        };
        let Some((stream, peer, place)) = accepted else {
            continue;
        };
        let routes = TowerToHyperService::new(router.clone());
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            routes.call(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_headers(HEADERS_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service);
        let connection = open.watch(connection);
        tokio::spawn(async move {
            // How a stranger's connection ends is his business: nothing to log, nothing to do.
            drop(tokio::time::timeout(CONNECTION_LIFE, connection).await);
            drop(place);
        });
    }
    drop(listener);
    let all = pin!(open.shutdown());
    if tokio::time::timeout(DRAIN, all).await.is_err() {
        tracing::info!("requests were still open when the API stopped");
    }
}

async fn accept(
    listener: &tokio::net::TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Answers are small and complete: nothing is gained by waiting for more.
            drop(stream.set_nodelay(true));
            Some((stream, peer, place))
        }
        Err(error) => {
            tracing::warn!(%error, "the API cannot accept a connection");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}
