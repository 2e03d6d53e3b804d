//! Deterministic names of child objects.
//!
//! A name that is too long is cut and ends in a hash of the whole, so that two long names never meet.

use sha2::{Digest, Sha256};

/// Longest name of a Task: it is also a label value and a Job's name.
pub const MAX_TASK_NAME: usize = 63;

/// Returns `<base>-<suffix>` if it fits `max` characters, else a cut `base`, ten hex digits of a hash and `suffix`.
#[must_use]
pub fn child(base: &str, suffix: &str, max: usize) -> String {
    let whole = format!("{base}-{suffix}");
    if whole.len() <= max {
        return whole;
    }
    let hash = hash(Sha256::new_with_prefix(whole.as_bytes()));
    let room = max.saturating_sub(hash.len() + suffix.len() + 2);
    let mut cut = room.min(base.len());
    while !base.is_char_boundary(cut) {
        cut -= 1;
    }
    let stem = base.get(..cut).unwrap_or_default().trim_end_matches(['-', '.']);
    format!("{stem}-{hash}-{suffix}")
}

/// Returns the name of the ConfigMap that carries these long inputs of a Task, by key, into its pod. Other inputs have
/// another name, so that no pod gets what was meant for an earlier one.
#[must_use]
pub fn task_input<'a>(task: &str, inputs: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    let mut digest = Sha256::new();
    for (key, content) in inputs {
        for part in [key.as_bytes(), content] {
            // With its length, so that nothing can move from one part to the next unnoticed.
            digest.update(part.len().to_be_bytes());
            digest.update(part);
        }
    }
    child(task, &format!("input-{}", hash(digest)), 253)
}

/// Returns why `name` can't name a Task or a namespace, or `None` if it can (RFC 1123 label).
#[must_use]
pub fn label_fault(name: &str) -> Option<&'static str> {
    if name.len() > MAX_TASK_NAME {
        return Some("has more than 63 characters");
    }
    part_fault(name)
}

/// Returns why `name` can't name an object such as a Secret, or `None` if it can (RFC 1123 subdomain).
#[must_use]
pub fn subdomain_fault(name: &str) -> Option<&'static str> {
    if name.len() > 253 {
        return Some("has more than 253 characters");
    }
    name.split('.').find_map(part_fault)
}

/// Returns why `part` can't be a label or a part of a subdomain, apart from its length.
fn part_fault(part: &str) -> Option<&'static str> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if part.is_empty() {
        Some("is empty")
    } else if !part.chars().all(inner) {
        Some("may only have lower-case letters, digits and '-'")
    } else if part.starts_with('-') || part.ends_with('-') {
        Some("must start and end with a letter or digit")
    } else {
        None
    }
}

/// Returns ten hex digits: enough for the few objects that a name must be kept apart from.
fn hash(digest: Sha256) -> String {
    let digest = digest.finalize();
    digest.iter().take(5).map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the name of the Task that a TaskSpawner creates for an item: `<spawner>-<item>`, and `<spawner>-<item>-r2`
/// when it runs the item a second time although the first Task is still there.
#[must_use]
pub fn spawned(spawner: &str, item: &str, run: u32) -> String {
    if run <= 1 {
        child(spawner, item, MAX_TASK_NAME)
    } else {
        child(spawner, &format!("{item}-r{run}"), MAX_TASK_NAME)
    }
}

/// Returns the name of a Task that a person makes of a TaskSpawner's template: `<spawner>-<item>-try-<tail>`. `tail` must
/// consist of letters other than `r`: the spawner's own names end in digits, or in `-r` and digits.
#[must_use]
pub fn tried(spawner: &str, item: &str, tail: &str) -> String {
    child(spawner, &format!("{item}-try-{tail}"), MAX_TASK_NAME)
}

/// Returns an object's name as the value of a label, which takes 63 characters only.
#[must_use]
pub fn label_value(name: &str) -> String {
    if name.len() <= MAX_TASK_NAME {
        return name.to_owned();
    }
    child(name, "x", MAX_TASK_NAME)
}

/// Returns the name of the record of the Task with this name and UID.
#[must_use]
pub fn task_record(task: &str, uid: &str) -> String {
    child(task, uid, 253)
}

/// Returns the name of the Secret that holds the token of a GitHub App for a Task.
#[must_use]
pub fn task_github_token(task: &str) -> String {
    child(task, "github-token", 253)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_an_item_have_names_of_their_own_however_long_the_spawner_is() {
        assert_eq!(spawned("fix-bugs", "42", 1), "fix-bugs-42");
        assert_eq!(spawned("fix-bugs", "42", 2), "fix-bugs-42-r2");
        let long = "s".repeat(100);
        let names: std::collections::BTreeSet<String> = (1..200)
            .flat_map(|item| [1, 2, 3].map(|run| spawned(&long, &item.to_string(), run)))
            .collect();
        assert_eq!(names.len(), 597);
        assert!(names.iter().all(|n| n.len() <= MAX_TASK_NAME));
        assert!(spawned(&long, "20260207-0900", 1).ends_with("-20260207-0900"));
        assert_ne!(label_value(&long), label_value(&format!("{long}t")));
        assert!(label_value(&long).len() <= MAX_TASK_NAME);
        assert_eq!(label_value("fix-bugs"), "fix-bugs");
    }

    #[test]
    fn what_a_person_tries_has_no_name_of_the_spawners_own() {
        assert_eq!(tried("fix", "42", "bcdfg"), "fix-42-try-bcdfg");
        let long = tried(&"s".repeat(100), "20260207-0900", "bcdfg");
        assert!(long.len() <= MAX_TASK_NAME && long.ends_with("-20260207-0900-try-bcdfg"));
    }

    #[test]
    fn short_names_are_kept() {
        assert_eq!(child("fix-1", "input", 63), "fix-1-input");
    }

    #[test]
    fn inputs_that_differ_never_meet() {
        let of = |inputs: &[(&'static str, &'static str)]| {
            task_input("t", inputs.iter().map(|(key, text)| (*key, text.as_bytes())))
        };
        let name = of(&[("a", "b")]);
        assert!(name.starts_with("t-input-") && name.len() == 18, "{name}");
        assert_eq!(name, of(&[("a", "b")]));
        let others = [
            of(&[("a", "c")]),
            of(&[("b", "b")]),
            of(&[("ab", "")]),
            of(&[("a", "b"), ("c", "d")]),
        ];
        assert!(!others.contains(&name), "{others:?}");
        assert_eq!(task_input(&"a".repeat(63), std::iter::empty()).len(), 80);
    }

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let (a, b) = (format!("{}x", "a".repeat(80)), format!("{}y", "a".repeat(80)));
        let (cut_a, cut_b) = (child(&a, "1", 63), child(&b, "1", 63));
        assert!(cut_a.len() <= 63 && cut_a.ends_with("-1"), "{cut_a}");
        assert_ne!(cut_a, cut_b);
        assert_eq!(cut_a, child(&a, "1", 63));
    }

    #[test]
    fn subdomains_follow_kubernetes() {
        for good in ["a", "a.b-c", &"a".repeat(253)] {
            assert_eq!(subdomain_fault(good), None, "{good}");
        }
        for bad in ["", "a..b", "a.", "-a", "A", "a_b", "a b", &"a".repeat(254)] {
            assert!(subdomain_fault(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn labels_follow_kubernetes() {
        for good in ["a", "a-1", "1a", &"a".repeat(63)] {
            assert_eq!(label_fault(good), None, "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a_b", "ä", &"a".repeat(64)] {
            assert!(label_fault(bad).is_some(), "{bad}");
        }
    }
}
