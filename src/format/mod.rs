//! What records become: lines, and compressed containers.
