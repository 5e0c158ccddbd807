//! Reads the body of a put as the SDKs write it, at the speed of memory. JSON that is written in any other way is left
//! to serde, which also words what is wrong with it; where both can read a body they make the same of it.

use memchr::memchr;

use super::{Present, Put, Shape, is_name_byte};

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
            (b"DeliveryStreamName", _) if put.name.is_none() => put.name = Some(rest.name()?),
            (b"Record", Shape::Record) if !put.given => rest.record(&mut put, shape)?,
            (b"Records", Shape::Records) if !put.given => rest.records(&mut put)?,
            _ => return None,
        }
        if !rest.goes_on(b'}')? {
            return rest.is_over().then_some(put);
        }
    }
}

/// What was not read yet.
struct Scanner<'b>(&'b [u8]);

impl<'b> Scanner<'b> {
    fn records(&mut self, put: &mut Put) -> Option<()> {
        self.token(b'[')?;
        loop {
            self.record(put, Shape::Records)?;
            if !self.goes_on(b']')? {
                return Some(());
            }
        }
    }

    fn record(&mut self, put: &mut Put, shape: Shape) -> Option<()> {
        self.token(b'{')?;
        if self.string()? != b"Data" {
            return None;
        }
        self.token(b':')?;
        let start = put.data.len();
        // No escape is in the alphabet of base64: data that holds one is refused here.
        base64_simd::STANDARD.decode_append(self.string()?, &mut put.data).ok()?;
        put.given = true;
        put.end_record(start, shape, Present::Data);
        self.token(b'}')
    }

    fn name(&mut self) -> Option<String> {
        let name = self.string()?;
        let name = name.iter().copied().all(is_name_byte).then_some(name)?;
        String::from_utf8(name.to_vec()).ok()
    }

    /// The bytes up to the next quote: a string as it stands there if no escape is in it.
    fn string(&mut self) -> Option<&'b [u8]> {
        self.token(b'"')?;
        let (string, rest) = self.0.split_at(memchr(b'"', self.0)?);
        self.0 = &rest[1..];
        Some(string)
    }

    /// Whether a list or object has another element, or is closed here.
    fn goes_on(&mut self, close: u8) -> Option<bool> {
        let byte = self.next()?;
        (byte == b',' || byte == close).then_some(byte == b',')
    }

    fn token(&mut self, token: u8) -> Option<()> {
        (self.next()? == token).then_some(())
    }

    /// The next byte that is no white space.
    fn next(&mut self) -> Option<u8> {
        loop {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(*byte);
            }
        }
    }

    fn is_over(&mut self) -> bool {
        self.next().is_none()
    }
}
