//! A control group with a limit of memory, as the kubelet makes one for a container.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

const V2: &str = "/sys/fs/cgroup";
const V1: &str = "/sys/fs/cgroup/memory";

/// A control group of this process's making. It goes when the value does; by then no process may be in it.
#[derive(Debug)]
pub struct Cgroup {
    folder: PathBuf,
    is_v2: bool,
}

impl Cgroup {
    /// Makes a group whose processes may use `bytes` of memory together, and no swap.
    ///
    /// # Errors
    /// If groups can't be made here: this takes root and the memory controller, of either version.
    pub fn with_memory(bytes: u64) -> Result<Self> {
        let controllers = std::fs::read_to_string(Path::new(V2).join("cgroup.controllers"));
        let is_v2 = controllers
            .as_ref()
            .is_ok_and(|all| all.split_whitespace().any(|one| one == "memory"));
        ensure!(
            is_v2 || Path::new(V1).join("memory.limit_in_bytes").exists(),
            "no memory controller in {V2} (version 2) or {V1} (version 1): run this as root on a host with one of them"
        );
        if is_v2 {
            write(&Path::new(V2).join("cgroup.subtree_control"), "+memory")?;
        }
        let root = Path::new(if is_v2 { V2 } else { V1 });
        let folder = root.join(format!("axon-test-{}", std::process::id()));
        std::fs::create_dir(&folder)
            .with_context(|| format!("failed to make the control group {}", folder.display()))?;
        let group = Self { folder, is_v2 };
        group.set(
            if is_v2 {
                "memory.max"
            } else {
                "memory.limit_in_bytes"
            },
            bytes,
        )?;
        // Where swap is not counted there is none to limit.
        let swap = if is_v2 {
            ("memory.swap.max", 0)
        } else {
            ("memory.memsw.limit_in_bytes", bytes)
        };
        if group.folder.join(swap.0).exists() {
            group.set(swap.0, swap.1)?;
        }
        Ok(group)
    }

    /// Returns its folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Returns how many of its processes the kernel has killed for want of memory.
    ///
    /// # Errors
    /// If the kernel does not say.
    pub fn kills(&self) -> Result<u64> {
        let file = self.folder.join(if self.is_v2 {
            "memory.events"
        } else {
            "memory.oom_control"
        });
        let text = std::fs::read_to_string(&file)?;
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        let count = count.with_context(|| format!("{} does not count oom_kill", file.display()))?;
        Ok(count.trim().parse()?)
    }

    fn set(&self, name: &str, value: u64) -> Result<()> {
        write(&self.folder.join(name), &value.to_string())
    }
}

fn write(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).with_context(|| format!("failed to write {text} to {}", file.display()))
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // The last process may be on its way out.
        for _ in 0..50 {
            if std::fs::remove_dir(&self.folder).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
