//! Plugins for tests, in WebAssembly text: the contract's types and an allocator around a few instructions.

/// A plugin whose functions have these bodies (and what stands between them at the level of the module).
pub(super) struct Text<'a> {
    /// Of `init`: gives where a result<lifetime, string> lies.
    pub(super) init: &'a str,
    /// Of `transform`: gives where an outcome lies.
    pub(super) transform: &'a str,
    /// Functions, globals and data of its own.
    pub(super) more: &'a str,
}

/// `init` that answers `batch`: the place holds zeros.
pub(super) const EACH_BATCH: &str = "(i32.const 16)";
/// `init` that answers `kept`.
pub(super) const KEPT: &str = "(i32.store8 (i32.const 20) (i32.const 1)) (i32.const 16)";
/// `transform` that gives back what it got.
pub(super) const IDENTITY: &str = "(call $same (local.get $data) (local.get $bytes) (local.get $ends) (local.get $n))";

impl Default for Text<'_> {
    fn default() -> Self {
        Text { init: EACH_BATCH, transform: IDENTITY, more: "" }
    }
}

/// For each record that begins with `first` the instructions `then` are run; then all go on as they came.
pub(super) fn on(first: char, then: &str) -> String {
    let first = first as u32;
    format!(
        "(local $i i32) (local $at i32)
         (block $done (loop $next
           (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
           (if (i32.eq (i32.load8_u (i32.add (local.get $data) (local.get $at))) (i32.const {first})) (then {then}))
           (local.set $at (i32.load (i32.add (local.get $ends) (i32.shl (local.get $i) (i32.const 2)))))
           (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br $next)))
         {IDENTITY}"
    )
}

/// The types of the contract's `types`, as an import of version `version`.
fn types(version: &str) -> String {
    let record = |name: &str, fields: &str| {
        format!("(type ${name}' (record {fields})) (export \"{name}\" (type ${name} (eq ${name}')))\n")
    };
    let list = |name: &str, of: &str| format!("(field \"{name}\" (list {of}))");
    let batch = [
        ("data", "u8"),
        ("ends", "u32"),
        ("arrived-ms", "u64"),
        ("positions", "u64"),
        ("shards", "u32"),
        ("key-data", "u8"),
        ("key-ends", "u32"),
    ];
    let batch: String = batch.iter().map(|(name, of)| list(name, of)).collect();
    let column = format!("(field \"name\" string) {} {}", list("data", "u8"), list("ends", "u32"));
    let outcome = [("data", "u8"), ("ends", "u32"), ("inputs", "u32"), ("statuses", "u8"), ("keys", "$key-column")];
    let outcome: String = outcome.iter().map(|(name, of)| list(name, of)).collect();
    format!(
        "(import \"standpipe:transform/types@{version}\" (instance $types
           {} {} {} {}
           (type $lifetime' (enum \"batch\" \"kept\")) (export \"lifetime\" (type $lifetime (eq $lifetime')))))
         (alias export $types \"batch\" (type $batch)) (alias export $types \"outcome\" (type $outcome))
         (alias export $types \"facts\" (type $facts)) (alias export $types \"lifetime\" (type $lifetime))\n",
        record("batch", &batch),
        record("key-column", &column),
        record("outcome", &outcome),
        record("facts", "(field \"delivery-stream\" string) (field \"config\" (list (tuple string string)))"),
    )
}

const HOST: &str = r#"
  (import "standpipe:transform/host@1.0.0" (instance $host
    (type $level' (enum "debug" "info" "warn" "error")) (export "level" (type $level (eq $level')))
    (export "log" (func (param "level" $level) (param "message" string)))
    (export "counter" (func (param "name" string) (param "by" u64)))))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock (export "now" (func (result u64)))))
  (import "wasi:random/random@0.2.3" (instance $random (export "get-random-u64" (func (result u64)))))
"#;

