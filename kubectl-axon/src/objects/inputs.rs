//! Reads and checks what was typed; nothing here touches the cluster.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::time::Duration;

use axon_api::git::{Repository, has_password, ref_advice, ref_fault};
use axon_api::limits::{MAX_PROMPT, excess};
use k8s_openapi::api::core::v1::EnvVar;

use crate::error::{CliError, Result};

/// Returns the prompt: the text itself, the file after `@`, or stdin for `-`.
pub(crate) fn prompt(text: &str) -> Result<String> {
    // Whoever forgets the text would hand the next flag to the agent.
    if text.len() > 1 && text.starts_with('-') && !text.contains(char::is_whitespace) {
        return Err(
            CliError::usage(format!("--prompt {text:?} looks like a flag")).hint(
                "write the text after --prompt; one that looks like this can be passed on stdin: --prompt -",
            ),
        );
    }
    let prompt = if text == "-" {
        let mut read = String::new();
        std::io::stdin()
            .read_to_string(&mut read)
            .map_err(|e| CliError::usage(format!("cannot read the prompt from stdin: {e}")))?;
        read
    } else if let Some(path) = text.strip_prefix('@') {
        std::fs::read_to_string(path).map_err(|e| {
            CliError::usage(format!("cannot read the prompt from file {path:?}: {e}"))
                .hint("a prompt that itself starts with @ can be passed on stdin: --prompt -")
        })?
    } else {
        text.to_owned()
    };
    if prompt.trim().is_empty() {
        return Err(CliError::usage("--prompt is empty: say what the agent should do"));
    }
    if prompt.contains('\0') {
        return Err(CliError::usage(
            "the prompt has a NUL character (U+0000), with which no container starts: leave it out",
        ));
    }
    fits("--prompt", text, &prompt, MAX_PROMPT)
        .map_err(|e| e.hint("put long material into the repository and name its path in the prompt"))?;
    Ok(prompt)
}

/// Refuses a text of more than `most` characters, which the API server would refuse. `typed` is what stood after `flag`: the
/// text itself, `@FILE` or `-`.
pub(crate) fn fits(flag: &str, typed: &str, text: &str, most: usize) -> Result<()> {
    let Some(length) = excess(text, most) else {
        return Ok(());
    };
    let from = match typed.strip_prefix('@') {
        Some(path) => format!(" (file {path:?})"),
        None if typed == "-" => " (stdin)".to_owned(),
        None => String::new(),
    };
    Err(CliError::usage(format!(
        "{flag}{from} has {length} characters, more than the limit of {most}"
    )))
}

/// Checks the name of an object that is referred to (RFC 1123 subdomain).
pub(crate) fn reference(source: &str, name: &str) -> Result<String> {
    match axon_api::naming::subdomain_fault(name) {
        Some(fault) => Err(CliError::usage(format!("{source} {name:?} {fault}"))),
        None => Ok(name.to_owned()),
    }
}

/// Reads the URL of a repository. A password in it would be seen by all who may see the Workspace: the operator refuses it.
pub(crate) fn repository(source: &str, url: &str) -> Result<Repository> {
    let parsed = Repository::parse(url).map_err(|e| CliError::usage(format!("{source}: {e}")))?;
    if has_password(url) {
        return Err(CliError::usage(format!(
            "{source} holds a password, which everyone could read who may see the workspace, and the agent"
        )));
    }
    Ok(parsed)
}

/// Refuses a ref that no server can have.
pub(crate) fn git_ref(source: &str, name: &str) -> Result<()> {
    let Some(fault) = ref_fault(name) else {
        return Ok(());
    };
    let error = CliError::usage(format!("{source} {name:?} {fault}"));
    Err(match ref_advice(name) {
        Some(advice) => error.hint(advice),
        None => error,
    })
}

/// Reads `--timeout`: whole seconds, at least one.
pub(crate) fn timeout(text: &str) -> Result<i64> {
    let seconds = seconds("--timeout", text)?;
    if seconds < 1 {
        return Err(CliError::usage(format!(
            "--timeout {text:?} is less than a second"
        )));
    }
    Ok(seconds)
}

/// Reads `--ttl`: whole seconds.
pub(crate) fn ttl(text: &str) -> Result<i32> {
    i32::try_from(seconds("--ttl", text)?)
        .map_err(|_| CliError::usage(format!("--ttl {text:?} is longer than 68 years")))
}

fn seconds(flag: &str, text: &str) -> Result<i64> {
    let duration: Duration =
        axon_api::go_duration::parse(text).map_err(|e| CliError::usage(format!("{flag}: {e}")))?;
    i64::try_from(duration.as_secs()).map_err(|_| CliError::usage(format!("{flag} {text:?} is too long")))
}

