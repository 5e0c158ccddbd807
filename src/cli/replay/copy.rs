//! `replay --prefix`: objects copied byte for byte.

use super::Chosen;
use crate::catalog::Entry;
use crate::cli::delivered::House;
use crate::cli::delivered::rows::open;
use crate::cli::terminal::{Progress, complain, count, harmless, say, size};
use crate::cli::verify::objects::store_of;
use crate::config::{Compression, Level};
use crate::destination::{Created, Destination, ObjectFacts};
use crate::error::{Error, Kind, Result};
use crate::format::Encoding;

/// Copies the objects; whether all of them are there now.
pub(super) async fn copy(house: &House, entry: &Entry, prefix: &str, chosen: &[Chosen]) -> Result<bool> {
    let mut stores = Vec::new();
    let to = house.look(&entry.stream.destination.store).await?;
    let mut progress = Progress::new(&house.clock, Some(chosen.len() as u64));
    let (mut copied, mut bytes, mut before, mut failed) = (0_u64, 0, 0_u64, 0_u64);
    for (at, one) in chosen.iter().enumerate() {
        let from = store_of(house, &one.object.written.store, &mut stores).await?;
        match copy_one(&*from, &*to, prefix, one).await {
            Ok(Some(len)) => {
                copied += 1;
                bytes += len;
            }
            Ok(None) => before += 1,
            Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Corrupt | Kind::Conflict | Kind::Invalid) => {
                failed += 1;
                complain(harmless(&error.to_string()));
            }
            Err(error) => return Err(error),
        }
        progress.at(at as u64 + 1, || format!("{} objects copied, {}", count(copied), size(bytes)));
    }
    progress.done();
    say(format_args!(
        "{} objects ({}) copied to {}, {} there before, {} not copied",
        count(copied),
        size(bytes),
        harmless(prefix),
        count(before),
        count(failed)
    ));
    Ok(failed == 0)
}

/// Copies one; its bytes, or nothing where it was there.
async fn copy_one(from: &dyn Destination, to: &dyn Destination, prefix: &str, one: &Chosen) -> Result<Option<u64>> {
    let key = &one.object.key;
    let target = format!("{prefix}{key}");
    if let Some(there) = to.find(&target).await?
        && Some(there) == one.object.bytes
    {
        return Ok(None);
    }
    let (bytes, body) = open(from, key).await?;
    if one.object.bytes.is_some_and(|said| said != bytes) {
        let said = one.object.bytes.unwrap_or(0);
        return Err(Error::corrupt(format!(
            "object {key:?} has {bytes} bytes, the ledger says {said}: it is not copied"
        )));
    }
    let facts = ObjectFacts { content_encoding: coding(one.object.written.compression) };
    match to.create(&target, body, facts).await? {
        Created::Created => Ok(Some(bytes)),
        Created::AlreadyThere => Ok(None),
    }
}

fn coding(compression: Compression) -> Option<&'static str> {
    Encoding { compression, level: Level::default() }.content_encoding()
}
