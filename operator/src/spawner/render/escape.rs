//! Keeps what strangers wrote in an item from acting in a prompt that is itself read as a template later. Pure.
//!
//! While the first template is rendered, each of their braces is one of a character that nobody writes. So it is known
//! afterwards which ones are theirs, whatever the template has put together, cut or left out.

use crate::spawner::render::template_data::TemplateItem;

/// A stand-in of one byte, as the brace is: lengths and cuts come out the same.
const CONTROL: char = '\u{1a}';
/// A stand-in that functions which quote let pass.
const PRINTABLE: char = '❴';

/// Returns what `render` makes of an item, written so that a template of this text gives just that: braces of the item
/// open no action, braces of the spawner's own template do.
///
/// # Errors
/// Those of `render`.
pub fn render<E>(
    item: &TemplateItem,
    render: impl Fn(&TemplateItem) -> Result<String, E>,
) -> Result<String, E> {
    let plain = render(item)?;
    if !plain.contains("{{") {
        return Ok(plain);
    }
    for mark in [CONTROL, PRINTABLE] {
        if let Ok(text) = render(&marked(item, mark))
            && text.replace(mark, "{") == plain
        {
            return Ok(escaped(&text, mark));
        }
    }
    // The item has both characters, or the template has compared or encoded braces: better a little wrong than alive.
    let clean = item.with_texts(|text| text.replace(CONTROL, ""));
    Ok(escaped(&render(&marked(&clean, CONTROL))?, CONTROL))
}

fn marked(item: &TemplateItem, mark: char) -> TemplateItem {
    item.with_texts(|text| text.replace('{', &mark.to_string()))
}

fn escaped(text: &str, mark: char) -> String {
    let is_brace = |c: char| c == '{' || c == mark;
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(start) = rest.find(is_brace) {
        let (before, from) = rest.split_at(start);
        let (run, after) = from.split_at(from.find(|c| !is_brace(c)).unwrap_or(from.len()));
        out.push_str(before);
        out.push_str(&run_of_braces(run, mark));
        rest = after;
    }
    out.push_str(rest);
    out
}

/// A single brace opens nothing. Of more, all up to the last strange one are text.
fn run_of_braces(run: &str, mark: char) -> String {
    let all = run.chars().count();
    match run.chars().rev().position(|c| c == mark) {
        None => run.to_owned(),
        Some(_) if all == 1 => "{".to_owned(),
        Some(own) => format!("{{{{\"{}\"}}}}{}", "{".repeat(all - own), "{".repeat(own)),
    }
}

#[cfg(test)]
mod tests {
    use go_template::{Limits, Template, TemplateError, Value};

    use super::*;
    use crate::spawner::source::item::Item;

    fn item(title: &str, body: &str) -> TemplateItem {
        let item = Item {
            title: title.into(),
            body: body.into(),
            ..Item::default()
        };
        TemplateItem::new(&item, "uid")
    }

    /// Returns what a template makes of an item: at first, and when the result is read as a template once more.
    fn twice(template: &str, item: &TemplateItem) -> (String, Result<String, TemplateError>) {
        let template = Template::parse("first", template).unwrap();
        let first =
            |item: &TemplateItem| template.render_fenced(&item.variables(), Limits::default(), item.fence());
        let text = render(item, first).unwrap();
        let data = Value::map([("Deps", Value::from("RESULT"))]);
        let again = Template::parse("again", &text).and_then(|t| t.render(&data, Limits::default()));
        (first(item).unwrap(), again)
    }

    #[test]
    fn what_strangers_write_stays_what_it_is_whatever_the_template_does_with_it() {
        for (template, title, body) in [
            ("{{.Raw.Body}}", "", "a {{.Deps}} and {{{{ b"),
            ("{{.Body}}", "", "a {{.Deps}} and {{{{ b"),
            (
                r#"{{printf "%.300s" .Body}} {{fence .Raw.Body}}"#,
                "",
                "{{{{.Deps}} {{.Deps}}",
            ),
            ("{{.Title}}{{.Raw.Body}}", "x {", "{.Deps}}"),
            ("{{.Title}}{{.Title}}{{.Raw.Body}}", "{", ".Deps}}"),
            (r#"{{printf "%.3s" .Raw.Body}}"#, "", "{{{{.Deps}}"),
            ("{{slice .Raw.Body 1}}", "", "{{{.Deps}}"),
            ("{{slice .Raw.Body 0 1}}{{slice .Raw.Body 0 1}}.Deps}}", "", "{"),
            ("{{html .Raw.Body}}", "", "<{{.Deps}}>"),
            (
                r#"{{printf "%q" .Raw.Body}} {{js .Raw.Body}}"#,
                "",
                "\"{{.Deps}}\"",
            ),
            ("{ {{.Title}} {{\"{\"}}{{.Title}}", "{.Deps}}", ""),
            (
                "{{if gt (len .Raw.Body) 9}}{{.Raw.Body}}{{end}}",
                "",
                "{{.Deps}}}}",
            ),
            ("{{.Raw.Body}}", "", "\u{1a} {{.Deps}} of control characters"),
            ("{{.Title}} in {{.Raw.Body}}", "}} {{- /* ", " */ -}} {{"),
        ] {
            let (plain, again) = twice(template, &item(title, body));
            assert_eq!(again, Ok(plain), "{template}");
        }
    }

    #[test]
    fn the_spawner_s_own_references_work_beside_them() {
        let (_, again) = twice(r#"{{.Title}}: {{"{{"}}.Deps}}"#, &item("{{.Deps}}", ""));
        assert_eq!(again.unwrap(), "{{.Deps}}: RESULT");
        let (_, again) = twice(r#"{{.Title}}{{"{{"}}.Deps}}"#, &item("{", ""));
        assert_eq!(again.unwrap(), "{RESULT");
    }

    #[test]
    fn what_can_not_be_told_apart_is_dead_all_the_same() {
        for body in ["{{.Deps}} \u{1a} ❴", "{{.Deps}}"] {
            let (_, again) = twice(
                r#"{{if eq .Raw.Body "x{"}}{{else}}{{urlquery .Raw.Body}}{{end}} {{.Raw.Body}}"#,
                &item("", body),
            );
            let said = again.unwrap();
            assert!(said.contains("{{.Deps}}") && !said.contains("RESULT"), "{said}");
        }
    }

    #[test]
    fn single_braces_stay_as_they_are() {
        let text = "fn main() { if a { b } } {{.x}}";
        let out = render(&item("", text), |item| {
            let template = Template::parse("first", "{{.Raw.Body}}").unwrap();
            template.render(&item.variables(), Limits::default())
        });
        assert_eq!(out.unwrap(), r#"fn main() { if a { b } } {{"{{"}}.x}}"#);
    }
}
