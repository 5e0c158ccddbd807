//! The edge: what comes in over the wire.
