//! Made-up records: the same seed makes the same ones, so that what arrives can be compared with what was sent.

pub mod weblog;
