//! Iterators and tokens of lists: opaque, sealed with a key of the data directory, good for five minutes, also after a
//! restart. They hold all that there is to know, so one that is never used again costs nothing.
//!
//! # Format
//! URL-safe base64 without padding of: the version, 1 | milliseconds since 1970 at which it was made (8 bytes) | the kind
//! (1 byte) | what the kind says, integers big endian, a name as the rest | 16 bytes of the HMAC-SHA256 over all before.

use aws_lc_rs::constant_time;
use aws_lc_rs::hmac;

use super::lineage::ShardFilter;
use crate::limits::{ITERATOR_TIME_MAX, TOKEN_AHEAD_MAX, TOKEN_BYTES_MAX};
use crate::record::StreamId;

const VERSION: u8 = 1;
/// As much as a forger must guess: 128 bits, and short.
const TAG_BYTES: usize = 16;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are what the lists are called with")]
pub enum Token {
    /// A shard iterator.
    Iterator { stream: StreamId, shard: u32, position: u64 },
    /// The rest of ListStreams.
    Streams { after: String },
    /// The rest of ListShards.
    Shards { stream: StreamId, after: u32, filter: ShardFilter },
    /// The rest of ListStreamConsumers.
    Consumers { stream: StreamId, after: String },
}

/// Why a token cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// It is none of ours.
    Invalid,
    /// It was, once.
    Expired {
        /// When it was made, milliseconds since 1970.
        issued_ms: u64,
    },
}

/// Seals and opens tokens.
pub struct Tokens {
    key: hmac::Key,
}

impl Tokens {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Tokens { key: hmac::Key::new(hmac::HMAC_SHA256, key) }
    }

    /// The token as text, of at most 512 characters for an iterator.
    pub fn seal(&self, token: &Token, now_ms: u64) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend(now_ms.to_be_bytes());
        token.write(&mut bytes);
        let tag = hmac::sign(&self.key, &bytes);
        bytes.extend(&tag.as_ref()[..TAG_BYTES]);
        base64_simd::URL_SAFE_NO_PAD.encode_to_string(&bytes)
    }

    /// What a text says. Quotes around it are not minded: callers paste it from JSON.
    ///
    /// # Errors
    /// `Invalid` for what was not sealed here, also when it claims to be from more than
    /// [`TOKEN_AHEAD_MAX`] ahead; `Expired` after [`ITERATOR_TIME_MAX`].
    pub fn open(&self, text: &str, now_ms: u64) -> Result<Token, TokenFault> {
        let (issued_ms, token) = self.unseal(text).ok_or(TokenFault::Invalid)?;
        if u128::from(issued_ms.saturating_sub(now_ms)) > TOKEN_AHEAD_MAX.as_millis() {
            return Err(TokenFault::Invalid);
        }
        if u128::from(now_ms.saturating_sub(issued_ms)) > ITERATOR_TIME_MAX.as_millis() {
            return Err(TokenFault::Expired { issued_ms });
        }
        Ok(token)
    }

    fn unseal(&self, text: &str) -> Option<(u64, Token)> {
        let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        if text.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let bytes = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(text).ok()?;
        let (said, tag) = bytes.split_at_checked(bytes.len().checked_sub(TAG_BYTES)?)?;
        let ours = hmac::sign(&self.key, said);
        constant_time::verify_slices_are_equal(&ours.as_ref()[..TAG_BYTES], tag).ok()?;
        let mut rest = said;
        if take::<1>(&mut rest)? != [VERSION] {
            return None;
        }
        let issued_ms = u64::from_be_bytes(take(&mut rest)?);
        Some((issued_ms, Token::read(rest)?))
    }
}

impl Token {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Token::Iterator { stream, shard, position } => {
                out.push(1);
                out.extend(stream.0.to_be_bytes());
                out.extend(shard.to_be_bytes());
                out.extend(position.to_be_bytes());
            }
            Token::Streams { after } => {
                out.push(2);
                out.extend(after.as_bytes());
            }
            Token::Shards { stream, after, filter } => {
                out.push(3);
                out.extend(stream.0.to_be_bytes());
                out.extend(after.to_be_bytes());
                let (kind, value) = filter_parts(*filter);
                out.push(kind);
                out.extend(value.to_be_bytes());
            }
            Token::Consumers { stream, after } => {
                out.push(4);
                out.extend(stream.0.to_be_bytes());
                out.extend(after.as_bytes());
            }
        }
    }

    fn read(mut rest: &[u8]) -> Option<Token> {
        let rest = &mut rest;
        let kind = take::<1>(rest)?;
        let stream = |rest: &mut &[u8]| take(rest).map(u64::from_be_bytes).map(StreamId);
        let name = |rest: &mut &[u8]| String::from_utf8(std::mem::take(rest).to_vec()).ok();
        let token = match kind {
            [1] => Token::Iterator {
                stream: stream(rest)?,
                shard: u32::from_be_bytes(take(rest)?),
                position: u64::from_be_bytes(take(rest)?),
            },
            [2] => Token::Streams { after: name(rest)? },
            [3] => Token::Shards {
                stream: stream(rest)?,
                after: u32::from_be_bytes(take(rest)?),
                filter: filter_of(take(rest)?, u64::from_be_bytes(take(rest)?))?,
            },
            [4] => Token::Consumers { stream: stream(rest)?, after: name(rest)? },
            _ => return None,
        };
        rest.is_empty().then_some(token)
    }
}

