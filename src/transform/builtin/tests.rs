//! The built-in processors, by tables and against jq.
