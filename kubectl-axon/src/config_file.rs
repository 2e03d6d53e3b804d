//! The configuration file, `~/.axon/config.yaml`: defaults for flags, and credentials.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::error::{CliError, Kind, Result};

/// What the file may say. Empty texts count as absent: the template of `init` has some.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Config {
    /// OAuth token of the agent's provider; `none` for no credential.
    pub oauth_token: Option<String>,
    /// API key of the agent's provider; `none` for no credential.
    pub api_key: Option<String>,
    /// Name of a Secret that exists already.
    pub secret: Option<String>,
    /// Kind of credential in `secret`.
    pub credential_type: Option<String>,
    /// Agent type.
    #[serde(rename = "type")]
    pub agent: Option<String>,
    /// Model.
    pub model: Option<String>,
    /// Namespace.
    pub namespace: Option<String>,
    /// Name of an AgentConfig.
    pub agent_config: Option<String>,
    /// Most US dollars of a Task.
    pub max_cost: Option<String>,
    /// Most tokens of a Task.
    pub max_tokens: Option<String>,
    /// Workspace.
    pub workspace: Option<WorkspaceConfig>,
}

/// A Workspace, by name or by content.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkspaceConfig {
    /// Name of a Workspace that exists already; wins over `repo`.
    pub name: Option<String>,
    /// Repository URL.
    pub repo: Option<String>,
    /// Branch, tag or commit.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    /// GitHub token.
    pub token: Option<String>,
}

/// A key of the file, and what it is for.
pub type Key = (&'static str, &'static str);

/// The keys of the file.
pub const KEYS: [Key; 11] = [
    (
        "oauthToken",
        "OAuth token of the agent's provider; a Secret is made from it. `none` if the agent needs no credential",
    ),
    (
        "apiKey",
        "API key of the agent's provider, instead of `oauthToken`; a Secret is made from it, or `none`",
    ),
    ("secret", "Name of a Secret that exists already, instead of both"),
    (
        "credentialType",
        "What `secret` holds: `api-key` (the default), `oauth` or `none`",
    ),
    (
        "type",
        "Agent: `claude-code` (the default), `codex`, `gemini` or `opencode`",
    ),
    ("model", "Model, instead of the agent's default"),
    ("namespace", "Namespace, instead of the context's"),
    ("agentConfig", "Name of an AgentConfig"),
    (
        "maxCost",
        "Most US dollars that a Task may spend, such as `\"5\"`: the default of `--max-cost`",
    ),
    (
        "maxTokens",
        "Most tokens that a Task may use, such as `2M`: the default of `--max-tokens`",
    ),
    (
        "workspace",
        "The repository that agents work on; a map of the keys below",
    ),
];
/// The keys below `workspace`.
pub const WORKSPACE_KEYS: [Key; 4] = [
    (
        "name",
        "Name of a Workspace that exists already; wins over the others",
    ),
    ("repo", "URL of the repository; a Workspace is made from it"),
    ("ref", "Branch, tag or commit to begin at"),
    (
        "token",
        "GitHub token for private repositories, pushes and pull requests; a Secret is made from it",
    ),
];

/// A file that was read, and what there is to warn about.
#[derive(Default)]
pub struct Loaded {
    /// Its content.
    pub config: Config,
    /// Warnings, ready to be shown.
    pub warnings: Vec<String>,
}

/// Returns the path of the file: `given`, else the default; `None` when there is no home directory.
#[must_use]
pub fn path(given: Option<&Path>) -> Option<PathBuf> {
    given
        .map(Path::to_owned)
        .or_else(|| std::env::home_dir().map(|home| home.join(".axon").join("config.yaml")))
}

/// Reads the file. A default file that does not exist is an empty one.
///
/// # Errors
/// When a file that was named does not exist, or when a file can't be read or understood.
pub fn load(given: Option<&Path>) -> Result<Loaded> {
    let Some(path) = path(given) else {
        return Ok(Loaded::default());
    };
    let shown = path.display();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && given.is_none() => return Ok(Loaded::default()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(CliError::usage(format!("config file {shown} does not exist"))
                .hint("make one: kubectl axon init --config PATH"));
        }
        Err(e) => return Err(CliError::new(format!("cannot read config file {shown}: {e}"))),
    };
    let mut loaded = parse(&text, &shown.to_string())?;
    if loaded.config.has_credentials() && others_may_read(&path) {
        loaded.warnings.push(format!(
            "config file {shown} holds credentials and others can read it: chmod 600 {shown}"
        ));
    }
    Ok(loaded)
}

fn parse(text: &str, shown: &str) -> Result<Loaded> {
    let invalid = |fault: &str| {
        CliError::of(Kind::Usage, format!("config file {shown}: {fault}"))
            .hint("see the documentation of its keys: kubectl axon init --help")
    };
    // Only the first line: what follows quotes the file, and the file holds credentials.
    let first_line = |e: axon_api::yaml::YamlError| {
        let text = e.to_string();
        invalid(text.lines().next().unwrap_or("not YAML"))
    };
    if text
        .lines()
        .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
    {
        return Ok(Loaded::default());
    }
    let value: Value = axon_api::yaml::from_str(text).map_err(first_line)?;
    let Value::Object(map) = &value else {
        return match value {
            Value::Null => Ok(Loaded::default()),
            _ => Err(invalid("not a map of keys and values")),
        };
    };
    let mut warnings = unknown_keys(map.keys(), &KEYS, "", shown);
    if let Some(Value::Object(workspace)) = map.get("workspace") {
        warnings.extend(unknown_keys(
            workspace.keys(),
            &WORKSPACE_KEYS,
            "workspace.",
            shown,
        ));
    }
    if let Some(fault) = not_text(&value) {
        return Err(invalid(&fault));
    }
    let config: Config = serde_json::from_value(value).map_err(|_| invalid("a value has the wrong type"))?;
    Ok(Loaded {
        config: config.without_blanks(),
        warnings,
    })
}

