//! Builds every part bottom-up, starts them, stops them in reverse; the only module that knows all.

mod data_status;
mod data_streams;
mod importers;
mod pipelines;
mod plugins;
mod service;
mod status;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::api::access::Access;
use crate::api::edge::Edge;
use crate::api::server::{Ended, Handler, Request, Response, Server, tls};
use crate::clock::Clock;
use crate::config::Config;
use crate::console::{self, Handles};
use crate::destination::Stores;
use crate::disk::RealDisk;
use crate::error::{Error, Kind, Result};

pub use service::Service;

/// The running service with its listeners.
pub struct App {
    clock: Clock,
    service: Service,
    edge: Listening,
    admin: Listening,
}

/// What a stop left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopReport {
    /// Name and number of records of each stream whose journal still holds some.
    pub left: Vec<(String, u64)>,
}

/// One line for the log or the terminal.
impl fmt::Display for StopReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.left.is_empty() {
            return f.write_str("everything is delivered");
        }
        f.write_str("left in the journal, to be delivered after the next start:")?;
        for (at, (stream, records)) in self.left.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma} {stream} {records} records")?;
        }
        Ok(())
    }
}

impl App {
    /// Starts the service. When it returns, both listeners are open and every stream is being delivered.
    ///
    /// # Errors
    /// What is wrong with the data directory or the listeners. A destination that is down is not an error: its
    /// records wait in the journal.
    pub async fn start(config: Config, clock: Clock) -> Result<App> {
        // Both ports are taken before anything is touched on disk: a second start by mistake changes nothing.
        let edge = bind(config.server.listen).await?;
        let admin = bind(config.server.admin_listen).await?;
        let tls = config.server.tls.as_ref().map(tls::acceptor).transpose()?;
        let unusable = |kind, error: Box<dyn std::error::Error + Send + Sync>| {
            Error::new(kind, format!("data_dir {} cannot be used", config.data_dir.display())).because(error)
        };
        let disk = RealDisk::open(&config.data_dir).map_err(|error| unusable(Kind::Unavailable, error.into()))?;
        let service = Service::start(&config, clock.clone(), Arc::new(disk), Stores::new())
            .await
            .map_err(|error| unusable(error.kind(), error.into()))?;

        let context = service.api_context(&config);
        let mut server = Server::new(clock.clone());
        if let Some(acceptor) = tls {
            server = server.with_tls(acceptor);
        }
        let (keys, tokens) = (&config.access_keys, &config.server.ingest_tokens);
        let access = Arc::new(Access::new(keys, tokens, &context.account)?);
        if access.is_open() {
            tracing::warn!("no access keys are configured: any signature is taken, so only loopback is listened on");
        }
        let (_, access) = watch::channel(access);
        let edge = Listening::start(server, edge, Edge::new(context, access), config.server.grace)?;
        let admin = Listening::start(Server::new(clock.clone()), admin, Admin(service.handles()), config.server.grace)?;
        Ok(App { clock, service, edge, admin })
    }

    /// Where the AWS APIs and plain ingest are heard.
    pub fn firehose_addr(&self) -> SocketAddr {
        self.edge.address
    }

    /// Where health, metrics and status are heard.
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin.address
    }

    /// Stops in reverse: takes no more puts, finishes those under way, delivers what is there, all within `grace`; what
    /// could not be delivered stays in the journal, and the report says so.
    ///
    /// # Errors
    /// Only faults of ours; what was acknowledged is safe all the same.
    pub async fn stop(self, grace: Duration) -> Result<StopReport> {
        self.service.not_ready();
        let began = self.clock.instant();
        self.edge.stop().await;
        let report = self.service.stop(grace.saturating_sub(began.elapsed())).await;
        self.admin.stop().await;
        report
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|error| Error::unavailable(format!("the address {address} cannot be listened on")).because(error))
}

/// A listener and the task that serves it.
struct Listening {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<Ended>,
}

impl Listening {
    fn start<H: Handler>(server: Server, listener: TcpListener, handler: H, grace: Duration) -> Result<Self> {
        let address = listener
            .local_addr()
            .map_err(|error| Error::unavailable("a listener does not know its address").because(error))?;
        let stop = CancellationToken::new();
        let task = tokio::spawn(server.serve(listener, handler, stop.clone(), grace));
        Ok(Listening { address, stop, task })
    }

    async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "a listener's task panicked");
        }
    }
}

/// Lets the server answer for the console.
#[derive(Clone)]
struct Admin(Handles);

impl Handler for Admin {
    async fn handle(&self, request: Request) -> Response {
        let response = console::answer(&self.0, &request.head.method, request.head.uri.path()).await;
        response.map(|body| body.into_inner().unwrap_or_default().into())
    }
}
