//! The Kinesis API over real TCP, in both encodings: shapes, texts of errors, and who may do what.

mod control;
mod door;
mod harness;
mod shards;
