//! Modules on disk: what was compiled once is not compiled again, what is damaged is, and what nobody needs goes.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::guests::Text;
use super::{Rig, records, run};
use crate::error::Kind;

impl Rig {
    fn compiled(&self) -> u64 {
        self.metrics.compiled_modules.get()
    }

    /// The files with this extension.
    fn files(&self, extension: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.dir.path().join("plugins")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|other| other == extension)).collect()
    }
}

#[tokio::test]
async fn a_later_process_compiles_nothing() {
    let rig = Rig::new();
    let step = rig.install(&Text::default()).await;
    assert_eq!((rig.compiled(), rig.files("wasm").len(), rig.files("cwasm").len()), (1, 1, 1));
    assert_eq!(rig.install(&Text::default()).await, step);
    let later = Rig::at(rig.dir.clone());
    let input = records(&["a", "b"]);
    assert_eq!(run(&later.plugins.plugin("web", &step).await.unwrap(), &input).rows, input.0);
    assert_eq!(later.install(&Text::default()).await, step);
    assert_eq!((rig.compiled(), later.compiled()), (1, 0));
}

#[tokio::test]
async fn modules_are_closed_to_other_users() {
    let rig = Rig::new();
    rig.install(&Text::default()).await;
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&rig.dir.path().join("plugins")), 0o700);
    for file in [rig.files("wasm"), rig.files("cwasm")].concat() {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn damaged_machine_code_is_made_again() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [Damage; 4] =
        [|file| *file.last_mut().unwrap() ^= 1, |file| file[100] ^= 1, |file| file.truncate(1_000), Vec::clear];
    let rig = Rig::new();
    let step = rig.install(&Text::default()).await;
    let code = rig.files("cwasm").remove(0);
    let good = fs::read(&code).unwrap();
    for damage in damages {
        let mut file = good.clone();
        damage(&mut file);
        fs::write(&code, file).unwrap();
        let later = Rig::at(rig.dir.clone());
        later.plugins.plugin("web", &step).await.unwrap();
        assert_eq!(later.compiled(), 1);
        assert_eq!(Rig::at(rig.dir.clone()).plugins.plugin("web", &step).await.map(|_| ()).ok(), Some(()));
        let last = Rig::at(rig.dir.clone());
        last.plugins.plugin("web", &step).await.unwrap();
        assert_eq!(last.compiled(), 0, "it was written anew");
    }
}

#[tokio::test]
async fn a_module_that_vanishes_or_changes_on_disk_is_noticed() {
    let rig = Rig::new();
    let step = rig.install(&Text::default()).await;
    let plugin = rig.plugins.plugin("web", &step).await.unwrap();
    fs::remove_file(rig.files("cwasm").remove(0)).unwrap();
    let module = rig.files("wasm").remove(0);
    fs::write(&module, "something else").unwrap();
    let input = records(&["a"]);
    assert_eq!(run(&plugin, &input).rows, input.0, "what runs goes on");
    let later = Rig::at(rig.dir.clone());
    assert_eq!(later.plugins.plugin("web", &step).await.map(|_| ()).unwrap_err().kind(), Kind::Corrupt);
    fs::remove_file(&module).unwrap();
    assert_eq!(later.plugins.plugin("web", &step).await.map(|_| ()).unwrap_err().kind(), Kind::NotFound);
    assert_eq!(later.install(&Text::default()).await, step, "installing it again mends it");
    assert_eq!(later.files("wasm").len(), 1);
}

#[tokio::test]
async fn what_nobody_needs_goes() {
    let rig = Rig::new();
    let one = rig.install(&Text::default()).await;
    let two = rig.install(&Text { transform: "unreachable", ..Text::default() }).await;
    let running = rig.plugins.plugin("web", &two).await.unwrap();
    let dir = rig.dir.path().join("plugins");
    let old = dir.join(format!("{}.0123456789abcdef.cwasm", one.sha256));
    fs::write(&old, "of another engine").unwrap();
    fs::write(dir.join("note.txt"), "not ours").unwrap();
    rig.plugins.retain(&BTreeSet::from([one.sha256.clone()])).unwrap();
    assert_eq!((rig.files("wasm").len(), rig.files("cwasm").len(), rig.files("txt").len()), (1, 1, 1));
    assert!(!old.exists());
    assert_eq!(run(&running, &records(&["a"])).failed.len(), 1, "what was given out goes on");
    drop(running);
    assert_eq!(rig.plugins.plugin("web", &two).await.map(|_| ()).unwrap_err().kind(), Kind::NotFound);
    rig.plugins.plugin("web", &one).await.unwrap();
}

#[tokio::test]
async fn what_was_half_written_is_cleared_away() {
    let rig = Rig::new();
    fs::write(rig.dir.path().join("plugins/0123.new"), "half").unwrap();
    let later = Rig::at(rig.dir.clone());
    assert!(later.files("new").is_empty());
}
