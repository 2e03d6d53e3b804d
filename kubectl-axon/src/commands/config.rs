//! `config`: what the configuration file says, and what is made of it.

use axon_api::git::redacted;
use clap::{Parser, Subcommand};
use serde_json::{Map, Value, json};

use crate::config_file::{self, Config};
use crate::error::Result;
use crate::globals::Globals;
use crate::term::output::{Notation, Ui};

const DETAILS: &str = "\
Credentials are not shown. Flags win over the file; the namespace of the file wins over that of the
kubeconfig's context.

Examples:
  kubectl axon config view
  kubectl axon config path";

/// Shows the configuration file
#[derive(Parser, Debug)]
#[command(after_help = DETAILS, subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// The commands below `config`.
#[derive(Subcommand, Debug)]
pub enum ConfigCommand {
    /// Print what the file says, without its credentials
    View {
        /// What to print: yaml or json
        #[arg(
            short,
            long,
            value_name = "FORMAT",
            default_value = "yaml",
            hide_possible_values = true
        )]
        output: Notation,
    },
    /// Print where the file is
    Path,
}

/// Runs the command.
///
/// # Errors
/// When the file can't be used.
pub fn execute(ui: &Ui, globals: &Globals, args: &Args) -> Result<()> {
    let path = config_file::path(globals.config.as_deref());
    match args.command {
        ConfigCommand::Path => ui.line(&path.unwrap_or_default().display().to_string()),
        ConfigCommand::View { output } => {
            let config = globals.configuration(ui)?;
            if config == Config::default() {
                let path = path.unwrap_or_default();
                ui.say(&format!(
                    "{} says nothing; kubectl axon init writes one to fill in",
                    path.display()
                ));
            }
            ui.structured(&view(&config), output)
        }
    }
}

fn view(config: &Config) -> Value {
    let hidden = |secret: &Option<String>| {
        secret
            .as_ref()
            .map(|value| if value == "none" { "none" } else { "<redacted>" }.to_owned())
    };
    let mut map = Map::new();
    let mut put = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            map.insert(key.to_owned(), value.into());
        }
    };
    put("oauthToken", hidden(&config.oauth_token));
    put("apiKey", hidden(&config.api_key));
    put("secret", config.secret.clone());
    put("credentialType", config.credential_type.clone());
    put("type", config.agent.clone());
    put("model", config.model.clone());
    put("namespace", config.namespace.clone());
    put("agentConfig", config.agent_config.clone());
    if let Some(workspace) = &config.workspace {
        let mut below = json!({
            "name": workspace.name, "repo": workspace.repo.as_deref().map(redacted), "ref": workspace.reference,
            "token": hidden(&workspace.token),
        });
        if let Some(below) = below.as_object_mut() {
            below.retain(|_, value| !value.is_null());
        }
        map.insert("workspace".to_owned(), below);
    }
    Value::Object(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_credential_is_shown() {
        let config: Config = axon_api::yaml::from_str(
            "{oauthToken: s3cret, apiKey: none, model: m, workspace: {repo: 'https://bot:s3cret@h/r', token: s3cret}}",
        )
        .unwrap();
        let shown = view(&config).to_string();
        assert!(!shown.contains("s3cret"), "{shown}");
        assert_eq!(
            view(&config),
            json!({"oauthToken": "<redacted>", "apiKey": "none", "model": "m",
                "workspace": {"repo": "https://<redacted>@h/r", "token": "<redacted>"}})
        );
    }
}
