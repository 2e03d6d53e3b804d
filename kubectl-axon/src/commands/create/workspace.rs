//! `create workspace`.

use std::io::Read as _;

use axon_api::{Workspace, contract};
use serde_json::{Value, json};

use super::super::run::inputs;
use super::super::run::plan::WantedSecret;
use super::{Common, checked_name, object, pruned, text_or_file};
use crate::error::{CliError, Result};
use crate::kinds::Kind;

const EXAMPLES: &str = "\
A token is put into a secret named NAME-credentials. On the command line it would be seen by others
on this machine: better to write --token @FILE, or --token - and pass it on stdin.

Examples:
  kubectl axon create workspace app --repo https://github.com/org/app.git --token @token.txt
  kubectl axon create workspace app --repo git@github.com:org/app.git --secret deploy-key";

/// Creates a workspace: a repository for agents to work on
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Name of the workspace
    pub name: String,
    /// URL of the repository
    #[arg(long, value_name = "URL")]
    pub repo: String,
    /// Branch, tag or commit to begin at [default: the repository's default branch]
    #[arg(long = "ref", value_name = "REF")]
    pub reference: Option<String>,
    /// Secret with GITHUB_TOKEN or an SSH key
    #[arg(long, value_name = "NAME", conflicts_with = "token")]
    pub secret: Option<String>,
    /// GitHub token to make a secret from; @FILE reads a file, - reads stdin
    #[arg(long, value_name = "TOKEN", allow_hyphen_values = true)]
    pub token: Option<String>,
    /// Flags that all of them have.
    #[command(flatten)]
    pub common: Common,
}

/// Returns the Workspace, and the Secret with its token.
pub(super) fn plan(args: &Args) -> Result<(Value, Option<WantedSecret>)> {
    let name = checked_name(&args.name)?;
    let parsed =
        axon_api::git::Repository::parse(&args.repo).map_err(|e| CliError::usage(format!("--repo: {e}")))?;
    let secret = args
        .token
        .as_deref()
        .map(|token| secret(name, token))
        .transpose()?;
    if secret.is_some() && !parsed.is_http {
        return Err(CliError::usage("--token is used with https:// repositories only")
            .hint("an SSH key goes into a secret: name it with --secret"));
    }
    let named = args
        .secret
        .as_deref()
        .map(|s| inputs::reference("--secret", s))
        .transpose()?;
    let secret_ref = secret.as_ref().map(|s| s.name.clone()).or(named);
    let spec = pruned(json!({
        "repo": args.repo,
        "ref": args.reference.as_ref().filter(|r| !r.is_empty()),
        "secretRef": secret_ref.map(|name| json!({"name": name})),
    }));
    let value = object(Kind::Workspace, name, &spec);
    // What does not fit the kind shows here and not half-way.
    serde_json::from_value::<Workspace>(value.clone())
        .map_err(|e| CliError::usage(format!("the workspace can't be used: {e}")))?;
    Ok((value, secret))
}

fn secret(workspace: &str, token: &str) -> Result<WantedSecret> {
    let value = if token == "-" {
        let mut read = String::new();
        std::io::stdin()
            .read_to_string(&mut read)
            .map_err(|e| CliError::usage(format!("cannot read the token from stdin: {e}")))?;
        read
    } else {
        text_or_file("--token", token)?
    };
    let value = value.trim().to_owned();
    if value.is_empty() || value.contains(char::is_whitespace) {
        return Err(CliError::usage("--token is empty, or more than one word"));
    }
    Ok(WantedSecret {
        name: axon_api::naming::child(workspace, "credentials", 253),
        key: contract::env::GITHUB_TOKEN,
        value,
    })
}
