//! What the service says about itself: metrics, logs.

pub mod metrics;