/// Reads `--env NAME=VALUE`. A value has the meaning that it has in a manifest: Kubernetes replaces `$(NAME)`, and `$$` is `$`.
pub(crate) fn env(pairs: &[String]) -> Result<Vec<EnvVar>> {
    let mut variables: Vec<EnvVar> = Vec::new();
    for pair in pairs {
        let Some((name, value)) = pair.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(CliError::usage(format!("--env {pair:?} is not NAME=VALUE")));
        };
        if name.starts_with(|c: char| c.is_ascii_digit())
            || !name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
        {
            return Err(CliError::usage(format!(
                "--env name {name:?} may only have letters, digits, '_', '-' and '.', and no digit first"
            )));
        }
        if variables.iter().any(|v| v.name == name) {
            return Err(CliError::usage(format!("--env {name} is given twice")));
        }
        variables.push(EnvVar {
            name: name.to_owned(),
            value: Some(value.to_owned()),
            ..EnvVar::default()
        });
    }
    Ok(variables)
}

/// Reads `--label KEY=VALUE`.
pub(crate) fn labels(pairs: &[String]) -> Result<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    for pair in pairs {
        let Some((key, value)) = pair.split_once('=') else {
            return Err(CliError::usage(format!("--label {pair:?} is not KEY=VALUE")));
        };
        let (prefix, name) = key.split_once('/').map_or((None, key), |(p, n)| (Some(p), n));
        if let Some(prefix) = prefix {
            reference("--label prefix", prefix)?;
        }
        if name.is_empty() || !is_label_text(name) {
            return Err(CliError::usage(format!(
                "--label key {key:?} is not a label key such as team or example.com/team"
            )));
        }
        if !is_label_text(value) {
            return Err(CliError::usage(format!(
                "--label {key}: value {value:?} may only have letters, digits, '-', '_' and '.', at most 63"
            )));
        }
        labels.insert(key.to_owned(), value.to_owned());
    }
    Ok(labels)
}

fn is_label_text(text: &str) -> bool {
    let ends = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && ends(text.chars().next())
        && ends(text.chars().last())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|t| (*t).to_owned()).collect()
    }

    #[test]
    fn prompts_come_from_text_and_files() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "from\na file\n").unwrap();
        assert_eq!(prompt("fix it").unwrap(), "fix it");
        assert_eq!(
            prompt(&format!("@{}", file.path().display())).unwrap(),
            "from\na file\n"
        );
        assert_eq!(prompt("- fix\n- it").unwrap(), "- fix\n- it");
        for bad in ["", " \n", "@/does/not/exist", "--watch", "-w"] {
            assert!(prompt(bad).is_err(), "{bad:?}");
        }
        assert!(
            prompt(&"é".repeat(MAX_PROMPT)).is_ok(),
            "characters count, not bytes"
        );
        let error = prompt(&"x".repeat(MAX_PROMPT + 1)).unwrap_err();
        assert_eq!(
            error.message,
            "--prompt has 524289 characters, more than the limit of 524288"
        );
        std::fs::write(file.path(), "x".repeat(MAX_PROMPT + 1)).unwrap();
        let typed = format!("@{}", file.path().display());
        let error = prompt(&typed).unwrap_err();
        let named = format!(
            "--prompt (file {:?}) has 524289 characters",
            file.path().display().to_string()
        );
        assert!(error.message.starts_with(&named), "{error}");
    }

    #[test]
    fn references_follow_kubernetes() {
        assert!(reference("--secret", "a.b-c").is_ok());
        assert!(reference("--secret", "a..b").is_err());
    }

    #[test]
    fn repositories_have_no_password() {
        assert!(repository("--repo", "https://bot@h/x").unwrap().is_http);
        for bad in ["https://bot:s3cret@h/x", "ftp://bot:s3cret@h/x", "/x"] {
            let error = repository("--repo", bad).unwrap_err();
            assert!(error.message.starts_with("--repo"), "{error}");
            assert!(!error.message.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn durations_are_checked() {
        assert_eq!(timeout("1h30m").unwrap(), 5400);
        assert_eq!(timeout("1.9s").unwrap(), 1);
        assert_eq!(ttl("0").unwrap(), 0);
        for bad in ["500ms", "0", "5", "x", ""] {
            assert!(timeout(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn variables_are_name_and_value() {
        let read = env(&texts(&["A=1", "B=x=y", "C=", "D=$(HOME)"])).unwrap();
        let pairs: Vec<_> = read
            .iter()
            .map(|v| (v.name.as_str(), v.value.as_deref().unwrap()))
            .collect();
        assert_eq!(pairs, [("A", "1"), ("B", "x=y"), ("C", ""), ("D", "$(HOME)")]);
        for bad in ["A", "=1", "1A=x", "A B=x"] {
            assert!(env(&texts(&[bad])).is_err(), "{bad}");
        }
        assert!(env(&texts(&["A=1", "A=2"])).is_err());
    }

    #[test]
    fn labels_follow_kubernetes() {
        assert_eq!(labels(&texts(&["team=a", "example.com/x="])).unwrap().len(), 2);
        for bad in ["team", "=x", "a b=c", "a=b c", "a=-b", "Bad_Prefix/x=y"] {
            assert!(labels(&texts(&[bad])).is_err(), "{bad}");
        }
    }
}
