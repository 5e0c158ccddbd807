//! An S3 server in memory, with the faults of a real one on order.
//!
//! It listens on 127.0.0.1, checks signatures, payload digests and checksums, knows `If-None-Match: *` on
//! `PutObject` and `CompleteMultipartUpload`, and keeps count of how often each object was made and of every call.
#![allow(dead_code, unreachable_pub, unused_imports, missing_docs, reason = "each test takes a part of it")]
#![allow(clippy::unwrap_used, clippy::cast_possible_wrap, reason = "it is a part of tests, wherever it is included")]

mod faults;
mod http;
mod store;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

pub use faults::{Fault, Faults, Op};
pub use http::Call;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
pub use store::{Object, Store};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What the server makes of `If-None-Match`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Conditions {
    /// As S3 does.
    #[default]
    Honour,
    /// As if it were not there.
    Ignore,
    /// 501 `NotImplemented`.
    Refuse,
}

/// How a server behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// 0 for any that is free.
    pub port: u16,
    pub buckets: Vec<String>,
    pub access_key: String,
    pub secret_key: String,
    pub conditions: Conditions,
    /// Whether calls with a checksum header get 400 `InvalidArgument`.
    pub refuse_checksums: bool,
    /// Of the faults that come by chance.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            port: 0,
            buckets: vec!["lake".to_owned()],
            access_key: "AKIDEXAMPLE".to_owned(),
            secret_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            conditions: Conditions::Honour,
            refuse_checksums: false,
            seed: 1,
        }
    }
}

/// A running server; dropped, it stops and its connections break.
pub struct Server {
    options: Options,
    address: SocketAddr,
    shared: Arc<http::Shared>,
    task: JoinHandle<()>,
}

impl Server {
    /// Listens.
    pub async fn start(options: Options) -> Server {
        let store = Arc::new(Store::new(&options.buckets, options.conditions == Conditions::Ignore));
        let mut builder = S3ServiceBuilder::new(store::Operations(Arc::clone(&store)));
        builder.set_auth(SimpleAuth::from_single(options.access_key.clone(), options.secret_key.clone()));
        let shared = Arc::new(http::Shared {
            service: builder.build(),
            store,
            faults: Faults::new(options.seed),
            refuse_conditions: options.conditions == Conditions::Refuse,
            refuse_checksums: options.refuse_checksums,
            calls: http::Calls::default(),
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(http::accept(listener, Arc::clone(&shared)));
        Server { options, address, shared, task }
    }

    /// A server with the usual options.
    pub async fn usual() -> Server {
        Server::start(Options::default()).await
    }

    /// `http://127.0.0.1:port`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Faults to come.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// What is stored.
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// All calls so far, in the order of their answers.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.calls.all()
    }

    /// The calls of one kind.
    pub fn calls_of(&self, op: Op) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.op == op).collect()
    }

    /// Stops listening and breaks all connections; what is stored stays.
    pub async fn stop(&mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    /// Listens again, on the same port.
    pub async fn resume(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.task = tokio::spawn(http::accept(listener, Arc::clone(&self.shared)));
    }

    /// Serves until the process ends.
    pub async fn serve(mut self) {
        let _ = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}
