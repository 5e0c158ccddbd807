//! Plugins, functions and the steps that use them: what they say, and each kind of mistake.

use std::time::Duration;

use standpipe::config::{Config, ModulePlace, PluginKind, PluginLimits, Processor};

use super::mistakes::each;
use super::{deploy, env, local, parse, with_data_dir};

/// The head of a component: enough to be taken for one until it is compiled.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
const CORE: &[u8] = b"\0asm\x01\0\0\0";

/// A plugin `m` in a bucket, with `more`.
fn plugin(more: &str) -> String {
    format!("[plugin.m]\nmodule = {{ bucket = \"code\", key = \"m.wasm\" }}\n{more}")
}

/// A function `f`, with `more`.
fn function(more: &str) -> String {
    format!("[plugin.f]\nurl = \"http://lambda:9000/f\"\n{more}\n")
}

fn hash(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

/// A stream with one step, after `plugins`.
fn step(plugins: &str, step: &str) -> String {
    format!("{plugins}\n{}[[delivery_stream.s.process]]\n{step}", local(""))
}

#[test]
fn the_complete_example_has_a_module_and_a_function() {
    let text = std::fs::read_to_string(deploy().join("standpipe.toml")).unwrap();
    let config = parse(&text).unwrap();
    let [mask, enrich] = config.plugins.as_slice() else { panic!("{:?}", config.plugins) };
    let PluginKind::Wasm { module: ModulePlace::S3 { bucket, key, connection }, sha256, limits } = &mask.kind else {
        panic!("{mask:?}")
    };
    assert_eq!(
        (bucket.as_str(), key.as_str(), connection.region.as_deref()),
        ("plugins", "mask.wasm", Some("eu-central-1"))
    );
    assert!(sha256.as_ref().unwrap().starts_with("9f86d081"));
    let usual = PluginLimits::default();
    assert_eq!((usual.memory, usual.fuel), (None, None), "they follow from the plugin");
    let said = PluginLimits { memory: Some(64 << 20), fuel: Some(100_000_000), ..usual };
    assert_eq!(*limits, said, "the example says the defaults");
    assert_eq!(mask.config["salt"], "2026");
    let PluginKind::Function { url, timeout, retries, batch_bytes } = &enrich.kind else { panic!("{enrich:?}") };
    assert!(url.ends_with("/invocations"), "{url}");
    assert_eq!((*timeout, *retries, *batch_bytes), (Duration::from_mins(5), 3, 1 << 20));
    let [first, second] = config.delivery_streams[0].process.as_slice() else { panic!("two steps") };
    let Processor::Plugin { name, config, retries: None, batch_bytes: None } = first else { panic!("{first:?}") };
    assert_eq!((name.as_str(), config["keep"].as_str()), ("mask", "city"));
    assert!(matches!(second, Processor::Plugin { name, retries: Some(5), .. } if name == "enrich"), "{second:?}");
}

#[test]
fn a_module_without_a_name_is_named_after_its_place() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("m.wasm"), COMPONENT).unwrap();
    let text = with_data_dir(&step(
        "",
        "type = \"require-json\"\n[[delivery_stream.s.process]]\ntype = \"wasm\"\nmodule = \"m.wasm\"\n\
         config = { a = \"b\" }\nlimits = { memory = \"1 MiB\", fuel_per_byte = 7 }",
    ));
    let config = Config::parse(&text, "f", dir.path(), &env).unwrap();
    assert_eq!(config.delivery_streams[0].process, [Processor::RequireJson, Processor::plugin("s/2")]);
    let [plugin] = config.plugins.as_slice() else { panic!("{:?}", config.plugins) };
    assert_eq!((plugin.name.as_str(), plugin.config["a"].as_str()), ("s/2", "b"));
    let PluginKind::Wasm { module: ModulePlace::File(path), sha256: None, limits } = &plugin.kind else {
        panic!("{plugin:?}")
    };
    assert_eq!(*path, dir.path().join("m.wasm"));
    let expected =
        PluginLimits { memory: Some(1 << 20), fuel_per_byte: 7, batch_bytes: 512 << 10, ..PluginLimits::default() };
    assert_eq!(*limits, expected, "a batch has room in the instance");
}

