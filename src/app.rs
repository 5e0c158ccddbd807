//! Builds every part bottom-up, starts them, stops them in reverse; the only file that knows all.
