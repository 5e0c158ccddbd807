//! A scan over the bytes of one record: JSON as RFC 8259 has it. The record is known to be UTF-8.
//!
//! A strict scan takes what every reader of the world does: 128 values within each other, and no halves of surrogate pairs in strings.
//! A lenient one is for who looks at a few values and passes the rest on as it is: it takes any depth, and halves.

use crate::limits::CONVERT_DEPTH_MAX;

/// Where and why the JSON is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    /// Byte of the record, from 0.
    pub(crate) at: usize,
    /// What was expected there, or what is wrong.
    pub(crate) what: &'static str,
}

type Result<T, E = Broken> = std::result::Result<T, E>;

/// The inside of a string, as it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a> {
    pub(crate) raw: &'a [u8],
    /// Whether there is a backslash in it.
    pub(crate) escaped: bool,
}

/// A number as it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) negative: bool,
    /// Its digits as an integer; cut to 64 bits unless `exact`.
    pub(crate) mantissa: u64,
    /// The number is `mantissa` times ten to this.
    pub(crate) exponent: i64,
    /// Whether all digits are in `mantissa`.
    pub(crate) exact: bool,
}

pub(crate) struct Scan<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) at: usize,
    is_lenient: bool,
}

impl<'a> Scan<'a> {
    /// A strict one.
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Scan { text, at: 0, is_lenient: false }
    }

    /// A lenient one.
    pub(crate) fn lenient(text: &'a [u8]) -> Self {
        Scan { is_lenient: true, ..Scan::new(text) }
    }

    pub(crate) fn broken(&self, what: &'static str) -> Broken {
        Broken { at: self.at, what }
    }

    /// The next byte that is no blank, which is not passed; 0 at the end.
    #[inline]
    pub(crate) fn peek(&mut self) -> u8 {
        while let Some(&byte) = self.text.get(self.at) {
            if byte > b' ' {
                return byte;
            }
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                // A control character is nothing that anybody expects.
                return byte.max(1);
            }
            self.at += 1;
        }
        0
    }

    /// Passes `byte` if it is next.
    #[inline]
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == byte;
        self.at += usize::from(there);
        there
    }

    #[inline]
    pub(crate) fn expect(&mut self, byte: u8, what: &'static str) -> Result<()> {
        if self.take(byte) { Ok(()) } else { Err(self.broken(what)) }
    }

    /// Passes `prefix` if it is next.
    #[inline]
    pub(crate) fn take_all(&mut self, prefix: &[u8]) -> bool {
        let there = self.text[self.at..].starts_with(prefix);
        self.at += if there { prefix.len() } else { 0 };
        there
    }

    /// `true`, `false` or `null`, of which the first letter was seen.
    pub(crate) fn word(&mut self, word: &'static [u8]) -> Result<()> {
        if self.take_all(word) { Ok(()) } else { Err(self.broken("expected a value")) }
    }

    /// A string, whose opening quote is next. Escapes are not looked at.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<Text<'a>> {
        let start = self.at + 1;
        let mut at = start;
        let mut escaped = false;
        loop {
            at = plain_end(self.text, at);
            match self.text.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok(Text { raw: &self.text[start..at], escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    at += 2;
                }
                Some(_) => return Err(Broken { at, what: "a control character in a string" }),
                None => return Err(Broken { at: self.text.len(), what: "a string without an end" }),
            }
        }
    }

    /// A number, whose first character (a digit or `-`) is next.
    #[inline]
    pub(crate) fn number(&mut self) -> Result<Number<'a>> {
        let start = self.at;
        let negative = self.text[start] == b'-';
        let mut digits = Digits { text: self.text, at: start + usize::from(negative), mantissa: 0, exact: true };
        let first = digits.at;
        digits.run();
        if digits.at == first || (self.text[first] == b'0' && digits.at > first + 1) {
            return Err(Broken { at: first, what: "expected a number" });
        }
        let mut exponent = 0;
        if self.text.get(digits.at) == Some(&b'.') {
            digits.at += 1;
            let point = digits.at;
            digits.run();
            if digits.at == point {
                return Err(Broken { at: point, what: "expected a digit after the point" });
            }
            exponent = -i64::try_from(digits.at - point).unwrap_or(i64::MAX);
        }
        self.at = digits.at;
        if matches!(self.text.get(self.at), Some(b'e' | b'E')) {
            exponent += self.exponent()?;
        }
        let Digits { mantissa, exact, .. } = digits;
        Ok(Number { text: &self.text[start..self.at], negative, mantissa, exponent, exact })
    }

    /// What stands after a number, from its `e` on; what is beyond a million is as good as a million.
    #[cold]
    fn exponent(&mut self) -> Result<i64> {
        self.at += 1;
        let negative = self.text.get(self.at) == Some(&b'-');
        if matches!(self.text.get(self.at), Some(b'-' | b'+')) {
            self.at += 1;
        }
        let start = self.at;
        let mut exponent = 0i64;
        while let Some(digit) = self.text.get(self.at).filter(|byte| byte.is_ascii_digit()) {
            exponent = (exponent * 10 + i64::from(digit - b'0')).min(1_000_000);
            self.at += 1;
        }
        if self.at == start {
            return Err(self.broken("expected a digit of the exponent"));
        }
        Ok(if negative { -exponent } else { exponent })
    }

    /// Passes a whole value, of which `depth` others are around it, and makes sure that it is one.
    pub(crate) fn skip(&mut self, depth: usize) -> Result<()> {
        let mut nest = Nest::default();
        loop {
            match self.peek() {
                b'{' | b'[' if depth + nest.open >= CONVERT_DEPTH_MAX && !self.is_lenient => {
                    return Err(self.too_deep());
                }
                b'{' => {
                    self.at += 1;
                    if !self.take(b'}') {
                        nest.open(true);
                        self.skip_key()?;
                        continue;
                    }
                }
                b'[' => {
                    self.at += 1;
                    if !self.take(b']') {
                        nest.open(false);
                        continue;
                    }
                }
                b'"' => self.skip_string()?,
                b'-' | b'0'..=b'9' => drop(self.number()?),
                b't' => self.word(b"true")?,
                b'f' => self.word(b"false")?,
                b'n' => self.word(b"null")?,
                _ => return Err(self.broken("expected a value")),
            }
            // The end of a value, and of all that end with it.
            loop {
                if nest.open == 0 {
                    return Ok(());
                }
                let object = nest.objects & 1 == 1;
                if self.take(b',') {
                    if object {
                        self.skip_key()?;
                    }
                    break;
                }
                let (end, what) = if object { (b'}', "expected ',' or '}'") } else { (b']', "expected ',' or ']'") };
                self.expect(end, what)?;
                nest.close();
            }
        }
    }

    pub(crate) fn too_deep(&self) -> Broken {
        self.broken("more than 128 values within each other")
    }

    fn skip_key(&mut self) -> Result<()> {
        if self.peek() != b'"' {
            return Err(self.broken("expected a key"));
        }
        self.skip_string()?;
        self.expect(b':', "expected ':'")
    }

    fn skip_string(&mut self) -> Result<()> {
        let start = self.at + 1;
        let text = self.string()?;
        match (text.escaped, self.is_lenient) {
            (false, _) => Ok(()),
            (true, false) => unescape(text.raw, start, &mut |_| {}),
            (true, true) => check_escapes(text.raw, start),
        }
    }
}

