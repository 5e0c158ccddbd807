//! Plans whose rows go to an HTTP endpoint. Its protocol knows no condition, so a request may arrive twice: after an answer that
//! was lost, and after a crash before the commit. It carries the same id each time.
//!
//! To the rest of delivery the endpoint is the destination under whose key a plan's rows are put. The rows are cut into requests,
//! which are sent one after the other; one that is not taken is repeated, with pauses, until the retry duration is over, and then
//! its records become an object of the stream's store (`http-endpoint-failed`). As Firehose counts, the duration begins with the
//! first failure, and the time that answers take is not in it. A 413 ends the attempts at once; where Firehose would then drop the
//! records, we keep them in that object too. A later process begins to count anew.

mod batches;
mod failed;
mod retry;
mod rows;

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub(super) use self::rows::{ENDPOINT_FAILED, append};

use self::batches::{Batch, Batches, failed_key, request_id};
use self::failed::Given;
use self::retry::Pauses;
use super::Until;
use super::deliver::Courier;
use super::failed::Codes;
use crate::config::HttpEndpoint;
use crate::config::endpoint::shown_url;
use crate::destination::http::{Refusal, RequestBody, Sending};
use crate::destination::{Body, Created, Destination, ObjectFacts};
use crate::error::{Error, Kind, Result};
use crate::ledger::{Plan, Tally};
use crate::limits::{ENDPOINT_BODY_BYTES_MAX, ENDPOINT_TIME_MAX};

/// An endpoint, as a plan names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HttpTarget {
    /// Without its query, which may be a secret: like the access key it comes from the settings in force. Plans of earlier
    /// versions have all of it.
    url: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    gzip: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    attributes: Vec<(String, String)>,
    retry_ms: u64,
}

impl HttpTarget {
    pub(super) fn of(endpoint: &HttpEndpoint) -> Self {
        let HttpEndpoint { url, name: _, access_key: _, gzip, attributes, retry } = endpoint.clone();
        let url = without_query(&url).to_owned();
        HttpTarget { url, gzip, attributes, retry_ms: u64::try_from(retry.as_millis()).unwrap_or(u64::MAX) }
    }

    /// The endpoint to send to: with the key, the query and the patience in force if they are for the same URL. Another's key
    /// is not shown to it.
    fn endpoint(&self, now: Option<&HttpEndpoint>) -> HttpEndpoint {
        let planned = HttpEndpoint {
            gzip: self.gzip,
            attributes: self.attributes.clone(),
            retry: Duration::from_millis(self.retry_ms),
            ..HttpEndpoint::new(&self.url)
        };
        // A query is changed as a key is: what was planned before goes with the new one.
        match now.filter(|now| without_query(&now.url) == without_query(&self.url)) {
            Some(now) => {
                let (url, access_key) = (now.url.clone(), now.access_key.clone());
                HttpEndpoint { url, access_key, retry: now.retry, ..planned }
            }
            None => planned,
        }
    }
}

fn without_query(url: &str) -> &str {
    url.split_once('?').map_or(url, |(before, _)| before)
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Settled {
    /// It was taken.
    Taken,
    /// It was not, and its records are not in the store yet.
    Given(Given),
    /// They are.
    Stored { rows: u64, bytes: u64, code: &'static str, object_bytes: u64 },
}

/// What became of the requests of one plan, over the attempts of this process: none that was taken is sent again because the
/// store was away.
#[derive(Default)]
pub(super) struct Progress(Mutex<Vec<Settled>>);

impl Progress {
    fn get(&self, index: usize) -> Option<Settled> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(index).cloned()
    }

    fn set(&self, index: usize, settled: Settled) {
        let mut all = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(known) = all.get_mut(index) {
            *known = settled;
        } else {
            all.push(settled);
        }
    }

    /// The rows of what an endpoint did not take, in the object under `key` of the plan whose key is `of`; nothing if that is no such
    /// object.
    pub(super) fn rows(&self, of: &str, key: &str) -> Option<u64> {
        self.stored().into_iter().find_map(|(index, rows)| (failed_key(of, index) == key).then_some(rows))
    }

    /// The rows of all that it did not take.
    pub(super) fn all_rows(&self) -> u64 {
        self.stored().into_iter().map(|(_, rows)| rows).sum()
    }

    fn stored(&self) -> Vec<(usize, u64)> {
        let all = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let rows = |(index, settled): (usize, &Settled)| match settled {
            Settled::Stored { rows, .. } => Some((index, *rows)),
            Settled::Taken | Settled::Given(_) => None,
        };
        all.iter().enumerate().filter_map(rows).collect()
    }

    /// Counts as failed what was counted as delivered and was not taken.
    fn correct(&self, tally: &mut Tally, codes: &mut Codes) {
        // Rows that were to be delivered were counted as an object, which they are not.
        tally.objects -= u64::from(tally.delivered > 0).min(tally.objects);
        tally.object_bytes = 0;
        for settled in self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).iter() {
            let Settled::Stored { rows, bytes, code, object_bytes } = settled else { continue };
            // Of a record that became rows of several requests this may count the wrong one; the sums are right.
            let positions = tally.delivered.min(*rows);
            tally.delivered -= positions;
            tally.failed += positions;
            tally.unpacked = tally.unpacked.saturating_sub(rows - positions);
            tally.unpacked_failed += rows - positions;
            tally.delivered_bytes = tally.delivered_bytes.saturating_sub(*bytes);
            tally.objects += 1;
            tally.object_bytes += object_bytes;
            *codes.entry((*code).into()).or_default() += rows;
        }
    }
}

