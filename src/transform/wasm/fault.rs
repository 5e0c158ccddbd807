//! What goes wrong in a plugin, in words for the error output. The same fault has the same words each time: they are
//! part of what is delivered.

use std::borrow::Cow;

use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use super::voice::bounded;
use crate::error::{Error, Kind};
use crate::transform::Failure;

/// Why a batch failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// `Wasm.Reason`.
    pub(super) code: &'static str,
    /// For a person.
    pub(super) message: String,
}

pub(super) const TRAP: &str = "Wasm.Trap";
pub(super) const OUT_OF_FUEL: &str = "Wasm.OutOfFuel";
pub(super) const OUT_OF_MEMORY: &str = "Wasm.OutOfMemory";
pub(super) const INVALID_OUTPUT: &str = "Wasm.InvalidOutput";
pub(super) const MISSING_RECORD: &str = "Wasm.MissingRecord";
pub(super) const DUPLICATED_RECORD: &str = "Wasm.DuplicatedRecord";
pub(super) const OUTPUT_TOO_LARGE: &str = "Wasm.OutputTooLarge";
pub(super) const STATUS_FAILED: &str = "Wasm.ProcessingFailedStatus";

impl Fault {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Fault { code, message: message.into() }
    }

    /// Of a guest that was refused memory, and answered all the same.
    pub(super) fn wants_memory() -> Self {
        Fault::new(OUT_OF_MEMORY, "the plugin wanted more than limits.memory")
    }

    /// What a failed call means. `complaint` is what the guest said last, `more_memory` whether it was refused some.
    pub(super) fn of(error: &wasmtime::Error, complaint: &str, more_memory: bool) -> Self {
        let cause = error.root_cause().to_string();
        if let Some(Trap::OutOfFuel) = error.downcast_ref() {
            return Fault::new(OUT_OF_FUEL, "the plugin burnt all the fuel of the batch: limits.fuel, fuel-per-byte");
        }
        // The type of this error is not public; a test holds its words.
        if cause.contains("fuel allocated for hostcalls") {
            return Fault::new(
                OUTPUT_TOO_LARGE,
                "the plugin gave more than the batch's bytes grant: limits.output-ratio",
            );
        }
        if more_memory {
            return Fault::new(OUT_OF_MEMORY, said("the plugin wanted more than limits.memory", complaint));
        }
        if let Some(exit) = error.downcast_ref::<I32Exit>() {
            return Fault::new(TRAP, said(&format!("the plugin exited with status {}", exit.0), complaint));
        }
        // Without a frame of the guest's it is the answer, after the call, that cannot be read.
        if error.downcast_ref::<Trap>().is_none() && error.downcast_ref::<WasmBacktrace>().is_none() {
            return Fault::new(INVALID_OUTPUT, bounded(&cause));
        }
        Fault::new(TRAP, said(&cause, complaint))
    }

    /// The same in the error output, of the plugin with this ARN.
    pub(super) fn failure(self, attempts: u32, arn: Option<&str>) -> Failure {
        Failure { code: Cow::Borrowed(self.code), message: self.message, attempts, by: arn.map(str::to_owned) }
    }
}

fn said(what: &str, complaint: &str) -> String {
    if complaint.is_empty() { bounded(what).to_owned() } else { format!("{}: {complaint}", bounded(what)) }
}

/// A fault of ours that wasmtime found.
pub(super) fn internal(what: &str, error: &wasmtime::Error) -> Error {
    Error::new(Kind::Internal, format!("{what}: {error:#}"))
}
