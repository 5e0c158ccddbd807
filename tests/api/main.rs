//! The edge over real TCP: what it takes, what it refuses with which words, and what a client cannot make it do.

mod access;
mod answers;
mod bounds;
mod harness;
mod ingest;
mod put;
mod sdk;
mod tail;
mod tls;
