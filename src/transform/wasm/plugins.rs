//! The modules that are needed: checked, compiled, on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use wasmtime::component::Component;

use super::check::{self, Checked};
use super::engine::Runtime;
use super::files::Files;
use super::pool::Pool;
use super::voice::Voice;
use super::{Plugin, Step, artifact};
use crate::clock::Clock;
use crate::error::{Error, Kind, Result};
use crate::telemetry::metrics::Metrics;

/// All modules that are needed. Cheap to clone.
#[derive(Clone)]
pub struct Plugins(Arc<Inner>);

struct Inner {
    runtime: Arc<Runtime>,
    files: Files,
    pool: Arc<Pool>,
    clock: Clock,
    metrics: Arc<Metrics>,
    /// Modules in memory, by the SHA-256 of their bytes. Held while one is compiled, so that none is compiled twice.
    modules: Mutex<BTreeMap<String, Checked>>,
    /// Plugins in use, by delivery stream and step.
    plugins: Mutex<BTreeMap<(String, Step), Weak<Plugin>>>,
    /// How many plugins there ever were.
    count: AtomicU64,
}

impl Plugins {
    /// Opens the store of modules in `dir`, which is made; what was compiled before, by this build, is taken as it is.
    pub fn open(dir: PathBuf, clock: Clock, metrics: Arc<Metrics>) -> Result<Self> {
        let runtime = Arc::new(Runtime::new()?);
        let files = Files::open(dir, runtime.fingerprint.clone(), clock.clone())?;
        Ok(Plugins(Arc::new(Inner {
            runtime,
            files,
            pool: Arc::default(),
            clock,
            metrics,
            modules: Mutex::default(),
            plugins: Mutex::default(),
            count: AtomicU64::new(0),
        })))
    }

    /// Checks and compiles a module, and keeps it: gives the SHA-256 of its bytes. Seconds for a large one; runs on a
    /// thread that may block. Errors name what is wrong: not a component, another world or version, imports that are
    /// not offered, too large, a pin that differs.
    pub async fn install(&self, name: &str, module: Bytes, pin: Option<&str>) -> Result<String> {
        let (name, pin) = (name.to_owned(), pin.map(str::to_owned));
        self.blocking(move |inner| {
            let installed = inner.install(&module, pin.as_deref());
            installed.map_err(|error| Error::new(error.kind(), format!("the plugin {name}: {error}")))
        })
        .await
    }

    /// The plugin of a step, for the delivery stream `stream`: of a module that was installed once, in this or an
    /// earlier process; `NotFound` otherwise. The first instance is made and `init` called: an error says what it said.
    pub async fn plugin(&self, stream: &str, step: &Step) -> Result<Arc<Plugin>> {
        let (stream, step) = (stream.to_owned(), step.clone());
        self.blocking(move |inner| inner.plugin(stream, step)).await
    }

    /// Forgets modules that nobody needs any more, by their hash. Plugins that were given out go on.
    pub fn retain(&self, needed: &BTreeSet<String>) -> Result<()> {
        self.0.plugins().retain(|_, plugin| plugin.strong_count() > 0);
        self.0.modules().retain(|sha256, _| needed.contains(sha256));
        self.0.files.retain(needed)
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Inner) -> Result<T> + Send + 'static) -> Result<T> {
        let inner = self.0.clone();
        let done = tokio::task::spawn_blocking(move || work(&inner)).await;
        done.unwrap_or_else(|error| Err(Error::new(Kind::Internal, "a plugin's thread panicked").because(error)))
    }

    #[cfg(test)]
    pub(super) fn pool(&self) -> &Pool {
        &self.0.pool
    }
}

impl Inner {
    fn install(&self, module: &[u8], pin: Option<&str>) -> Result<String> {
        let sha256 = check::bytes(module, pin)?;
        let mut modules = self.modules();
        let (checked, code) = match modules.get(&sha256) {
            Some(checked) => (checked.clone(), None),
            None => self.load(&sha256, module)?,
        };
        if self.files.module(&sha256)?.is_none_or(|kept| kept != module) {
            self.files.keep_module(&sha256, module)?;
        }
        self.keep_code(&sha256, code);
        modules.insert(sha256.clone(), checked);
        Ok(sha256)
    }

