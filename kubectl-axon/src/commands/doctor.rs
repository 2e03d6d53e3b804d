//! `doctor`: looks at what goes wrong in the first hours, and says how to put it right.

mod gather;

use clap::Parser;
use serde_json::json;

use crate::analysis::doctor::{Finding, Verdict, examine};
use crate::error::{CliError, Kind as Failure, Result};
use crate::format;
use crate::globals::Globals;
use crate::term::output::{Notation, Style, Ui};

const DETAILS: &str = "\
Looks only, changes nothing. Exit code 1 if something does not work; what could not be looked at,
and what is only worth a look, does not count.

Examples:
  kubectl axon doctor
  kubectl axon doctor -n team -o json";

/// Columns before what was found.
const INDENT: usize = 25;

/// Checks cluster, operator, rights, quota, images, secrets and GitHub token
#[derive(Parser, Debug)]
#[command(after_help = DETAILS)]
pub struct Args {
    /// What to print: json or yaml
    #[arg(short, long, value_name = "FORMAT", hide_possible_values = true)]
    pub output: Option<Notation>,
}

/// Runs the command.
///
/// # Errors
/// Files and flags that can't be used, and, without words, when a check failed.
pub async fn execute(ui: &Ui, globals: &Globals, args: Args) -> Result<()> {
    let config = globals.configuration(ui)?;
    let cluster = globals.connection.connect(config.namespace.as_deref()).await?;
    let findings = examine(&Box::pin(gather::gather(&cluster, &config)).await);
    let failed = findings.iter().filter(|f| f.verdict == Verdict::Fail).count();
    match args.output {
        Some(notation) => ui.structured(&json!({"healthy": failed == 0, "checks": findings}), notation)?,
        None => {
            for finding in &findings {
                print(ui, finding)?;
            }
            let style = if failed == 0 { Style::Good } else { Style::Bad };
            ui.say_in(
                style,
                &match failed {
                    0 => "\nnothing that was looked at is broken".to_owned(),
                    n => format!("\n{} failed", crate::format::count(n, "check")),
                },
            );
        }
    }
    if failed == 0 {
        Ok(())
    } else {
        Err(CliError::silent(Failure::Error))
    }
}

fn print(ui: &Ui, finding: &Finding) -> Result<()> {
    let word = match finding.verdict {
        Verdict::Ok => "ok",
        Verdict::Warn => "WARN",
        Verdict::Fail => "FAIL",
        Verdict::Unknown => "?",
    };
    let room = ui.width().map(|width| width.saturating_sub(INDENT));
    let mut head = format!("{word:<5} {:<18}", finding.check);
    for line in format::wrapped(&finding.detail, room) {
        ui.line(&format!("{head:INDENT$}{line}"))?;
        head.clear();
    }
    if let Some(fix) = &finding.fix {
        let fix = ui.addressed(&format!("fix: {fix}"));
        // A command in lines could not be copied.
        let room = room.filter(|_| !fix.contains("kubectl "));
        for line in format::wrapped(&fix, room) {
            ui.line(&format!("{:INDENT$}{line}", ""))?;
        }
    }
    Ok(())
}
