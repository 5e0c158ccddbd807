//! The lines of an object, numbered from 1, read and decompressed on a thread of their own in bounded memory.

use std::io::{self, Read};

use bytes::{Bytes, BytesMut};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::expand::expand;
use crate::config::Compression;
use crate::destination::{Body, Destination};
use crate::error::{Error, Kind, Result};
use crate::limits::READ_PIECE_BYTES;

/// Lines that go through the channel at once.
const GROUP_ROWS: usize = 500;
/// Bytes of them, about.
const GROUP_BYTES: usize = 1 << 20;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Row {
    /// From 1.
    pub(in crate::cli) number: u64,
    /// With its line feed, which the last one may not have; nothing for one that is longer than allowed.
    pub(in crate::cli) bytes: Option<Bytes>,
}

/// The lines of one object.
pub(in crate::cli) struct Rows(mpsc::Receiver<Result<Vec<Row>>>);

impl Rows {
    /// Those of the object under `key`; `NotFound` where there is none.
    pub(in crate::cli) async fn open(
        store: &dyn Destination,
        key: &str,
        compression: Compression,
        line_bytes_max: usize,
    ) -> Result<Rows> {
        let (_, body) = open(store, key).await?;
        let (out, rows) = mpsc::channel(2);
        let key = key.to_owned();
        let body = Reading::new(body);
        drop(tokio::task::spawn_blocking(move || {
            let cut = expand(compression, Box::new(body)).and_then(|input| cut(input, line_bytes_max, &out));
            if let Err(error) = cut {
                // Whoever asked may have gone away.
                let _ = out.blocking_send(Err(unreadable(&key, error)));
            }
        }));
        Ok(Rows(rows))
    }

    /// The next few; `None` at the end.
    pub(in crate::cli) async fn next(&mut self) -> Result<Option<Vec<Row>>> {
        self.0.recv().await.transpose()
    }
}

/// The bytes of the object under `key` and how many there are; `NotFound` where there is none.
pub(in crate::cli) async fn open(store: &dyn Destination, key: &str) -> Result<(u64, Body)> {
    let found = store.read(key).await?;
    found.ok_or_else(|| Error::new(Kind::NotFound, format!("there is no object {key:?}")))
}

/// The kind of errors that a store made, and not the bytes.
const FROM_STORE: io::ErrorKind = io::ErrorKind::ConnectionAborted;

/// What is told of an object that could not be read to its end.
pub(in crate::cli) fn unreadable(key: &str, error: io::Error) -> Error {
    let kind = if error.kind() == FROM_STORE { Kind::Unavailable } else { Kind::Corrupt };
    Error::new(kind, format!("object {key:?} cannot be read to its end")).because(error)
}

/// A body as a blocking reader, for a thread that may block.
pub(in crate::cli) struct Reading {
    body: Body,
    piece: Bytes,
    runtime: Handle,
}

impl Reading {
    /// Within a runtime.
    pub(in crate::cli) fn new(body: Body) -> Self {
        Reading { body, piece: Bytes::new(), runtime: Handle::current() }
    }
}

impl Read for Reading {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.runtime.block_on(self.body.next()) {
                None => return Ok(0),
                Some(Ok(piece)) => self.piece = piece,
                Some(Err(error)) => return Err(io::Error::new(FROM_STORE, error.to_string())),
            }
        }
        let len = into.len().min(self.piece.len());
        into[..len].copy_from_slice(&self.piece.split_to(len));
        Ok(len)
    }
}

/// Cuts what comes at line feeds, and sends it on until nobody wants more.
fn cut(mut input: Box<dyn Read + Send>, line_bytes_max: usize, out: &mpsc::Sender<Result<Vec<Row>>>) -> io::Result<()> {
    let mut piece = vec![0; READ_PIECE_BYTES];
    let mut cutting =
        Cutting { line: BytesMut::new(), too_long: false, number: 0, group: Vec::new(), bytes: 0, line_bytes_max };
    loop {
        let len = match input.read(&mut piece) {
            Ok(0) => break,
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                // What came before it is good.
                let _ = out.blocking_send(Ok(std::mem::take(&mut cutting.group)));
                return Err(error);
            }
        };
        let mut begin = 0;
        while begin < len {
            let end = memchr::memchr(b'\n', &piece[begin..len]).map_or(len, |at| begin + at + 1);
            cutting.add(&piece[begin..end]);
            begin = end;
            if cutting.is_full() && out.blocking_send(Ok(cutting.take())).is_err() {
                return Ok(());
            }
        }
    }
    if !cutting.line.is_empty() || cutting.too_long {
        cutting.end();
    }
    if !cutting.group.is_empty() {
        let _ = out.blocking_send(Ok(cutting.take()));
    }
    Ok(())
}

