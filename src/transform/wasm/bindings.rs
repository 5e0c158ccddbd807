//! The contract of `transforms/wit`, as Rust types: made by a macro from the very files that guests are built with.

wasmtime::component::bindgen!({
    path: "transforms/wit",
    world: "transform",
    // A batch is lent to the guest, so nothing of it is copied on this side.
    ownership: Borrowing { duplicate_if_necessary: false },
});
