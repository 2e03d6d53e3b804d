//! What templates see of an item: texts as GitHub's page shows them, with fences around those of several lines, and below
//! `Raw` as their authors wrote them. Pure.

use crate::untrusted::fence::Fence;
use crate::untrusted::visible::markdown;
use axon_api::shown::one_line;
use go_template::Value;

use crate::spawner::source::item::{Item, Kind};
use axon_github::{Comment, joined};

/// Texts of an item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Texts {
    title: String,
    body: String,
    comments: String,
    labels: String,
}

/// An item as templates see it. It is made once, however often a template is rendered: its fence has one mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateItem {
    id: String,
    number: i64,
    kind: Kind,
    url: String,
    time: String,
    schedule: String,
    raw: Texts,
    /// What the page shows.
    clean: Texts,
    /// The same with the fence.
    fenced: Texts,
    fence: Fence,
}

impl TemplateItem {
    /// Reads an item. `secret` is what nobody knows who can write there: the spawner's UID.
    #[must_use]
    pub fn new(item: &Item, secret: &str) -> Self {
        let raw = Texts {
            title: item.title.clone(),
            body: item.body.to_string(),
            comments: joined(&item.comments),
            labels: item.labels.join(", "),
        };
        // One by one: a comment that is not ended in one hides nothing of the others.
        let comments = item.comments.iter().map(|comment| Comment {
            author: comment.author.clone(),
            text: markdown(&comment.text),
        });
        let comments: Vec<Comment> = comments.filter(|comment| !comment.text.is_empty()).collect();
        let labels: Vec<String> = item.labels.iter().map(|label| one_line(label)).collect();
        let clean = Texts {
            title: one_line(&item.title),
            body: markdown(&item.body),
            comments: joined(&comments),
            labels: labels.join(", "),
        };
        let fence = Fence::new(
            secret,
            &[&item.id, &raw.title, &raw.body, &raw.comments, &raw.labels],
        );
        let source = |what: &str| format!("{} {}, {what}", item.kind.noun(), item.number);
        let said = comments
            .iter()
            .map(|comment| (comment.author.as_str(), comment.text.as_str()));
        let fenced = Texts {
            body: fence.around(&source("text"), &item.author, &clean.body),
            comments: fence.around(&source("comments"), "", &fence.joined("comment", said)),
            ..clean.clone()
        };
        Self {
            id: item.id.clone(),
            number: item.number,
            kind: item.kind,
            url: item.url.clone(),
            time: item.time.clone(),
            schedule: item.schedule.clone(),
            raw,
            clean,
            fenced,
            fence,
        }
    }

    /// Returns the fence of the item's texts.
    #[must_use]
    pub fn fence(&self) -> &Fence {
        &self.fence
    }

    /// Returns the variables of prompts.
    #[must_use]
    pub fn variables(&self) -> Value {
        self.with(&self.fenced)
    }

    /// Returns the variables of branches, in which a fence has no place.
    #[must_use]
    pub fn variables_of_branch(&self) -> Value {
        self.with(&self.clean)
    }

    fn with(&self, texts: &Texts) -> Value {
        let of = |texts: &Texts| {
            [
                ("Title", Value::from(texts.title.as_str())),
                ("Body", Value::from(texts.body.as_str())),
                ("Comments", Value::from(texts.comments.as_str())),
                ("Labels", Value::from(texts.labels.as_str())),
            ]
        };
        let others = [
            ("ID", Value::from(self.id.as_str())),
            ("Number", Value::Int(self.number)),
            ("URL", Value::from(self.url.as_str())),
            ("Kind", Value::from(self.kind.text())),
            ("Time", Value::from(self.time.as_str())),
            ("Schedule", Value::from(self.schedule.as_str())),
            ("Raw", Value::map(of(&self.raw))),
        ];
        Value::map(others.into_iter().chain(of(texts)))
    }

    /// Returns the item with everything that people wrote in it changed.
    #[must_use]
    pub fn with_texts(&self, change: impl Fn(&str) -> String) -> Self {
        let changed = |texts: &Texts| Texts {
            title: change(&texts.title),
            body: change(&texts.body),
            comments: change(&texts.comments),
            labels: change(&texts.labels),
        };
        Self {
            raw: changed(&self.raw),
            clean: changed(&self.clean),
            fenced: changed(&self.fenced),
            ..self.clone()
        }
    }

