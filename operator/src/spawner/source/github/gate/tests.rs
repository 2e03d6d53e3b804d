use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use axon_api::v1alpha1::Association;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn event(second: i64, login: &str, what: What) -> Event {
    Event {
        at: at(second),
        actor: Account {
            login: login.into(),
            is_user: !login.ends_with("[bot]"),
        },
        what,
    }
}

fn labeled(second: i64, login: &str) -> Event {
    event(second, login, What::Labeled("axon".into()))
}

fn history(events: Vec<Event>, edited: Option<i64>) -> History {
    History {
        edited: edited.map(at),
        events,
        ..History::default()
    }
}

/// A repository with one writer, a bot that may write too, and somebody of whom nothing is known.
fn may(login: &str) -> MayWrite {
    match login {
        "maya" | "robot[bot]" => MayWrite::Yes,
        "hidden" => MayWrite::Unknown,
        _ => MayWrite::No,
    }
}

/// Judges as the shell does: asks for one thing after the other.
fn judge(author: &str, labels: &[&str], trusted: &People, can_read: bool, of: &History) -> Verdict {
    let author = Writer {
        login: author.into(),
        association: "NONE".into(),
    };
    let labels: Vec<String> = labels.iter().map(ToString::to_string).collect();
    let question = Question {
        author: &author,
        author_is_user: !author.login.ends_with("[bot]") && !author.login.is_empty(),
        labels: &labels,
        exclude_labels: &["hold".to_owned()],
        trusted,
        can_read,
    };
    let (mut known, mut read) = (BTreeMap::new(), None);
    for _ in 0..20 {
        match next(question, |login| known.get(login).copied(), read) {
            Step::Done(verdict) => return verdict,
            Step::History => assert!(read.replace(of).is_none(), "asked twice"),
            Step::MayWrite(login) => {
                let answer = may(&login);
                assert!(known.insert(login, answer).is_none(), "asked twice");
            }
        }
    }
    panic!("no end");
}