struct Cutting {
    line: BytesMut,
    too_long: bool,
    number: u64,
    group: Vec<Row>,
    bytes: usize,
    line_bytes_max: usize,
}

impl Cutting {
    fn add(&mut self, part: &[u8]) {
        self.too_long |= self.line.len() + part.len() > self.line_bytes_max;
        if self.too_long {
            self.line.clear();
        } else {
            self.line.extend_from_slice(part);
        }
        if part.ends_with(b"\n") {
            self.end();
        }
    }

    fn end(&mut self) {
        self.number += 1;
        self.bytes += self.line.len();
        let line = self.line.split().freeze();
        let too_long = std::mem::take(&mut self.too_long);
        self.group.push(Row { number: self.number, bytes: (!too_long).then_some(line) });
    }

    fn is_full(&self) -> bool {
        self.group.len() >= GROUP_ROWS || self.bytes >= GROUP_BYTES
    }

    fn take(&mut self) -> Vec<Row> {
        self.bytes = 0;
        std::mem::take(&mut self.group)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::destination::ObjectFacts;
    use crate::destination::local::LocalDirectory;
    use crate::disk::sim::SimDisk;

    async fn lines(object: Vec<u8>, line_bytes_max: usize) -> Vec<(u64, Option<Bytes>)> {
        let store = LocalDirectory::new(Arc::new(SimDisk::new(1)));
        store.create("k", Body::whole(object), ObjectFacts::default()).await.unwrap();
        let mut rows = Rows::open(&store, "k", Compression::None, line_bytes_max).await.unwrap();
        let mut all = Vec::new();
        while let Some(group) = rows.next().await.unwrap() {
            assert!(group.len() <= GROUP_ROWS);
            all.extend(group.into_iter().map(|row| (row.number, row.bytes)));
        }
        all
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn lines_keep_their_feeds_and_their_numbers() {
        let of = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
        assert_eq!(lines(Vec::new(), 9).await, []);
        assert_eq!(lines(b"a\n\nb".to_vec(), 9).await, [(1, of("a\n")), (2, of("\n")), (3, of("b"))]);
        assert_eq!(lines(b"123\n1234\n12345".to_vec(), 4).await, [(1, of("123\n")), (2, None), (3, None)]);
        let many = lines("line\n".repeat(2_001).into_bytes(), 9).await;
        assert!(many.len() == 2_001 && many.last().unwrap().0 == 2_001);
        let mut long = vec![b'x'; 3 * READ_PIECE_BYTES];
        long.extend_from_slice(b"\nb\n");
        assert_eq!(lines(long, 100).await, [(1, None), (2, of("b\n"))]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_missing_or_not_compressed_so_says_its_key() {
        let store = LocalDirectory::new(Arc::new(SimDisk::new(1)));
        store.create("a/k", Body::whole("text\n"), ObjectFacts::default()).await.unwrap();
        let error = Rows::open(&store, "a/x", Compression::None, 9).await.err().unwrap();
        assert_eq!((error.kind(), error.message()), (Kind::NotFound, "there is no object \"a/x\""));
        let mut rows = Rows::open(&store, "a/k", Compression::Gzip, 9).await.unwrap();
        let error = loop {
            match rows.next().await {
                Ok(Some(rows)) => assert!(rows.is_empty()),
                Ok(None) => panic!("it is no gzip"),
                Err(error) => break error,
            }
        };
        assert!(error.kind() == Kind::Corrupt && error.message().contains("a/k"), "{error}");
    }
}