    /// Returns the prompt of a spawner without a template.
    #[must_use]
    pub fn default_prompt(&self) -> String {
        if !self.time.is_empty() {
            return format!("Scheduled run of {} ({})", self.time, self.schedule);
        }
        let Texts {
            title,
            body,
            comments,
            ..
        } = &self.fenced;
        let mut prompt = format!("{} #{}: {title}\n\n{body}", self.kind.text(), self.number);
        if !comments.is_empty() {
            prompt.push_str("\n\nComments:\n");
            prompt.push_str(comments);
        }
        prompt
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(author: &str, text: &str) -> Comment {
        Comment {
            author: author.into(),
            text: text.into(),
        }
    }

    fn item() -> Item {
        Item {
            id: "7".into(),
            number: 7,
            title: "Crash\r\n on <!-- s -->\u{200b}start ".into(),
            body: "It crashes.<!-- hidden -->".into(),
            author: "mallory".into(),
            labels: vec!["b\u{202e}ug".into(), "p1".into()],
            comments: vec![
                said("ann", "Same. <!-- open"),
                said("bob", "<!-- x -->"),
                said("cy", "<!-- open\n\nx"),
                said("dan", "No."),
            ],
            ..Item::default()
        }
    }

    #[test]
    fn all_fields_of_an_item_are_listed() {
        let seen = TemplateItem::new(&Item::default(), "uid");
        let listed = axon_api::v1alpha1::ITEM_FIELDS.join(" ");
        for variables in [seen.variables(), seen.variables_of_branch()] {
            let names = |of: &str| {
                text(
                    &variables,
                    &format!("range $name, $_ := {of}}}}}{{{{$name}}}} {{{{end"),
                )
            };
            let raw: Vec<String> = names(".Raw")
                .split_whitespace()
                .map(|name| format!("Raw.{name}"))
                .collect();
            let all = names(".").replace("Raw", &raw.join(" "));
            assert_eq!(all.trim_end(), listed);
        }
    }

    fn text(value: &Value, path: &str) -> String {
        let template = go_template::Template::parse("t", &format!("{{{{{path}}}}}")).unwrap();
        template.render(value, go_template::Limits::default()).unwrap()
    }

    #[test]
    fn the_default_prompt_has_all_of_an_issue_in_fences() {
        let mut item = Item {
            id: "7".into(),
            number: 7,
            title: "Crash".into(),
            body: "It crashes.".into(),
            author: "mallory".into(),
            ..Item::default()
        };
        let seen = TemplateItem::new(&item, "uid");
        let fence = seen.fence().around("issue 7, text", "mallory", "It crashes.");
        assert_eq!(seen.default_prompt(), format!("Issue #7: Crash\n\n{fence}"));
        item.kind = Kind::Pull;
        item.body = "".into();
        item.comments = vec![said("ann", "Same here.")];
        let seen = TemplateItem::new(&item, "uid");
        let comments = seen.fence().joined("comment", [("ann", "Same here.")]);
        let fence = seen.fence().around("pull request 7, comments", "", &comments);
        assert_eq!(
            seen.default_prompt(),
            format!("PR #7: Crash\n\n\n\nComments:\n{fence}")
        );
        let tick = Item::of_tick("2026-02-07T09:00:00Z".parse().unwrap(), "0 9 * * *");
        assert_eq!(
            TemplateItem::new(&tick, "uid").default_prompt(),
            "Scheduled run of 2026-02-07T09:00:00Z (0 9 * * *)"
        );
    }

    #[test]
    fn what_a_page_does_not_show_is_in_raw_alone() {
        let seen = TemplateItem::new(&item(), "uid");
        for values in [seen.variables(), seen.variables_of_branch()] {
            assert_eq!(
                text(&values, ".Title"),
                "Crash on <!-- s -->start",
                "a title is no Markdown"
            );
            assert_eq!(text(&values, ".Labels"), "bug, p1");
            assert_eq!(text(&values, ".Raw.Title"), item().title);
            assert_eq!(text(&values, ".Raw.Body"), "It crashes.<!-- hidden -->");
            assert_eq!(text(&values, ".Raw.Labels"), "b\u{202e}ug, p1");
            assert_eq!(
                text(&values, ".Raw.Comments"),
                "Same. <!-- open\n---\n<!-- x -->\n---\n<!-- open\n\nx\n---\nNo."
            );
        }
        let branch = seen.variables_of_branch();
        assert_eq!(text(&branch, ".Body"), "It crashes.");
        assert_eq!(text(&branch, ".Comments"), "Same. <!-- open\n---\nNo.");
        let comments = text(&seen.variables(), ".Comments");
        assert!(
            comments.contains("by=\"ann\"") && comments.contains("by=\"dan\""),
            "{comments}"
        );
        assert!(
            !comments.contains("by=\"bob\"") && !comments.contains("by=\"cy\""),
            "{comments}"
        );
    }

    #[test]
    fn nothing_has_no_fence_and_a_mark_holds_for_one_state_of_the_texts() {
        let empty = Item {
            body: "<!-- x -->".into(),
            comments: Vec::new(),
            ..item()
        };
        let values = TemplateItem::new(&empty, "uid").variables();
        assert_eq!(
            text(&values, "if or .Body .Comments}}some{{else}}none{{end"),
            "none"
        );
        let fence = |item: &Item, secret: &str| TemplateItem::new(item, secret).fence().clone();
        assert_eq!(fence(&item(), "uid"), fence(&item(), "uid"));
        let other = Item {
            comments: vec![said("ann", "Another.")],
            ..item()
        };
        assert_ne!(fence(&other, "uid"), fence(&item(), "uid"));
        assert_ne!(fence(&item(), "other"), fence(&item(), "uid"));
    }
}
