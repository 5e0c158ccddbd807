//! What open lanes have encoded and memory has no room for: on disk until its object is put, in place of being made again from the
//! journal, once for each lane.
//!
//! It is a cache, and nothing in it outlives the process: one file without a name, in blocks, which is encrypted with a key of its own
//! where the journal is. What cannot be written or read is made again from the journal.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::staged::{Master, Seal};
use crate::clock::Clock;
use crate::disk::{Disk, File};
use crate::error::{Error, Result};
use crate::limits::{SPILL_BYTES_MAX, SPILL_FREE_BYTES_MIN};

const DIR: &str = "spill";
/// Bytes that are given out at once: a chunk of a lane takes a few.
const BLOCK: u64 = 4 << 10;
/// Blocks by which the file grows before the room on the disk is looked at once more.
const LOOK_EVERY: u32 = (64 << 20) / BLOCK as u32;

/// The file. Cheap to clone.
#[derive(Clone)]
pub struct Spill(Arc<Inner>);

struct Inner {
    disk: Arc<dyn Disk>,
    seal: Option<Seal>,
    blocks_max: u32,
    room: Mutex<Room>,
}

#[derive(Default)]
struct Room {
    /// Made with the first block, and let go with the last.
    file: Option<Arc<dyn File>>,
    /// Blocks below `end` that nobody has.
    free: Vec<u32>,
    end: u32,
    /// Up to where the disk was seen to have room.
    seen: u32,
    used: u32,
    /// Numbers what is written: no two with the same nonce.
    next: u64,
    is_failing: bool,
}

impl Spill {
    /// Makes the directory, empty. With a `secret` what is written is encrypted. It blocks.
    pub fn open(disk: Arc<dyn Disk>, clock: &Clock, secret: Option<&[u8; 32]>) -> Result<Self> {
        Spill::with_room(disk, clock, secret, SPILL_BYTES_MAX)
    }

    fn with_room(disk: Arc<dyn Disk>, clock: &Clock, secret: Option<&[u8; 32]>, bytes_max: u64) -> Result<Self> {
        let emptied = disk.create_dirs(Path::new(DIR)).and_then(|()| {
            let left = disk.list(Path::new(DIR))?;
            left.iter()
                .filter(|entry| !entry.is_dir)
                .try_for_each(|entry| disk.remove(&Path::new(DIR).join(&entry.name)))
        });
        emptied.map_err(|error| Error::unavailable(format!("the directory {DIR} cannot be emptied")).because(error))?;
        let seal = secret.map(|secret| Master::new(secret).of_file(&format!("spill\0{}", clock.uuid())));
        let blocks_max = u32::try_from(bytes_max / BLOCK).unwrap_or(u32::MAX);
        Ok(Spill(Arc::new(Inner { disk, seal, blocks_max, room: Mutex::default() })))
    }

    /// Keeps `bytes`; nothing when there is no room, or the disk fails. It blocks.
    pub(super) fn write(&self, bytes: &[u8]) -> Option<Slot> {
        let mut sealed = Vec::new();
        let (mut slot, file) = self.0.take(bytes.len() + if self.0.seal.is_some() { 16 } else { 0 }, self)?;
        let body = match &self.0.seal {
            Some(seal) => {
                sealed.extend_from_slice(bytes);
                seal.close(slot.number, &mut sealed);
                &sealed[..]
            }
            None => bytes,
        };
        slot.crc = crc32c::crc32c(body);
        let written = slot.pieces().try_for_each(|(at, range)| file.write_at(at, &[&body[range]]));
        self.0.say(written.as_ref().err());
        // The blocks are given back with the slot.
        written.ok().map(|()| slot)
    }
}

impl Inner {
    /// Takes as many blocks as `len` bytes need.
    fn take(&self, len: usize, spill: &Spill) -> Option<(Slot, Arc<dyn File>)> {
        let wanted = u32::try_from((len as u64).div_ceil(BLOCK)).ok()?;
        let mut room = self.room();
        if room.used + wanted > self.blocks_max {
            return None;
        }
        let fresh = wanted.saturating_sub(room.free.len() as u32);
        if room.end + fresh > room.seen {
            let space = self.disk.space().ok()?;
            if space.available < SPILL_FREE_BYTES_MIN + u64::from(LOOK_EVERY.max(fresh)) * BLOCK {
                return None;
            }
            room.seen = room.end + fresh.max(LOOK_EVERY);
        }
        let file = if let Some(file) = &room.file {
            file.clone()
        } else {
            let made: Arc<dyn File> = match self.disk.unnamed(Path::new(DIR)) {
                Ok(made) => Arc::from(made as Box<dyn File>),
                Err(error) => {
                    drop(room);
                    self.say(Some(&error));
                    return None;
                }
            };
            room.file = Some(made.clone());
            made
        };
        let kept = room.free.len() - (wanted - fresh) as usize;
        let mut blocks: Vec<u32> = room.free.split_off(kept);
        blocks.extend(room.end..room.end + fresh);
        room.end += fresh;
        room.used += wanted;
        room.next += 1;
        let slot = Slot { spill: spill.clone(), blocks: blocks.into(), len, crc: 0, number: room.next };
        Some((slot, file))
    }

    fn give_back(&self, blocks: &[u32]) {
        let mut room = self.room();
        room.free.extend(blocks);
        room.used -= blocks.len() as u32;
        if room.used == 0 {
            let next = room.next;
            *room = Room { next, is_failing: room.is_failing, ..Room::default() };
        }
    }

