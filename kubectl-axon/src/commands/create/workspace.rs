//! `create workspace`.

use axon_api::Workspace;
use axon_api::git::Repository;
use serde_json::{Value, json};

use super::{Common, checked_name, object, pruned, text_or_file};
use crate::error::{CliError, Result};
use crate::kinds::Kind;
use crate::objects::inputs;
use crate::objects::plan::WantedSecret;

const EXAMPLES: &str = "\
A token is put into a secret named NAME-credentials. On the command line it would be seen by others
on this machine: better to write --github-token @FILE, or --github-token - and pass it on stdin.
(--token is something else: as in kubectl, the bearer token for the API server.)

A secret for --secret holds GITHUB_TOKEN; or ssh-privatekey and known_hosts; or the key of a GitHub
App: appID, installationID and privateKey. All of them are in docs/workspaces.md.

Examples:
  kubectl axon create workspace app --repo https://github.com/o/app.git --github-token @token.txt
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
    /// Secret with GITHUB_TOKEN, an SSH key or the key of a GitHub App
    #[arg(long, value_name = "NAME", conflicts_with = "github_token")]
    pub secret: Option<String>,
    /// GitHub token to make a secret from; @FILE reads a file, - reads stdin
    #[arg(long, value_name = "TOKEN", allow_hyphen_values = true)]
    pub github_token: Option<String>,
    /// Flags that all of them have.
    #[command(flatten)]
    pub common: Common,
}

/// Returns the Workspace, and the Secret with its token. `bearer` is what the API server is to be given.
pub(super) fn plan(args: &Args, bearer: Option<&str>) -> Result<(Value, Option<WantedSecret>)> {
    if args.github_token.is_none() && bearer.is_some_and(is_meant_for_github) {
        return Err(
            CliError::usage("--token is the bearer token for the API server, not GitHub's")
                .hint("pass GitHub's with --github-token, best as @FILE or - for stdin"),
        );
    }
    let name = checked_name(&args.name)?;
    let parsed = inputs::repository("--repo", &args.repo).map_err(|e| {
        if axon_api::git::has_password(&args.repo) {
            e.hint("a token is passed with --github-token, or stands in the secret that --secret names")
        } else {
            e
        }
    })?;
    if let Some(name) = args.reference.as_deref().filter(|name| !name.is_empty()) {
        inputs::git_ref("--ref", name)?;
    }
    let secret = args
        .github_token
        .as_deref()
        .map(|token| secret(name, token, &parsed))
        .transpose()?;
    if secret.is_some() && !parsed.is_http {
        return Err(
            CliError::usage("--github-token is used with https:// repositories only")
                .hint("an SSH key goes into a secret: name it with --secret"),
        );
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

/// Returns true for what can only be GitHub's: `--token` has meant that in other releases.
fn is_meant_for_github(bearer: &str) -> bool {
    const PREFIXES: [&str; 6] = ["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"];
    bearer == "-" || bearer.starts_with('@') || PREFIXES.iter().any(|prefix| bearer.starts_with(prefix))
}

fn secret(workspace: &str, token: &str, repository: &Repository) -> Result<WantedSecret> {
    let value = text_or_file("--github-token", token)?.trim().to_owned();
    if value.is_empty() || value.contains(char::is_whitespace) {
        return Err(CliError::usage("--github-token is empty, or more than one word"));
    }
    let name = axon_api::naming::child(workspace, "credentials", 253);
    Ok(WantedSecret::git_token(name, value, repository))
}
