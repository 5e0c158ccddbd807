//! Delivery: from a position in a stream to committed objects.