    fn plugin(&self, stream: String, step: Step) -> Result<Arc<Plugin>> {
        let key = (stream, step);
        if let Some(known) = self.plugins().get(&key).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let (stream, step) = &key;
        let metrics = self.metrics.transform(stream, &step.plugin);
        let plugin = Plugin {
            checked: self.module(step)?,
            runtime: self.runtime.clone(),
            pool: self.pool.clone(),
            voice: Arc::new(Voice::new(stream, &step.plugin, self.clock.clone(), metrics)),
            number: self.count.fetch_add(1, Ordering::Relaxed),
            step: step.clone(),
        };
        plugin.keep(plugin.fresh()?);
        let plugin = Arc::new(plugin);
        let mut plugins = self.plugins();
        plugins.retain(|_, plugin| plugin.strong_count() > 0);
        plugins.insert(key, Arc::downgrade(&plugin));
        Ok(plugin)
    }

    /// The module of a step: in memory, on disk as machine code, or on disk as it was installed.
    fn module(&self, step: &Step) -> Result<Checked> {
        let sha256 = &step.sha256;
        let mut modules = self.modules();
        if let Some(checked) = modules.get(sha256) {
            return Ok(checked.clone());
        }
        let (checked, code) = if let Some(component) = self.cached(sha256)? {
            (check::world(&self.runtime, &component)?, None)
        } else {
            self.compile(sha256, &self.installed(step)?)?
        };
        self.keep_code(sha256, code);
        modules.insert(sha256.clone(), checked.clone());
        Ok(checked)
    }

    /// The module of a step as it was installed.
    fn installed(&self, step: &Step) -> Result<Vec<u8>> {
        let (sha256, plugin) = (&step.sha256, &step.plugin);
        let module = self.files.module(sha256)?.ok_or_else(|| {
            Error::new(Kind::NotFound, format!("the module {sha256} of the plugin {plugin} is not installed"))
        })?;
        if check::sha256(&module) != *sha256 {
            return Err(Error::corrupt(format!("the module {sha256} of the plugin {plugin} is damaged on disk")));
        }
        Ok(module)
    }

    /// Makes a module ready, from its machine code if that is there; gives what is to be kept of that otherwise.
    fn load(&self, sha256: &str, module: &[u8]) -> Result<(Checked, Option<Vec<u8>>)> {
        if let Some(component) = self.cached(sha256)? {
            return Ok((check::world(&self.runtime, &component)?, None));
        }
        self.compile(sha256, module)
    }

    fn compile(&self, sha256: &str, module: &[u8]) -> Result<(Checked, Option<Vec<u8>>)> {
        let component = Component::new(&self.runtime.engine, module)
            .map_err(|error| Error::invalid(format!("the module cannot be compiled: {error:#}")))?;
        let checked = check::world(&self.runtime, &component)?;
        self.metrics.compiled_modules.inc();
        let code = artifact::write(&component)
            .inspect_err(|error| tracing::warn!(sha256, %error, "a plugin's machine code cannot be kept"));
        Ok((checked, code.ok()))
    }

    /// Machine code of an earlier process. Whatever is wrong with it, it can be made again.
    fn cached(&self, sha256: &str) -> Result<Option<Component>> {
        let Some(file) = self.files.code(sha256)? else { return Ok(None) };
        let component = artifact::read(&self.runtime.engine, &file).inspect_err(|error| {
            tracing::warn!(sha256, %error, "a plugin's machine code on disk is not what was written, compiling it again");
        });
        Ok(component.ok())
    }

    /// Without it the next start takes longer, and that is all.
    fn keep_code(&self, sha256: &str, code: Option<Vec<u8>>) {
        let kept = code.map_or(Ok(()), |code| self.files.keep_code(sha256, &code));
        if let Err(error) = kept {
            tracing::warn!(sha256, %error, "a plugin's machine code cannot be kept");
        }
    }

    fn modules(&self) -> MutexGuard<'_, BTreeMap<String, Checked>> {
        self.modules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn plugins(&self) -> MutexGuard<'_, BTreeMap<(String, Step), Weak<Plugin>>> {
        self.plugins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
