//! A partitioned stream's pieces.
