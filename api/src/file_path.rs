//! Paths of the files that a Workspace adds to the clone.

/// Returns the parts of a path that is safe to write to, or what is wrong with it.
///
/// # Errors
/// One phrase for people, such as "leaves the repository".
pub fn components(path: &str) -> Result<Vec<&str>, &'static str> {
    if path.trim().is_empty() {
        return Err("is empty");
    }
    if path.starts_with('/') {
        return Err("is absolute");
    }
    if path.contains(['\\', '\0']) {
        return Err("has a backslash or a NUL");
    }
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    if parts.is_empty() || path.ends_with('/') {
        return Err("names a directory");
    }
    if parts.contains(&"..") {
        return Err("leaves the repository");
    }
    if parts.iter().any(|part| part.eq_ignore_ascii_case(".git")) {
        return Err("is inside .git");
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn good_paths_are_relative_and_stay_inside() {
        assert_eq!(components("./a//b/.gitignore").unwrap(), ["a", "b", ".gitignore"]);
        assert_eq!(components("..x/.github").unwrap(), ["..x", ".github"]);
        for bad in [
            "",
            "  ",
            "/a",
            "..",
            "../a",
            "a/../b",
            "a\\b",
            ".",
            "./",
            "a/",
            ".git/config",
            "sub/.GIT/hooks/x",
            "a\0b",
        ] {
            assert!(components(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_accepted_path_leaves_the_root(path in "[a./\\\\gitGIT]{1,12}") {
            if let Ok(parts) = components(&path) {
                prop_assert!(!parts.is_empty());
                for part in parts {
                    prop_assert!(!part.is_empty() && part != ".." && part != "." && !part.contains('/'));
                    prop_assert!(!part.eq_ignore_ascii_case(".git"));
                }
            }
        }
    }
}
