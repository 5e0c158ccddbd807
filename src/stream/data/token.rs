//! Iterators and tokens of lists: opaque, sealed with a key of the data directory, good for five minutes, also after a
//! restart. They hold all that there is to know, so one that is never used again costs nothing.

use super::lineage::ShardFilter;
use crate::record::StreamId;

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
    // the key
}

impl Tokens {
    /// The token as text, of at most 512 characters for an iterator.
    pub fn seal(&self, token: &Token, now_ms: u64) -> String {
        let _ = (token, now_ms);
        todo!()
    }

    /// What a text says.
    pub fn open(&self, text: &str, now_ms: u64) -> Result<Token, TokenFault> {
        let _ = (text, now_ms);
        todo!()
    }
}