const STORE: &str = r#"
  (core module $Store
    (memory (export "memory") 2)
    (global $top (mut i32) (i32.const 4096))
    (func (export "realloc") (param i32 i32 i32) (param $bytes i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
      (global.set $top (i32.add (local.get $at) (local.get $bytes)))
      (block $fits (loop $grow
        (br_if $fits (i32.le_u (global.get $top) (i32.shl (memory.size) (i32.const 16))))
        (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable))
        (br $grow)))
      (local.get $at)))
  (core instance $store (instantiate $Store))
  (alias core export $store "memory" (core memory $memory))
  (alias core export $store "realloc" (core func $realloc))
  (alias export $host "log" (func $log)) (alias export $host "counter" (func $counter))
  (alias export $clock "now" (func $now)) (alias export $random "get-random-u64" (func $random-number))
  (core func $log' (canon lower (func $log) (memory $memory)))
  (core func $counter' (canon lower (func $counter) (memory $memory)))
  (core func $now' (canon lower (func $now)))
  (core func $random' (canon lower (func $random-number)))
"#;

/// What bodies may call: `$realloc`, `$log`, `$counter`, `$now`, `$random`, and `$same`, which answers that these records
/// go on as they are. The outcome lies at 64.
const MAIN: &str = r#"
    (import "env" "memory" (memory 2))
    (import "env" "realloc" (func $realloc (param i32 i32 i32 i32) (result i32)))
    (import "env" "log" (func $log (param i32 i32 i32)))
    (import "env" "counter" (func $counter (param i32 i32 i64)))
    (import "env" "now" (func $now (result i64)))
    (import "env" "random" (func $random (result i64)))
    (func $same (param $data i32) (param $bytes i32) (param $ends i32) (param $n i32) (result i32)
      (local $i i32) (local $inputs i32) (local $statuses i32)
      (local.set $inputs (call $realloc (i32.const 0) (i32.const 0) (i32.const 4) (i32.shl (local.get $n) (i32.const 2))))
      (local.set $statuses (call $realloc (i32.const 0) (i32.const 0) (i32.const 1) (local.get $n)))
      (block $done (loop $next
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (i32.store (i32.add (local.get $inputs) (i32.shl (local.get $i) (i32.const 2))) (local.get $i))
        (i32.store8 (i32.add (local.get $statuses) (local.get $i)) (i32.const 0))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
      (i32.store (i32.const 64) (local.get $data)) (i32.store (i32.const 68) (local.get $bytes))
      (i32.store (i32.const 72) (local.get $ends)) (i32.store (i32.const 76) (local.get $n))
      (i32.store (i32.const 80) (local.get $inputs)) (i32.store (i32.const 84) (local.get $n))
      (i32.store (i32.const 88) (local.get $statuses)) (i32.store (i32.const 92) (local.get $n))
      (i32.const 64))
"#;

const LIFT: &str = r#"
  (core instance $main (instantiate $Main (with "env" (instance
    (export "memory" (memory $memory)) (export "realloc" (func $realloc)) (export "log" (func $log'))
    (export "counter" (func $counter')) (export "now" (func $now')) (export "random" (func $random'))))))
  (alias core export $main "init" (core func $init'))
  (alias core export $main "transform" (core func $transform'))
  (func $init (param "facts" $facts) (result (result $lifetime (error string)))
    (canon lift (core func $init') (memory $memory) (realloc $realloc)))
  (func $transform (param "batch" $batch) (result $outcome)
    (canon lift (core func $transform') (memory $memory) (realloc $realloc)))
  (export "init" (func $init))
"#;

/// The bytes of a plugin.
pub(super) fn plugin(text: &Text<'_>) -> Vec<u8> {
    of_version(text, "1.0.0", "transform")
}

/// A plugin for another version, or whose second function has another name.
pub(super) fn of_version(text: &Text<'_>, version: &str, transform: &str) -> Vec<u8> {
    let lists = "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)";
    let main = format!(
        "(core module $Main {MAIN} {}
           (func (export \"init\") (param $name i32) (param $name-bytes i32) (param i32 i32) (result i32) {})
           (func (export \"transform\") (param $data i32) (param $bytes i32) (param $ends i32) (param $n i32) {lists}
             (result i32) {}))",
        text.more, text.init, text.transform
    );
    let component = format!(
        "(component {} {HOST} {STORE} {main} {LIFT} (export \"{transform}\" (func $transform)))",
        types(version)
    );
    wat::parse_str(&component).unwrap_or_else(|error| panic!("{error}\n{component}"))
}
