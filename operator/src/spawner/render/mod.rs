//! Makes a Task of an item.
//!
//! - [`template_data`]: what templates see of an item; [`escape`] keeps strangers' braces from being executed. Pure.
//! - [`prepare`]: makes sure that the Task can be created, before it is claimed.

pub mod escape;
pub mod prepare;
pub mod template_data;

use std::collections::BTreeMap;

use axon_api::git::branch_fault;
use axon_api::limits::{MAX_PROMPT, excess};
use axon_api::v1alpha1::{TaskSpawner, TaskTemplate, Trust};
use axon_api::{Task, labels, naming};
use go_template::{Limits, MissingKey, Template, TemplateError};
use kube::core::ObjectMeta;

use crate::spawner::plan::match_state::Mark;
use crate::spawner::render::template_data::TemplateItem;
use crate::spawner::source::item::{Item, Kind};
use crate::untrusted::mention;

/// The templates of a spawner, ready for use.
#[derive(Clone, Debug)]
pub struct Templates {
    prompt: Option<Template>,
    branch: Option<Template>,
    /// True if the prompt is read as a template once more, when the dependencies' results are known.
    is_read_again: bool,
    /// How text from people is written for an agent that would read the files that it names.
    escape: Option<fn(&str) -> String>,
    /// The spawner's UID: nobody who writes on GitHub knows it.
    secret: String,
}

/// Why an item can't become a Task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A template fails with this item's data.
    #[error("{field} can't be rendered: {source}")]
    Template {
        /// Field of the spawner.
        field: &'static str,
        /// What is wrong.
        #[source]
        source: TemplateError,
    },
    /// The prompt is empty.
    #[error("taskTemplate.promptTemplate renders to an empty prompt")]
    EmptyPrompt,
    /// The prompt is longer than a Task's may be.
    #[error(
        "taskTemplate.promptTemplate renders to {length} characters, and a Task takes at most {MAX_PROMPT}: show less of the item, such as {{{{printf \"%.100000s\" .Comments}}}}"
    )]
    PromptTooLong {
        /// Characters that it renders to.
        length: usize,
    },
    /// Git would not take the branch.
    #[error("taskTemplate.branch renders to {branch:?}, which {fault}")]
    Branch {
        /// What it renders to.
        branch: String,
        /// What is wrong with it.
        fault: &'static str,
    },
}

const PROMPT: &str = "taskTemplate.promptTemplate";
const BRANCH: &str = "taskTemplate.branch";

impl RenderError {
    /// Returns whether an item's comments could make the difference.
    #[must_use]
    pub fn depends_on_comments(&self, template: &TaskTemplate) -> bool {
        let field = match self {
            Self::Template { field, .. } => field,
            Self::EmptyPrompt | Self::PromptTooLong { .. } => PROMPT,
            Self::Branch { .. } => BRANCH,
        };
        field_shows_comments(template, field)
    }
}

/// Returns whether prompt or branch shows an item's comments, which cost a request to GitHub.
#[must_use]
pub fn shows_comments(template: &TaskTemplate) -> bool {
    field_shows_comments(template, PROMPT) || field_shows_comments(template, BRANCH)
}

fn field_shows_comments(template: &TaskTemplate, field: &str) -> bool {
    let text = if field == PROMPT {
        &template.prompt_template
    } else {
        &template.branch
    };
    match text.as_deref().unwrap_or_default() {
        "" => field == PROMPT,
        text => text.contains("Comments"),
    }
}

