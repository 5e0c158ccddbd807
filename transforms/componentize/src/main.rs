//! `componentize CORE.wasm COMPONENT.wasm`: wraps a core module, which carries its world in a custom section, as a
//! component. The same in gives the same bytes out.
use std::process::ExitCode;
use std::{env, fs};

use wit_component::ComponentEncoder;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [core, component] = arguments.as_slice() else {
        eprintln!("usage: componentize CORE.wasm COMPONENT.wasm");
        return ExitCode::from(2);
    };
    match componentize(core, component) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{core}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn componentize(core: &str, component: &str) -> Result<(), Box<dyn std::error::Error>> {
    let bytes = ComponentEncoder::default().validate(true).module(&fs::read(core)?)?.encode()?;
    fs::write(component, bytes)?;
    Ok(())
}
