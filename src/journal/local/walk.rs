//! Walking over the frames of a segment's file: one after the other, and past damage to the next whole one.

use std::io;

use bytes::Bytes;

use super::cipher::Cipher;
use super::frame::{Content, Fault, HEAD_BYTES, Head, Ident, MAGIC};
use crate::disk::File;

/// A window over the bytes of one segment.
pub(super) struct Walk<'a> {
    file: &'a dyn File,
    ident: Ident,
    cipher: Option<&'a Cipher>,
    len: u64,
    window: usize,
    buffer: Bytes,
    at: u64,
}

impl<'a> Walk<'a> {
    /// Walks over the first `len` bytes of `file`, about `window` bytes in memory at a time.
    pub(super) fn new(file: &'a dyn File, ident: Ident, cipher: Option<&'a Cipher>, len: u64, window: usize) -> Self {
        Walk { file, ident, cipher, len, window, buffer: Bytes::new(), at: 0 }
    }

    /// Where the bytes end.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The head of the frame at `offset`; its body is there but was not checked.
    pub(super) fn head(&mut self, offset: u64) -> io::Result<Result<Head, Fault>> {
        let Some(bytes) = self.bytes(offset, HEAD_BYTES)? else { return Ok(Err(Fault::Short)) };
        let head = match Head::decode(&bytes, self.ident, offset) {
            Ok(head) => head,
            Err(fault) => return Ok(Err(fault)),
        };
        Ok(if head.end_offset() <= self.len { Ok(head) } else { Err(Fault::Short) })
    }

    /// What is in a frame, checked.
    pub(super) fn content(&mut self, head: &Head) -> io::Result<Result<Content, Fault>> {
        let body = self.bytes(u64::from(head.offset) + HEAD_BYTES as u64, head.body_len as usize)?;
        Ok(body.ok_or(Fault::Short).and_then(|body| head.content(&body, self.cipher)))
    }

    /// The frame at `offset`, whole, if it begins at `position`.
    pub(super) fn frame(&mut self, offset: u64, position: u64) -> io::Result<Result<(Head, Content), Fault>> {
        let head = match self.head(offset)? {
            Ok(head) if head.first == position => head,
            Ok(_) => return Ok(Err(Fault::Misplaced)),
            Err(fault) => return Ok(Err(fault)),
        };
        Ok(self.content(&head)?.map(|content| (head, content)))
    }

    /// The next whole frame at `offset` or behind it that begins at `position` or later.
    pub(super) fn resync(&mut self, mut offset: u64, position: u64) -> io::Result<Option<(Head, Content)>> {
        while offset + (HEAD_BYTES as u64) <= self.len {
            let want = (self.len - offset).min(self.window.max(HEAD_BYTES) as u64) as usize;
            let Some(bytes) = self.bytes(offset, want)? else { return Ok(None) };
            for found in memchr::memmem::find_iter(&bytes, &MAGIC) {
                let Ok(head) = self.head(offset + found as u64)? else { continue };
                if head.first >= position
                    && let Ok(content) = self.content(&head)?
                {
                    return Ok(Some((head, content)));
                }
            }
            // A magic may lie across the windows' border.
            offset += (want - (MAGIC.len() - 1)) as u64;
        }
        Ok(None)
    }

    /// `want` bytes at `offset`, sharing the window; `None` where the file ends before.
    fn bytes(&mut self, offset: u64, want: usize) -> io::Result<Option<Bytes>> {
        if offset.checked_add(want as u64).is_none_or(|end| end > self.len) {
            return Ok(None);
        }
        let held = offset >= self.at && offset + want as u64 <= self.at + self.buffer.len() as u64;
        if !held {
            let fill = (self.len - offset).min(want.max(self.window) as u64) as usize;
            let mut buffer = vec![0; fill];
            match self.file.read_at(offset, &mut buffer) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    // Shorter than it was: what is missing counts as damage.
                    let len = self.file.len()?;
                    if len >= self.len {
                        return Err(error);
                    }
                    self.len = len;
                    return self.bytes(offset, want);
                }
                Err(error) => return Err(error),
            }
            (self.buffer, self.at) = (buffer.into(), offset);
        }
        let start = (offset - self.at) as usize;
        Ok(Some(self.buffer.slice(start..start + want)))
    }
}
