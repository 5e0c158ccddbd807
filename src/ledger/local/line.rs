//! Lines of the ledger's files: their meaning, their checksum, and how damage is told from a torn tail.

use serde::{Deserialize, Serialize};

use crate::ledger::{Lane, Plan, PlanId, Tally};
use crate::record::{ShardId, StreamId};

/// What one line says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// The first line of a file.
    Header {
        /// The format's version: 3.
        format: u32,
        /// The file's own number.
        file: u64,
        /// The file before it, and how many bytes of that are valid: what follows them never happened.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<After>,
    },
    /// Snapshot: what a delivery stream has done.
    Stream {
        /// The delivery stream.
        #[serde(with = "crate::ledger::words::stream")]
        stream: StreamId,
        /// The positions that were past in shards that are retired.
        retired: u64,
        /// The sum over all that is past.
        total: Tally,
    },
    /// Snapshot: where one of its shards stands.
    Shard {
        /// The delivery stream.
        #[serde(with = "crate::ledger::words::stream")]
        stream: StreamId,
        /// The shard.
        #[serde(with = "crate::ledger::words::shard")]
        shard: ShardId,
        /// Where its delivery began.
        began: u64,
        /// Everything from there up to this position is past.
        committed: u64,
    },
    /// Snapshot: a plan that is not committed yet.
    Open {
        /// The plan's number.
        id: PlanId,
        /// The plan.
        plan: Plan,
    },
    /// Snapshot: where the last plan of a lane of a partitioned stream ended, where that is above the watermark.
    Lane {
        /// The delivery stream.
        #[serde(with = "crate::ledger::words::stream")]
        stream: StreamId,
        /// The lane.
        lane: Lane,
        /// Where its last plan ended.
        #[serde(with = "crate::ledger::words::positions")]
        ends: Vec<(ShardId, u64)>,
    },
    /// Snapshot: how the records of a partitioned stream were routed that were read above the watermark, and where their
    /// batches were cut early.
    Routing {
        /// The delivery stream.
        #[serde(with = "crate::ledger::words::stream")]
        stream: StreamId,
        /// The target of the newest plan.
        target: serde_json::Value,
        /// Where.
        #[serde(with = "crate::ledger::words::positions")]
        cuts: Vec<(ShardId, u64)>,
    },
    /// The snapshot is complete.
    Begin {
        /// The number of the next plan.
        next: PlanId,
    },
    /// Delivery of a shard begins.
    Start {
        /// The delivery stream.
        #[serde(with = "crate::ledger::words::stream")]
        stream: StreamId,
        /// The shard.
        #[serde(with = "crate::ledger::words::shard")]
        shard: ShardId,
        /// Where.
        position: u64,
        /// When, in milliseconds since 1970.
        ms: u64,
    },
    /// A plan was made.
    Plan {
        /// Its number.
        id: PlanId,
        /// The plan.
        plan: Plan,
    },
    /// A plan took the place of another, whose object does not exist.
    Replan {
        /// The number of the plan that is void.
        old: PlanId,
        /// Its own number.
        id: PlanId,
        /// The plan.
        plan: Plan,
    },
    /// A plan was carried out.
    Commit {
        /// Its number.
        id: PlanId,
        /// The delivery stream.
        #[serde(with = "crate::ledger::words::stream")]
        stream: StreamId,
        /// When, in milliseconds since 1970.
        ms: u64,
        /// What it did.
        tally: Tally,
    },
    /// Positions are past without an object.
    Skip {
        /// The delivery stream.
        #[serde(with = "crate::ledger::words::stream")]
        stream: StreamId,
        /// The shard.
        #[serde(with = "crate::ledger::words::shard")]
        shard: ShardId,
        /// One past the last position.
        end: u64,
        /// When, in milliseconds since 1970.
        ms: u64,
        /// Why, in numbers.
        tally: Tally,
    },
    /// The watermark of a partitioned stream advanced: everything below is past.
    Advance {
        /// The delivery stream.
        #[serde(with = "crate::ledger::words::stream")]
        stream: StreamId,
        /// Up to where.
        #[serde(with = "crate::ledger::words::positions")]
        to: Vec<(ShardId, u64)>,
        /// When, in milliseconds since 1970.
        ms: u64,
        /// What of it is in no plan, in numbers.
        tally: Tally,
    },
    /// A shard that is gone for good was forgotten.
    Retire {
        /// The delivery stream.
        #[serde(with = "crate::ledger::words::stream")]
        stream: StreamId,
        /// The shard.
        #[serde(with = "crate::ledger::words::shard")]
        shard: ShardId,
        /// When, in milliseconds since 1970.
        ms: u64,
    },
    /// A delivery stream was forgotten.
    Remove {
        /// The delivery stream.
        #[serde(with = "crate::ledger::words::stream")]
        stream: StreamId,
        /// When, in milliseconds since 1970.
        ms: u64,
    },
    /// The ledger was closed in order.
    End {
        /// When, in milliseconds since 1970.
        ms: u64,
    },
}

/// A file and how much of it is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct After {
    /// The file's number.
    pub file: u64,
    /// Its valid bytes.
    pub bytes: u64,
}

#[derive(Serialize)]
struct WriteLine<'a> {
    synced: u64,
    #[serde(flatten)]
    entry: &'a Entry,
}