/// Names the key whose value is of the wrong type, without showing the value.
fn not_text(value: &Value) -> Option<String> {
    let fault = |keys: &[Key], map: &Value, prefix: &str| {
        keys.iter().find_map(|(key, _)| match map.get(*key) {
            None | Some(Value::Null) => None,
            Some(Value::String(_)) if *key != "workspace" => None,
            Some(Value::Object(_)) if *key == "workspace" => None,
            Some(Value::Array(_) | Value::Object(_)) => Some(format!("{prefix}{key} must be a text")),
            Some(_) if *key == "workspace" => {
                Some("workspace must be a map with name, or with repo, ref and token".to_owned())
            }
            Some(_) => Some(format!("{prefix}{key} must be a text: put its value in quotes")),
        })
    };
    fault(&KEYS, value, "").or_else(|| fault(&WORKSPACE_KEYS, value.get("workspace")?, "workspace."))
}

fn unknown_keys<'a>(
    keys: impl Iterator<Item = &'a String>,
    known: &[Key],
    prefix: &str,
    shown: &str,
) -> Vec<String> {
    let plain = |key: &str| key.to_ascii_lowercase().replace(['-', '_'], "");
    keys.filter(|key| known.iter().all(|(k, _)| k != key))
        .map(|key| {
            let meant = known.iter().find(|(k, _)| plain(k) == plain(key));
            let meant = meant
                .map(|(k, _)| format!(" (did you mean {prefix}{k}?)"))
                .unwrap_or_default();
            format!("config file {shown}: unknown key {prefix}{key} is ignored{meant}")
        })
        .collect()
}

impl Config {
    fn without_blanks(mut self) -> Self {
        let workspace = self.workspace.get_or_insert_default();
        for field in [
            &mut self.oauth_token,
            &mut self.api_key,
            &mut self.secret,
            &mut self.credential_type,
            &mut self.agent,
            &mut self.model,
            &mut self.namespace,
            &mut self.agent_config,
            &mut self.max_cost,
            &mut self.max_tokens,
            &mut workspace.name,
            &mut workspace.repo,
            &mut workspace.reference,
            &mut workspace.token,
        ] {
            *field = field
                .take()
                .map(|text| text.trim().to_owned())
                .filter(|text| !text.is_empty());
        }
        self.workspace = self.workspace.filter(|w| *w != WorkspaceConfig::default());
        self
    }

    fn has_credentials(&self) -> bool {
        let token = self.workspace.as_ref().and_then(|w| w.token.as_ref());
        self.oauth_token.is_some() || self.api_key.is_some() || token.is_some()
    }
}

#[cfg(unix)]
fn others_may_read(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|m| m.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn others_may_read(_: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keys_are_read() {
        let text = "oauthToken: a\napiKey: b\nsecret: c\ncredentialType: oauth\ntype: codex\nmodel: m\n\
                    namespace: ns\nagentConfig: ac\nworkspace: {name: w, repo: r, ref: x, token: t}\n";
        let Loaded { config, warnings } = parse(text, "f").unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        let workspace = config.workspace.unwrap();
        let all = [
            config.oauth_token,
            config.api_key,
            config.secret,
            config.credential_type,
            config.agent,
            config.model,
            config.namespace,
            config.agent_config,
            workspace.name,
            workspace.repo,
            workspace.reference,
            workspace.token,
        ];
        let all: Vec<String> = all.into_iter().flatten().collect();
        assert_eq!(
            all,
            [
                "a", "b", "c", "oauth", "codex", "m", "ns", "ac", "w", "r", "x", "t"
            ]
        );
    }

    #[test]
    fn json_is_yaml_and_nothing_is_an_empty_file() {
        assert_eq!(
            parse("{\"model\": \"m\"}", "f").unwrap().config.model.as_deref(),
            Some("m")
        );
        for empty in [
            "",
            "# only\n  # comments\n",
            "oauthToken: \"\"\nworkspace: {}\n",
            "---\n",
            "null\n",
        ] {
            assert!(
                parse(empty, "f").unwrap().config == Config::default(),
                "{empty:?}"
            );
        }
    }

    #[test]
    fn unknown_keys_are_named_with_what_was_meant() {
        let warnings = parse("oauth_token: x\nmodle: m\nworkspace: {Repo: x}\n", "f")
            .unwrap()
            .warnings;
        assert!(warnings.contains(
            &"config file f: unknown key oauth_token is ignored (did you mean oauthToken?)".into()
        ));
        assert!(
            warnings.contains(&"config file f: unknown key modle is ignored".into()),
            "{warnings:?}"
        );
        assert!(
            warnings
                .iter()
                .any(|w| w.contains("workspace.Repo") && w.contains("workspace.repo"))
        );
    }

    #[test]
    fn errors_name_the_key_and_never_show_a_credential() {
        for (text, word) in [
            ("apiKey: [s3cret]\n", "apiKey"),
            ("apiKey: 12345\n", "quotes"),
            ("workspace: s3cret\n", "workspace"),
            ("workspace: {token: {a: s3cret}}\n", "workspace.token"),
            ("apiKey: \"s3cret\n", "line"),
            ("apiKey: s3cret: x\n", ""),
            ("- s3cret\n", "map"),
        ] {
            let Err(error) = parse(text, "f") else {
                panic!("{text} was accepted");
            };
            assert_eq!(error.kind, Kind::Usage);
            assert!(error.message.contains(word), "{text}: {error}");
            assert!(
                !error.message.contains("s3cret") && !error.message.contains("12345"),
                "{text}: {error}"
            );
        }
    }
}
