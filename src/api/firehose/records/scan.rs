//! Reads the body of a put as the SDKs write it, at the speed of memory. JSON that is written in any other way is left
//! to serde, which also words what is wrong with it; where both can read a body they make the same of it.

use super::{Present, Put, Shape, is_name_byte};
use crate::api::scan::Scanner;

/// The put in `body`: the name and the records, each once and in any order, each record with its data and nothing
/// else. `None` for what is not of this shape: escapes, nulls, other members, empty lists, errors.
pub(super) fn scan(body: &[u8], shape: Shape) -> Option<Put> {
    let mut put = Put::with_room_for(body);
    let mut rest = Scanner(body);
    rest.token(b'{')?;
    loop {
        let key = rest.string()?;
        rest.token(b':')?;
        match (key, shape) {
            (b"DeliveryStreamName", _) if put.name.is_none() => put.name = Some(name(&mut rest)?),
            (b"Record", Shape::Record) if !put.given => record(&mut rest, &mut put, shape)?,
            (b"Records", Shape::Records) if !put.given => records(&mut rest, &mut put)?,
            _ => return None,
        }
        if !rest.goes_on(b'}')? {
            return rest.is_over().then_some(put);
        }
    }
}

fn records(rest: &mut Scanner<'_>, put: &mut Put) -> Option<()> {
    rest.token(b'[')?;
    loop {
        record(rest, put, Shape::Records)?;
        if !rest.goes_on(b']')? {
            return Some(());
        }
    }
}

fn record(rest: &mut Scanner<'_>, put: &mut Put, shape: Shape) -> Option<()> {
    rest.token(b'{')?;
    if rest.string()? != b"Data" {
        return None;
    }
    rest.token(b':')?;
    let start = put.data.len();
    // No escape is in the alphabet of base64: data that holds one is refused here.
    base64_simd::STANDARD.decode_append(rest.string()?, &mut put.data).ok()?;
    put.given = true;
    put.end_record(start, shape, Present::Data);
    rest.token(b'}')
}

fn name(rest: &mut Scanner<'_>) -> Option<String> {
    let name = rest.string()?;
    let name = name.iter().copied().all(is_name_byte).then_some(name)?;
    String::from_utf8(name.to_vec()).ok()
}
