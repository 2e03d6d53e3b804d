//! The reference of all commands, as Markdown: `docs/cli.md`.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory as _};

use crate::cli::{self, Cli};
use crate::config_file::{KEYS, Key, WORKSPACE_KEYS};
use crate::error::EXIT_CODES;

const INTRODUCTION: &str = "\
<!-- Generated from the program: change its help, and run `make generate`. -->
# The command line

`kubectl axon` is a plugin of kubectl; the same program runs on its own when it is called `axon`. Data goes to stdout
and everything else to stderr, so that output can be piped. Flags win over the configuration file, which wins over the
kubeconfig.
";

const EXIT_CODE_NOTES: &str = "
3 comes from `run --watch`, `retry --watch` and `wait` only: `logs` and `get` succeed when they could show what there is. 4 is
for `--timeout` of `wait`, `install`, `uninstall`, `delete` and `verify-image`, for `--request-timeout`, and for an operator that
does not answer `preview` and `run --from`. A reader that goes away, as in `| head`, is no failure.
";

const CONFIGURATION: &str = "
`~/.axon/config.yaml`, or the file of `--config`; `kubectl axon init` writes one to fill in, which only its owner can
read. A file with credentials that others can read is warned about, and so are keys that are not known. Secrets and
the Workspace that are made from it are `axon-credentials-AGENT`, `axon-workspace-credentials` and `axon-workspace`, in
the namespace of the run; when the file changes, the next `run` asks before it replaces them, and says who else uses them. A
Workspace that Tasks or TaskSpawners use is not moved to another repository without a yes to that very question: `-y` refuses.

";

/// Returns the reference.
#[must_use]
pub fn markdown() -> String {
    let mut root = Cli::command().bin_name(crate::term::output::PLUGIN);
    root.build();
    let mut page = INTRODUCTION.to_owned();
    for command in root.get_subcommands().filter(|c| is_shown(c)) {
        section(&mut page, command, "");
        for below in command.get_subcommands().filter(|c| is_shown(c)) {
            section(&mut page, below, &format!("{} ", command.get_name()));
        }
    }
    page += "\n## Options of all commands\n\nValid before and after the name of a command.\n\n";
    let mut options = cli::options();
    options.build();
    table(&mut page, "Option", options.get_arguments());
    page += "\n## Exit codes\n\n| code | meaning |\n| --- | --- |\n";
    for (code, meaning) in EXIT_CODES {
        row(&mut page, &code.to_string(), meaning);
    }
    page += EXIT_CODE_NOTES;
    page += "\n## Configuration file\n";
    page += CONFIGURATION;
    page += "| key | meaning |\n| --- | --- |\n";
    keys(&mut page, &KEYS, "");
    keys(&mut page, &WORKSPACE_KEYS, "workspace.");
    page
}

fn is_shown(command: &Command) -> bool {
    command.get_name() != "help" && !command.is_hide_set()
}

fn section(page: &mut String, command: &Command, parent: &str) {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    // Writing to a String does not fail.
    write!(
        page,
        "\n## {parent}{}\n\n{about}.\n\n```text\n{usage}\n```\n",
        command.get_name()
    )
    .ok();
    let own = || {
        command
            .get_arguments()
            .filter(|a| !a.is_global_set() && a.get_id() != "help")
    };
    for (head, positional) in [("Argument", true), ("Option", false)] {
        if own().any(|a| a.is_positional() == positional) {
            page.push('\n');
            table(page, head, own().filter(|a| a.is_positional() == positional));
        }
    }
    for paragraph in command
        .get_after_help()
        .map(ToString::to_string)
        .unwrap_or_default()
        .split("\n\n")
    {
        match paragraph.strip_prefix("Examples:\n") {
            Some(lines) => {
                let lines: Vec<&str> = lines.lines().map(str::trim_start).collect();
                write!(page, "\n```bash\n{}\n```\n", lines.join("\n")).ok();
            }
            None if paragraph.is_empty() => {}
            None => {
                write!(page, "\n{paragraph}\n").ok();
            }
        }
    }
}

fn table<'a>(page: &mut String, head: &str, arguments: impl Iterator<Item = &'a Arg>) {
    write!(page, "| {head} | |\n| --- | --- |\n").ok();
    for argument in arguments {
        let short = argument
            .get_short()
            .map(|c| format!("`-{c}`, "))
            .unwrap_or_default();
        let mut meaning = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let values: Vec<_> = argument
            .get_possible_values()
            .iter()
            .map(|v| format!("`{}`", v.get_name()))
            .collect();
        let flag = matches!(values.as_slice(), [yes, no] if yes == "`true`" && no == "`false`");
        if !argument.is_hide_possible_values_set() && !values.is_empty() && !flag {
            meaning += &format!("; one of {}", values.join(", "));
        }
        let defaults: Vec<_> = argument
            .get_default_values()
            .iter()
            .map(|v| format!("`{}`", v.display()))
            .collect();
        if !argument.is_hide_default_value_set()
            && !defaults.is_empty()
            && argument.get_action().takes_values()
        {
            meaning += &format!(" (default {})", defaults.join(", "));
        }
        row(page, &format!("{short}`{argument}`"), &meaning);
    }
}

fn keys(page: &mut String, keys: &[Key], prefix: &str) {
    for (key, meaning) in keys {
        row(page, &format!("`{prefix}{key}`"), meaning);
    }
}

fn row(page: &mut String, first: &str, second: &str) {
    let cell = |text: &str| text.replace('|', "\\|");
    writeln!(page, "| {} | {} |", cell(first), cell(second)).ok();
}
