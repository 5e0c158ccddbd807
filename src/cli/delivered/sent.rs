//! What was sent again of an object's rows, remembered beside the error output, so that a repeated, an interrupted or a
//! second command at the same time sends no row twice.
//!
//! # Format
//! Markers are objects `<dir>.standpipe-sent/<digest>/into-<stream>/<8 digits>.json`, where `<dir>` is the literal beginning
//! of the error prefix up to its last slash and `<digest>` is half the SHA-256 of the object's key. (Names with a dot in
//! front are passed over by Hive, Spark, Athena and Arrow.) They are made one after the other, never replaced:
//!
//! - A **claim** names rows, the digest of their bytes, and the name of the call that brings them. It is there before the call.
//! - A marker behind a claim says that its call was acknowledged; one with `void` says that it was refused for good.
//! - The last claim is **in doubt** until something stands behind it. While the service remembers its call the same call is made
//!   again, which stores its records if they are not there, and only then. Later nobody can know. The service also forgets calls
//!   when more than [`CALLS_REMEMBERED_MAX`](crate::limits::CALLS_REMEMBERED_MAX) came since, which is not seen here: the commands'
//!   help says so.
//!
//! Two commands at the same time meet at the next number: one makes it, and the other stops.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{Context, SHA256, digest};
use serde::{Deserialize, Serialize};

use super::list_all;
use super::rows::open;
use crate::clock::Clock;
use crate::destination::{Body, Created, Destination, ObjectFacts};
use crate::error::{Error, Kind, Result};
use crate::limits::MARKER_BYTES_MAX;

const FORMAT: u32 = 1;

/// What is in a marker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cli) struct Marker {
    format: u32,
    key: String,
    into: String,
    /// When it was made, milliseconds since 1970.
    pub(in crate::cli) at_ms: u64,
    /// Whether the call of the claim before was refused for good.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    void: bool,
    /// What it claims, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) claim: Option<Claim>,
}

/// Rows that one call brings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cli) struct Claim {
    /// The call's `amz-sdk-invocation-id`.
    pub(in crate::cli) call: String,
    /// First and last of each run of rows.
    pub(in crate::cli) rows: Vec<(u64, u64)>,
    /// Of the records as they are sent, in hexadecimal.
    pub(in crate::cli) sha256: String,
}

/// Numbers of rows, as runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct Numbers(BTreeMap<u64, u64>);

impl Numbers {
    /// Adds `first..=last`.
    pub(in crate::cli) fn add(&mut self, mut first: u64, mut last: u64) {
        let touching: Vec<_> = self
            .0
            .range(..=last.saturating_add(1))
            .rev()
            .take_while(|(_, end)| end.saturating_add(1) >= first)
            .map(|(start, end)| (*start, *end))
            .collect();
        for (start, end) in touching {
            self.0.remove(&start);
            (first, last) = (first.min(start), last.max(end));
        }
        self.0.insert(first, last);
    }

    /// Whether a number is among them.
    pub(in crate::cli) fn holds(&self, number: u64) -> bool {
        self.0.range(..=number).next_back().is_some_and(|(_, last)| *last >= number)
    }

    /// How many there are.
    pub(in crate::cli) fn len(&self) -> u64 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// The runs.
    pub(in crate::cli) fn runs(&self) -> Vec<(u64, u64)> {
        self.0.iter().map(|(first, last)| (*first, *last)).collect()
    }
}

impl FromIterator<u64> for Numbers {
    fn from_iter<T: IntoIterator<Item = u64>>(numbers: T) -> Self {
        let mut all = Numbers::default();
        numbers.into_iter().for_each(|number| all.add(number, number));
        all
    }
}

/// The digest of records as they are sent: of each its length and its bytes.
pub(in crate::cli) fn digest_of<'a>(records: impl Iterator<Item = &'a [u8]>) -> String {
    let mut sum = Context::new(&SHA256);
    for record in records {
        sum.update(&(record.len() as u64).to_be_bytes());
        sum.update(record);
    }
    hex(sum.finish().as_ref())
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])).collect()
}

/// Where the markers of all objects are, given the literal beginning of the error prefix.
pub(in crate::cli) fn root(head: &str) -> String {
    let dir = head.rfind('/').map_or("", |slash| &head[..=slash]);
    format!("{dir}.standpipe-sent/")
}

/// Where those of one object are.
pub(in crate::cli) fn folder(root: &str, key: &str) -> String {
    format!("{root}{}/", &hex(digest(&SHA256, key.as_bytes()).as_ref())[..32])
}

/// What was sent of one object into one stream.
pub(in crate::cli) struct Sent<'a> {
    store: &'a dyn Destination,
    folder: String,
    key: String,
    into: String,
    next: u32,
    /// Rows that were acknowledged.
    pub(in crate::cli) rows: Numbers,
    /// The last claim, when nobody knows what became of it, and when it was made.
    pub(in crate::cli) doubt: Option<(Claim, u64)>,
}

