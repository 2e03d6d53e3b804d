//! What the pods' ends say about an image.

use std::collections::BTreeMap;

use axon_api::contract::{ENTRYPOINT, HOME_DIR, UID};
use axon_api::outputs::{MARKER_END, MARKER_START, Report, parse_marker_block};
use serde::Serialize;

use super::pods::Probe;

/// Exit code of a program that was killed.
const KILLED: i32 = 137;

/// How a pod ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Its container never ran, for this reason.
    NotStarted(String),
    /// Its container had not run when time was up; it waited for this.
    Waiting(String),
    /// It did not end in time.
    Endless,
    /// It ended.
    Ended {
        /// Exit code of the container.
        code: i32,
        /// Its log.
        log: String,
        /// Its termination message.
        message: String,
    },
}

/// Whether a rule is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is.
    Ok,
    /// It is not.
    Failed,
    /// Good to know; no rule.
    Info,
}

/// A rule of the agent image interface, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Name of the rule.
    pub rule: &'static str,
    /// Whether it is kept.
    pub verdict: Verdict,
    /// What was seen, and what to do about it.
    pub details: String,
}

/// Returns the first probe that tells nothing of the image, because its container never ran, and what it waited for.
#[must_use]
pub fn unseen(seen: &BTreeMap<Probe, Seen>) -> Option<(Probe, &str)> {
    seen.iter().find_map(|(probe, seen)| match seen {
        Seen::Waiting(why) => Some((*probe, why.as_str())),
        _ => None,
    })
}

/// Judges an image whose entry point starts `program`.
#[must_use]
pub fn checks(program: &str, seen: &BTreeMap<Probe, Seen>) -> Vec<Check> {
    let get = |probe: Probe| seen.get(&probe).unwrap_or(&Seen::Endless);
    let mut all = vec![entry_point(get(Probe::Success))];
    all.extend(surroundings(get(Probe::Look)));
    if all.first().is_some_and(|check| check.verdict == Verdict::Failed) {
        return all;
    }
    all.push(prompt(program, get(Probe::Success)));
    all.push(exit_codes(get(Probe::Success), get(Probe::Failure)));
    all.push(stop(get(Probe::Stop)));
    all.push(outputs(get(Probe::Success)));
    all
}

fn check(rule: &'static str, is_kept: bool, good: impl Into<String>, bad: impl Into<String>) -> Check {
    Check {
        rule,
        verdict: if is_kept { Verdict::Ok } else { Verdict::Failed },
        details: if is_kept { good.into() } else { bad.into() },
    }
}

fn entry_point(success: &Seen) -> Check {
    let bad = match success {
        Seen::NotStarted(why) => format!("{ENTRYPOINT} could not be started: {why}"),
        _ => String::new(),
    };
    check(
        "entry point",
        bad.is_empty(),
        format!("{ENTRYPOINT} starts as user {UID}"),
        bad,
    )
}

fn surroundings(look: &Seen) -> Vec<Check> {
    let log = match look {
        Seen::Ended { log, .. } => log,
        Seen::NotStarted(why) => {
            return vec![Check {
                rule: "file system",
                verdict: Verdict::Info,
                details: format!("not looked at, which takes /bin/sh: {why}"),
            }];
        }
        Seen::Endless | Seen::Waiting(_) => {
            return vec![check(
                "file system",
                false,
                "",
                "the look at it did not end in time",
            )];
        }
    };
    let has = |line: &str| log.lines().any(|other| other == line);
    let closed: Vec<&str> = [HOME_DIR, "/tmp", "/workspace"]
        .into_iter()
        .filter(|dir| !has(&format!("writable: {dir}")))
        .collect();
    let (tools, missing): (Vec<&str>, Vec<&str>) = ["git", "gh", "node", "make", "curl", "ssh"]
        .into_iter()
        .partition(|tool| has(&format!("tool: {tool}")));
    let passwd = if has("passwd: yes") {
        format!("user {UID} has an entry in /etc/passwd")
    } else {
        format!("user {UID} has no entry in /etc/passwd: ssh, and so git over SSH, will not work")
    };
    let info = |rule, details| Check {
        rule,
        verdict: Verdict::Info,
        details,
    };
    vec![
        check(
            "file system",
            closed.is_empty() && !has("root: writable"),
            "the root is read-only; home, /tmp and /workspace can be written",
            format!("can't be written: {}", closed.join(", ")),
        ),
        info("user", passwd),
        info(
            "tools",
            format!("there: {}; not there: {}", listed(&tools), listed(&missing)),
        ),
    ]
}

fn listed(words: &[&str]) -> String {
    if words.is_empty() {
        "none".to_owned()
    } else {
        words.join(", ")
    }
}

fn prompt(program: &str, success: &Seen) -> Check {
    let log = match success {
        Seen::Ended { log, .. } => log.as_str(),
        _ => "",
    };
    let found = log
        .lines()
        .find_map(|line| line.strip_prefix("axon-verify prompt: "));
    let bad = match found {
        None => format!(
            "the entry point did not start {program:?} from PATH: name the program that it starts with --program"
        ),
        Some(_) => format!("the prompt did not reach {program} byte for byte: pass \"$1\" on, in quotes"),
    };
    let good = format!(
        "it reaches {program} byte for byte, as {}",
        found.unwrap_or_default()
    );
    check("prompt", found.is_some_and(|found| found != "nothing"), good, bad)
}

