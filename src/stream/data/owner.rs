//! The task that owns all definitions: one change after the other, durable before it is seen.
