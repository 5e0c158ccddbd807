//! A function behind HTTP that answers differently at every call, and a store that fails at any stage and remembers what it
//! was given.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use standpipe::clock::Clock;
use standpipe::config::{Plugin, PluginKind};
use standpipe::destination::local::LocalDirectory;
use standpipe::destination::{Body, Created, Destination, ObjectFacts};
use standpipe::disk::RealDisk;
use standpipe::error::{Error, Kind, Result};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What the function does with calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mood {
    /// Answers.
    Well,
    /// Fails.
    Down,
    /// Answers once it is told something else.
    Hanging,
}

/// A function. A record `poison…` has the status `ProcessingFailed`, one with `drop…` is dropped, every other becomes
/// `{"text": …, "call": the number of the call}`.
pub(super) struct Lambda {
    url: String,
    seen: Arc<Seen>,
}

struct Seen {
    mood: watch::Sender<Mood>,
    calls: AtomicUsize,
    /// Calls that were begun and not answered, and the most that there were at once.
    open: AtomicUsize,
    open_max: AtomicUsize,
    events: Mutex<Vec<Value>>,
}

impl Lambda {
    pub(super) async fn start() -> Lambda {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/2015-03-31/functions/function/invocations", listener.local_addr().unwrap());
        let seen = Arc::new(Seen {
            mood: watch::channel(Mood::Well).0,
            calls: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            open_max: AtomicUsize::new(0),
            events: Mutex::default(),
        });
        let shared = seen.clone();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let seen = shared.clone();
                tokio::spawn(async move {
                    let service = service_fn(|request| answer(seen.clone(), request));
                    let http = hyper::server::conn::http1::Builder::new();
                    drop(http.serve_connection(TokioIo::new(socket), service).await);
                });
            }
        });
        Lambda { url, seen }
    }

    /// It, as the configuration has it.
    pub(super) fn plugin(&self, name: &str, retries: u32) -> Plugin {
        let kind = PluginKind::Function {
            url: self.url.clone(),
            timeout: Duration::from_mins(1),
            retries,
            batch_bytes: 1 << 20,
        };
        Plugin { name: name.to_owned(), kind, config: BTreeMap::new() }
    }

    pub(super) fn mood(&self, mood: Mood) {
        self.seen.mood.send_replace(mood);
    }

    /// How often it was called.
    pub(super) fn calls(&self) -> usize {
        self.seen.calls.load(Ordering::SeqCst)
    }

    /// How many calls there were at once, at the most.
    pub(super) fn side_by_side(&self) -> usize {
        self.seen.open_max.load(Ordering::SeqCst)
    }

    /// What it was sent.
    pub(super) fn events(&self) -> Vec<Value> {
        self.seen.events.lock().unwrap().clone()
    }
}

async fn answer(seen: Arc<Seen>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let mut event: Value = serde_json::from_slice(&body).unwrap();
    let call = seen.calls.fetch_add(1, Ordering::SeqCst);
    let open = seen.open.fetch_add(1, Ordering::SeqCst) + 1;
    seen.open_max.fetch_max(open, Ordering::SeqCst);
    let mut mood = seen.mood.subscribe();
    let now = *mood.wait_for(|mood| *mood != Mood::Hanging).await.unwrap();
    seen.open.fetch_sub(1, Ordering::SeqCst);
    let records = event["records"].take();
    seen.events.lock().unwrap().push(event);
    if now == Mood::Down {
        let body = Full::new(Bytes::from_static(b"{\"errorMessage\":\"it is down\",\"errorType\":\"Down\"}"));
        return Ok(Response::builder().header("x-amz-function-error", "Unhandled").body(body).unwrap());
    }
    let records: Vec<Value> = records.as_array().unwrap().iter().map(|record| made(record, call)).collect();
    Ok(Response::new(Full::new(Bytes::from(json!({ "records": records }).to_string()))))
}

fn made(record: &Value, call: usize) -> Value {
    let data = base64_simd::STANDARD.decode_to_vec(record["data"].as_str().unwrap()).unwrap();
    let text = String::from_utf8(data).unwrap();
    let id = &record["recordId"];
    if text.starts_with("poison") {
        return json!({ "recordId": id, "result": "ProcessingFailed", "data": record["data"] });
    }
    if text.starts_with("drop") {
        return json!({ "recordId": id, "result": "Dropped" });
    }
    let row = json!({ "text": text, "call": call }).to_string();
    json!({ "recordId": id, "result": "Ok", "data": base64_simd::STANDARD.encode_to_string(row) })
}

/// What a store does at one creation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Does {
    Well,
    /// Fails before anything is there.
    Refuses,
    /// Says that it does not exist itself.
    HasNoBucket,
    /// Makes the object and answers that it failed.
    LosesAnswer,
    /// Makes the object, then neither it nor anybody else hears of it.
    Hangs,
}

/// What a store does at a creation, by its number and its key.
type Plot = Box<dyn Fn(usize, &str) -> Does + Send + Sync>;

/// A lake whose creations go as a test wants, and that checks that all attempts at one object bring the same bytes.
pub(super) struct Moody {
    lake: LocalDirectory,
    does: Plot,
    begun: AtomicUsize,
    given: Arc<Mutex<HashMap<String, Bytes>>>,
}

impl Moody {
    /// `does` is asked for each creation, by its number and its key. What was `given` is shared with earlier stores.
    pub(super) fn over(
        lake: &Path,
        given: &Arc<Mutex<HashMap<String, Bytes>>>,
        does: impl Fn(usize, &str) -> Does + Send + Sync + 'static,
    ) -> Arc<Moody> {
        let lake = LocalDirectory::new(Arc::new(RealDisk::open_shared(lake).unwrap()));
        Arc::new(Moody { lake, does: Box::new(does), begun: AtomicUsize::new(0), given: given.clone() })
    }
}

#[async_trait]
impl Destination for Moody {
    async fn create(&self, key: &str, mut body: Body, facts: ObjectFacts) -> Result<Created> {
        let does = (self.does)(self.begun.fetch_add(1, Ordering::SeqCst), key);
        if does == Does::HasNoBucket {
            return Err(Error::new(Kind::NotFound, "there is no such bucket"));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = body.next().await {
            bytes.extend_from_slice(&chunk?);
        }
        let bytes = Bytes::from(bytes);
        let before = self.given.lock().unwrap().entry(key.to_owned()).or_insert_with(|| bytes.clone()).clone();
        assert_eq!(before, bytes, "every attempt at {key} brings what was staged");
        if does == Does::Refuses {
            return Err(Error::unavailable("the store refuses"));
        }
        let created = self.lake.create(key, Body::whole(bytes), facts).await?;
        match does {
            Does::LosesAnswer => Err(Error::unavailable("the answer was lost")),
            Does::Hangs => std::future::pending().await,
            Does::Well | Does::Refuses | Does::HasNoBucket => Ok(created),
        }
    }

    async fn find(&self, key: &str) -> Result<Option<u64>> {
        self.lake.find(key).await
    }

    async fn probe(&self) -> Result<String> {
        Ok("a store of moods".to_owned())
    }
}

/// Waits until something is so; a test that waits in vain fails.
pub(super) async fn so(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..2_400 {
        if is_so() {
            return;
        }
        Clock::real().sleep(Duration::from_millis(25)).await;
    }
    panic!("not so: {what}");
}
