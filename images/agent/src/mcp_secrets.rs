//! Secrets of MCP servers: mounted directories with one file per key.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// Reads a mounted Secret. A line break at a value's end, which `echo` and editors leave, belongs to no header and no
/// token, and is cut.
///
/// # Errors
/// If the directory or a file can't be read, or a value is no UTF-8.
pub fn read(dir: &Path) -> io::Result<BTreeMap<String, String>> {
    let mut values = BTreeMap::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let Some(key) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        // The kubelet keeps the real files in a hidden directory beside the links to them.
        if key.starts_with("..") || !path.is_file() {
            continue;
        }
        let value = fs::read_to_string(&path)?;
        values.insert(key.to_owned(), value.trim_end_matches(['\r', '\n']).to_owned());
    }
    Ok(values)
}

/// Returns all values below the directory of all servers' Secrets.
#[must_use]
pub fn all_values(root: &Path) -> Vec<String> {
    let dirs = |dir: &Path| {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    dirs(root)
        .iter()
        .flat_map(|server| dirs(server))
        .filter_map(|dir| read(&dir).ok())
        .flat_map(BTreeMap::into_values)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_files_and_hidden_ones_are_none() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("3/env");
        fs::create_dir_all(dir.join("..data")).unwrap();
        fs::write(dir.join("..data/TOKEN"), "x").unwrap();
        fs::write(dir.join("TOKEN"), "se cret\r\n").unwrap();
        fs::write(dir.join("EMPTY"), "").unwrap();
        let expected = [("EMPTY", ""), ("TOKEN", "se cret")];
        let found = read(&dir).unwrap();
        assert!(
            found.iter().map(|(k, v)| (k.as_str(), v.as_str())).eq(expected),
            "{found:?}"
        );
        assert_eq!(all_values(root.path()), ["", "se cret"]);
        assert!(read(&root.path().join("none")).is_err());
        assert!(all_values(&root.path().join("none")).is_empty());
    }
}
