//! The bodies of answers: all of it at once, or piece by piece as it comes about.
//!
//! A client that reads slowly holds what it has not read: of an answer that is complete the rest of its pieces, of one
//! that comes about a single piece beside the one that is being sent. Whatever room was taken for an answer or a piece is
//! given back when the last of it is handed to the connection, or when the client is gone.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::activity::Busy;
use crate::limits::ANSWER_PIECE_BYTES;

/// The body of an answer.
pub struct Answer {
    source: Source,
    /// The request is under way until the answer is sent.
    busy: Option<Busy>,
    room: Option<Room>,
}

/// Whatever room is, it is given back by dropping it.
type Room = Box<dyn Send + Sync>;

enum Source {
    Pieces {
        pieces: VecDeque<Bytes>,
        left: u64,
    },
    Feed {
        /// `None` is the end; a feed that is dropped before it broke off.
        pieces: mpsc::Receiver<Option<Piece>>,
        /// What is being sent.
        piece: Option<Piece>,
    },
    Over,
}

/// A piece of a long answer, with the room that it takes.
#[derive(Debug)]
struct Piece {
    bytes: Bytes,
    room: Option<OwnedSemaphorePermit>,
}

/// Where the pieces of a long answer go in.
#[derive(Debug)]
pub struct Feed(mpsc::Sender<Option<Piece>>);

/// Room for one piece of a long answer.
#[derive(Debug)]
pub struct Place<'f>(mpsc::Permit<'f, Option<Piece>>);

/// An answer broke off: the connection says so to its client, as HTTP/1.1 and HTTP/2 each can.
#[derive(Debug)]
pub struct BrokenOff;

impl Answer {
    /// An answer of these pieces, one after the other.
    pub fn pieces(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        let pieces: VecDeque<Bytes> = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
        let left = pieces.iter().map(|piece| piece.len() as u64).sum();
        Answer { source: Source::Pieces { pieces, left }, busy: None, room: None }
    }

    /// An answer of which nothing is there yet. It ends with [`Feed::end`], and breaks off when its feed is dropped
    /// before.
    pub fn feed() -> (Feed, Self) {
        // One piece waits here while the connection has another: a long answer holds two at most.
        let (sender, pieces) = mpsc::channel(1);
        (Feed(sender), Answer { source: Source::Feed { pieces, piece: None }, busy: None, room: None })
    }

    /// Keeps `room` until the answer is sent or dropped.
    #[must_use]
    pub fn holding(mut self, room: impl Send + Sync + 'static) -> Self {
        self.room = Some(Box::new(room));
        self
    }

    pub(super) fn under_way(mut self, busy: Busy) -> Self {
        busy.progress();
        busy.holds(self.holds_room());
        self.busy = Some(busy);
        self
    }

    /// Whether something of what all answers share is held for what its client has yet to read. What a long answer keeps as
    /// a whole, its place among others, is not meant.
    fn holds_room(&self) -> bool {
        match &self.source {
            Source::Pieces { .. } => self.room.is_some(),
            Source::Feed { piece, .. } => piece.as_ref().is_some_and(|piece| piece.room.is_some()),
            Source::Over => false,
        }
    }

    /// All of it, for those who would look at it; `None` for one that comes about piece by piece.
    pub fn complete(&self) -> Option<Vec<u8>> {
        match &self.source {
            Source::Pieces { pieces, .. } => Some(pieces.iter().flatten().copied().collect()),
            _ => None,
        }
    }

    fn next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        match &mut self.source {
            Source::Pieces { pieces, left } => {
                let piece = next_piece(pieces);
                *left -= piece.as_ref().map_or(0, |piece| piece.len() as u64);
                Poll::Ready(piece.map(Ok))
            }
            Source::Feed { pieces, piece: slot } => {
                let mut piece = match slot.take() {
                    Some(piece) => piece,
                    None => match ready!(pieces.poll_recv(context)) {
                        Some(Some(piece)) => piece,
                        Some(None) => return Poll::Ready(None),
                        None => return Poll::Ready(Some(Err(BrokenOff))),
                    },
                };
                let part = cut(&mut piece.bytes);
                *slot = Some(piece).filter(|rest| !rest.bytes.is_empty());
                Poll::Ready(Some(Ok(part)))
            }
            Source::Over => Poll::Ready(None),
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.source, Source::Over | Source::Pieces { left: 0, .. })
    }
}

/// The next piece, or a part of it.
fn next_piece(pieces: &mut VecDeque<Bytes>) -> Option<Bytes> {
    let first = pieces.front_mut()?;
    let part = cut(first);
    if first.is_empty() {
        pieces.pop_front();
    }
    Some(part)
}

/// Takes all of a piece; of a large one a part, copied, so that a client who does not read the last of it holds no more.
fn cut(piece: &mut Bytes) -> Bytes {
    if piece.len() > 2 * ANSWER_PIECE_BYTES {
        return Bytes::copy_from_slice(&piece.split_to(ANSWER_PIECE_BYTES));
    }
    std::mem::take(piece)
}

