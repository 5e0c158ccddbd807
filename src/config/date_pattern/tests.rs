//! What Java prints, pattern by pattern.