impl Templates {
    /// Reads the templates of a spawner.
    ///
    /// # Errors
    /// [`RenderError::Template`] if one is no template.
    pub fn parse(spawner: &TaskSpawner) -> Result<Self, RenderError> {
        let template = &spawner.spec.task_template;
        let read = |field: &'static str, text: &Option<String>| {
            text.as_deref()
                .filter(|text| !text.is_empty())
                .map(|text| Template::parse(field, text).map(|t| t.missing_key(MissingKey::Error)))
                .transpose()
                .map_err(|source| RenderError::Template { field, source })
        };
        Ok(Self {
            prompt: read(PROMPT, &template.prompt_template)?,
            branch: read(BRANCH, &template.branch)?,
            is_read_again: !template.depends_on.is_empty(),
            secret: spawner.metadata.uid.clone().unwrap_or_default(),
            escape: mention::escape(template.agent),
        })
    }

    /// Returns prompt and branch for an item.
    ///
    /// # Errors
    /// [`RenderError`].
    pub fn render(&self, item: &Item) -> Result<(String, Option<String>), RenderError> {
        let seen = TemplateItem::new(item, &self.secret);
        let failed = |field| move |source| RenderError::Template { field, source };
        let prompt = |seen: &TemplateItem| match &self.prompt {
            Some(template) => template
                .render_fenced(&seen.variables(), Limits::default(), seen.fence())
                .map_err(failed(PROMPT)),
            None => Ok(seen.default_prompt()),
        };
        let escaped = self.escape.map(|escape| seen.with_texts(escape));
        let shown = escaped.as_ref().unwrap_or(&seen);
        let prompt = if self.is_read_again {
            escape::render(shown, prompt)?
        } else {
            prompt(shown)?
        };
        // No container starts with it, and one in a text of others may not stop their item.
        let prompt = prompt.replace('\0', "\u{fffd}");
        if prompt.is_empty() {
            return Err(RenderError::EmptyPrompt);
        }
        if let Some(length) = excess(&prompt, MAX_PROMPT) {
            return Err(RenderError::PromptTooLong { length });
        }
        let branch = self
            .branch
            .as_ref()
            .map(|template| template.render(&seen.variables_of_branch(), Limits::default()))
            .transpose()
            .map_err(failed(BRANCH))?;
        let branch = branch.filter(|branch| !branch.is_empty());
        if let Some(branch) = &branch
            && let Some(fault) =
                branch_fault(branch).or((branch.len() > 244).then_some("is longer than 244 bytes"))
        {
            return Err(RenderError::Branch {
                branch: branch.clone(),
                fault,
            });
        }
        Ok((prompt, branch))
    }
}

/// Returns whose files configure the agent's CLI, if that depends on the item: anybody may have written the code of a pull
/// request, and its agent checks it out.
#[must_use]
pub fn trust(item: &Item) -> Option<Trust> {
    (item.kind == Kind::Pull).then_some(Trust::Base)
}

/// Returns the Task of this name for an item.
///
/// # Errors
/// [`RenderError`].
pub fn task(
    spawner: &TaskSpawner,
    templates: &Templates,
    item: &Item,
    name: &str,
    mark: &Mark,
) -> Result<Task, RenderError> {
    let (prompt, branch) = templates.render(item)?;
    let template = &spawner.spec.task_template;
    let spawner_name = spawner.metadata.name.as_deref().unwrap_or_default();
    let mut annotations = BTreeMap::new();
    if !item.url.is_empty() {
        annotations.insert(labels::ITEM_URL.to_owned(), item.url.clone());
    }
    if *mark != Mark::Unknown {
        annotations.insert(labels::MATCH.to_owned(), mark.to_string());
    }
    let labels = BTreeMap::from([
        (labels::TASK_SPAWNER.to_owned(), naming::label_value(spawner_name)),
        (labels::ITEM.to_owned(), item.id.clone()),
    ]);
    let mut task = Task::new(name, template.task(prompt, branch));
    // In the Task itself, so that it is seen there.
    task.spec.trust = task.spec.trust.or(trust(item));
    task.metadata = ObjectMeta {
        name: Some(name.to_owned()),
        namespace: spawner.metadata.namespace.clone(),
        labels: Some(labels),
        annotations: (!annotations.is_empty()).then_some(annotations),
        ..ObjectMeta::default()
    };
    Ok(task)
}

#[cfg(test)]
mod tests {
    use axon_api::agents::AgentType;

    use super::*;
    use crate::spawner::fixtures::{github, issue};
    use axon_github::Comment;

    fn rendered(prompt: &str, branch: &str, item: &Item) -> Result<(String, Option<String>), RenderError> {
        let mut spawner = github("fix");
        spawner.spec.task_template.prompt_template = Some(prompt.to_owned());
        spawner.spec.task_template.branch = Some(branch.to_owned());
        Templates::parse(&spawner)?.render(item)
    }