impl Feed {
    /// Waits until there is room for another piece; `None` when nobody reads the answer any more.
    pub async fn place(&self) -> Option<Place<'_>> {
        self.0.reserve().await.ok().map(Place)
    }

    /// Waits until nobody reads the answer any more.
    pub async fn gone(&self) {
        self.0.closed().await;
    }

    /// Ends the answer as it should end.
    pub async fn end(self) {
        let _ = self.0.send(None).await;
    }
}

impl Place<'_> {
    /// Sends a piece.
    pub fn send(self, piece: impl Into<Bytes>) {
        self.send_holding(piece, None);
    }

    /// Sends a piece that keeps `room` until it is sent or dropped.
    pub fn send_holding(self, piece: impl Into<Bytes>, room: Option<OwnedSemaphorePermit>) {
        self.0.send(Some(Piece { bytes: piece.into(), room }));
    }
}

impl<T: Into<Bytes>> From<T> for Answer {
    fn from(body: T) -> Self {
        Answer::pieces([body.into()])
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let next = self.next(context);
        if let Some(busy) = &self.busy {
            if next.is_pending() { busy.waits_for_us() } else { busy.progress() }
        }
        let next = ready!(next);
        if !matches!(next, Some(Ok(_))) {
            self.source = Source::Over;
        }
        if self.is_over() {
            self.room = None;
        }
        if let Some(busy) = &self.busy {
            busy.holds(self.holds_room());
        }
        Poll::Ready(next.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Pieces { left, .. } => SizeHint::with_exact(*left),
            Source::Feed { .. } => SizeHint::default(),
            Source::Over => SizeHint::with_exact(0),
        }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self.size_hint().exact();
        f.debug_struct("Answer").field("bytes_left", &left).finish_non_exhaustive()
    }
}

impl fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer broke off")
    }
}

impl std::error::Error for BrokenOff {}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http_body_util::BodyExt;
    use tokio::sync::Semaphore;

    use super::*;

    async fn pieces(mut answer: Answer) -> Vec<usize> {
        let mut lengths = Vec::new();
        while let Some(frame) = answer.frame().await {
            lengths.push(frame.unwrap().into_data().unwrap().len());
        }
        lengths
    }

    #[tokio::test]
    async fn large_pieces_are_sent_in_parts() {
        let large = Bytes::from(vec![7; 3 * ANSWER_PIECE_BYTES + 5]);
        let answer = Answer::pieces([Bytes::from_static(b"ab"), Bytes::new(), large]);
        assert_eq!(answer.size_hint().exact(), Some(3 * ANSWER_PIECE_BYTES as u64 + 7));
        assert_eq!(pieces(answer).await, [2, ANSWER_PIECE_BYTES, ANSWER_PIECE_BYTES, ANSWER_PIECE_BYTES + 5]);
        assert!(Answer::from("").is_end_stream());
    }

    #[tokio::test]
    async fn room_is_given_back_with_the_last_piece_or_the_answer() {
        let room = Arc::new(Semaphore::new(2));
        let answer = |pieces: &'static [&'static str]| {
            let held = room.clone().try_acquire_owned().unwrap();
            Answer::pieces(pieces.iter().map(|piece| Bytes::from_static(piece.as_bytes()))).holding(held)
        };
        let mut first = answer(&["a", "b"]);
        let second = answer(&["a"]);
        first.frame().await.unwrap().unwrap();
        assert_eq!(room.available_permits(), 0);
        first.frame().await.unwrap().unwrap();
        assert_eq!(room.available_permits(), 1);
        drop(second);
        assert_eq!(room.available_permits(), 2);
    }

    #[tokio::test]
    async fn a_large_piece_of_a_feed_is_sent_in_parts_and_keeps_its_room_until_the_last() {
        let room = Arc::new(Semaphore::new(1));
        let (feed, mut answer) = Answer::feed();
        let held = room.clone().try_acquire_owned().ok();
        feed.place().await.unwrap().send_holding(vec![7; 3 * ANSWER_PIECE_BYTES], held);
        let mut parts = Vec::new();
        for free in [0, 1] {
            parts.push(answer.frame().await.unwrap().unwrap().into_data().unwrap().len());
            assert_eq!(room.available_permits(), free);
        }
        assert_eq!(parts, [ANSWER_PIECE_BYTES, 2 * ANSWER_PIECE_BYTES]);
        let held = room.clone().try_acquire_owned().ok();
        feed.place().await.unwrap().send_holding("abc", held);
        drop((feed, answer));
        assert_eq!(room.available_permits(), 1, "who is gone holds nothing");
    }

    #[tokio::test]
    async fn a_feed_ends_or_breaks_off() {
        let (feed, answer) = Answer::feed();
        let reader = tokio::spawn(pieces(answer));
        feed.place().await.unwrap().send("abc");
        feed.end().await;
        assert_eq!(reader.await.unwrap(), [3]);
        let (feed, mut answer) = Answer::feed();
        drop(feed);
        assert!(answer.frame().await.unwrap().is_err());
        assert!(answer.frame().await.is_none());
        let (feed, answer) = Answer::feed();
        drop(answer);
        assert!(feed.place().await.is_none());
    }
}
