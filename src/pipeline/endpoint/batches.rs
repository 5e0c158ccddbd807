//! The rows of a plan, cut into requests. Where one ends depends on the rows alone, so a repeat makes the same requests.

use std::ops::Range;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;

use super::rows::Row;
use crate::destination::Body;
use crate::destination::http::body_bytes;
use crate::error::Result;
use crate::limits::{ENDPOINT_BODY_BYTES_MAX, ENDPOINT_RECORDS_MAX};

/// Characters of the nonce at the end of a plan's keys: a UUID.
const NONCE_CHARS: usize = 36;

/// Rows that go in one request.
pub(super) struct Batch {
    /// The number of the request in its plan.
    pub index: usize,
    /// How many rows.
    pub rows: usize,
    /// Bytes of their records.
    pub bytes: u64,
    /// Bytes that the body of the request has.
    pub body_bytes: usize,
    pieces: Vec<Bytes>,
}

impl Batch {
    /// Its rows, in order.
    pub(super) fn rows(&self) -> impl Iterator<Item = Result<Row<'_>>> {
        self.pieces.iter().flat_map(|piece| piece.split_inclusive(|byte| *byte == b'\n')).map(Row::read)
    }
}

/// Cuts what a body brings: whole lines, as the encoders made them.
pub(super) struct Batches {
    body: Body,
    /// Lines that came and are in no batch yet.
    rest: Bytes,
    next: usize,
    ended: bool,
}

impl Batches {
    pub(super) fn of(body: Body) -> Self {
        Batches { body, rest: Bytes::new(), next: 0, ended: false }
    }

    /// The next; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Batch>> {
        let mut batch = Batch { index: self.next, rows: 0, bytes: 0, body_bytes: 0, pieces: Vec::new() };
        let mut base64_bytes = 0;
        while self.fetch().await? {
            let Range { end, .. } = take(&self.rest, &mut batch, &mut base64_bytes)?;
            if end > 0 {
                batch.pieces.push(self.rest.split_to(end));
            }
            if !self.rest.is_empty() {
                break;
            }
        }
        batch.body_bytes = body_bytes(batch.rows, base64_bytes);
        self.next += 1;
        Ok((batch.rows > 0).then_some(batch))
    }

    /// Whether there are lines.
    async fn fetch(&mut self) -> Result<bool> {
        while self.rest.is_empty() && !self.ended {
            match self.body.next().await {
                Some(chunk) => self.rest = chunk?,
                None => self.ended = true,
            }
        }
        Ok(!self.rest.is_empty())
    }
}

/// Counts the lines that still fit into the batch; which bytes they are. A row that fits into no request has one of its own.
fn take(lines: &[u8], batch: &mut Batch, base64_bytes: &mut usize) -> Result<Range<usize>> {
    let mut end = 0;
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        let row = Row::read(line)?;
        let fits = batch.rows < ENDPOINT_RECORDS_MAX
            && body_bytes(batch.rows + 1, *base64_bytes + row.base64.len()) <= ENDPOINT_BODY_BYTES_MAX;
        if !fits && batch.rows > 0 {
            break;
        }
        batch.rows += 1;
        batch.bytes += row.len();
        *base64_bytes += row.base64.len();
        end += line.len();
    }
    Ok(0..end)
}

/// The id of a plan's request: of the first the nonce of the plan's key, of the others a UUID that follows from it. So it is
/// the same in all attempts, also those of a later process.
pub(super) fn request_id(key: &str, index: usize) -> String {
    let nonce = key.len().checked_sub(NONCE_CHARS).and_then(|at| key.get(at..)).unwrap_or(key);
    if index == 0 {
        return nonce.to_owned();
    }
    let hash = digest(&SHA256, format!("{nonce}/{index}").as_bytes());
    let mut hex = hash.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    // Version 8 of RFC 9562: made in one's own way.
    hex.replace_range(12..13, "8");
    hex.replace_range(16..17, "a");
    for at in [20, 16, 12, 8] {
        hex.insert(at, '-');
    }
    hex
}

/// The key of what a request's records become if the endpoint does not take them.
pub(super) fn failed_key(key: &str, index: usize) -> String {
    if index == 0 { key.to_owned() } else { format!("{key}-{index}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::rows::append;
    use super::*;

    fn lines(lens: &[usize]) -> Vec<u8> {
        let mut lines = Vec::new();
        for len in lens {
            append(&mut lines, Some(1), &vec![7; *len]);
        }
        lines
    }

    /// The number of rows of each request, and their order kept.
    async fn cut(pieces: Vec<Vec<u8>>) -> Vec<usize> {
        let whole = pieces.concat();
        let mut batches = Batches::of(Body::ready(pieces.into_iter().map(Bytes::from)));
        let (mut rows, mut again) = (Vec::new(), Vec::new());
        while let Some(batch) = batches.next().await.unwrap() {
            assert_eq!((batch.index, batch.rows().count()), (rows.len(), batch.rows));
            let base64: usize = batch.rows().map(|row| row.unwrap().base64.len()).sum();
            assert_eq!(batch.body_bytes, body_bytes(batch.rows, base64));
            assert!(
                batch.rows <= ENDPOINT_RECORDS_MAX && (batch.body_bytes <= ENDPOINT_BODY_BYTES_MAX || batch.rows == 1)
            );
            rows.push(batch.rows);
            again.extend(batch.pieces.concat());
        }
        assert!(again == whole);
        rows
    }

    #[tokio::test]
    async fn a_request_has_at_most_ten_thousand_records_and_64_mib() {
        assert_eq!(cut(vec![]).await, [0; 0]);
        assert_eq!(cut(vec![lines(&[0, 1, 2]), vec![], lines(&[5])]).await, [4]);
        assert_eq!(cut(vec![lines(&[3; 25_001])]).await, [10_000, 10_000, 5_001]);
        assert_eq!(cut(vec![lines(&[10 << 20; 11])]).await, [4, 4, 3]);
        assert_eq!(cut(vec![lines(&[1, 50 << 20, 1])]).await, [1, 1, 1], "a row that fits into none goes alone");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn where_requests_end_does_not_depend_on_how_rows_come(cuts in prop::collection::vec(0_usize..12_000, 0..6)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let all = vec![9; 12_000];
            let mut cuts = cuts;
            cuts.extend([0, 12_000]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|cut| lines(&all[cut[0]..cut[1]])).collect();
            prop_assert_eq!(runtime.block_on(cut(pieces)), vec![10_000, 2_000]);
        }
    }

    #[test]
    fn ids_are_guids_and_follow_from_the_plan() {
        let key = "errors/http-endpoint-failed/s-1-2026-11-21-01-02-03-0f8fad5b-d9cb-469f-a165-70867728950e";
        assert_eq!(request_id(key, 0), "0f8fad5b-d9cb-469f-a165-70867728950e");
        let (one, two) = (request_id(key, 1), request_id(key, 2));
        assert!(one != two && one == request_id(key, 1));
        let shape: String = one.chars().map(|c| if c == '-' { '-' } else { 'x' }).collect();
        assert_eq!(shape, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx");
        assert_eq!((&one[14..15], &one[19..20]), ("8", "a"));
        assert_eq!((failed_key("k", 0), failed_key("k", 3)), ("k".to_owned(), "k-3".to_owned()));
        assert_eq!(request_id("short", 0), "short");
    }
}
