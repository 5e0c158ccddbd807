//! `componentize CORE.wasm COMPONENT.wasm` wraps a core module, which carries its world in a custom section, as a
//! component. `componentize --bindings WIT DIR` writes the C binding of a world. The same in gives the same bytes out.
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use wit_bindgen_core::Files;
use wit_component::ComponentEncoder;
use wit_parser::Resolve;

type Result = std::result::Result<(), Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--bindings", wit, dir] => bindings(wit.as_ref(), dir.as_ref()),
        [core, component] => componentize(core.as_ref(), component.as_ref()),
        _ => Err("usage: componentize CORE.wasm COMPONENT.wasm | componentize --bindings WIT DIR".into()),
    };
    if let Err(error) = done {
        eprintln!("componentize: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn componentize(core: &Path, component: &Path) -> Result {
    let bytes = ComponentEncoder::default().validate(true).module(&fs::read(core)?)?.encode()?;
    Ok(fs::write(component, bytes)?)
}

fn bindings(wit: &Path, dir: &Path) -> Result {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(wit)?;
    let world = resolve.select_world(&[package], None)?;
    let mut files = Files::default();
    wit_bindgen_c::Opts::default().build().generate(&mut resolve, world, &mut files)?;
    for (name, content) in files.iter() {
        fs::write(dir.join(name), content)?;
    }
    Ok(())
}
