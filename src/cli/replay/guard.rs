//! What keeps a replay from delivering into the place that it reads, or into that of another stream, by accident.

use super::Chosen;
use crate::cli::delivered::House;
use crate::cli::delivered::keys::ErrorKeys;
use crate::config::{DeliveryStream, Source, Store, names};
use crate::error::{Error, Result};
use crate::limits::KEY_BYTES_MAX;

/// Refuses a prefix into which a stream delivers.
pub(super) fn prefix(house: &House, stream: &DeliveryStream, prefix: &str, chosen: &[Chosen]) -> Result<()> {
    let refuse = |why: String| Err(Error::invalid(format!("--prefix {prefix:?} {why}")));
    if prefix.is_empty() {
        return refuse("must not be empty: the copies would be the originals".to_owned());
    }
    if let Some(bad) = prefix.chars().find(|c| c.is_control()) {
        return refuse(format!("holds {bad:?}"));
    }
    for other in all(house, stream) {
        if !same_place(&other.destination.store, &stream.destination.store) {
            continue;
        }
        for head in heads(&other) {
            let meets = prefix.starts_with(&head) || head.starts_with(prefix);
            if !head.is_empty() && meets {
                return refuse(format!("meets {head:?}, into which stream {} delivers", other.name));
            }
        }
    }
    for one in chosen {
        let key = &one.object.key;
        if key.starts_with(prefix) {
            return refuse(format!("is what the key of the original {key:?} begins with"));
        }
        let bytes = prefix.len() + key.len();
        if bytes > KEY_BYTES_MAX {
            return refuse(format!("and {key:?} have {bytes} bytes, a key has at most {KEY_BYTES_MAX}"));
        }
    }
    Ok(())
}

/// Refuses a stream that delivers to where the rows come from.
pub(super) fn stream(house: &House, stream: &DeliveryStream, into: &str) -> Result<()> {
    names::stream_name(into)?;
    let refuse = |why: &str| Err(Error::invalid(format!("--into {into}: {why}")));
    if into == stream.name {
        return refuse("the rows are of this stream already, and would be delivered beside themselves");
    }
    // One that is not known here may be another service's.
    let Some(other) = all(house, stream).into_iter().find(|other| other.name == into) else { return Ok(()) };
    if other.source != Source::Direct {
        return refuse("it takes its records from another stream, and cannot be put into");
    }
    let (ours, theirs) = (&stream.destination, &other.destination);
    if same_place(&ours.store, &theirs.store) && ours.prefix.head() == theirs.prefix.head() {
        return refuse("it delivers to the very prefix that the rows come from");
    }
    Ok(())
}

/// All streams that are known.
fn all(house: &House, stream: &DeliveryStream) -> Vec<DeliveryStream> {
    let mut all: Vec<DeliveryStream> = house.config.delivery_streams.clone();
    if let Ok((_, entries)) = house.known() {
        all.extend(entries.values().map(|entry| (*entry.stream).clone()));
    }
    all.push(stream.clone());
    let backups: Vec<_> = all.iter().filter_map(DeliveryStream::of_backup).collect();
    all.extend(backups);
    all
}

fn heads(stream: &DeliveryStream) -> [String; 2] {
    [stream.destination.prefix.head().to_owned(), ErrorKeys::of(stream).head]
}

fn same_place(one: &Store, other: &Store) -> bool {
    match (one, other) {
        (Store::Local { path }, Store::Local { path: other }) => path == other,
        (Store::S3(s3), Store::S3(other)) => {
            s3.bucket == other.bucket && s3.connection.endpoint == other.connection.endpoint
        }
        (Store::Gcs(gcs), Store::Gcs(other)) => gcs.bucket == other.bucket && gcs.endpoint == other.endpoint,
        (Store::Azure(azure), Store::Azure(other)) => {
            azure.account == other.account && azure.container == other.container && azure.endpoint == other.endpoint
        }
        _ => false,
    }
}
