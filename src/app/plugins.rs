//! The plugins that the configuration names: their modules are fetched and installed, and what each name stands for is told
//! to the pipelines. What could not be fetched is tried again while the service runs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config::names::function_arn;
use crate::config::{Config, ModulePlace, Plugin, PluginKind, PluginLimits};
use crate::destination::Stores;
use crate::error::{Error, Kind, Result};
use crate::ledger::Ledger;
use crate::limits::{MODULE_RETRY_MAX, MODULE_RETRY_MIN, MODULES_AT_ONCE, MODULES_WAIT_MAX, PLUGIN_MODULE_BYTES_MAX};
use crate::pipeline;
use crate::telemetry::metrics::Metrics;
use crate::transform::function;
use crate::transform::wasm::{self, Plugins};
use crate::transform::{Known, Names, Registry};

/// The plugins of a configuration, and the store that they are installed in. Whoever would replace them in a running service
/// tells it to `names`.
pub(super) struct Installer {
    plugins: Vec<Plugin>,
    /// Of their ARNs.
    region: String,
    /// Of their ARNs.
    account: String,
    store: Option<Plugins>,
    stores: Stores,
    clock: Clock,
    names: watch::Sender<Names>,
}

impl Installer {
    /// Opens the store of modules below the data directory, unless nobody needs one: the configuration names no plugin, and
    /// none was ever named. Nothing is installed yet.
    pub(super) fn open(config: &Config, stores: Stores, clock: Clock, metrics: Arc<Metrics>) -> Result<Self> {
        let folder: PathBuf = config.data_dir.join("plugins");
        let is_needed = !config.plugins.is_empty() || folder.is_dir();
        let store = is_needed.then(|| Plugins::open(folder, clock.clone(), metrics)).transpose()?;
        let not_yet = |plugin: &Plugin| (plugin.name.clone(), Known::Unusable("it is being fetched".to_owned()));
        let names: BTreeMap<_, _> = config.plugins.iter().map(not_yet).collect();
        Ok(Installer {
            plugins: config.plugins.clone(),
            region: config.region.clone(),
            account: config.account_id.clone(),
            store,
            stores,
            clock,
            names: watch::channel(Arc::new(names)).0,
        })
    }

    /// What names stand for, now and later.
    pub(super) fn registry(&self) -> Registry {
        let names = self.names.subscribe();
        match &self.store {
            Some(store) => Registry::new(store.clone(), names),
            None => Registry::without_plugins(names),
        }
    }

    /// Installs everything, for as long as a start may take, and forgets old modules; whether that is done. What is slow or
    /// cannot be had now is to be [insisted](Installer::insist) on.
    pub(super) async fn begin(&self, catalog: &Catalog, ledger: &dyn Ledger) -> bool {
        let in_time = self.clock.within(MODULES_WAIT_MAX, self.install()).await;
        if in_time.is_some() {
            self.forget_old(catalog, ledger).await;
        }
        in_time == Some(true)
    }

    /// Tries again what could not be installed, until it is or the service stops.
    pub(super) async fn insist(
        self: Arc<Self>,
        catalog: Catalog,
        ledger: Arc<dyn Ledger>,
        stopping: CancellationToken,
    ) {
        let mut pause = MODULE_RETRY_MIN;
        loop {
            tokio::select! {
                () = self.clock.sleep(pause) => {}
                () = stopping.cancelled() => return,
            }
            let is_whole = self.install().await;
            self.forget_old(&catalog, &*ledger).await;
            if is_whole {
                return;
            }
            pause = (pause * 2).min(MODULE_RETRY_MAX);
        }
    }

    /// Installs what is not installed yet, and says of each what its name stands for now; whether everything is.
    async fn install(&self) -> bool {
        let before = self.names.borrow().clone();
        let is_there = |name| matches!(before.get(name), Some(Known::Wasm(_) | Known::Function(_)));
        let (mut is_whole, mut missing) = (true, Vec::new());
        for plugin in self.plugins.iter().filter(|plugin| !is_there(&plugin.name)) {
            missing.push(self.known(plugin));
        }
        let mut found = pin!(stream::iter(missing).buffer_unordered(MODULES_AT_ONCE));
        while let Some((name, known)) = found.next().await {
            is_whole &= !matches!(known, Known::Unusable(_));
            self.names.send_if_modified(|names| {
                let is_new = names.get(&name) != Some(&known);
                if is_new {
                    Arc::make_mut(names).insert(name, known);
                }
                is_new
            });
        }
        is_whole
    }