/// Appends a line to `out`. `synced` is up to where the file was synced before this line is written.
pub(super) fn write(out: &mut Vec<u8>, synced: u64, entry: &Entry) {
    let start = out.len();
    out.extend_from_slice(b"00000000 ");
    serde_json::to_writer(&mut *out, &WriteLine { synced, entry }).expect("numbers and strings have a JSON form");
    let crc = format!("{:08x}", crc32c::crc32c(&out[start + 9..]));
    out[start..start + 8].copy_from_slice(crc.as_bytes());
    out.push(b'\n');
}

/// How the lines of a file end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// With the last byte.
    Whole,
    /// With bytes that a crash left, which were never synced.
    Torn,
    /// With a line that had been synced and is damaged.
    Damaged,
    /// With a line that is whole but makes no sense to this build.
    Unknown(String),
}

/// The lines of a file from its beginning, up to the first that is not whole.
pub(super) struct Lines<'a> {
    bytes: &'a [u8],
    /// Where the next line begins; after the last, how many bytes are valid.
    pub(super) offset: usize,
    /// The number of the last line that was looked at, from 1.
    pub(super) number: u64,
    ending: Option<Ending>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Lines { bytes, offset: 0, number: 0, ending: None }
    }

    /// How the lines ended; after the last.
    pub(super) fn ending(self) -> Ending {
        self.ending.unwrap_or(Ending::Whole)
    }
}

impl Iterator for Lines<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let rest = &self.bytes[self.offset..];
        if self.ending.is_some() || rest.is_empty() {
            return None;
        }
        self.number += 1;
        let Some(json) = whole_line(rest) else {
            let proven = proves_sync_of(rest, self.offset as u64);
            self.ending = Some(if proven { Ending::Damaged } else { Ending::Torn });
            return None;
        };
        match serde_json::from_slice(json) {
            Ok(entry) => {
                self.offset += json.len() + 10;
                Some(entry)
            }
            Err(error) => {
                self.ending = Some(Ending::Unknown(error.to_string()));
                None
            }
        }
    }
}

/// The JSON of the line that `bytes` begin with, if it is there as it was written.
fn whole_line(bytes: &[u8]) -> Option<&[u8]> {
    let len = memchr::memchr(b'\n', bytes)?;
    let (crc, json) = (bytes.get(..8)?, bytes.get(9..len)?);
    let digits = crc.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let crc = u32::from_str_radix(std::str::from_utf8(crc).ok()?, 16).ok()?;
    (digits && bytes[8] == b' ' && crc == crc32c::crc32c(json)).then_some(json)
}

/// Whether some line in `bytes`, which begin at `offset` with one that is damaged, was written after it was synced.
///
/// Looks at every place where a line might begin, since what is damaged may be the end of the line before.
fn proves_sync_of(bytes: &[u8], offset: u64) -> bool {
    memchr::memmem::find_iter(bytes, b" {\"synced\":").filter_map(|at| at.checked_sub(8)).any(|start| {
        let line = whole_line(&bytes[start..]).and_then(|json| serde_json::from_slice::<Synced>(json).ok());
        line.is_some_and(|line| line.synced > offset)
    })
}

#[derive(Deserialize)]
struct Synced {
    synced: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(groups: &[usize]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for group in groups {
            let synced = bytes.len() as u64;
            for ms in 0..*group {
                write(&mut bytes, synced, &Entry::End { ms: ms as u64 });
            }
        }
        bytes
    }

    fn read(bytes: &[u8]) -> (usize, Ending) {
        let mut lines = Lines::new(bytes);
        (lines.by_ref().count(), lines.ending())
    }

    #[test]
    fn a_line_is_checksum_space_json() {
        let mut bytes = Vec::new();
        write(&mut bytes, 12, &Entry::Begin { next: 3 });
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(&text[8..], " {\"synced\":12,\"kind\":\"begin\",\"next\":3}\n");
    }

    #[test]
    fn a_cut_anywhere_leaves_the_whole_lines() {
        let bytes = file(&[1, 2, 1]);
        assert_eq!(read(&bytes), (4, Ending::Whole));
        for cut in 0..bytes.len() {
            let whole = memchr::memchr_iter(b'\n', &bytes[..cut]).count();
            let (lines, ending) = read(&bytes[..cut]);
            assert_eq!(lines, whole);
            assert!(matches!(ending, Ending::Whole | Ending::Torn), "cut at {cut}: {ending:?}");
        }
    }

    #[test]
    fn a_flipped_bit_is_damage_before_the_last_group_and_a_torn_tail_in_it() {
        let bytes = file(&[1, 3, 2]);
        let last_group = file(&[1, 3]).len();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let (lines, ending) = read(&flipped);
            assert!(lines < 6, "bit {bit} went unseen");
            let expected = if bit / 8 < last_group { Ending::Damaged } else { Ending::Torn };
            assert_eq!(ending, expected, "bit {bit}");
        }
    }

    #[test]
    fn zeros_and_longer_garbage_at_the_tail_are_torn() {
        for tail in [vec![0; 4096], vec![0xff; 700], b"00000000 {}\n".to_vec(), b"\n\n\n".to_vec()] {
            let bytes = [file(&[2, 1]), tail].concat();
            assert_eq!(read(&bytes), (3, Ending::Torn));
        }
    }

    #[test]
    fn a_whole_line_of_another_version_is_not_taken_for_damage() {
        let json = br#"{"synced":0,"kind":"novelty"}"#;
        let bytes = [format!("{:08x} ", crc32c::crc32c(json)).as_bytes(), json, b"\n"].concat();
        assert!(matches!(read(&bytes), (0, Ending::Unknown(_))));
    }
}