#[test]
fn who_counts() {
    use What::{Labeled, Renamed, Unlabeled};
    let nobody = People::default();
    let named = People {
        associations: vec![Association::Writer],
        users: vec!["Friend".into(), "robot[bot]".into()],
    };
    let off = |second, login| event(second, login, Unlabeled("axon".into()));
    let renamed = |second| event(second, "mallory", Renamed);
    let (counts, approved) = (Verdict::Counts, Verdict::Approved(at(5)));
    let left = Verdict::LeftOut;
    let (untrusted, edited, unknown) = (left(Why::Untrusted), left(Why::Edited), left(Why::Unknown));
    let by_maya = || labeled(5, "maya");
    for (name, author, labels, trusted, events, edit, verdict) in [
        (
            "a writer",
            "maya",
            &["axon"][..],
            &nobody,
            vec![],
            Some(9),
            counts,
        ),
        (
            "a writer, no label asked for",
            "maya",
            &[],
            &nobody,
            vec![],
            None,
            counts,
        ),
        (
            "a stranger",
            "mallory",
            &[],
            &nobody,
            vec![by_maya()],
            None,
            untrusted,
        ),
        (
            "no label set by anybody",
            "mallory",
            &["axon"],
            &nobody,
            vec![],
            None,
            untrusted,
        ),
        (
            "a template's label",
            "mallory",
            &["axon"],
            &nobody,
            vec![labeled(1, "mallory")],
            None,
            untrusted,
        ),
        (
            "approved",
            "mallory",
            &["axon"],
            &nobody,
            vec![by_maya()],
            None,
            approved,
        ),
        (
            "whatever the case",
            "mallory",
            &["AXON"],
            &nobody,
            vec![by_maya()],
            None,
            approved,
        ),
        (
            "another label",
            "mallory",
            &["bug"],
            &nobody,
            vec![by_maya()],
            None,
            untrusted,
        ),
        (
            "one of two labels",
            "mallory",
            &["bug", "axon"],
            &nobody,
            vec![by_maya()],
            None,
            approved,
        ),
        (
            "edited before",
            "mallory",
            &["axon"],
            &nobody,
            vec![by_maya()],
            Some(4),
            approved,
        ),
        (
            "edited after",
            "mallory",
            &["axon"],
            &nobody,
            vec![by_maya()],
            Some(6),
            edited,
        ),
        (
            "edited in that second",
            "mallory",
            &["axon"],
            &nobody,
            vec![by_maya()],
            Some(5),
            edited,
        ),
        (
            "renamed after",
            "mallory",
            &["axon"],
            &nobody,
            vec![by_maya(), renamed(6)],
            None,
            edited,
        ),
        (
            "renamed before",
            "mallory",
            &["axon"],
            &nobody,
            vec![renamed(4), by_maya()],
            Some(2),
            approved,
        ),
        (
            "approved again",
            "mallory",
            &["axon"],
            &nobody,
            vec![by_maya(), renamed(6), off(7, "maya"), labeled(8, "maya")],
            Some(6),
            Verdict::Approved(at(8)),
        ),
        (
            "taken off and set by a bot",
            "mallory",
            &["axon"],
            &nobody,
            vec![by_maya(), off(6, "maya"), labeled(7, "triage[bot]")],
            None,
            untrusted,
        ),
        (
            "taken off",
            "mallory",
            &["axon"],
            &nobody,
            vec![by_maya(), off(5, "maya")],
            None,
            untrusted,
        ),
        (
            "a bot with write permission",
            "mallory",
            &["axon"],
            &nobody,
            vec![labeled(5, "robot[bot]")],
            None,
            untrusted,
        ),
        (
            "a bot that is named",
            "mallory",
            &["axon"],
            &named,
            vec![labeled(5, "robot[bot]")],
            None,
            approved,
        ),
        (
            "a bot's item",
            "robot[bot]",
            &[],
            &nobody,
            vec![],
            None,
            untrusted,
        ),
        (
            "a named bot's item",
            "robot[bot]",
            &[],
            &named,
            vec![],
            Some(1),
            counts,
        ),
        (
            "a named person's item",
            "friend",
            &[],
            &named,
            vec![],
            None,
            counts,
        ),
        (
            "an account that is gone",
            "",
            &["axon"],
            &nobody,
            vec![],
            None,
            untrusted,
        ),
        (
            "of whom nothing is known",
            "hidden",
            &[],
            &nobody,
            vec![],
            None,
            unknown,
        ),
        (
            "labelled by such",
            "mallory",
            &["axon"],
            &nobody,
            vec![labeled(5, "hidden")],
            None,
            unknown,
        ),
        (
            "and by a writer",
            "hidden",
            &["axon"],
            &nobody,
            vec![by_maya()],
            None,
            approved,
        ),
        (
            "a later label of another kind",
            "mallory",
            &["axon", "p1"],
            &nobody,
            vec![by_maya(), renamed(6), event(7, "maya", Labeled("p1".into()))],
            None,
            Verdict::Approved(at(7)),
        ),
    ] {
        let of = history(events, edit);
        assert_eq!(judge(author, labels, trusted, true, &of), verdict, "{name}");
    }
}

#[test]
fn no_label_approves_a_fork_and_without_a_token_nothing_is_read() {
    let nobody = People::default();
    let mut of = history(vec![labeled(5, "maya")], None);
    assert_eq!(
        judge("mallory", &["axon"], &nobody, false, &of),
        Verdict::LeftOut(Why::Untrusted)
    );
    of.is_from_fork = true;
    assert_eq!(
        judge("mallory", &["axon"], &nobody, true, &of),
        Verdict::LeftOut(Why::Fork)
    );
    assert_eq!(judge("maya", &["axon"], &nobody, true, &of), Verdict::Counts);
}

