//! What records become: user records taken out of aggregates, lines, compressed containers, and columns.

pub mod columnar;
pub mod compress;
pub mod kpl;
pub mod lines;

pub use compress::{Chunk, Container, Encoding};
