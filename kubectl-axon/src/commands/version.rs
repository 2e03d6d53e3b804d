//! `version`: of this program, and of what is installed in the cluster.

use clap::Parser;
use serde::Serialize;

use crate::error::{Kind, Result};
use crate::globals::Globals;
use crate::install::installed::{Operator, client, crds, operator, skew};
use crate::term::output::{Notation, Ui};

/// Prints the versions of this program and of the operator
#[derive(Parser, Debug)]
pub struct Args {
    /// Print the version of this program only; no cluster is needed
    #[arg(long)]
    pub client: bool,
    /// What to print: json or yaml
    #[arg(short, long, value_name = "FORMAT", hide_possible_values = true)]
    pub output: Option<Notation>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    client: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    operator: Option<Operator>,
    #[serde(skip_serializing_if = "Option::is_none")]
    crds: Option<Vec<String>>,
}

/// Runs the command.
///
/// # Errors
/// When the cluster can't be asked; the client's version is printed all the same.
pub async fn execute(ui: &Ui, globals: &Globals, args: Args) -> Result<()> {
    let mut versions = Versions {
        client: client(),
        operator: None,
        crds: None,
    };
    let (mut failure, mut hidden) = (None, None);
    if !args.client {
        match in_cluster(globals).await {
            Ok((operator, crds)) => {
                versions.crds = Some(crds);
                match operator {
                    Ok(operator) => versions.operator = operator,
                    Err(error) => hidden = Some(error),
                }
            }
            Err(error) => failure = Some(error),
        }
    }
    match args.output {
        Some(notation) => ui.structured(&versions, notation)?,
        None => print(ui, &versions, hidden.is_some())?,
    }
    // Who only uses axon need not see its operator.
    if let Some(error) = hidden {
        ui.warn(&error.to_string());
    }
    if let Some(warning) = versions
        .operator
        .as_ref()
        .and_then(|o| skew(&versions.client, &o.version))
    {
        ui.warn(&warning);
    }
    failure.map_or(Ok(()), Err)
}

fn print(ui: &Ui, versions: &Versions, hidden: bool) -> Result<()> {
    ui.line(&format!("client    {}", versions.client))?;
    let Some(crds) = &versions.crds else {
        return Ok(());
    };
    match &versions.operator {
        Some(o) => {
            let place = match o.is_elsewhere() {
                true => format!(", namespace {}", o.namespace),
                false => String::new(),
            };
            ui.line(&format!(
                "operator  {} ({} of {} ready, {}{place})",
                o.version, o.ready, o.replicas, o.image
            ))?;
            if !o.watches.is_empty() {
                ui.line(&format!("watches   {}", o.watches.join(", ")))?;
            }
        }
        None if hidden => ui.line("operator  unknown")?,
        None => ui.line("operator  not installed")?,
    }
    let names = if crds.is_empty() {
        "none".to_owned()
    } else {
        crds.join(", ")
    };
    ui.line(&format!("crds      {names}"))?;
    if (versions.operator.is_none() && !hidden) || crds.is_empty() {
        ui.say("hint: install it: kubectl axon install");
    }
    Ok(())
}

/// Returns the operator, unless it may not be seen, and the resources that are served.
async fn in_cluster(globals: &Globals) -> Result<(Result<Option<Operator>>, Vec<String>)> {
    let cluster = globals.connection.connect(None).await?;
    let (operator, crds) = futures::join!(operator(&cluster), crds(&cluster));
    match operator {
        Err(error) if error.kind != Kind::Denied => Err(error),
        operator => Ok((operator, crds?)),
    }
}
