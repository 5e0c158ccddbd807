//! One file's bytes: what was written, what is durable, and what a crash makes of the difference.

use std::collections::BTreeMap;
use std::ops::Range;

use super::rng::Rng;

const SECTOR: usize = 512;

/// How much of the unsynced a crash keeps; chosen once for the whole disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mercy {
    /// Everything.
    All,
    /// Nothing.
    None,
    /// Each thing by its own chance.
    Some,
}

/// A file's bytes.
#[derive(Default)]
pub(super) struct Bytes {
    /// What a read sees.
    pub(super) live: Vec<u8>,
    /// What is on the platter for sure.
    pub(super) durable: Vec<u8>,
    /// Where `live` was written since the last sync: start to end, disjoint.
    dirty: BTreeMap<usize, usize>,
    /// The least length since the last sync.
    len_min: usize,
}

impl Bytes {
    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if end > self.live.len() {
            self.set_len(end);
        }
        self.live[offset..end].copy_from_slice(bytes);
        self.mark(offset..end);
    }

    pub(super) fn set_len(&mut self, len: usize) {
        let old = self.live.len();
        self.live.resize(len, 0);
        self.len_min = self.len_min.min(len);
        if len > old {
            self.mark(old..len);
        }
    }

    /// Makes everything durable.
    pub(super) fn sync(&mut self) {
        let len = self.live.len();
        self.durable.resize(len, 0);
        for (&start, &end) in &self.dirty {
            let end = end.min(len);
            if start < end {
                self.durable[start..end].copy_from_slice(&self.live[start..end]);
            }
        }
        self.forget();
    }

    /// A sync that failed: part of it was written, the rest never will be unless it is written again.
    pub(super) fn fail_sync(&mut self, rng: &mut Rng) {
        self.durable = self.after_crash(Mercy::Some, rng);
        self.forget();
    }

    /// What is clean is read from the platter again; the length is what it was.
    pub(super) fn reread(&mut self) {
        let mut live = self.durable.clone();
        live.resize(self.live.len(), 0);
        for (&start, &end) in &self.dirty {
            let end = end.min(live.len());
            if start < end {
                live[start..end].copy_from_slice(&self.live[start..end]);
            }
        }
        self.live = live;
    }

    /// The power fails: what is left becomes the file.
    pub(super) fn crash(&mut self, mercy: Mercy, rng: &mut Rng) {
        self.live = self.after_crash(mercy, rng);
        self.settle();
    }

    /// What is live is durable from now on, without having been synced.
    pub(super) fn settle(&mut self) {
        self.durable.clone_from(&self.live);
        self.forget();
    }

    fn forget(&mut self) {
        self.dirty.clear();
        self.len_min = self.live.len();
    }

    fn mark(&mut self, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        let (mut start, mut end) = (range.start, range.end);
        while let Some((&before, &till)) = self.dirty.range(..=end).next_back() {
            if till < start {
                break;
            }
            (start, end) = (start.min(before), end.max(till));
            self.dirty.remove(&before);
        }
        self.dirty.insert(start, end);
    }

    fn after_crash(&self, mercy: Mercy, rng: &mut Rng) -> Vec<u8> {
        match mercy {
            Mercy::None => return self.durable.clone(),
            Mercy::All => {
                let mut all = self.durable.clone();
                all.resize(self.live.len(), 0);
                self.for_each_piece(all.len(), |piece| all[piece.clone()].copy_from_slice(&self.live[piece]));
                return all;
            }
            Mercy::Some => {}
        }
        let len = self.some_len(rng);
        let mut left = self.durable.clone();
        left.resize(len, 0);
        // Most crashes find most sectors whole; some find the worst of each.
        let harshness = 1 + rng.below(6);
        self.for_each_piece(len, |piece| {
            let new = |at: usize| self.live.get(at).copied().unwrap_or(0);
            match rng.below(6) + harshness {
                0..=5 => piece.for_each(|at| left[at] = new(at)),
                6 | 7 => {}
                8 => left[piece].fill(0),
                9 => piece.for_each(|at| left[at] = rng.next() as u8),
                _ => {
                    let torn = piece.start + rng.below(piece.len());
                    (piece.start..torn).for_each(|at| left[at] = new(at));
                }
            }
        });
        left
    }

    /// The old length, the new one, the least there was, or one between.
    fn some_len(&self, rng: &mut Rng) -> usize {
        let (old, new) = (self.durable.len(), self.live.len());
        let least = self.len_min.min(old).min(new);
        match rng.below(4) {
            0 => old,
            1 => new,
            2 => least,
            _ => least + rng.below(old.max(new) - least + 1),
        }
    }

    /// Calls `f` for each dirty piece below `len` that lies within one sector.
    fn for_each_piece(&self, len: usize, mut f: impl FnMut(Range<usize>)) {
        for (&start, &end) in &self.dirty {
            let (mut at, end) = (start, end.min(len));
            while at < end {
                let till = end.min((at / SECTOR + 1) * SECTOR);
                f(at..till);
                at = till;
            }
        }
    }
}
