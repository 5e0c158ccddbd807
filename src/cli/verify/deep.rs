//! Objects read to their ends: what is in them is as much as the ledger says.

use std::io::{self, Read};
use std::sync::Arc;

use futures_util::{StreamExt, stream};

use super::objects::{Content, Expected, store_of};
use crate::cli::delivered::House;
use crate::cli::delivered::expand::expand;
use crate::cli::delivered::rows::{Reading, open, unreadable};
use crate::cli::terminal::{Progress, count};
use crate::config::{Compression, Delimiter};
use crate::destination::Destination;
use crate::error::{Kind, Result};
use crate::limits::READ_PIECE_BYTES;

/// Objects that are read at once.
const AT_ONCE: usize = 4;

/// What was found in an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct Measure {
    pub(in crate::cli) bytes: u64,
    /// Line feeds.
    pub(in crate::cli) lines: u64,
    /// Whether it ends without one.
    pub(in crate::cli) is_open: bool,
}

/// Reads each object; what is wrong with them, and how many were read.
///
/// # Errors
/// When a store cannot be read.
pub(in crate::cli) async fn read_all(
    house: &House,
    objects: &[Expected],
    progress: &mut Progress,
) -> Result<(u64, Vec<String>)> {
    let mut stores = Vec::new();
    let mut jobs = Vec::new();
    for object in objects.iter().filter(|object| can_be_measured(object)) {
        jobs.push((object, store_of(house, &object.written.store, &mut stores).await?));
    }
    let total = jobs.len();
    let mut results = stream::iter(jobs).map(|(object, store)| judge(object, store)).buffer_unordered(AT_ONCE);
    let (mut read, mut faults) = (0, Vec::new());
    while let Some(judged) = results.next().await {
        read += 1;
        faults.extend(judged?);
        progress.at(read, || format!("{} of {} objects read", count(read), count(total as u64)));
    }
    Ok((read, faults))
}

/// Whether the ledger says how much is in it.
pub(in crate::cli) fn can_be_measured(object: &Expected) -> bool {
    object.written.is_joined || matches!(object.content, Content::Failures(_))
}

/// What is wrong with an object, if something is.
async fn judge(object: &Expected, store: Arc<dyn Destination>) -> Result<Option<String>> {
    let compression = match object.content {
        Content::Rows { .. } => object.written.compression,
        Content::Failures(_) => Compression::None,
    };
    let (key, plan) = (&object.key, object.plan);
    match measure(&*store, key, compression).await {
        Ok(found) => Ok(wrong(object, found).map(|why| format!("altered: {key:?} of plan {plan} {why}"))),
        Err(error) if matches!(error.kind(), Kind::Corrupt | Kind::NotFound) => {
            Ok(Some(format!("damaged: plan {plan}: {error}")))
        }
        Err(error) => Err(error),
    }
}

fn wrong(object: &Expected, found: Measure) -> Option<String> {
    let (rows, bytes) = match object.content {
        Content::Failures(lines) if found.lines == lines && !found.is_open => return None,
        Content::Failures(lines) => return Some(format!("has {} lines, the ledger says {lines}", found.lines)),
        Content::Rows { rows, bytes } => (rows, bytes),
    };
    let (least, most) = match object.written.delimiter {
        Delimiter::Never => (bytes, bytes),
        Delimiter::Always => (bytes + rows, bytes + rows),
        Delimiter::IfMissing => (bytes, bytes + rows),
        Delimiter::Between => (bytes + rows.saturating_sub(1), bytes + rows.saturating_sub(1)),
    };
    if !(least..=most).contains(&found.bytes) {
        return Some(format!("holds {} bytes, the ledger says {least}{}", found.bytes, upto(least, most)));
    }
    let is_cut = match object.written.delimiter {
        Delimiter::Never => false,
        Delimiter::Always | Delimiter::IfMissing => found.lines < rows || found.is_open,
        Delimiter::Between => found.lines + 1 < rows,
    };
    is_cut.then(|| format!("has {} lines, the ledger says at least {rows}", found.lines))
}

fn upto(least: u64, most: u64) -> String {
    if most > least { format!(" to {most}") } else { String::new() }
}

/// How much is in an object, decompressed.
pub(in crate::cli) async fn measure(store: &dyn Destination, key: &str, compression: Compression) -> Result<Measure> {
    let (_, body) = open(store, key).await?;
    let reading = Reading::new(body);
    let counted = tokio::task::spawn_blocking(move || count_in(expand(compression, Box::new(reading))?)).await;
    counted.map_err(io::Error::other).and_then(|counted| counted).map_err(|error| unreadable(key, error))
}

fn count_in(mut input: Box<dyn Read + Send>) -> io::Result<Measure> {
    let mut piece = vec![0; READ_PIECE_BYTES];
    let mut found = Measure::default();
    loop {
        match input.read(&mut piece) {
            Ok(0) => return Ok(found),
            Ok(len) => {
                found.bytes += len as u64;
                found.lines += memchr::memchr_iter(b'\n', &piece[..len]).count() as u64;
                found.is_open = piece[len - 1] != b'\n';
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Store;
    use crate::pipeline::Written;

    fn object(content: Content, delimiter: Delimiter) -> Expected {
        let store = Store::Local { path: "/lake".into() };
        let written = Written { store, delimiter, compression: Compression::None, is_joined: true, is_sent: false };
        Expected { key: "k".into(), plan: 1, content, bytes: None, written: written.into() }
    }

    #[test]
    fn as_much_is_in_an_object_as_the_ledger_says() {
        let measure = |text: &str| count_in(Box::new(io::Cursor::new(text.to_owned()))).unwrap();
        let rows = |rows, bytes| Content::Rows { rows, bytes };
        for (content, delimiter, text, expected) in [
            (rows(2, 3), Delimiter::Never, "abc", None),
            (rows(2, 3), Delimiter::Never, "abcd", Some("holds 4 bytes, the ledger says 3")),
            (rows(2, 3), Delimiter::Always, "a\nbc\n", None),
            (rows(2, 3), Delimiter::Always, "a\nbcd", Some("has 1 lines")),
            (rows(2, 3), Delimiter::Always, "a\nb\n", Some("holds 4 bytes, the ledger says 5")),
            (rows(2, 4), Delimiter::IfMissing, "a\nbc\n", None),
            (rows(2, 3), Delimiter::Between, "a\nbc", None),
            (rows(2, 1), Delimiter::Between, "a\n", None),
            (rows(2, 3), Delimiter::Between, "a\nbc\n", Some("holds 5 bytes, the ledger says 4")),
            (rows(2, 3), Delimiter::Between, "abcd", Some("has 0 lines")),
            (rows(2, 4), Delimiter::IfMissing, "abcde\n", Some("has 1 lines, the ledger says at least 2")),
            (rows(2, 4), Delimiter::IfMissing, "a\nb", Some("holds 3 bytes, the ledger says 4 to 6")),
            (Content::Failures(2), Delimiter::Never, "{}\n{}\n", None),
            (Content::Failures(2), Delimiter::Never, "{}\n{", Some("has 1 lines, the ledger says 2")),
        ] {
            let found = wrong(&object(content, delimiter), measure(text));
            assert_eq!(found.is_some(), expected.is_some(), "{text}: {found:?}");
            assert!(found.as_deref().unwrap_or_default().contains(expected.unwrap_or_default()), "{text}: {found:?}");
        }
    }
}