    #[test]
    fn all_ten_variables_are_there() {
        let mut item = issue(42);
        item.labels = vec!["bug".into(), "p1".into()];
        item.comments = vec![Comment {
            author: "ann".into(),
            text: "hm".into(),
        }];
        let all = "{{.ID}}|{{.Number}}|{{.Title}}|{{.Body}}|{{.URL}}|{{.Labels}}|{{.Comments}}|{{.Kind}}|{{.Time}}|{{.Schedule}}";
        let raw = "{{.Raw.Title}}|{{.Raw.Body}}|{{.Raw.Labels}}|{{.Raw.Comments}}";
        let (prompt, branch) = rendered(all, "axon-task-{{.Number}}", &item).unwrap();
        let fence = TemplateItem::new(&item, "uid-1").fence().clone();
        let body = fence.around("issue 42, text", "", "body of 42");
        let comments = fence.around(
            "issue 42, comments",
            "",
            &fence.joined("comment", [("ann", "hm")]),
        );
        assert_eq!(
            prompt,
            format!("42|42|issue 42|{body}|https://github.com/org/repo/issues/42|bug, p1|{comments}|Issue||")
        );
        assert_eq!(branch.as_deref(), Some("axon-task-42"));
        let (prompt, _) = rendered(raw, "", &item).unwrap();
        assert_eq!(prompt, "issue 42|body of 42|bug, p1|hm");
        let tick = Item::of_tick("2026-02-07T09:00:00Z".parse().unwrap(), "0 9 * * *");
        let (prompt, _) = rendered(all, "", &tick).unwrap();
        assert_eq!(
            prompt,
            "20260207-0900|0|2026-02-07T09:00:00Z|||||Issue|2026-02-07T09:00:00Z|0 9 * * *"
        );
    }

