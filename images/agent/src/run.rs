//! `axon-agent run`: runs the agent, passes its stream through, and reports what came of it.

pub mod cap;
pub mod checkpoint;
pub mod git_facts;
pub mod input;
pub mod mcp_check;
pub mod outcome;
pub mod outside;
pub mod process;
pub mod push;
pub mod tee;
pub mod view;
pub mod watch;

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use axon_api::contract::env as names;
use axon_api::outputs::{Report, marker_block};
use axon_api::v1alpha1::Trust;
use jiff::Timestamp;
use parking_lot::Mutex;

use crate::agent::{self, Launch};
use crate::children;
use crate::env::Env;
use crate::failure::Failure;
use crate::key_form;
use crate::run::cap::Cap;
use crate::run::checkpoint::Checkpoint;
use crate::run::git_facts::Facts;
use crate::run::outcome::{Outcome, conclude};
use crate::run::process::{Limits, Running};
use crate::run::view::View;
use crate::say;
use crate::secrets::Secrets;
use crate::termination::TerminationLog;
use crate::token_file;

/// Runs the agent with the prompt in `args`; the exit code becomes the container's.
#[must_use]
pub fn main(env: &Env, args: &[OsString]) -> ExitCode {
    let secrets = Secrets::of(env);
    let checkpoint = Arc::new(Mutex::new(Checkpoint::new(TerminationLog::open(env))));
    let (report, code) = match run(env, args, &secrets, &checkpoint) {
        Ok((report, code)) => (report, code),
        Err(failure) => (failure.report(), 1),
    };
    if let Some(message) = &report.message {
        let kind = if code == 0 { "note" } else { "error" };
        say!("{kind}: {}", secrets.scrub(message));
    }
    let mut checkpoint = checkpoint.lock();
    checkpoint.finish(&scrubbed(report, &secrets));
    ExitCode::from(code)
}

fn run(
    env: &Env,
    args: &[OsString],
    secrets: &Secrets,
    checkpoint: &Arc<Mutex<Checkpoint>>,
) -> Result<(Report, u8), Failure> {
    let agent = agent::of(env)?;
    let cap = Cap::of(env, agent.tells_cost())?;
    key_form::check(env, agent.kind())?;
    let mut setup = input::read(env, args, &|value, place| agent.literal(value, place))?;
    let hidden = children::hidden(env, agent.key_variables(&setup));
    setup.mcp_servers = setup
        .mcp_servers
        .map(|servers| children::servers_without(servers, &hidden));
    if env.trust() == Trust::Base {
        let servers = setup.mcp_servers.take();
        setup.mcp_servers = servers
            .map(|servers| outside::servers(servers, &env.home()))
            .transpose()?;
    }
    let mut launch = agent.launch(&setup)?;
    children::forget(env, &hidden, &mut launch);
    token_file::wrap_gh(env, &mut launch);
    launch.keep_path(env);
    write_files(&launch)?;
    if let Some(advice) = agent.advice(env, Timestamp::now()) {
        say!("note: {advice}");
    }

    let stream = agent.stream(env);
    let limits = Limits::of(env)?;
    let ended = Running::start(agent, launch, stream, checkpoint, cap)?.wait(limits);
    let mut outcome = conclude(agent.program(), &ended);
    let mut report = Report {
        reason: outcome.reason,
        message: outcome.message.clone(),
        usage: ended.usage.clone(),
        ..Report::new()
    };
    // Looking around takes time, in which we may be killed.
    checkpoint.lock().interim(&scrubbed(report.clone(), secrets));
    let view = View::open(env, Path::new("."));
    if outcome.reason.is_none() {
        push::tell_of_unpushed(view.as_ref());
    } else if let Some(saved) = push::save_work(env, view.as_ref(), ended.stopped.is_some()) {
        let said = outcome.message.unwrap_or_default();
        outcome.message = Some(format!("{said}; {saved}"));
        report.message.clone_from(&outcome.message);
    }
    let facts = Facts::gather(env, view.as_ref(), ended.stopped.is_some(), &ended.stop_requested);
    drop(view);
    // Nothing of the agent's has run since it ended; should something run all the same, it ends before the last report.
    process::end_all();
    report.outputs = facts.outputs(env.text(names::BASE_BRANCH), &ended.usage);
    report.is_final = true;
    print_block(&scrubbed(report.clone(), secrets).outputs, ended.at_line_start);
    let Outcome { exit_code, .. } = outcome;
    Ok((report, exit_code))
}

fn scrubbed(report: Report, secrets: &Secrets) -> Report {
    Report {
        message: report.message.map(|message| secrets.scrub(&message)),
        outputs: report
            .outputs
            .iter()
            .map(|line| secrets.scrub_fact(line))
            .collect(),
        ..report
    }
}

fn write_files(launch: &Launch) -> Result<(), Failure> {
    let write = |path: &Path, text: &str, mode: u32| -> io::Result<()> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(path)?;
        file.write_all(text.as_bytes())
    };
    let files = launch.files.iter().map(|file| (file, 0o600));
    let programs = launch.programs.iter().map(|program| (program, 0o700));
    for ((path, text), mode) in files.chain(programs) {
        write(path, text, mode)
            .map_err(|error| Failure::invalid(format!("can't write {}: {error}", path.display())))?;
    }
    Ok(())
}

fn print_block(outputs: &[String], at_line_start: bool) {
    let block = marker_block(outputs);
    if block.is_empty() {
        return;
    }
    let text = if at_line_start {
        block
    } else {
        format!("\n{block}")
    };
    let mut stdout = io::stdout().lock();
    // With nobody to read it, the report in the termination message still stands.
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}