impl<'a> Sent<'a> {
    /// Reads the markers of the object under `key`.
    ///
    /// # Errors
    /// Those of the store; `Corrupt` for a marker that is none.
    pub(in crate::cli) async fn load(
        store: &'a dyn Destination,
        root: &str,
        key: &str,
        into: &str,
    ) -> Result<Sent<'a>> {
        let folder = format!("{}into-{into}/", folder(root, key));
        let mut found = Vec::new();
        list_all(store, &folder, |object| {
            found.push(object.key);
            Ok(())
        })
        .await?;
        let mut sent = Sent {
            store,
            folder,
            key: key.to_owned(),
            into: into.to_owned(),
            next: 0,
            rows: Numbers::default(),
            doubt: None,
        };
        for name in found {
            let marker = sent.read(&name).await?;
            if name != sent.name(sent.next) {
                return Err(Error::corrupt(format!(
                    "marker {name:?} is out of order: {:?} is missing",
                    sent.name(sent.next)
                )));
            }
            sent.take(marker);
        }
        Ok(sent)
    }

    /// Claims rows before they are sent.
    ///
    /// # Errors
    /// `Conflict` when another command sends rows of this object at the same time.
    pub(in crate::cli) async fn claim(&mut self, claim: Claim, clock: &Clock) -> Result<()> {
        self.write(Some(claim), false, clock).await
    }

    /// The last claim was acknowledged, and nothing follows; or (`void`) it was refused for good.
    pub(in crate::cli) async fn settle(&mut self, void: bool, clock: &Clock) -> Result<()> {
        if self.doubt.is_some() { self.write(None, void, clock).await } else { Ok(()) }
    }

    async fn write(&mut self, claim: Option<Claim>, void: bool, clock: &Clock) -> Result<()> {
        let (key, into) = (self.key.clone(), self.into.clone());
        let marker = Marker { format: FORMAT, key, into, at_ms: clock.now_ms(), void, claim };
        let bytes = serde_json::to_vec(&marker).expect("a marker is plain data");
        let name = self.name(self.next);
        let created = self.store.create(&name, Body::whole(bytes), ObjectFacts::default()).await;
        let is_ours = match created {
            Ok(Created::Created) => true,
            // An earlier attempt of this very creation may have got through.
            Ok(Created::AlreadyThere) => self.read(&name).await? == marker,
            Err(error) if error.kind() == Kind::Conflict => false,
            Err(error) => return Err(error),
        };
        if !is_ours {
            let message = format!(
                "another command sends records of {:?} into {} at this moment: see what it did, and try again",
                self.key, self.into
            );
            return Err(Error::new(Kind::Conflict, message));
        }
        self.take(marker);
        Ok(())
    }

    fn take(&mut self, marker: Marker) {
        let before = self.doubt.take();
        if let Some((claim, _)) = before.filter(|_| !marker.void) {
            claim.rows.iter().for_each(|(first, last)| self.rows.add(*first, *last));
        }
        self.doubt = marker.claim.map(|claim| (claim, marker.at_ms));
        self.next += 1;
    }

    async fn read(&self, name: &str) -> Result<Marker> {
        let marker = read(self.store, name).await?;
        if marker.key != self.key || marker.into != self.into {
            return Err(Error::corrupt(format!(
                "marker {name:?} speaks of object {:?} into {:?}",
                marker.key, marker.into
            )));
        }
        Ok(marker)
    }

    fn name(&self, number: u32) -> String {
        format!("{}{number:08}.json", self.folder)
    }
}

/// How many rows of the object under `key` were sent, into all streams, those in doubt included.
pub(in crate::cli) async fn count(store: &dyn Destination, root: &str, key: &str) -> Result<Numbers> {
    let (mut names, mut all) = (Vec::new(), Numbers::default());
    list_all(store, &folder(root, key), |object| {
        names.push(object.key);
        Ok(())
    })
    .await?;
    let mut last: Option<(String, Claim)> = None;
    for name in names {
        let marker = read(store, &name).await?;
        if let Some((into, claim)) = last.take()
            && !(marker.void && into == marker.into)
        {
            claim.rows.iter().for_each(|(first, last)| all.add(*first, *last));
        }
        last = marker.claim.map(|claim| (marker.into, claim));
    }
    if let Some((_, claim)) = last {
        claim.rows.iter().for_each(|(first, last)| all.add(*first, *last));
    }
    Ok(all)
}

