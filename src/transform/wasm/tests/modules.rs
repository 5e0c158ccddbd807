//! Modules that are no plugins are refused in words that say why.

use bytes::Bytes;

use super::guests::{IDENTITY, Text, of_version, plugin};
use super::{LIMITS, Rig, step};
use crate::error::Kind;
use crate::limits::PLUGIN_MODULE_BYTES_MAX;
use crate::transform::wasm::{Limits, Step};

async fn refusal(module: Vec<u8>) -> String {
    let rig = Rig::new();
    let error = rig.plugins.install("test", Bytes::from(module), None).await.expect_err("it is no plugin");
    assert_eq!(error.kind(), Kind::Invalid);
    assert_eq!(std::fs::read_dir(rig.dir.path().join("plugins")).unwrap().count(), 0, "nothing of it is kept");
    error.to_string()
}

#[tokio::test]
async fn what_is_no_plugin_is_refused_by_name() {
    let text = |text: &str| wat::parse_str(text).unwrap();
    let good = plugin(&Text::default());
    let table = [
        (Vec::new(), "not WebAssembly"),
        (b"#!/bin/sh".to_vec(), "not WebAssembly"),
        (b"\0asm\x09\0\0\0".to_vec(), "unknown version [9, 0, 0, 0]"),
        (text("(module)"), "a core WebAssembly module, not a component"),
        (vec![0; PLUGIN_MODULE_BYTES_MAX + 1], "67108865 bytes, at most 67108864"),
        (good[..good.len() - 9].to_vec(), "cannot be compiled"),
        (text("(component)"), "exports [], not the functions init and transform"),
        (of_version(&Text::default(), "1.0.0", "convert"), "exports [init, convert]"),
        (
            of_version(&Text::default(), "2.0.0", "transform"),
            "built for standpipe:transform@2.0.0: this release offers 1.0",
        ),
        (of_version(&Text::default(), "1.1.0", "transform"), "built for standpipe:transform@1.1.0"),
        (text(r#"(component (import "wasi:http/types@0.2.0" (instance)))"#), "imports wasi:http/types@0.2.0: only"),
        (text(r#"(component (import "wasi:cli/run@0.3.0" (instance)))"#), "imports wasi:cli/run@0.3.0"),
        (
            text(r#"(component (import "a:b/c" (instance)) (import "d" (func)))"#),
            "imports a:b/c, d: only standpipe:transform",
        ),
        (
            text(
                r#"(component (core module $M (func (export "f")))
                 (core instance $m (instantiate $M)) (func $f (canon lift (core func $m "f")))
                 (export "init" (func $f)) (export "transform" (func $f)))"#,
            ),
            "not of the world",
        ),
        (
            text(
                r#"(component (import "standpipe:transform/host@1.0.0" (instance (export "fetch" (func))))
                 (core module $M (func (export "f")))
                 (core instance $m (instantiate $M)) (func $f (canon lift (core func $m "f")))
                 (export "init" (func $f)) (export "transform" (func $f)))"#,
            ),
            "fetch",
        ),
    ];
    for (module, words) in table {
        let said = refusal(module).await;
        assert!(said.starts_with("the plugin test: the module ") && said.contains(words), "{said}, not {words}");
    }
}

#[tokio::test]
async fn a_pin_is_held() {
    let rig = Rig::new();
    let module = Bytes::from(plugin(&Text::default()));
    let sha256 = rig.plugins.install("test", module.clone(), None).await.unwrap();
    let pinned = rig.plugins.install("test", module.clone(), Some(&sha256.to_uppercase())).await;
    assert_eq!(pinned.unwrap(), sha256);
    let error = rig.plugins.install("test", module, Some(&"0".repeat(64))).await.unwrap_err();
    assert!(error.to_string().contains(&format!("SHA-256 is {sha256}, and the configuration says 000")), "{error}");
}

#[tokio::test]
async fn init_that_fails_is_shown() {
    let said = "(memory.copy (i32.const 200) (local.get $name) (local.get $name-bytes))
                (i32.store8 (i32.const 16) (i32.const 1)) (i32.store (i32.const 20) (i32.const 200))
                (i32.store (i32.const 24) (local.get $name-bytes)) (i32.const 16)";
    let table = [
        (said, "the plugin says: web"),
        ("unreachable", "(Wasm.Trap)"),
        ("(loop $l (br $l)) unreachable", "(Wasm.OutOfFuel)"),
        ("(i32.store8 (i32.const 16) (i32.const 7)) (i32.const 16)", "(Wasm.InvalidOutput)"),
        ("(drop (memory.grow (i32.const 1000))) unreachable", "(Wasm.OutOfMemory)"),
    ];
    for (init, words) in table {
        let rig = Rig::new();
        let step = rig.install(&Text { init, transform: IDENTITY, more: "" }).await;
        let error = rig.plugins.plugin("web", &step).await.map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        let said = error.to_string();
        assert!(said.starts_with("the plugin test of delivery stream web cannot start: "), "{said}");
        assert!(said.contains(words), "{said}, not {words}");
        assert_eq!(rig.plugins.pool().live(), (0, 0), "its place is free again");
    }
}

#[tokio::test]
async fn more_memory_than_allowed_from_the_start_is_refused() {
    let rig = Rig::new();
    let step = Step { limits: Limits { memory: Some(100_000), ..LIMITS }, ..rig.install(&Text::default()).await };
    let error = rig.plugins.plugin("web", &step).await.map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("limits.memory (Wasm.OutOfMemory)"), "{error}");
}

#[tokio::test]
async fn what_was_never_installed_is_not_found() {
    let rig = Rig::new();
    let error = rig.plugins.plugin("web", &step("0".repeat(64), LIMITS)).await.map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
}