fn filter_parts(filter: ShardFilter) -> (u8, u64) {
    match filter {
        ShardFilter::After(index) => (1, u64::from(index)),
        ShardFilter::AtTrimHorizon => (2, 0),
        ShardFilter::FromTrimHorizon => (3, 0),
        ShardFilter::AtLatest => (4, 0),
        ShardFilter::At(time_ms) => (5, time_ms),
        ShardFilter::From(time_ms) => (6, time_ms),
    }
}

fn filter_of(kind: [u8; 1], value: u64) -> Option<ShardFilter> {
    Some(match kind {
        [1] => ShardFilter::After(u32::try_from(value).ok()?),
        [2] => ShardFilter::AtTrimHorizon,
        [3] => ShardFilter::FromTrimHorizon,
        [4] => ShardFilter::AtLatest,
        [5] => ShardFilter::At(value),
        [6] => ShardFilter::From(value),
        _ => return None,
    })
}

/// Cuts `N` bytes off the front.
fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW_MS: u64 = 1_700_000_000_000;
    const LIFE_MS: u64 = 300_000;

    fn tokens() -> Tokens {
        Tokens::new(&[7; 32])
    }

    fn iterator() -> Token {
        Token::Iterator { stream: StreamId(u64::MAX), shard: u32::MAX, position: u64::MAX }
    }

    #[test]
    fn every_token_is_opened_again_also_by_the_next_process() {
        let stream = StreamId(9);
        let name = || "a.stream-of_mine".repeat(8);
        let filters = [
            ShardFilter::After(3),
            ShardFilter::AtTrimHorizon,
            ShardFilter::FromTrimHorizon,
            ShardFilter::AtLatest,
            ShardFilter::At(NOW_MS),
            ShardFilter::From(u64::MAX),
        ];
        let lists = filters.map(|filter| Token::Shards { stream, after: 5, filter });
        let others = [iterator(), Token::Streams { after: name() }, Token::Consumers { stream, after: name() }];
        for token in lists.into_iter().chain(others) {
            let text = tokens().seal(&token, NOW_MS);
            assert!(text.len() <= 512, "{text}");
            assert_eq!(tokens().open(&text, NOW_MS).as_ref(), Ok(&token));
            assert_eq!(tokens().open(&format!("\"{text}\""), NOW_MS).as_ref(), Ok(&token));
        }
    }

    #[test]
    fn it_is_good_for_its_time_only() {
        let text = tokens().seal(&iterator(), NOW_MS);
        let ahead_ms = 300_000;
        for (now_ms, said) in [
            (NOW_MS + LIFE_MS, Ok(iterator())),
            (NOW_MS + LIFE_MS + 1, Err(TokenFault::Expired { issued_ms: NOW_MS })),
            (NOW_MS - ahead_ms, Ok(iterator())),
            (NOW_MS - ahead_ms - 1, Err(TokenFault::Invalid)),
            (0, Err(TokenFault::Invalid)),
            (u64::MAX, Err(TokenFault::Expired { issued_ms: NOW_MS })),
        ] {
            assert_eq!(tokens().open(&text, now_ms), said, "{now_ms}");
        }
    }

    #[test]
    fn what_was_sealed_elsewhere_or_changed_is_invalid() {
        let text = tokens().seal(&iterator(), NOW_MS);
        assert_eq!(Tokens::new(&[8; 32]).open(&text, NOW_MS), Err(TokenFault::Invalid));
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(tokens().open(&changed, NOW_MS), Err(TokenFault::Invalid), "{changed}");
        }
        for cut in 0..text.len() {
            assert_eq!(tokens().open(&text[..cut], NOW_MS), Err(TokenFault::Invalid), "{cut}");
        }
        assert_eq!(tokens().open(&"A".repeat(1 << 20), NOW_MS), Err(TokenFault::Invalid));
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "\\PC*", sealed in prop::collection::vec(any::<u8>(), 0..60)) {
            prop_assert_eq!(tokens().open(&text, NOW_MS), Err(TokenFault::Invalid));
            // Also where the seal is right and what it covers is not.
            if let Some(token) = Token::read(&sealed) {
                let mut again = Vec::new();
                token.write(&mut again);
                prop_assert_eq!(again[0], sealed[0]);
            }
        }
    }
}
