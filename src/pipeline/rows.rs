//! Chunks become rows: aggregates are taken apart, and it is noted which position each row came from, so that positions
//! can be counted when the steps are done.

use bytes::Bytes;

use super::chunk::Placed;
use super::failed::type_of;
use crate::format::kpl;
use crate::ledger::Tally;
use crate::record::{DATA_STREAM_BIT, Keys};
use crate::transform::{Failed, Origins, Rows};

/// What a chunk was taken apart into.
pub(super) struct Taken {
    /// One row for each origin.
    pub rows: Rows,
    /// The records, user records of aggregates one by one.
    pub origins: Origins,
    /// Positions in the chunk, those of aggregates that hold nothing included.
    positions: u64,
    /// At which of those positions each origin stands, counted from 0.
    places: Vec<u32>,
}

/// Takes a chunk apart; aggregates too, with `unpack`.
pub(super) fn take(chunk: &[Placed], unpack: bool) -> Taken {
    let records: usize = chunk.iter().map(|placed| placed.records.len()).sum();
    let bytes = chunk.iter().map(|placed| placed.records.data.len()).sum();
    let origins = Origins {
        arrived_ms: Vec::with_capacity(records),
        positions: Vec::with_capacity(records),
        ..Origins::default()
    };
    let of_data_stream = chunk.iter().any(|placed| placed.shard.stream.0 & DATA_STREAM_BIT != 0);
    let mut taking = Taking {
        rows: Rows {
            data: Vec::with_capacity(bytes),
            ends: Vec::with_capacity(records),
            origins: Vec::with_capacity(records),
            ..Rows::default()
        },
        origins,
        keys: chunk.iter().any(|placed| placed.records.keys.is_some()).then(Gathered::default),
        of_data_stream,
        places: Vec::with_capacity(records),
        positions: 0,
    };
    for placed in chunk {
        taking.take(placed, unpack);
    }
    taking.finish()
}

/// Partition keys, one after the other.
#[derive(Default)]
struct Gathered {
    data: Vec<u8>,
    ends: Vec<u32>,
}

struct Taking {
    rows: Rows,
    origins: Origins,
    keys: Option<Gathered>,
    of_data_stream: bool,
    places: Vec<u32>,
    positions: u32,
}

impl Taking {
    fn take(&mut self, placed: &Placed, unpack: bool) {
        for (at, record) in placed.records.iter().enumerate() {
            match if unpack { kpl::user_records(record) } else { None } {
                Some(records) => records.for_each(|record| self.origin(placed, at, record)),
                None => self.origin(placed, at, record),
            }
            self.positions += 1;
        }
    }

    fn origin(&mut self, placed: &Placed, at: usize, record: &[u8]) {
        let number = self.places.len() as u32;
        self.places.push(self.positions);
        self.rows.origins.push(number);
        self.rows.data.extend_from_slice(record);
        self.rows.ends.push(self.rows.data.len() as u32);
        self.origins.arrived_ms.push(placed.records.arrived_ms);
        self.origins.positions.push(placed.first + at as u64);
        if self.of_data_stream {
            self.origins.shards.push(placed.shard.index);
        }
        if let Some(keys) = &mut self.keys {
            keys.data.extend_from_slice(placed.records.keys.as_ref().map_or(&[], |keys| keys.get(at)));
            keys.ends.push(keys.data.len() as u32);
        }
    }

    fn finish(mut self) -> Taken {
        self.origins.keys = self.keys.map(|Gathered { data, ends }| Keys { ends, data: Bytes::from(data) });
        Taken { rows: self.rows, origins: self.origins, positions: u64::from(self.positions), places: self.places }
    }
}

/// What one position has become, so far.
#[derive(Clone, Copy, Default)]
struct Became {
    rows: u64,
    failed: u64,
}

impl Taken {
    /// Positions in the chunk.
    pub(super) fn positions(&self) -> usize {
        self.positions as usize
    }

