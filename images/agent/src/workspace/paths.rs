//! Paths by which a repository configures agents, and so the CLIs that read them with our credentials.

/// Names that count in every directory: agents read those beside the files that they open.
const EVERYWHERE: [&str; 18] = [
    ".agents",
    ".claude",
    ".claude.json",
    ".codex",
    ".cursor",
    ".cursorrules",
    ".gemini",
    ".geminiignore",
    ".mcp.json",
    ".opencode",
    "AGENTS.md",
    "AGENTS.override.md",
    "CLAUDE.local.md",
    "CLAUDE.md",
    "CONTEXT.md",
    "GEMINI.md",
    "opencode.json",
    "opencode.jsonc",
];
/// Names that count at the root of the repository alone. Below it they are mostly material of tests.
const AT_ROOT: [&str; 5] = [".env", ".gitmodules", ".husky", ".ripgreprc", ".vscode"];
/// What is not taken from the default branch either. Gemini has no switch against settings of a project that leaves it of use:
/// those of the default branch would start programs of the checked-out tree.
const NEVER: [&str; 3] = [".env", ".gemini/.env", ".gemini/settings.json"];

/// Returns the patterns of git's sparse checkout: everything but the listed paths.
#[must_use]
pub fn sparse_checkout() -> String {
    let all = EVERYWHERE.map(|name| format!("!{name}\n")).concat();
    let root = AT_ROOT.map(|name| format!("!/{name}\n")).concat();
    format!("/*\n{all}{root}")
}

/// Returns the patterns that hide the listed paths from `git add` and `git status`.
#[must_use]
pub fn exclude() -> String {
    let all = EVERYWHERE.map(|name| format!("{name}\n")).concat();
    let root = AT_ROOT.map(|name| format!("/{name}\n")).concat();
    format!("{all}{root}")
}

/// Returns the listed paths as arguments of git.
#[must_use]
pub fn pathspecs() -> Vec<String> {
    let both = |path: String| [format!(":(glob){path}"), format!(":(glob){path}/**")];
    let all = EVERYWHERE.iter().map(|name| format!("**/{name}"));
    let root = AT_ROOT.iter().map(|name| (*name).to_owned());
    all.chain(root).flat_map(both).collect()
}

/// Returns the number of components of `path` up to the one that is listed; `None` if the path is not listed.
#[must_use]
pub fn listed(path: &str) -> Option<usize> {
    let parts: Vec<&str> = path.split('/').collect();
    if parts.first().is_some_and(|name| AT_ROOT.contains(name)) {
        return Some(1);
    }
    let place = parts.iter().position(|name| EVERYWHERE.contains(name))?;
    Some(place + 1)
}

/// Returns true for a path that the default branch may give.
#[must_use]
pub fn is_given(path: &str) -> bool {
    listed(path).is_some() && !NEVER.contains(&path)
}

/// Returns true if the symbolic link `path` leads to another path that the default branch gives. What it leads to would be the
/// checked-out tree's otherwise.
#[must_use]
pub fn leads_to_given(path: &str, target: &str) -> bool {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            // Absolute, or with a slash too many.
            "" => return false,
            "." => {}
            ".." => {
                if parts.pop().is_none() {
                    return false;
                }
            }
            part => parts.push(part),
        }
    }
    is_given(&parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_count_everywhere_or_at_the_root() {
        for (path, count) in [
            ("CLAUDE.md", Some(1)),
            ("a/b/CLAUDE.md", Some(3)),
            (".claude/skills/x/SKILL.md", Some(1)),
            ("a/.claude/settings.json", Some(2)),
            (".env", Some(1)),
            ("fixtures/.env", None),
            (".husky/pre-commit", Some(1)),
            ("web/.husky/pre-commit", None),
            ("src/main.rs", None),
            ("docs/CLAUDE.md.txt", None),
        ] {
            assert_eq!(listed(path), count, "{path}");
        }
    }

    #[test]
    fn what_starts_programs_without_being_asked_is_given_by_nobody() {
        assert!(is_given("CLAUDE.md") && is_given(".gemini/commands/x.toml"));
        for path in [".env", ".gemini/settings.json", ".gemini/.env", "src/main.rs"] {
            assert!(!is_given(path), "{path}");
        }
    }

    #[test]
    fn links_lead_from_one_given_path_to_another() {
        for (path, target, good) in [
            ("CLAUDE.md", "AGENTS.md", true),
            ("CLAUDE.md", "./AGENTS.md", true),
            (".claude/skills", "../.agents/skills", true),
            ("a/CLAUDE.md", "../AGENTS.md", true),
            ("CLAUDE.md", "docs/agents.md", false),
            (".claude/hooks", "../scripts", false),
            ("CLAUDE.md", "/etc/passwd", false),
            ("CLAUDE.md", "../AGENTS.md", false),
            ("CLAUDE.md", "..", false),
            (".gemini/x", "settings.json", false),
            (".claude/x", "../.gemini//settings.json", false),
        ] {
            assert_eq!(leads_to_given(path, target), good, "{path} -> {target}");
        }
    }
}