fn exit_codes(success: &Seen, failure: &Seen) -> Check {
    let code = |seen: &Seen| match seen {
        Seen::Ended { code, .. } => Some(*code),
        _ => None,
    };
    let (good, bad) = (code(success), code(failure));
    check(
        "exit code",
        good == Some(0) && bad.is_some_and(|code| code != 0),
        "0 when the agent succeeds, another one when it fails",
        format!(
            "{} when the agent succeeds, {} when it fails with 7: the entry point's must be the agent's own",
            shown(good),
            shown(bad)
        ),
    )
}

fn shown(code: Option<i32>) -> String {
    code.map_or_else(|| "none".to_owned(), |code| code.to_string())
}

fn stop(stop: &Seen) -> Check {
    let is_kept = matches!(stop, Seen::Ended { code, .. } if *code != KILLED);
    check(
        "stop",
        is_kept,
        "it ends within 30 s of SIGTERM",
        "it had to be killed 30 s after SIGTERM: start the agent with `exec`, or pass the signal on",
    )
}

fn outputs(success: &Seen) -> Check {
    let Seen::Ended { log, message, .. } = success else {
        return check("outputs", false, "", "the run did not end");
    };
    let block = parse_marker_block(log);
    if Report::parse(message).is_some() {
        return check("outputs", true, "the termination message is a report", "");
    }
    if message.trim_start().starts_with("{\"axon\"") {
        return check(
            "outputs",
            false,
            "",
            "the termination message is no report that can be read",
        );
    }
    if !block.is_empty() {
        return check(
            "outputs",
            true,
            format!("the block in the log has {} lines", block.len()),
            "",
        );
    }
    let has_marker = log.contains(MARKER_START) || log.contains(MARKER_END);
    if has_marker {
        return check(
            "outputs",
            false,
            "",
            "the block in the log is empty, or one of its marker lines is missing",
        );
    }
    Check {
        rule: "outputs",
        verdict: Verdict::Info,
        details: "none: the Task's status will have no results".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(code: i32, log: &str) -> Seen {
        Seen::Ended {
            code,
            log: log.to_owned(),
            message: String::new(),
        }
    }

    fn good() -> BTreeMap<Probe, Seen> {
        let look = "uid: 61100\nentrypoint: yes\nwritable: /home/agent\nwritable: /tmp\nwritable: /workspace\ntool: git\nend: yes";
        let success =
            "axon-verify prompt: an argument\n---AXON_OUTPUTS_START---\nbranch: x\n---AXON_OUTPUTS_END---\n";
        [
            (Probe::Look, ended(0, look)),
            (Probe::Success, ended(0, success)),
            (Probe::Failure, ended(7, "")),
            (Probe::Stop, ended(143, "")),
        ]
        .into()
    }

    fn failed(seen: &BTreeMap<Probe, Seen>) -> Vec<&'static str> {
        let all = checks("my-agent", seen);
        all.iter()
            .filter(|c| c.verdict == Verdict::Failed)
            .map(|c| c.rule)
            .collect()
    }

    #[test]
    fn an_image_that_keeps_all_rules_has_no_failure() {
        assert!(failed(&good()).is_empty(), "{:?}", checks("my-agent", &good()));
    }

    #[test]
    fn a_pod_that_never_ran_says_nothing_of_the_image() {
        let mut all = good();
        assert_eq!(unseen(&all), None);
        all.insert(Probe::Success, Seen::Endless);
        assert_eq!(unseen(&all), None, "that one ran");
        all.insert(Probe::Stop, Seen::Waiting("Unschedulable: no node".into()));
        assert_eq!(unseen(&all), Some((Probe::Stop, "Unschedulable: no node")));
    }

    #[test]
    fn each_broken_rule_is_named() {
        for (probe, seen, rules) in [
            (Probe::Look, ended(0, "uid: 61100"), vec!["file system"]),
            (Probe::Look, Seen::NotStarted("no shell".into()), vec![]),
            (
                Probe::Success,
                Seen::NotStarted("no such file".into()),
                vec!["entry point"],
            ),
            (Probe::Success, ended(0, "hello"), vec!["prompt"]),
            (
                Probe::Success,
                ended(0, "axon-verify prompt: nothing"),
                vec!["prompt"],
            ),
            (
                Probe::Success,
                ended(1, "axon-verify prompt: an argument"),
                vec!["exit code"],
            ),
            (
                Probe::Success,
                Seen::Endless,
                vec!["prompt", "exit code", "outputs"],
            ),
            (
                Probe::Success,
                ended(
                    0,
                    "axon-verify prompt: an argument\n---AXON_OUTPUTS_START---\nbranch: x",
                ),
                vec!["outputs"],
            ),
            (Probe::Failure, ended(0, ""), vec!["exit code"]),
            (Probe::Stop, ended(137, ""), vec!["stop"]),
            (Probe::Stop, Seen::Endless, vec!["stop"]),
        ] {
            let mut all = good();
            all.insert(probe, seen.clone());
            assert_eq!(failed(&all), rules, "{probe:?} {seen:?}");
        }
    }
}
