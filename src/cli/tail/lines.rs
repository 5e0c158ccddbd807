//! Lines out of the pieces of an answer, in bounded memory.

use bytes::{Buf, Bytes, BytesMut};

use crate::error::{Error, Result};
use crate::limits::TAIL_LINE_BYTES_MAX;

/// What has come and is no whole line yet, or was not asked for yet.
#[derive(Default)]
pub(super) struct Lines {
    buffer: BytesMut,
    /// Bytes at its start that hold no line feed.
    searched: usize,
}

impl Lines {
    /// Adds a piece.
    ///
    /// # Errors
    /// `Invalid` when a line would be longer than any of ours.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(piece);
        if self.searched > TAIL_LINE_BYTES_MAX {
            return Err(Error::invalid(format!("a line of the answer has more than {TAIL_LINE_BYTES_MAX} bytes")));
        }
        Ok(())
    }

    /// The next whole line, without its line feed.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        let Some(at) = memchr::memchr(b'\n', &self.buffer[self.searched..]) else {
            self.searched = self.buffer.len();
            return None;
        };
        let line = self.buffer.split_to(self.searched + at).freeze();
        self.buffer.advance(1);
        self.searched = 0;
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_however_they_are_cut() {
        for size in 1..9 {
            let mut lines = Lines::default();
            let mut found = Vec::new();
            for piece in b"one\n\ntwo\nthr".chunks(size) {
                lines.push(piece).unwrap();
                found.extend(std::iter::from_fn(|| lines.next()));
            }
            assert_eq!(found, ["one", "", "two"], "{size}");
        }
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut lines = Lines::default();
        let piece = vec![b'x'; 1 << 20];
        let refused = (0..40).any(|_| {
            let pushed = lines.push(&piece).is_err();
            assert!(lines.next().is_none());
            pushed
        });
        assert!(refused && lines.buffer.len() <= TAIL_LINE_BYTES_MAX + 2 * piece.len());
    }
}
