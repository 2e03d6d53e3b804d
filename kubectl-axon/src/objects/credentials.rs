//! Which credential the agent gets: `--secret`, else the file's `secret`, else the file's token or key.

use std::str::FromStr as _;

use axon_api::agents::{AgentType, CredentialType};
use axon_api::v1alpha1::{Credentials, NameRef};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};

use super::inputs::reference;
use super::plan::WantedSecret;
use crate::config_file::Config;
use crate::error::{CliError, Result};

/// Flags that say which credential the agent gets.
#[derive(Args, Debug, Clone, Default)]
pub struct CredentialFlags {
    /// Secret with the agent's credential, instead of the configuration file's
    #[arg(long, value_name = "NAME")]
    pub secret: Option<String>,
    /// What the secret holds [default: api-key]; none if the agent needs no credential
    #[arg(long, value_name = "TYPE",
          value_parser = PossibleValuesParser::new(["api-key", "oauth", "none"]).try_map(|t| t.parse::<CredentialType>()))]
    pub credential_type: Option<CredentialType>,
}

/// Word in the configuration file for "the agent needs no credential".
const NO_CREDENTIAL: &str = "none";

/// Returns the Task's credentials, and the Secret to make for them if the configuration file holds the value.
pub(crate) fn choose(
    args: &CredentialFlags,
    config: &Config,
    agent: AgentType,
) -> Result<(Credentials, Option<WantedSecret>)> {
    let named = match (&args.secret, &config.secret) {
        (Some(flag), _) => Some(reference("--secret", flag)?),
        (None, Some(key)) if args.credential_type != Some(CredentialType::None) => {
            Some(reference("secret of the config file", key)?)
        }
        (None, _) => None,
    };
    if let Some(name) = named {
        return named_secret(args, config, &name).map(|credentials| (credentials, None));
    }
    match args.credential_type {
        Some(CredentialType::None) => return Ok((no_credential(), None)),
        Some(_) => {
            return Err(
                CliError::usage("--credential-type says what a secret holds, and none is named")
                    .hint("name it with --secret"),
            );
        }
        None => {}
    }
    let (kind, value) = match (&config.oauth_token, &config.api_key) {
        (Some(_), Some(_)) => {
            return Err(CliError::usage(
                "the config file has both oauthToken and apiKey: keep one of them",
            ));
        }
        (Some(token), None) => (CredentialType::Oauth, token),
        (None, Some(key)) => (CredentialType::ApiKey, key),
        (None, None) if config_type(config)? == Some(CredentialType::None) => {
            return Ok((no_credential(), None));
        }
        (None, None) => {
            return Err(CliError::usage(format!("no credential for {agent}"))
                .hint("put oauthToken or apiKey into the config file (kubectl axon init writes one to fill in)")
                .hint("or name a Secret with --secret, or pass --credential-type none if the agent needs no credential"));
        }
    };
    if value == NO_CREDENTIAL {
        return Ok((no_credential(), None));
    }
    let Some(variable) = agent.credential_variable(kind) else {
        return Ok((no_credential(), None));
    };
    let secret = WantedSecret {
        name: format!("axon-credentials-{agent}"),
        key: variable,
        value: value.clone(),
        hosts: None,
    };
    let credentials = Credentials {
        kind,
        secret_ref: Some(NameRef::new(&secret.name)),
    };
    Ok((credentials, Some(secret)))
}

fn named_secret(args: &CredentialFlags, config: &Config, name: &str) -> Result<Credentials> {
    let kind = match args.credential_type {
        Some(kind) => kind,
        None => config_type(config)?.unwrap_or(CredentialType::ApiKey),
    };
    if kind == CredentialType::None {
        return Err(CliError::usage(format!(
            "credential type none and secret {name:?} exclude each other"
        )));
    }
    Ok(Credentials {
        kind,
        secret_ref: Some(NameRef::new(name)),
    })
}

fn config_type(config: &Config) -> Result<Option<CredentialType>> {
    let Some(text) = &config.credential_type else {
        return Ok(None);
    };
    CredentialType::from_str(text).map(Some).map_err(|_| {
        CliError::usage(format!(
            "credentialType {text:?} of the config file is not one of api-key, oauth and none"
        ))
    })
}

fn no_credential() -> Credentials {
    Credentials {
        kind: CredentialType::None,
        secret_ref: None,
    }
}