#[test]
fn module_files_are_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
    write("core.wasm", CORE);
    write("text.wasm", b"(component)");
    write("good.wasm", COMPONENT);
    std::fs::File::create(dir.path().join("large.wasm")).unwrap().set_len((64 << 20) + 1).unwrap();
    let pin = "0".repeat(64);
    let text = with_data_dir(&format!(
        "plugin.a.module = \"missing.wasm\"\nplugin.b.module = \"large.wasm\"\nplugin.c.module = \"core.wasm\"\n\
         plugin.d.module = \"text.wasm\"\nplugin.e = {{ module = \"good.wasm\", sha256 = \"{pin}\" }}\nplugin.f.module = \".\"\n"
    ));
    let faults = Config::parse(&text, "f", dir.path(), &env).unwrap_err();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let found: Vec<_> = faults.iter().map(|fault| (fault.line, fault.message.clone())).collect();
    let expected = [
        (2, format!("module: cannot read {}: No such file or directory (os error 2)", at("missing.wasm"))),
        (3, format!("module: cannot read {}: it has more than 64 MiB", at("large.wasm"))),
        (
            4,
            format!(
                "module: {} is a core module, not a component: \"wasm-tools component new\" makes one of it",
                at("core.wasm")
            ),
        ),
        (5, format!("module: {} is not a WebAssembly binary", at("text.wasm"))),
        (6, format!("sha256: {} has {}, not what is pinned", at("good.wasm"), hash(COMPONENT))),
        (7, format!("module: cannot read {}: it is a directory", at("."))),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_pin_is_read_without_regard_to_case() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("m.wasm"), COMPONENT).unwrap();
    let pin = hash(COMPONENT).to_uppercase();
    let text = with_data_dir(&format!("[plugin.m]\nmodule = \"m.wasm\"\nsha256 = \"{pin}\"\n{}", local("")));
    let config = Config::parse(&text, "f", dir.path(), &env).unwrap();
    let PluginKind::Wasm { sha256: Some(kept), .. } = &config.plugins[0].kind else { panic!("it is pinned") };
    assert_eq!(*kept, pin.to_lowercase());
}

#[test]
fn what_a_plugin_gets_wrong() {
    each(&[
        (
            "[plugin.m]\nconfig = { a = \"b\" }".into(),
            2,
            "the plugin says neither \"module\" (a WebAssembly component) nor \"url\" (a function)",
        ),
        ("[plugin.m]\nmodul = \"x\"".into(), 3, "unknown key \"modul\": did you mean \"module\"?"),
        (plugin("url = \"http://h/f\""), 4, "module and url exclude one another: a plugin is a module or a function"),
        (plugin("retries = 3"), 4, "key \"retries\" does not belong to a module"),
        (plugin("timeout = \"5s\""), 4, "key \"timeout\" does not belong to a module"),
        (function("sha256 = \"00\""), 4, "key \"sha256\" does not belong to a function"),
        (function("config = { a = \"b\" }"), 4, "key \"config\" does not belong to a function"),
        (function("limits = { fuel = 5 }"), 4, "key \"limits\" does not belong to a function"),
        (plugin("sha256 = \"abc\""), 4, "sha256: \"abc\" must have 64 hexadecimal digits, not 3 characters"),
        (
            "[plugin.\"a b\"]\nurl = \"http://h/f\"".into(),
            2,
            "plugin name \"a b\" must have 1 to 64 letters, digits, \"-\" or \"_\"",
        ),
        ("[plugin.m]\nmodule = { bucket = \"code\" }".into(), 3, "missing key \"key\""),
        ("[plugin.m]\nmodule = { bucket = \"code\", key = \"\" }".into(), 3, "key must have 1 to 1024 bytes, not 0"),
        (
            "[plugin.f]\nurl = \"lambda:9000\"".into(),
            3,
            "url: url \"lambda:9000\" must begin with \"http://\" or \"https://\", as \"http://127.0.0.1:9000/2015-03-31/functions/function/invocations\" does",
        ),
        (
            "[plugin.f]\nurl = \"http://me:pw@h/f\"".into(),
            3,
            "url: url \"http://***@h/f\" must not contain credentials: calls of functions are not signed",
        ),
        (function("timeout = \"301s\""), 4, "timeout must be 1s to 300s, not 301s"),
        (function("retries = 301"), 4, "retries must be 0 to 300, not 301"),
        (function("batch_bytes = \"4 MiB\""), 4, "batch_bytes must be 200000 B to 3 MiB, not 4 MiB"),
    ]);
}

