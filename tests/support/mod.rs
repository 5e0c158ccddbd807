//! What several integration tests share.
#![allow(dead_code, unreachable_pub, unused_imports, missing_docs, reason = "each test takes a part of it")]

pub mod s3;