/// The endpoint of one plan.
pub(super) struct Endpoint<'a> {
    pub courier: &'a Courier,
    pub plan: &'a Plan,
    pub target: &'a HttpTarget,
    /// Where what it does not take goes.
    pub store: &'a dyn Destination,
    pub progress: &'a Progress,
}

#[async_trait]
impl Destination for Endpoint<'_> {
    async fn create(&self, _: &str, body: Body, _: ObjectFacts) -> Result<Created> {
        let mut batches = Batches::of(body);
        loop {
            // Room first: what is gathered for a request is held until the request is done.
            let _room = self.courier.stores.endpoint_room(&self.target.url).await;
            let Some(batch) = batches.next().await? else { return Ok(Created::Created) };
            self.settle(&batch).await?;
        }
    }

    async fn probe(&self) -> Result<String> {
        Ok(format!("requests go to {}", shown_url(&self.target.url)))
    }
}

impl Endpoint<'_> {
    /// Corrects what was counted before the endpoint had its say.
    pub(super) fn correct(&self, tally: &mut Tally, codes: &mut Codes) {
        self.progress.correct(tally, codes);
    }

    async fn settle(&self, batch: &Batch) -> Result<()> {
        let given = match self.progress.get(batch.index) {
            Some(Settled::Taken | Settled::Stored { .. }) => return Ok(()),
            Some(Settled::Given(given)) => given,
            None => match self.send(batch).await? {
                None => {
                    self.progress.set(batch.index, Settled::Taken);
                    return Ok(());
                }
                Some(given) => {
                    self.progress.set(batch.index, Settled::Given(given.clone()));
                    given
                }
            },
        };
        let object_bytes = self.store(batch, &given).await?;
        let Given { refusal, .. } = given;
        let (rows, bytes) = (batch.rows as u64, batch.bytes);
        self.progress.set(batch.index, Settled::Stored { rows, bytes, code: refusal.code, object_bytes });
        Ok(())
    }

    /// Sends a request until it is taken or given up.
    async fn send(&self, batch: &Batch) -> Result<Option<Given>> {
        let given = |refusal, attempts| Given { refusal, attempts, ended_ms: self.now_ms() };
        if batch.body_bytes > ENDPOINT_BODY_BYTES_MAX {
            return Ok(Some(given(Refusal::unsendable(batch.body_bytes), 0)));
        }
        let body = self.body(batch)?;
        let (mut orders, mut pauses) = (self.courier.orders.clone(), Pauses::default());
        for attempts in 1.. {
            let endpoint = self.target.endpoint(orders.borrow_and_update().stream.destination.http.as_deref());
            let metrics = self.courier.metrics();
            metrics.endpoint_records.inc_by(batch.rows as u64);
            metrics.endpoint_bytes.inc_by(batch.bytes);
            let Err(refusal) = self.post(&endpoint, &body).await? else {
                metrics.endpoint_success.inc();
                return Ok(None);
            };
            self.refused(&refusal, attempts);
            let pause = pauses.next(endpoint.retry, self.courier.clock().random());
            let Some(pause) = pause.filter(|_| !refusal.permanent) else {
                return Ok(Some(given(refusal, attempts)));
            };
            if orders.borrow().until == Until::Flushed {
                return Err(Error::unavailable(refusal.message));
            }
            let from = self.courier.clock().instant();
            tokio::select! {
                () = self.courier.clock().sleep(pause) => {}
                // A new key, or the order to stop: no reason to wait.
                Ok(()) = orders.changed() => {}
            }
            pauses.took(self.courier.clock().instant() - from);
        }
        Err(Error::new(Kind::Internal, "attempts have no end"))
    }

    /// One attempt. An error is that nothing can be sent at all.
    async fn post(&self, endpoint: &HttpEndpoint, body: &RequestBody) -> Result<Result<(), Refusal>> {
        let client = self.courier.stores.endpoints(&endpoint.url)?;
        let sending = Sending { endpoint, source_arn: &self.courier.tools.caller.delivery_stream_arn };
        let posted = self.courier.clock().within(ENDPOINT_TIME_MAX, client.post(&sending, body)).await;
        Ok(posted.unwrap_or_else(|| Err(Refusal::timeout())))
    }

    fn body(&self, batch: &Batch) -> Result<RequestBody> {
        let rows: Vec<_> = batch.rows().map(|row| row.map(|row| row.base64)).collect::<Result<_>>()?;
        let id = request_id(&self.plan.key, batch.index);
        RequestBody::new(id, self.plan.planned_ms, rows.into_iter(), self.target.gzip)
    }

    /// Puts the records of a request into the store; bytes of the object.
    async fn store(&self, batch: &Batch, given: &Given) -> Result<u64> {
        let (key, id) = (failed_key(&self.plan.key, batch.index), request_id(&self.plan.key, batch.index));
        tracing::warn!(
            stream = self.courier.name,
            records = batch.rows,
            attempts = given.attempts,
            code = given.refusal.code,
            key,
            "an endpoint did not take records, they go to the error output"
        );
        let lines = failed::lines(batch, given, &id, self.plan.object_ms)?;
        let len = lines.len() as u64;
        match self.store.create(&key, Body::whole(lines), ObjectFacts::default()).await {
            Ok(_) => Ok(len),
            // An earlier process had given it up too, in other words.
            Err(error) if error.kind() == Kind::Conflict => match self.store.find(&key).await? {
                Some(found) => Ok(found),
                None => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    fn refused(&self, refusal: &Refusal, attempts: u32) {
        let Refusal { code, message, .. } = refusal;
        // Paths and queries of URLs hold secrets often enough, and everybody may see the last error.
        let host = self.target.url.parse::<http::Uri>().ok().and_then(|url| url.host().map(str::to_owned));
        let host = host.unwrap_or_default();
        let message = format!("attempt {attempts} at {host} failed: {code}: {message}");
        self.courier.failed(self.plan, &Error::unavailable(message));
    }

    fn now_ms(&self) -> u64 {
        self.courier.clock().now_ms()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn endpoint(url: &str) -> HttpEndpoint {
        HttpEndpoint { access_key: Some(Secret::new("key".to_owned())), ..HttpEndpoint::new(url) }
    }

    #[test]
    fn a_query_is_in_no_plan_and_comes_from_the_settings_in_force() {
        let now = endpoint("https://h/in?code=hunter2");
        let target = HttpTarget::of(&now);
        let written = serde_json::to_string(&target).unwrap();
        assert!(!written.contains("hunter2") && written.contains("https://h/in\""), "{written}");
        let target: HttpTarget = serde_json::from_str(&written).unwrap();
        let used = target.endpoint(Some(&now));
        assert_eq!((used.url.as_str(), used.access_key), (now.url.as_str(), now.access_key.clone()));
        for changed in ["https://h/in?code=other", "https://h/in"] {
            let used = target.endpoint(Some(&endpoint(changed)));
            assert_eq!((used.url.as_str(), used.access_key), (changed, now.access_key.clone()));
        }
        let used = target.endpoint(Some(&endpoint("https://elsewhere/in?code=hunter2")));
        assert_eq!((used.url.as_str(), used.access_key), ("https://h/in", None));
    }

    #[test]
    fn a_plan_of_an_earlier_version_has_its_whole_url() {
        let old: HttpTarget = serde_json::from_str(r#"{"url":"https://h/in?code=1","retry_ms":5}"#).unwrap();
        let now = endpoint("https://h/in?code=1");
        assert_eq!(old.endpoint(Some(&now)).access_key, now.access_key);
        assert_eq!(old.endpoint(None).url, now.url);
    }
}
