//! JSON as the SDKs write it, read at the speed of memory: what the fast readers of puts are made of. Whatever is
//! written in any other way they leave to their slow readers.

use memchr::memchr;

/// What was not read yet.
pub(super) struct Scanner<'b>(pub(super) &'b [u8]);

impl<'b> Scanner<'b> {
    /// The bytes up to the next quote: a string as it stands there if no escape is in it.
    pub(super) fn string(&mut self) -> Option<&'b [u8]> {
        self.token(b'"')?;
        let (string, rest) = self.0.split_at(memchr(b'"', self.0)?);
        self.0 = &rest[1..];
        Some(string)
    }

    /// A string without escapes.
    pub(super) fn text(&mut self) -> Option<&'b str> {
        let text = self.string()?;
        let plain = text.iter().all(|byte| *byte >= 0x20 && *byte != b'\\');
        std::str::from_utf8(text).ok().filter(|_| plain)
    }

    /// Whether a list or object has another element, or is closed here.
    pub(super) fn goes_on(&mut self, close: u8) -> Option<bool> {
        let byte = self.next()?;
        (byte == b',' || byte == close).then_some(byte == b',')
    }

    /// This token and nothing else.
    pub(super) fn token(&mut self, token: u8) -> Option<()> {
        (self.next()? == token).then_some(())
    }

    /// Whether nothing but white space is left.
    pub(super) fn is_over(&mut self) -> bool {
        self.next().is_none()
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
}