    #[test]
    fn what_can_not_be_rendered_is_told_by_field() {
        for (prompt, branch, part) in [
            ("{{.Titel}}", "", "taskTemplate.promptTemplate can't be rendered"),
            ("{{", "", "taskTemplate.promptTemplate can't be rendered"),
            (
                "x",
                "fix {{.Title}}",
                "taskTemplate.branch renders to \"fix issue 1\", which has a space",
            ),
            ("x", "{{.Body | nope}}", "taskTemplate.branch can't be rendered"),
            ("{{.Time}}", "", "empty prompt"),
        ] {
            let error = rendered(prompt, branch, &issue(1)).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_prompt_that_no_task_can_have_is_the_items_fault_alone() {
        let item = |length: usize| Item {
            // More bytes than characters, and fewer than the template's own limit of its output.
            body: ("é".repeat(1000) + &"e".repeat(length - 1000)).into(),
            ..issue(1)
        };
        let (prompt, _) = rendered("{{.Raw.Body}}", "", &item(MAX_PROMPT)).unwrap();
        assert_eq!(prompt.chars().count(), MAX_PROMPT);
        let error = rendered("{{.Raw.Body}}", "", &item(MAX_PROMPT + 1)).unwrap_err();
        assert_eq!(
            error,
            RenderError::PromptTooLong {
                length: MAX_PROMPT + 1
            }
        );
        assert!(
            error.to_string().contains(r#"{{printf "%.100000s" .Comments}}"#),
            "{error}"
        );
        let advice = r#"{{printf "%.100000s" .Body}}"#;
        let (short, _) = rendered(advice, "", &item(MAX_PROMPT - 1)).unwrap();
        let length = short.chars().count();
        assert!((100_000..100_300).contains(&length), "the advice works: {length}");
        let cut = r#"{{printf "%.100000s" .Body}}"#;
        let (cut, _) = rendered(cut, "", &item(MAX_PROMPT - 1)).unwrap();
        let last = |prompt: &str| prompt.lines().last().map(str::to_owned);
        assert!(
            last(&cut).unwrap().starts_with("</untrusted-text mark="),
            "so does the one of before"
        );
    }

    #[test]
    fn files_that_people_name_are_not_read_and_those_that_the_template_names_are() {
        let item = Item {
            title: "@/axon/ssh/ssh-privatekey".into(),
            body: "ask @octocat".into(),
            comments: vec![axon_github::Comment {
                author: "eve".into(),
                text: "@~/.claude.json".into(),
            }],
            ..issue(1)
        };
        let mut spawner = github("fix");
        let words = ["@/axon/ssh/ssh-privatekey", "@octocat", "@~/.claude.json"];
        for (agent, escaped) in [(AgentType::ClaudeCode, true), (AgentType::Codex, false)] {
            for texts in [
                "{{.Title}} {{.Body}} {{.Comments}}",
                "{{.Raw.Title}} {{.Raw.Body}} {{.Raw.Comments}}",
            ] {
                for depends_on in [vec![], vec!["other".to_owned()]] {
                    let template = &mut spawner.spec.task_template;
                    template.agent = agent;
                    template.depends_on = depends_on;
                    template.prompt_template = Some(format!("@README.md {texts}"));
                    template.branch = Some("b-{{len .Title}}".into());
                    let (prompt, branch) = Templates::parse(&spawner).unwrap().render(&item).unwrap();
                    assert_eq!(branch.as_deref(), Some("b-25"));
                    assert!(prompt.starts_with("@README.md "), "{prompt}");
                    for word in words {
                        assert!(prompt.contains(word), "{prompt}");
                        assert_eq!(prompt.contains(&format!("\\{word}")), escaped, "{prompt}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_nul_of_others_stops_no_item() {
        let item = Item {
            body: "key\0x".into(),
            ..issue(1)
        };
        let (prompt, _) = rendered("{{.Raw.Body}}", "", &item).unwrap();
        assert_eq!(prompt, "key\u{fffd}x");
    }

    #[test]
    fn comments_are_asked_for_only_where_they_are_shown() {
        let template = |prompt: &str, branch: &str| {
            let mut template = github("fix").spec.task_template;
            template.prompt_template = Some(prompt.to_owned());
            template.branch = Some(branch.to_owned());
            template
        };
        for (prompt, branch, shows) in [
            ("", "", true),
            ("{{.Title}}", "", false),
            ("{{.Comments}}", "b", true),
            ("{{.Raw.Comments}}", "b", true),
            ("x", "{{len .Comments}}", true),
        ] {
            assert_eq!(
                shows_comments(&template(prompt, branch)),
                shows,
                "{prompt} {branch}"
            );
        }
        let bad_branch = RenderError::Branch {
            branch: "a b".into(),
            fault: "has a space",
        };
        assert!(!bad_branch.depends_on_comments(&template("{{.Comments}}", "{{.Title}}")));
        assert!(RenderError::EmptyPrompt.depends_on_comments(&template("{{.Comments}}", "{{.Title}}")));
    }

    #[test]
    fn a_task_has_all_of_its_template_and_no_owner() {
        let mut spawner = github("fix");
        spawner.spec.task_template.model = Some("opus".into());
        spawner.spec.task_template.ttl_seconds_after_finished = Some(60);
        let templates = Templates::parse(&spawner).unwrap();
        let task = task(&spawner, &templates, &issue(7), "fix-7", &Mark::In("f".into())).unwrap();
        assert_eq!(task.spec.model.as_deref(), Some("opus"));
        assert_eq!(task.spec.ttl_seconds_after_finished, Some(60));
        assert_eq!(task.spec.workspace_ref, spawner.spec.task_template.workspace_ref);
        assert_eq!(task.metadata.owner_references, None);
        let labels = task.metadata.labels.unwrap();
        assert_eq!(
            (
                labels["axon.io/taskspawner"].as_str(),
                labels["axon.io/item"].as_str()
            ),
            ("fix", "7")
        );
        assert_eq!(task.spec.trust, None, "an issue has no tree");
        let annotations = task.metadata.annotations.unwrap();
        assert_eq!(
            annotations["axon.io/item-url"],
            "https://github.com/org/repo/issues/7"
        );
        assert_eq!(annotations["axon.io/match"], "in:f");
    }

    #[test]
    fn a_pull_request_does_not_configure_its_agent_unless_the_template_says_so() {
        let mut spawner = github("review");
        let pull = Item {
            kind: Kind::Pull,
            ..issue(7)
        };
        for (said, trust) in [
            (None, Trust::Base),
            (Some(Trust::Base), Trust::Base),
            (Some(Trust::Ref), Trust::Ref),
        ] {
            spawner.spec.task_template.trust = said;
            let templates = Templates::parse(&spawner).unwrap();
            let task = task(&spawner, &templates, &pull, "review-7", &Mark::Unknown).unwrap();
            assert_eq!(task.spec.trust, Some(trust));
        }
    }
}
