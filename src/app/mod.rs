//! Builds every part bottom-up, starts them, stops them in reverse; the only module that knows all.

mod pipelines;
mod status;
