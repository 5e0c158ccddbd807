//! The Firehose API, version 2015-08-04: puts here, everything that changes or shows streams in [`control`].

pub mod control;