async fn read(store: &dyn Destination, name: &str) -> Result<Marker> {
    let (bytes, mut body) = open(store, name).await?;
    let damaged = |why: String| Error::corrupt(format!("marker {name:?} {why}"));
    if bytes > MARKER_BYTES_MAX as u64 {
        return Err(damaged(format!("has {bytes} bytes, at most {MARKER_BYTES_MAX} can be one")));
    }
    let mut text = Vec::new();
    while let Some(piece) = body.next().await {
        text.extend_from_slice(&piece?);
        if text.len() > MARKER_BYTES_MAX {
            return Err(damaged(format!("has more than {MARKER_BYTES_MAX} bytes")));
        }
    }
    let marker: Marker =
        serde_json::from_slice(&text).map_err(|error| damaged("is damaged".to_owned()).because(error))?;
    if marker.format != FORMAT {
        return Err(damaged(format!("has format {}, this version knows {FORMAT}", marker.format)));
    }
    let mut rows = marker.claim.iter().flat_map(|claim| &claim.rows);
    if rows.any(|(first, last)| first > last || *first == 0 || *last == u64::MAX) {
        return Err(damaged("claims rows that cannot be".to_owned()));
    }
    Ok(marker)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::destination::local::LocalDirectory;
    use crate::disk::sim::SimDisk;

    fn claim(call: &str, rows: &[(u64, u64)]) -> Claim {
        Claim { call: call.to_owned(), rows: rows.to_vec(), sha256: digest_of([].into_iter()) }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_claimed_is_in_doubt_until_something_stands_behind_it() {
        let clock = Clock::simulated(1, 1_000);
        let store = LocalDirectory::new(Arc::new(SimDisk::new(1)));
        let root = root("errors/x-");
        assert_eq!(root, "errors/.standpipe-sent/");
        let key = "errors/a b/../weird\u{1}\\key";
        let load = async || Sent::load(&store, &root, key, "web").await.unwrap();
        let mut sent = load().await;
        sent.claim(claim("1", &[(1, 500)]), &clock).await.unwrap();
        let mut late = load().await;
        assert_eq!((late.rows.len(), late.doubt.clone()), (0, Some((claim("1", &[(1, 500)]), 1_000))));
        sent.claim(claim("2", &[(502, 502)]), &clock).await.unwrap();
        let error = late.claim(claim("3", &[(501, 501)]), &clock).await.unwrap_err();
        assert!(error.kind() == Kind::Conflict && error.message().contains("at this moment"), "{error}");
        sent.settle(true, &clock).await.unwrap();
        sent.claim(claim("4", &[(503, 504)]), &clock).await.unwrap();
        sent.settle(false, &clock).await.unwrap();
        sent.settle(false, &clock).await.unwrap();
        let again = load().await;
        assert_eq!((again.rows.runs(), again.doubt, again.next), (vec![(1, 500), (503, 504)], None, 5));
        let elsewhere = Sent::load(&store, &root, key, "other").await.unwrap();
        assert_eq!(elsewhere.rows.len(), 0, "each stream has its own");
        assert_eq!(count(&store, &root, key).await.unwrap().len(), 502);
    }

    #[tokio::test]
    async fn a_marker_that_is_none_is_refused() {
        for (name, text, why) in [
            ("00000000", "{", "damaged"),
            ("00000001", r#"{"format":1,"key":"k","into":"web","at_ms":1}"#, "out of order"),
            ("00000000", r#"{"format":2,"key":"k","into":"web","at_ms":1}"#, "format 2"),
            ("00000000", r#"{"format":1,"key":"x","into":"web","at_ms":1}"#, "speaks of object \"x\""),
            (
                "00000000",
                r#"{"format":1,"key":"k","into":"web","at_ms":1,"claim":{"call":"c","rows":[[5,4]],"sha256":""}}"#,
                "cannot be",
            ),
            ("00000000", &" ".repeat(MARKER_BYTES_MAX + 1), "at most"),
        ] {
            let store = LocalDirectory::new(Arc::new(SimDisk::new(1)));
            let key = format!("{}into-web/{name}.json", folder(".standpipe-sent/", "k"));
            store.create(&key, Body::whole(text.to_owned()), ObjectFacts::default()).await.unwrap();
            let error = Sent::load(&store, ".standpipe-sent/", "k", "web").await.err().unwrap();
            assert!(error.kind() == Kind::Corrupt && error.message().contains(why), "{error}");
        }
    }

    proptest! {
        #[test]
        fn runs_hold_what_was_added(runs in proptest::collection::vec((0..60_u64, 0..9_u64), 0..20)) {
            let (mut numbers, mut plain) = (Numbers::default(), std::collections::BTreeSet::new());
            for (first, more) in runs {
                numbers.add(first, first + more);
                plain.extend(first..=first + more);
            }
            for number in 0..80 {
                prop_assert_eq!(numbers.holds(number), plain.contains(&number), "{}", number);
            }
            prop_assert_eq!(numbers.len(), plain.len() as u64);
            prop_assert!(numbers.runs().windows(2).all(|two| two[0].1 + 1 < two[1].0), "{:?}", numbers);
        }
    }
}