    /// At which of them an origin stands, counted from 0; never falls from one to the next.
    pub(super) fn place(&self, origin: u32) -> usize {
        self.places[origin as usize] as usize
    }

    /// The number of an origin among those at its position.
    pub(super) fn child(&self, origin: u32) -> u32 {
        let place = self.places[origin as usize];
        origin - self.places.partition_point(|earlier| *earlier < place) as u32
    }

    /// The positions that hold another number of user records than one, counted from 0, and how many each holds.
    pub(super) fn unpacked(&self) -> Vec<(u32, u32)> {
        let mut counts = vec![0; self.positions as usize];
        self.places.iter().for_each(|place| counts[*place as usize] += 1);
        (0..).zip(counts).filter(|(_, count)| *count != 1).collect()
    }

    /// Counts positions as [`Tally`] says, now that their origins have become `rows` and `failed`.
    pub(super) fn tally(&self, rows: &Rows, failed: &[Failed]) -> Tally {
        let mut became = vec![Became::default(); self.positions as usize];
        let place = |origin: &u32| self.places[*origin as usize] as usize;
        for origin in &rows.origins {
            became[place(origin)].rows += 1;
        }
        let mut tally = Tally { delivered_bytes: rows.data.len() as u64, ..Tally::default() };
        for failed in failed {
            became[place(&failed.origin)].failed += 1;
            tally.count_failure(type_of(&failed.failure));
        }
        for position in became {
            count(&mut tally, position.rows, position.failed);
        }
        tally
    }
}

/// Counts one position of which `rows` are delivered and `failed` origins are not.
pub(super) fn count(tally: &mut Tally, rows: u64, failed: u64) {
    if rows > 0 {
        tally.delivered += 1;
        tally.unpacked += rows - 1;
        tally.unpacked_failed += failed;
    } else if failed > 0 {
        tally.failed += 1;
        tally.unpacked_failed += failed - 1;
    } else {
        tally.dropped += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::super::chunk::tests::placed;
    use super::*;
    use crate::format::kpl::tests::aggregate;
    use crate::record::{Records, ShardId, StreamId};

    #[test]
    fn origins_say_where_rows_stand_and_with_which_key() {
        let keys = Keys { ends: vec![1, 3], data: "abb".into() };
        let keyed = Records { keys: Some(keys), ..Records::from_slices(7, &[&aggregate(&["1", "2"])[..], b"3"]) };
        let shard = ShardId { stream: StreamId(DATA_STREAM_BIT | 9), index: 4 };
        let chunk = [Placed { shard, first: 40, records: keyed }, placed(2, Records::from_slices(8, &["4"]))];
        let taken = take(&chunk, true);
        assert_eq!((0..4).map(|origin| taken.child(origin)).collect::<Vec<_>>(), [0, 1, 0, 0]);
        assert_eq!(taken.unpacked(), [(0, 2)]);
        let Taken { rows, origins, positions, places } = taken;
        let text: Vec<_> = (0..rows.len()).map(|row| rows.get(row)).collect();
        assert_eq!(text, [b"1", b"2", b"3", b"4"]);
        assert_eq!((rows.origins, places, positions), (vec![0, 1, 2, 3], vec![0, 0, 1, 2], 3));
        assert_eq!((origins.positions, origins.arrived_ms), (vec![40, 40, 41, 2], vec![7, 7, 7, 8]));
        assert_eq!(origins.shards, [4, 4, 4, 0]);
        let keys = origins.keys.unwrap();
        assert_eq!((0..4).map(|at| keys.get(at)).collect::<Vec<_>>(), [&b"a"[..], b"a", b"bb", b""]);
    }

    #[test]
    fn of_direct_puts_there_are_neither_shards_nor_keys() {
        let packed = aggregate(&["1"]);
        let taken = take(&[placed(5, Records::from_slices(7, &[&packed]))], false);
        assert_eq!(taken.rows.get(0), packed);
        assert!(taken.origins.shards.is_empty() && taken.origins.keys.is_none());
    }
}
