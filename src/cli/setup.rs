//! From a command line to a running program: the configuration file, and the runtime.

use std::future::Future;
use std::path::Path;
use std::process::ExitCode;

use tokio::runtime::{Builder, Runtime};

use super::terminal::complain;
use crate::config::Config;

/// Reads and checks a configuration file; on a fault every one is shown on standard error.
pub(super) fn load(path: &Path) -> Result<Config, ExitCode> {
    let config = Config::load(path).map_err(|faults| {
        complain(format_args!("{} cannot be used:\n{faults}", path.display()));
        ExitCode::FAILURE
    })?;
    for warning in &config.warnings {
        tracing::warn!(%warning, "configuration");
    }
    Ok(config)
}

/// Runs a command's future to its end. With `threads` it may use all cores.
pub(super) fn block_on(threads: bool, future: impl Future<Output = ExitCode>) -> ExitCode {
    let runtime = match build(threads) {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(format_args!("cannot start threads: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(future);
    // A read of standard input cannot be called back; it must not keep the process alive.
    runtime.shutdown_background();
    code
}

fn build(threads: bool) -> std::io::Result<Runtime> {
    let mut builder = if threads { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    builder.enable_all().build()
}