#[test]
fn a_conversation_goes_on_when_somebody_who_counts_lets_it() {
    let hold = |second, who, on: bool| {
        let label = "Hold".to_owned();
        event(
            second,
            who,
            if on {
                What::Labeled(label)
            } else {
                What::Unlabeled(label)
            },
        )
    };
    for (who, on, until) in [
        ("maya", false, 9),
        ("friend", false, 9),
        // An agent that works as a user sets the label when it has a question.
        ("maya", true, 5),
        ("mallory", false, 5),
        ("hidden", false, 5),
        ("robot[bot]", false, 5),
    ] {
        let of = history(
            vec![labeled(5, "maya"), hold(7, "maya", true), hold(9, who, on)],
            None,
        );
        let trusted = People {
            associations: vec![Association::Writer],
            users: vec!["friend".into()],
        };
        let verdict = judge("mallory", &["axon"], &trusted, true, &of);
        assert_eq!(verdict, Verdict::Approved(at(until)), "{who}");
    }
}

#[test]
fn what_is_told_names_the_next_step() {
    let labels = ["axon".to_owned()];
    for (why, labels, words) in [
        (Why::Untrusted, &[][..], "githubIssues.authors"),
        (Why::Untrusted, &labels, "set the label \"axon\""),
        (Why::Fork, &labels, "push its branch"),
        (Why::Edited, &labels, "take the label \"axon\" off"),
        (Why::Unknown, &labels, "the token in Secret gh may not ask"),
    ] {
        let message = why.message("mallory", labels, Some("gh"));
        assert!(message.contains(words), "{message}");
        assert!(message.len() < 300, "{message}");
    }
    assert!(
        Why::Unknown
            .message("x", &[], None)
            .starts_with("no token may not ask")
    );
}

/// What a stranger can do. A template of the repository, or an App that everybody can command, sets labels for them.
#[derive(Clone, Debug)]
enum Act {
    Label(&'static str, &'static str),
    Unlabel(&'static str, &'static str),
    Rename,
    Edit,
}

fn act() -> impl Strategy<Value = Act> {
    let who = || prop::sample::select(vec!["mallory", "eve", "triage[bot]", "maya[bot]", ""]);
    let label = || prop::sample::select(vec!["axon", "AXON", "bug", "other"]);
    prop_oneof![
        (who(), label()).prop_map(|(who, label)| Act::Label(who, label)),
        (who(), label()).prop_map(|(who, label)| Act::Unlabel(who, label)),
        Just(Act::Rename),
        Just(Act::Edit),
    ]
}

/// Plays acts, a second or less apart.
fn play(acts: &[(Act, bool)], from: i64, of: &mut History) {
    let mut second = from;
    for (act, later) in acts {
        second += i64::from(*later);
        match act {
            Act::Label(who, label) => of.events.push(event(second, who, What::Labeled((*label).into()))),
            Act::Unlabel(who, label) => of
                .events
                .push(event(second, who, What::Unlabeled((*label).into()))),
            Act::Rename => of.events.push(event(second, "mallory", What::Renamed)),
            Act::Edit => of.edited = Some(at(second)),
        }
    }
}

proptest! {
    #[test]
    fn nothing_that_strangers_do_makes_an_item_count(
        acts in prop::collection::vec((act(), any::<bool>()), 0..12),
        labels in prop::sample::subsequence(vec!["axon", "bug"], 0..=2),
        author in prop::sample::select(vec!["mallory", "triage[bot]", "maya[bot]", ""]),
        is_from_fork in any::<bool>(),
    ) {
        let mut of = History { is_from_fork, ..History::default() };
        play(&acts, 10, &mut of);
        let verdict = judge(author, &labels, &People::default(), true, &of);
        prop_assert!(matches!(verdict, Verdict::LeftOut(Why::Untrusted | Why::Fork)), "{verdict:?}");
    }

    #[test]
    fn nothing_that_strangers_do_after_an_approval_gets_another_text_in(
        before in prop::collection::vec((act(), any::<bool>()), 0..6),
        after in prop::collection::vec((act(), any::<bool>()), 0..6),
    ) {
        let mut of = History::default();
        play(&before, 10, &mut of);
        of.events.push(labeled(30, "maya"));
        play(&after, 30, &mut of);
        let is_changed = after.iter().any(|(act, _)| matches!(act, Act::Rename | Act::Edit));
        let verdict = judge("mallory", &["axon"], &People::default(), true, &of);
        if let Verdict::Approved(until) = verdict {
            prop_assert!(!is_changed && until == at(30), "{of:?}");
        }
    }
}