    /// Says that the disk fails, once, and that it does not any more.
    fn say(&self, error: Option<&io::Error>) {
        let was_failing = std::mem::replace(&mut self.room().is_failing, error.is_some());
        match error {
            Some(error) if !was_failing => {
                tracing::warn!(%error, "rows cannot be spilled, they are made again from the journal");
            }
            None if was_failing => tracing::info!("rows can be spilled again"),
            _ => {}
        }
    }

    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was written; its room is given back when this is dropped.
pub(super) struct Slot {
    spill: Spill,
    blocks: Box<[u32]>,
    len: usize,
    crc: u32,
    number: u64,
}

impl Slot {
    /// The bytes again. It blocks.
    ///
    /// # Errors
    /// [`Unavailable`](crate::error::Kind::Unavailable) when they cannot be read or are not what was written.
    pub(super) fn read(&self) -> Result<Vec<u8>> {
        let damaged = || Error::unavailable("rows that were spilled are not what was written");
        let file = self.spill.0.room().file.clone().ok_or_else(damaged)?;
        let mut body = vec![0; self.len];
        let read = self.pieces().try_for_each(|(at, range)| file.read_at(at, &mut body[range]));
        read.map_err(|error| Error::unavailable("rows that were spilled cannot be read").because(error))?;
        if crc32c::crc32c(&body) != self.crc {
            return Err(damaged());
        }
        match &self.spill.0.seal {
            Some(seal) => seal.open(self.number, body).ok_or_else(damaged),
            None => Ok(body),
        }
    }

    /// Where each piece stands in the file, and which it is; blocks that stand together are one.
    fn pieces(&self) -> impl Iterator<Item = (u64, std::ops::Range<usize>)> {
        let mut from = 0;
        self.blocks.chunk_by(|one, next| one + 1 == *next).map(move |run| {
            let to = (from + run.len() * BLOCK as usize).min(self.len);
            let range = from..to;
            from = to;
            (u64::from(run[0]) * BLOCK, range)
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.spill.0.give_back(&self.blocks);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::disk::sim::{Op, SimDisk};

    fn spill(disk: &SimDisk, secret: Option<&[u8; 32]>, blocks: u64) -> Spill {
        Spill::with_room(Arc::new(disk.clone()), &Clock::simulated(1, 0), secret, blocks * BLOCK).unwrap()
    }

    #[test]
    fn a_directory_that_was_left_is_emptied_and_the_file_has_no_name() {
        let disk = SimDisk::new(1);
        disk.create_dirs(Path::new(DIR)).unwrap();
        disk.put("spill/.tmp-1", b"left");
        let spill = spill(&disk, None, 10);
        assert!(disk.files().is_empty());
        let slot = spill.write(b"rows").unwrap();
        assert!(disk.files().is_empty() && slot.read().unwrap() == b"rows");
    }

    #[test]
    fn the_bound_holds_and_room_is_given_back() {
        let disk = SimDisk::new(1);
        let spill = spill(&disk, None, 3);
        let one = spill.write(&vec![1; BLOCK as usize + 1]).unwrap();
        assert!(spill.write(&vec![2; BLOCK as usize + 1]).is_none());
        let other = spill.write(&[3]).unwrap();
        assert!(spill.write(&[4]).is_none());
        drop(one);
        let last = spill.write(&vec![5; 2 * BLOCK as usize]).unwrap();
        assert_eq!((other.read().unwrap(), last.read().unwrap()), (vec![3], vec![5; 2 * BLOCK as usize]));
        assert_eq!(spill.0.room().end, 3, "what was given back is used again");
        drop((other, last));
        assert!(spill.0.room().file.is_none(), "nothing is kept of an empty file");
    }

    #[test]
    fn a_disk_that_fails_costs_the_cache_and_no_room() {
        for op in [Op::Create, Op::Write] {
            let disk = SimDisk::new(1);
            let spill = spill(&disk, Some(&[3; 32]), 10);
            disk.fail(op, 1, io::ErrorKind::StorageFull);
            assert!(spill.write(&[1; 100]).is_none(), "{op:?}");
            assert_eq!(spill.0.room().used, 0);
            assert_eq!(spill.write(&[1; 100]).unwrap().read().unwrap(), [1; 100]);
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_whatever_was_given_back_meanwhile(
            steps in prop::collection::vec((0usize..3 * BLOCK as usize, any::<bool>(), any::<prop::sample::Index>()), 1..60),
            is_sealed in any::<bool>(),
        ) {
            let disk = SimDisk::new(1);
            let spill = spill(&disk, is_sealed.then_some(&[3; 32]), 40);
            let mut held: Vec<(Vec<u8>, Slot)> = Vec::new();
            for (number, (len, gives, which)) in steps.into_iter().enumerate() {
                if gives && !held.is_empty() {
                    held.swap_remove(which.index(held.len()));
                }
                let bytes = vec![number as u8; len];
                if let Some(slot) = spill.write(&bytes) {
                    held.push((bytes, slot));
                }
                for (bytes, slot) in &held {
                    prop_assert_eq!(&slot.read().unwrap(), bytes);
                }
            }
            let used: usize = held.iter().map(|(_, slot)| slot.blocks.len()).sum();
            prop_assert_eq!(spill.0.room().used as usize, used);
        }
    }
}
