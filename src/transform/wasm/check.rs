//! Whether a module is one that can run here, in words that say what to do where it is not.

use aws_lc_rs::digest::{SHA256, digest};
use wasmtime::component::Component;
use wasmtime::component::types::{Component as ComponentType, ComponentItem};

use super::bindings::TransformPre;
use super::engine::Runtime;
use super::guest::Guest;
use crate::error::{Error, Result};
use crate::limits::PLUGIN_MODULE_BYTES_MAX;

/// The package of the contract, and the newest version that is offered.
const PACKAGE: &str = "standpipe:transform";
const VERSION: (u64, u64) = (1, 0);
/// The parts of WASI that are offered.
const WASI: [&str; 6] = ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/"];

const MAGIC: &[u8; 4] = b"\0asm";
/// What follows it: of a core module, and of a component.
const CORE: [u8; 4] = [1, 0, 0, 0];
const COMPONENT: [u8; 4] = [0x0d, 0, 1, 0];

/// Checks what can be seen without compiling it; gives the module's SHA-256.
pub(super) fn bytes(module: &[u8], pin: Option<&str>) -> Result<String> {
    if module.len() > PLUGIN_MODULE_BYTES_MAX {
        let bytes = module.len();
        return Err(Error::invalid(format!(
            "the module has {bytes} bytes, at most {PLUGIN_MODULE_BYTES_MAX} are taken"
        )));
    }
    let sha256 = sha256(module);
    if let Some(pin) = pin.filter(|pin| !pin.eq_ignore_ascii_case(&sha256)) {
        return Err(Error::invalid(format!("the module's SHA-256 is {sha256}, and the configuration says {pin}")));
    }
    match module.split_first_chunk().map(|(magic, rest)| (magic, rest.first_chunk())) {
        Some((MAGIC, Some(&COMPONENT))) => Ok(sha256),
        Some((MAGIC, Some(&CORE))) => Err(Error::invalid(
            "the module is a core WebAssembly module, not a component: `wasm-tools component new` makes one of it",
        )),
        Some((MAGIC, Some(version))) => {
            Err(Error::invalid(format!("the module is WebAssembly of the unknown version {version:?}")))
        }
        _ => Err(Error::invalid("the module is not WebAssembly: it does not begin with \\0asm")),
    }
}

/// The name that a module's bytes have.
pub(super) fn sha256(module: &[u8]) -> String {
    digest(&SHA256, module).as_ref().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

/// A component of the contract's world, ready to be instantiated.
#[derive(Clone)]
pub(super) struct Checked {
    pub(super) pre: TransformPre<Guest>,
    /// Whether it imports anything of WASI.
    pub(super) wasi: bool,
}

/// Checks that `component` is of the contract's world, and wants nothing that is not offered.
pub(super) fn world(runtime: &Runtime, component: &Component) -> Result<Checked> {
    let kind = component.component_type();
    let imports: Vec<&str> = kind.imports(&runtime.engine).map(|(name, _)| name).collect();
    let refused: Vec<&str> = imports.iter().copied().filter(|name| !is_offered(name)).collect();
    for name in &refused {
        version(name)?;
    }
    if !refused.is_empty() {
        let refused = refused.join(", ");
        return Err(Error::invalid(format!(
            "the module imports {refused}: only {PACKAGE} and WASI 0.2 without HTTP are offered"
        )));
    }
    exports(runtime, &kind)?;
    let pre = runtime.linker.instantiate_pre(component).map_err(|error| unfit(&error))?;
    let pre = TransformPre::new(pre).map_err(|error| unfit(&error))?;
    Ok(Checked { pre, wasi: imports.iter().any(|name| name.starts_with("wasi:")) })
}

fn exports(runtime: &Runtime, kind: &ComponentType) -> Result<()> {
    let function = |name: &str| {
        kind.exports(&runtime.engine)
            .any(|(export, item)| export == name && matches!(item.ty, ComponentItem::ComponentFunc(_)))
    };
    if function("init") && function("transform") {
        return Ok(());
    }
    let mut names = Vec::new();
    for (name, _) in kind.exports(&runtime.engine) {
        version(name)?;
        names.push(name);
    }
    Err(Error::invalid(format!(
        "the module exports [{}], not the functions init and transform of the world {PACKAGE}/transform",
        names.join(", ")
    )))
}

fn is_offered(import: &str) -> bool {
    let name = import.split_once('@').map_or(import, |(name, _)| name);
    let (_, version) = import.split_once('@').unwrap_or_default();
    if let Some(interface) = name.strip_prefix(PACKAGE) {
        return matches!(interface, "/types" | "/host")
            && parse(version).is_some_and(|(major, minor)| major == VERSION.0 && minor <= VERSION.1);
    }
    WASI.iter().any(|package| name.starts_with(package)) && parse(version) == Some((0, 2))
}

/// Refuses a part of the contract in a version that is not offered.
fn version(name: &str) -> Result<()> {
    let Some((_, version)) = name.split_once('@').filter(|(interface, _)| interface.starts_with(PACKAGE)) else {
        return Ok(());
    };
    match parse(version) {
        Some((major, minor)) if major == VERSION.0 && minor <= VERSION.1 => Ok(()),
        _ => Err(Error::invalid(format!(
            "the module was built for {PACKAGE}@{version}: this release offers {}.0 to {}.{}",
            VERSION.0, VERSION.0, VERSION.1
        ))),
    }
}

fn parse(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn unfit(error: &wasmtime::Error) -> Error {
    Error::invalid(format!("the module is not of the world {PACKAGE}/transform: {error:#}"))
}
