//! JSON as the SDKs write it.

use super::{Fields, Puts, Shape};
use crate::api::scan::Scanner;

/// The put in `body`: known members each once and in any order. `None` for anything else: escapes, nulls, other
/// members, broken constraints, errors.
pub(super) fn scan(body: &[u8], shape: Shape) -> Option<Puts> {
    let mut puts = Puts::with_room_for(body.len() / 4 * 3);
    let mut rest = Scanner(body);
    let mut fields = Fields::default();
    rest.token(b'{')?;
    loop {
        let name = rest.string()?;
        rest.token(b':')?;
        match (name, shape) {
            (b"StreamName", _) => puts.name("StreamName", rest.text()?)?,
            (b"StreamARN", _) => puts.name("StreamARN", rest.text()?)?,
            (b"Records", Shape::Records) if puts.ends.is_empty() => records(&mut rest, &mut puts)?,
            (name, Shape::Record) => member(name, &mut rest, &mut puts, &mut fields)?,
            _ => return None,
        }
        if !rest.goes_on(b'}')? {
            break;
        }
    }
    if shape == Shape::Record {
        puts.close(0, &fields)?;
    }
    (rest.is_over() && !puts.ends.is_empty()).then_some(puts)
}

fn records(rest: &mut Scanner<'_>, puts: &mut Puts) -> Option<()> {
    rest.token(b'[')?;
    loop {
        record(rest, puts)?;
        if !rest.goes_on(b']')? {
            return Some(());
        }
    }
}

fn record(rest: &mut Scanner<'_>, puts: &mut Puts) -> Option<()> {
    let start = puts.data.len();
    let mut fields = Fields::default();
    rest.token(b'{')?;
    loop {
        let name = rest.string()?;
        rest.token(b':')?;
        member(name, rest, puts, &mut fields)?;
        if !rest.goes_on(b'}')? {
            return puts.close(start, &fields);
        }
    }
}

fn member<'b>(name: &[u8], rest: &mut Scanner<'b>, puts: &mut Puts, fields: &mut Fields<'b>) -> Option<()> {
    match name {
        b"Data" if !fields.has_data => {
            // No escape is in the alphabet of base64: data that holds one is refused here.
            base64_simd::STANDARD.decode_append(rest.string()?, &mut puts.data).ok()?;
            fields.has_data = true;
        }
        b"PartitionKey" if fields.key.is_none() => fields.key = Some(rest.text()?),
        b"ExplicitHashKey" if fields.hash.is_none() => fields.hash = Some(rest.text()?),
        _ => return None,
    }
    Some(())
}
