//! What the service says about itself: metrics, logs, status.

pub mod logs;
pub mod metrics;
pub mod status;
