//! The plugin tree: `<plugin>/skills/<skill>/SKILL.md` and `<plugin>/agents/<agent>.md`.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use axon_api::v1alpha1::{Plugin, PluginFile};

use crate::failure::Failure;

/// Checks all names: each becomes one part of a path, and none may replace another.
///
/// # Errors
/// `InvalidConfig` with the name that is wrong.
pub fn check(plugins: &[Plugin]) -> Result<(), Failure> {
    check_names("plugin", plugins.iter().map(|plugin| &plugin.name))?;
    for plugin in plugins {
        let of = |what: &str| format!("{what} of plugin {:?}", plugin.name);
        check_names(&of("skill"), plugin.skills.iter().map(|file| &file.name))?;
        check_names(&of("agent"), plugin.agents.iter().map(|file| &file.name))?;
    }
    Ok(())
}

fn check_names<'a>(what: &str, names: impl Iterator<Item = &'a String>) -> Result<(), Failure> {
    let mut seen = BTreeSet::new();
    for name in names {
        let fault = if name.trim().is_empty() || name == "." || name == ".." {
            Some("is no name")
        } else if name.contains(['/', '\\', '\0']) {
            Some("has a slash, a backslash or a NUL")
        } else if !seen.insert(name) {
            Some("is there twice")
        } else {
            None
        };
        if let Some(fault) = fault {
            return Err(Failure::invalid(format!("{what}: {name:?} {fault}")));
        }
    }
    Ok(())
}

/// Returns every file of the tree with its content.
pub fn tree(plugins: &[Plugin]) -> impl Iterator<Item = (PathBuf, &str)> {
    fn skill(file: &PluginFile) -> PathBuf {
        Path::new("skills").join(&file.name).join("SKILL.md")
    }
    fn agent(file: &PluginFile) -> PathBuf {
        Path::new("agents").join(format!("{}.md", file.name))
    }
    plugins.iter().flat_map(|plugin| {
        let skills = plugin.skills.iter().map(|file| (skill(file), file));
        let agents = plugin.agents.iter().map(|file| (agent(file), file));
        let root = Path::new(&plugin.name);
        skills
            .chain(agents)
            .map(move |(path, file)| (root.join(path), file.content.as_str()))
    })
}

/// Writes the tree below `root`.
///
/// # Errors
/// `InvalidConfig` for bad names, `CloneFailed` when the file system refuses.
pub fn write(root: &Path, plugins: &[Plugin]) -> Result<(), Failure> {
    check(plugins)?;
    let put = |path: &Path, content: &str| -> io::Result<()> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, content)
    };
    let failed = |path: &Path, error: io::Error| {
        Failure::clone_failed(format!("can't write plugin file {}: {error}", path.display()))
    };
    for plugin in plugins {
        let dir = root.join(&plugin.name);
        fs::create_dir_all(&dir).map_err(|error| failed(&dir, error))?;
    }
    for (path, content) in tree(plugins) {
        put(&root.join(&path), content).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> PluginFile {
        PluginFile {
            name: name.into(),
            content: format!("about {name}\n"),
        }
    }

    fn plugin(name: &str, skills: &[&str], agents: &[&str]) -> Plugin {
        Plugin {
            name: name.into(),
            skills: skills.iter().map(|n| file(n)).collect(),
            agents: agents.iter().map(|n| file(n)).collect(),
        }
    }

    #[test]
    fn the_tree_has_the_contract_s_form() {
        let dir = tempfile::tempdir().unwrap();
        let plugins = [
            plugin("team tools", &["deploy"], &["reviewer"]),
            plugin("bare", &[], &[]),
        ];
        write(dir.path(), &plugins).unwrap();
        let read = |path: &str| fs::read_to_string(dir.path().join(path)).unwrap();
        assert_eq!(read("team tools/skills/deploy/SKILL.md"), "about deploy\n");
        assert_eq!(read("team tools/agents/reviewer.md"), "about reviewer\n");
        assert!(dir.path().join("bare").is_dir());
    }

    #[test]
    fn no_name_is_a_path_and_none_comes_twice() {
        for bad in [
            plugin("", &[], &[]),
            plugin("..", &[], &[]),
            plugin("a/b", &[], &[]),
            plugin("a", &["x\\y"], &[]),
            plugin("a", &["x", "x"], &[]),
            plugin("a", &[], &["."]),
        ] {
            assert!(check(std::slice::from_ref(&bad)).is_err(), "{bad:?}");
        }
        assert!(check(&[plugin("a", &[], &[]), plugin("a", &[], &[])]).is_err());
        assert!(check(&[plugin("a", &["x"], &["x"]), plugin("b", &["x"], &[])]).is_ok());
    }
}