#[test]
fn limits_name_their_range() {
    let limits = |more: &str| plugin(&format!("limits = {{ {more} }}"));
    each(&[
        (limits("memory = \"2 GiB\""), 4, "memory must be 1 MiB to 1 GiB, not 2 GiB"),
        (limits("fuel = 5"), 4, "fuel must be 1000000 to 1000000000000, not 5"),
        (limits("fuel_per_byte = 0"), 4, "fuel_per_byte must be 1 to 1000000, not 0"),
        (limits("output_ratio = 1001"), 4, "output_ratio must be 1 to 1000, not 1001"),
        (limits("batch_records = 10001"), 4, "batch_records must be 1 to 10000, not 10001"),
        (limits("batch_bytes = 5"), 4, "batch_bytes must be 1 KiB to 16 MiB, not 5 B"),
        (limits("memory = \"1 MiB\", batch_bytes = \"1 MiB\""), 4, "batch_bytes must be 1 KiB to 512 KiB, not 1 MiB"),
        (limits("memroy = \"1 MiB\""), 4, "unknown key \"memroy\": did you mean \"memory\"?"),
        (limits("fuel = \"much\""), 4, "must be an integer, not a string"),
    ]);
}

#[test]
fn configuration_values_are_texts_in_bounds() {
    let many = (0..65).map(|number| format!("v{number} = \"x\"\n")).collect::<Vec<_>>().concat();
    let large = (0..17).map(|number| format!("v{number} = \"{}\"\n", "x".repeat(4096))).collect::<Vec<_>>().concat();
    each(&[
        (plugin("config = { level = 5 }"), 4, "must be a string, not an integer"),
        (
            plugin(&format!("config = {{ a = \"{}\" }}", "x".repeat(4097))),
            4,
            "config: the value of \"a\" must have at most 4096 bytes and no NUL, not 4097 bytes",
        ),
        (plugin("config = { \"\" = \"a\" }"), 4, "config: name \"\" must have 1 to 128 bytes"),
        (plugin(&format!("[plugin.m.config]\n{many}")), 5, "config: there are 65 values, more than 64"),
        (
            plugin(&format!("[plugin.m.config]\n{large}")),
            5,
            "config: the values have 69673 bytes with their names, more than 65536",
        ),
    ]);
}

#[test]
fn steps_fit_what_they_name() {
    let both = format!("{}{}", function(""), plugin(""));
    let half = (0..9).map(|number| format!("v{number} = \"{}\"\n", "x".repeat(4000))).collect::<Vec<_>>().concat();
    let other = (0..9).map(|number| format!("w{number} = \"{}\"\n", "x".repeat(4000))).collect::<Vec<_>>().concat();
    each(&[
        (step("", "type = \"plugin\""), 6, "missing key \"plugin\": type = \"plugin\" needs it"),
        (step("", "type = \"wasm\""), 6, "missing key \"module\": type = \"wasm\" needs it"),
        (
            step("", "type = \"plugin\"\nplugin = \"m\""),
            8,
            "there is no plugin \"m\" in this file: it has no table [plugin.m]",
        ),
        (
            step("[plugin.mask]\nurl = \"http://h\"", "type = \"plugin\"\nplugin = \"maks\""),
            9,
            "there is no plugin \"maks\" in this file: did you mean \"mask\"?",
        ),
        (
            step(&both, "type = \"plugin\"\nplugin = \"other\""),
            13,
            "there is no plugin \"other\" in this file: known are \"f\" and \"m\"",
        ),
        (
            step(&both, "type = \"plugin\"\nplugin = \"m\"\nretries = 1"),
            14,
            "key \"retries\" does not belong to plugin \"m\", which is a module: functions have it",
        ),
        (
            step(&both, "type = \"plugin\"\nplugin = \"f\"\nconfig = { a = \"b\" }"),
            14,
            "key \"config\" does not belong to plugin \"f\", which is a function",
        ),
        (
            step(&both, "type = \"plugin\"\nplugin = \"f\"\nmodule = \"x.wasm\""),
            14,
            "key \"module\" does not belong to type = \"plugin\"",
        ),
        (
            step(&both, "type = \"require-json\"\nplugin = \"f\""),
            13,
            "key \"plugin\" does not belong to type = \"require-json\"",
        ),
        (step("", "type = \"wsam\""), 7, "unknown value \"wsam\": did you mean \"wasm\"?"),
        (
            step(
                &plugin(&format!("[plugin.m.config]\n{half}")),
                &format!("type = \"plugin\"\nplugin = \"m\"\n[delivery_stream.s.process.config]\n{other}"),
            ),
            22,
            "config, with that of the plugin: the values have 72036 bytes with their names, more than 65536",
        ),
    ]);
}

/// A fault in a plugin is said once, and not again by each step that names it.
#[test]
fn a_faulty_plugin_is_not_missing_too() {
    let text = step("[plugin.m]\nmodule = \"x\"\nurl = \"http://h/f\"", "type = \"plugin\"\nplugin = \"m\"");
    each(&[(text, 4, "module and url exclude one another: a plugin is a module or a function")]);
}
