//! What records become: user records taken out of aggregates, lines, and compressed containers.

pub mod compress;
pub mod kpl;
pub mod lines;

pub use compress::{Chunk, Container, Encoding};
