//! The delivery ledger, read from disk: what was planned and what was committed.

use std::path::Path;

use crate::error::Result;

/// Prints the entries.
pub(super) fn show(_data_dir: &Path, _json: bool) -> Result<()> {
    Ok(())
}
