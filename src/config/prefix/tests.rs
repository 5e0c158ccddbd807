//! The rules of prefixes, and their messages.
