//! CBOR as the SDKs write it: maps and lists with or without a stated length, texts and byte strings with one. A stated
//! length is never believed: it only says how often to look for more.

use minicbor::Decoder;
use minicbor::data::Type;

use super::{Fields, Puts, Shape};

/// The put in `body`, as in [`scan`](super::scan::scan).
pub(super) fn read(body: &[u8], shape: Shape) -> Option<Puts> {
    let mut puts = Puts::with_room_for(body.len());
    let mut rest = Decoder::new(body);
    let mut fields = Fields::default();
    let mut left = Left(rest.map().ok()?);
    while left.goes_on(&mut rest)? {
        match (rest.str().ok()?, shape) {
            ("StreamName", _) => puts.name("StreamName", rest.str().ok()?)?,
            ("StreamARN", _) => puts.name("StreamARN", rest.str().ok()?)?,
            ("Records", Shape::Records) if puts.ends.is_empty() => records(&mut rest, &mut puts)?,
            (name, Shape::Record) => member(name, &mut rest, &mut puts, &mut fields)?,
            _ => return None,
        }
    }
    if shape == Shape::Record {
        puts.close(0, &fields)?;
    }
    (rest.position() == body.len() && !puts.ends.is_empty()).then_some(puts)
}

fn records(rest: &mut Decoder<'_>, puts: &mut Puts) -> Option<()> {
    let mut left = Left(rest.array().ok()?);
    while left.goes_on(rest)? {
        let start = puts.data.len();
        let mut fields = Fields::default();
        let mut members = Left(rest.map().ok()?);
        while members.goes_on(rest)? {
            let name = rest.str().ok()?;
            member(name, rest, puts, &mut fields)?;
        }
        puts.close(start, &fields)?;
    }
    Some(())
}

fn member<'b>(name: &str, rest: &mut Decoder<'b>, puts: &mut Puts, fields: &mut Fields<'b>) -> Option<()> {
    match name {
        "Data" if !fields.has_data => {
            puts.data.extend_from_slice(rest.bytes().ok()?);
            fields.has_data = true;
        }
        "PartitionKey" if fields.key.is_none() => fields.key = Some(rest.str().ok()?),
        "ExplicitHashKey" if fields.hash.is_none() => fields.hash = Some(rest.str().ok()?),
        _ => return None,
    }
    Some(())
}

/// How many elements are left, where that was stated.
struct Left(Option<u64>);

impl Left {
    /// Whether there is another element.
    fn goes_on(&mut self, rest: &mut Decoder<'_>) -> Option<bool> {
        match &mut self.0 {
            Some(left) => {
                let more = *left > 0;
                *left = left.saturating_sub(1);
                Some(more)
            }
            None if rest.datatype().ok()? == Type::Break => {
                rest.set_position(rest.position() + 1);
                Some(false)
            }
            None => Some(true),
        }
    }
}