    fn arn(&self, name: &str) -> String {
        function_arn(&self.region, &self.account, name)
    }

    async fn known(&self, plugin: &Plugin) -> (String, Known) {
        let name = plugin.name.clone();
        let known = match &plugin.kind {
            PluginKind::Wasm { module, sha256, limits } => match self.module(&name, module, sha256.as_deref()).await {
                Ok(sha256) => {
                    tracing::info!(plugin = name, sha256, "plugin installed");
                    let (arn, config) = (Some(self.arn(&name)), plugin.config.clone());
                    Known::Wasm(wasm::Step { plugin: name.clone(), arn, sha256, config, limits: limits_of(limits) })
                }
                Err(error) => {
                    tracing::error!(plugin = name, %error, "a plugin cannot be installed, records of its streams wait");
                    Known::Unusable(error.to_string())
                }
            },
            PluginKind::Function { url, timeout, retries, batch_bytes } => Known::Function(function::Settings {
                arn: self.arn(&name),
                name: name.clone(),
                url: url.clone(),
                timeout: *timeout,
                retries: *retries,
                batch_bytes: *batch_bytes,
            }),
        };
        (name, known)
    }

    async fn module(&self, name: &str, place: &ModulePlace, pin: Option<&str>) -> Result<String> {
        let store =
            self.store.as_ref().ok_or_else(|| Error::new(Kind::Internal, "the store of plugins is not open"))?;
        let bytes = match place {
            ModulePlace::File(path) => file(path.clone()).await?,
            ModulePlace::S3 { bucket, key, connection } => {
                self.stores.fetch(connection, bucket, key, PLUGIN_MODULE_BYTES_MAX).await?
            }
        };
        store.install(name, bytes, pin).await
    }

    /// Forgets the modules that neither the configuration nor an unfinished plan names. Not while one is being installed: it
    /// has no name yet. New plans name what the configuration names.
    async fn forget_old(&self, catalog: &Catalog, ledger: &dyn Ledger) {
        let Some(store) = &self.store else { return };
        let forgotten = async { store.retain(&self.needed(catalog, ledger).await?) };
        if let Err(error) = forgotten.await {
            tracing::warn!(%error, "modules that nobody needs could not be cleared away");
        }
    }

    async fn needed(&self, catalog: &Catalog, ledger: &dyn Ledger) -> Result<BTreeSet<String>> {
        let names = self.names.borrow().clone();
        let mut needed: BTreeSet<String> = names.values().filter_map(hash).collect();
        for entry in catalog.snapshot().values() {
            let standing = ledger.standing(entry.id).await?;
            for (_, plan) in &standing.unfinished {
                needed.extend(pipeline::modules(plan)?);
            }
            needed.extend(pipeline::modules_of_lanes(&standing.lanes)?);
        }
        Ok(needed)
    }
}

fn hash(known: &Known) -> Option<String> {
    match known {
        Known::Wasm(step) => Some(step.sha256.clone()),
        Known::Function(_) | Known::Unusable(_) => None,
    }
}

async fn file(path: PathBuf) -> Result<Bytes> {
    let shown = path.display().to_string();
    let unreadable =
        move |error: std::io::Error| Error::unavailable(format!("the module {shown} cannot be read")).because(error);
    let read = tokio::task::spawn_blocking(move || {
        use std::io::Read;
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(PLUGIN_MODULE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    let bytes = read.await.unwrap_or_else(|error| Err(std::io::Error::other(error))).map_err(unreadable)?;
    if bytes.len() > PLUGIN_MODULE_BYTES_MAX {
        return Err(Error::invalid(format!("the module has more than {PLUGIN_MODULE_BYTES_MAX} bytes")));
    }
    Ok(bytes.into())
}

fn limits_of(limits: &PluginLimits) -> wasm::Limits {
    let PluginLimits { memory, fuel, fuel_per_byte, output_ratio, batch_records, batch_bytes } = *limits;
    wasm::Limits { memory, fuel, fuel_per_byte, output_ratio, batch_records, batch_bytes, sparing: true }
}
