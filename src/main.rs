//! Arguments to exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    standpipe::cli::main()
}
