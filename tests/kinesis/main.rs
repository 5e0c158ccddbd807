//! The Kinesis API over real TCP, in both encodings: shapes, texts of errors, and who may do what.

mod control;
mod data;
mod door;
mod harness;
mod sdk;
mod shards;
mod sulky;
