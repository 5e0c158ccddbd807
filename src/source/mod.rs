//! Importers: what comes from elsewhere is copied into the journal, each piece with its checkpoint in the same frame, and
//! from there on is delivered like any other record. So there is one path for all that is delivered, positions are
//! dense, and whoever it was copied from may let it go.

pub mod kinesis;
mod state;

pub use state::{Seen, State};
