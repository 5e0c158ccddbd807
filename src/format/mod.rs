//! What records become: lines, and compressed containers.

pub mod compress;
pub mod lines;

pub use compress::{Chunk, Container, Encoding};
