//! Takes an object constructor apart: names and values, each with its place. What a value says is not looked at, beyond where
//! it ends.

use super::Fault;
use crate::limits::QUERY_DEPTH_MAX;

/// One entry of the constructor.
pub(super) struct Entry<'a> {
    /// Where it begins, in bytes.
    pub(super) at: usize,
    /// Its name.
    pub(super) name: &'a str,
    /// Its value and where that begins; none where the name alone is there, which stands for the member of that name.
    pub(super) value: Option<(usize, &'a str)>,
}

/// The entries of `{…}`.
pub(super) fn entries(text: &str) -> Result<Vec<Entry<'_>>, Fault> {
    let mut reader = Reader { text, at: 0 };
    reader.blanks();
    if !reader.take('{') {
        return Err(Fault::new(reader.at, "it must be one object such as {tenant: .tenant}"));
    }
    let mut entries = Vec::new();
    loop {
        entries.push(reader.entry()?);
        if reader.take('}') {
            break;
        }
        if !reader.take(',') {
            return Err(Fault::new(reader.at, "a comma or } is missing"));
        }
    }
    reader.blanks();
    if reader.at < text.len() {
        return Err(Fault::new(reader.at, "nothing may follow the object"));
    }
    Ok(entries)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn take(&mut self, char: char) -> bool {
        let is_there = self.rest().starts_with(char);
        self.at += if is_there { char.len_utf8() } else { 0 };
        is_there
    }

    fn entry(&mut self) -> Result<Entry<'a>, Fault> {
        self.blanks();
        let at = self.at;
        let name = self.name()?;
        self.blanks();
        if !self.take(':') {
            return Ok(Entry { at, name, value: None });
        }
        self.blanks();
        let start = self.at;
        self.at += value_bytes(self.rest()).map_err(|fault| Fault { at: start + fault.at, ..fault })?;
        let value = self.text[start..self.at].trim_end();
        if value.is_empty() {
            return Err(Fault::new(start, format!("key {name:?} has no value")));
        }
        Ok(Entry { at, name, value: Some((start, value)) })
    }

    /// An identifier, or a string without anything that is escaped.
    fn name(&mut self) -> Result<&'a str, Fault> {
        let rest = self.rest();
        let name = if let Some(quoted) = rest.strip_prefix('"') {
            let end = quoted.find(['"', '\\']).filter(|end| quoted[*end..].starts_with('"'));
            let name = end.map(|end| &quoted[..end]);
            let name =
                name.ok_or_else(|| Fault::new(self.at, "the name of a key is a plain string, not one made of parts"))?;
            self.at += 2;
            name
        } else {
            let fits = |char: char| char.is_ascii_alphanumeric() || char == '_';
            let end = rest.find(|char| !fits(char)).unwrap_or(rest.len());
            if end == 0 || rest.starts_with(|char: char| char.is_ascii_digit()) {
                return Err(Fault::new(self.at, "the name of a key is missing"));
            }
            &rest[..end]
        };
        self.at += name.len();
        Ok(name)
    }
}

/// Up to where a value goes: to the comma or the brace that is not in it.
fn value_bytes(text: &str) -> Result<usize, Fault> {
    // What is open, by what ends it; a string is ended by a quote, and what stands in `\(…)` in one by a bracket.
    let mut open: Vec<u8> = Vec::new();
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        if open.last() == Some(&b'"') {
            match byte {
                b'"' => drop(open.pop()),
                b'\\' if matches!(bytes.next(), Some((_, b'('))) => open.push(b')'),
                _ => {}
            }
        } else {
            match byte {
                b',' | b'}' if open.is_empty() => return Ok(at),
                b'"' => open.push(b'"'),
                b'(' => open.push(b')'),
                b'[' => open.push(b']'),
                b'{' => open.push(b'}'),
                b')' | b']' | b'}' if open.pop() != Some(byte) => {
                    return Err(Fault::new(at, format!("{} closes nothing", char::from(byte))));
                }
                b'#' => return Err(Fault::new(at, "a query has no comments")),
                _ => {}
            }
        }
        if open.len() > QUERY_DEPTH_MAX {
            return Err(Fault::new(at, format!("more than {QUERY_DEPTH_MAX} brackets are open")));
        }
    }
    let missing = open.last().map_or('}', |byte| char::from(*byte));
    Err(Fault::new(text.len(), format!("{missing} is missing")))
}