/// The values that are open, one within the other.
#[derive(Default)]
struct Nest {
    /// One bit for each of the innermost: whether it is an object.
    objects: u128,
    /// How many there are.
    open: usize,
    /// The bits of those further out.
    outer: Vec<u128>,
}

impl Nest {
    fn open(&mut self, object: bool) {
        if self.open > 0 && self.open.is_multiple_of(u128::BITS as usize) {
            self.outer.push(self.objects);
        }
        self.objects = self.objects << 1 | u128::from(object);
        self.open += 1;
    }

    fn close(&mut self) {
        self.open -= 1;
        self.objects >>= 1;
        if self.open.is_multiple_of(u128::BITS as usize) {
            self.objects = self.outer.pop().unwrap_or_default();
        }
    }
}

/// A run of digits of a number.
struct Digits<'a> {
    text: &'a [u8],
    at: usize,
    mantissa: u64,
    exact: bool,
}

impl Digits<'_> {
    #[inline]
    fn run(&mut self) {
        while let Some(&byte) = self.text.get(self.at) {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return;
            }
            // Nineteen nines still fit.
            self.exact &= self.mantissa < 1_000_000_000_000_000_000;
            self.mantissa = self.mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
            self.at += 1;
        }
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Where in `text`, from `at` on, the first quote, backslash or control character stands: eight bytes at a time, and what
/// remains one by one.
#[inline]
fn plain_end(text: &[u8], mut at: usize) -> usize {
    while let Some(eight) = text.get(at..at + 8).and_then(|eight| <[u8; 8]>::try_from(eight).ok()) {
        let word = u64::from_le_bytes(eight);
        // The highest bit of a byte is set where it equals the one that is looked for, or is below 0x20; bytes after
        // the first such one may be wrong, which does not matter.
        let quote = word ^ (ONES * u64::from(b'"'));
        let slash = word ^ (ONES * u64::from(b'\\'));
        let found = (quote.wrapping_sub(ONES) & !quote)
            | (slash.wrapping_sub(ONES) & !slash)
            | (word.wrapping_sub(ONES * 0x20) & !word);
        let found = found & HIGHS;
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = text.get(at..).unwrap_or_default();
    let plain = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
    plain.map_or(text.len(), |more| at + more)
}

/// Gives the pieces of a string's inside, which begins at byte `start` of the record, to `out`, escapes resolved.
pub(crate) fn unescape(raw: &[u8], start: usize, out: &mut impl FnMut(&[u8])) -> Result<()> {
    let mut at = 0;
    while let Some(slash) = memchr::memchr(b'\\', &raw[at..]).map(|more| at + more) {
        out(&raw[at..slash]);
        let broken = |what| Broken { at: start + slash, what };
        let plain = match raw.get(slash + 1) {
            Some(b'u') => {
                let (character, length) = unicode(&raw[slash..]).map_err(broken)?;
                out(character.encode_utf8(&mut [0; 4]).as_bytes());
                at = slash + length;
                continue;
            }
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'r') => b'\r',
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(&same @ (b'"' | b'\\' | b'/')) => same,
            _ => return Err(broken("an unknown escape in a string")),
        };
        out(&[plain]);
        at = slash + 2;
    }
    out(&raw[at..]);
    Ok(())
}

