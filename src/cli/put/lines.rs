//! Lines out of a byte stream, in bounded memory.

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::limits::PUT_READ_BYTES;

/// What the input holds next. Lines are numbered from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line with its line feed (the last one may have none).
    Whole(Bytes),
    /// A line longer than allowed: its number and its length in bytes. It was read past.
    TooLong {
        /// From 1.
        number: u64,
        /// With its line feed.
        bytes: u64,
    },
    /// The input has ended.
    End,
}

/// A reader of lines of at most `bytes_max` bytes.
pub(super) struct Lines<R> {
    input: R,
    bytes_max: usize,
    buffer: BytesMut,
    /// Bytes at the buffer's start that hold no line feed.
    searched: usize,
    /// Bytes of the current line that were read past, because it is too long.
    skipped: u64,
    /// Lines handed out or read past.
    number: u64,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(input: R, bytes_max: usize) -> Self {
        Lines { input, bytes_max, buffer: BytesMut::new(), searched: 0, skipped: 0, number: 0 }
    }

    /// The number of the line that was handed out last.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The next line. Nothing is lost when the future is dropped before it is done.
    pub(super) async fn next(&mut self) -> std::io::Result<Line> {
        loop {
            if let Some(line) = self.take() {
                return Ok(line);
            }
            self.buffer.reserve(PUT_READ_BYTES);
            if self.input.read_buf(&mut self.buffer).await? == 0 {
                return Ok(self.rest());
            }
        }
    }

    /// A line that is in the buffer. Without one, what is sure to be too long is dropped from it.
    fn take(&mut self) -> Option<Line> {
        if let Some(at) = memchr::memchr(b'\n', &self.buffer[self.searched..]) {
            return Some(self.cut(self.searched + at + 1));
        }
        self.searched = self.buffer.len();
        if self.skipped > 0 || self.buffer.len() > self.bytes_max {
            self.skipped += self.buffer.len() as u64;
            self.buffer.clear();
            self.searched = 0;
        }
        None
    }

    /// What stands before the end of the input.
    fn rest(&mut self) -> Line {
        if self.buffer.is_empty() && self.skipped == 0 { Line::End } else { self.cut(self.buffer.len()) }
    }

    fn cut(&mut self, length: usize) -> Line {
        let line = self.buffer.split_to(length).freeze();
        self.searched = 0;
        self.number += 1;
        let bytes = std::mem::take(&mut self.skipped) + length as u64;
        if bytes > self.bytes_max as u64 { Line::TooLong { number: self.number, bytes } } else { Line::Whole(line) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(input: &[u8], bytes_max: usize) -> Vec<Line> {
        let mut lines = Lines::new(input, bytes_max);
        let mut found = Vec::new();
        loop {
            match lines.next().await.unwrap() {
                Line::End => return found,
                line => found.push(line),
            }
        }
    }

    fn whole(text: &str) -> Line {
        Line::Whole(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[tokio::test]
    async fn lines_keep_their_feeds_and_the_last_one_needs_none() {
        assert_eq!(all(b"", 10).await, []);
        assert_eq!(all(b"\n", 10).await, [whole("\n")]);
        assert_eq!(all(b"a\n\nbc", 10).await, [whole("a\n"), whole("\n"), whole("bc")]);
        assert_eq!(all(b"a\r\nb\n", 10).await, [whole("a\r\n"), whole("b\n")]);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_named_and_the_rest_is_there() {
        let too_long = |number, bytes| Line::TooLong { number, bytes };
        assert_eq!(all(b"123\n1234\n12\n", 4).await, [whole("123\n"), too_long(2, 5), whole("12\n")]);
        assert_eq!(all(b"12345", 4).await, [too_long(1, 5)]);
    }

    #[tokio::test]
    async fn a_line_of_any_length_takes_no_memory() {
        let mut text = vec![b'x'; 3 << 20];
        text.extend_from_slice(b"\nshort\n");
        let mut lines = Lines::new(&text[..], 1_000);
        assert_eq!(lines.next().await.unwrap(), Line::TooLong { number: 1, bytes: (3 << 20) + 1 });
        assert!(lines.buffer.capacity() <= 4 * PUT_READ_BYTES, "{}", lines.buffer.capacity());
        assert_eq!(lines.next().await.unwrap(), whole("short\n"));
        assert_eq!(lines.number(), 2);
    }
}
