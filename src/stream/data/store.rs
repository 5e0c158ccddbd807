//! The definitions on disk.