/// Makes sure that the escapes in a string's inside are some, be they halves of surrogate pairs.
pub(crate) fn check_escapes(raw: &[u8], start: usize) -> Result<()> {
    let mut at = 0;
    while let Some(slash) = memchr::memchr(b'\\', &raw[at..]).map(|more| at + more) {
        let broken = |what| Err(Broken { at: start + slash, what });
        at = match raw.get(slash + 1) {
            Some(b'u')
                if raw.get(slash + 2..slash + 6).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) =>
            {
                slash + 6
            }
            Some(b'u') => return broken("an escape that lacks four hexadecimal digits"),
            Some(b'n' | b't' | b'r' | b'b' | b'f' | b'"' | b'\\' | b'/') => slash + 2,
            _ => return broken("an unknown escape in a string"),
        };
    }
    Ok(())
}

/// The character that `\uXXXX`, or a pair of them, stands for, and the bytes of its writing.
fn unicode(raw: &[u8]) -> std::result::Result<(char, usize), &'static str> {
    let unit = |at: usize| {
        let digits = raw.get(at..at + 6).filter(|escape| escape.starts_with(b"\\u"))?;
        digits[2..].iter().try_fold(0, |all, digit| Some(all * 16 + (*digit as char).to_digit(16)?))
    };
    let first = unit(0).ok_or("an escape that lacks four hexadecimal digits")?;
    if let Some(character) = char::from_u32(first) {
        return Ok((character, 6));
    }
    let second = unit(6).filter(|second| first < 0xDC00 && (0xDC00..0xE000).contains(second));
    let second = second.ok_or("half of a surrogate pair in a string")?;
    let character = char::from_u32(0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00));
    character.map(|character| (character, 12)).ok_or("half of a surrogate pair in a string")
}
