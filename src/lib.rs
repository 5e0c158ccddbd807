#![doc = include_str!("ARCHITECTURE.md")]

pub mod api;
pub mod app;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod config;
pub mod console;
pub mod destination;
pub mod disk;
pub mod error;
pub mod format;
pub mod journal;
mod json;
pub mod ledger;
pub mod limits;
pub mod pipeline;
pub mod record;
pub mod source;
pub mod stream;
pub mod telemetry;
pub mod transform;
