//! What was lost, and the note of it.
//!
//! Beside a segment in which damage was found lies a file `<first position>.damaged`: text, for people too, one line for
//! each stretch. `bytes 4096..8192 positions 17..30` says that these bytes of the segment are not what was written and
//! that the records at these positions are lost. The bytes themselves stay in the segment until it is freed; the note
//! stays until the stream is removed.

/// A stretch of a segment that was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hole {
    /// Where the damaged bytes begin.
    pub(super) offset: u64,
    /// Where the next whole frame begins, or the segment ends.
    pub(super) end_offset: u64,
    /// The first position that was lost.
    pub(super) start: u64,
    /// One past the last.
    pub(super) end: u64,
}

impl Hole {
    /// How many positions it cost.
    pub(super) fn positions(&self) -> u64 {
        self.end - self.start
    }
}

/// Adds a hole to those of a segment, joined with those that it overlaps. Returns how many positions are newly lost, or
/// nothing where it was known.
pub(super) fn add(holes: &mut Vec<Hole>, mut new: Hole) -> Option<u64> {
    if holes.iter().any(|known| known.start <= new.start && new.end <= known.end) {
        return None;
    }
    let before: u64 = holes.iter().map(Hole::positions).sum();
    holes.retain(|known| {
        let apart = known.end <= new.start || new.end <= known.start;
        if !apart {
            new.start = new.start.min(known.start);
            new.end = new.end.max(known.end);
            new.offset = new.offset.min(known.offset);
            new.end_offset = new.end_offset.max(known.end_offset);
        }
        apart
    });
    holes.push(new);
    holes.sort_by_key(|hole| hole.start);
    Some(holes.iter().map(Hole::positions).sum::<u64>() - before)
}

/// The note's text.
pub(super) fn encode(holes: &[Hole]) -> String {
    let line =
        |hole: &Hole| format!("bytes {}..{} positions {}..{}\n", hole.offset, hole.end_offset, hole.start, hole.end);
    holes.iter().map(line).collect()
}

/// Reads a note; a line that cannot be understood is passed over.
pub(super) fn decode(text: &str) -> Vec<Hole> {
    let mut holes = Vec::new();
    for hole in text.lines().filter_map(line) {
        add(&mut holes, hole);
    }
    holes
}

fn line(line: &str) -> Option<Hole> {
    let (bytes, positions) = line.strip_prefix("bytes ")?.split_once(" positions ")?;
    let ((offset, end_offset), (start, end)) = (range(bytes)?, range(positions)?);
    (start < end).then_some(Hole { offset, end_offset, start, end })
}

fn range(text: &str) -> Option<(u64, u64)> {
    let (start, end) = text.split_once("..")?;
    let (start, end) = (start.parse().ok()?, end.parse().ok()?);
    (start <= end).then_some((start, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hole(start: u64, end: u64) -> Hole {
        Hole { offset: 10 * start, end_offset: 10 * end, start, end }
    }

    #[test]
    fn holes_are_counted_once_and_joined() {
        let mut holes = Vec::new();
        assert_eq!(add(&mut holes, hole(5, 8)), Some(3));
        assert_eq!(add(&mut holes, hole(5, 8)), None);
        assert_eq!(add(&mut holes, hole(6, 7)), None);
        assert_eq!(add(&mut holes, hole(1, 2)), Some(1));
        assert_eq!(add(&mut holes, hole(7, 10)), Some(2));
        assert_eq!(holes, [hole(1, 2), hole(5, 10)]);
    }

    #[test]
    fn a_note_reads_back_and_nonsense_is_passed_over() {
        let holes = vec![hole(1, 2), hole(5, 10)];
        assert_eq!(decode(&encode(&holes)), holes);
        let text = "hello\nbytes 1..2 positions 9..3\nbytes 9..9 positions 3..4\nbytes 1..2 positions x..4\n";
        assert_eq!(decode(text), [Hole { offset: 9, end_offset: 9, start: 3, end: 4 }]);
    }
}
