//! (being written)
/// The real file system under one root.
pub struct RealDisk;
