//! Fields that a template names and no data will have. Pure.

use super::Template;
use super::ast::{Form, Op, Operand, Pipe};
use super::pipeline::ROOT;

impl Template {
    /// Returns the first field of the data that is none of `known`, such as `.Bdy`. `known` are paths such as `Body` or
    /// `Raw.Body`, and each of their beginnings is known too.
    ///
    /// Only fields whose data is certain are looked at: those of `$`, and those of the dot outside of `with`, `range` and
    /// `define`. A template without an unknown field may still fail.
    #[must_use]
    pub fn unknown_field(&self, known: &[&str]) -> Option<String> {
        let ops = self.templates.get(self.name.as_bytes())?;
        // Open scopes, each with whether the dot is another in it.
        let mut scopes: Vec<bool> = Vec::new();
        for op in ops {
            let finder = Finder {
                known,
                is_root: !scopes.contains(&true),
            };
            let found = match op {
                Op::Action(pipe) | Op::Branch { pipe, .. } | Op::Range { pipe, .. } => finder.pipe(pipe),
                Op::Call(call) => call.pipe.as_ref().and_then(|pipe| finder.pipe(pipe)),
                _ => None,
            };
            if found.is_some() {
                return found;
            }
            match op {
                Op::Open => scopes.push(false),
                Op::Range { .. } => scopes.push(true),
                Op::Branch { with: true, .. } => {
                    if let Some(is_other) = scopes.last_mut() {
                        *is_other = true;
                    }
                }
                Op::Close => {
                    scopes.pop();
                }
                _ => {}
            }
        }
        None
    }
}

struct Finder<'a> {
    known: &'a [&'a str],
    /// True where the dot is all of the data.
    is_root: bool,
}

impl Finder<'_> {
    fn pipe(&self, pipe: &Pipe) -> Option<String> {
        let mut operands = pipe
            .commands
            .iter()
            .flat_map(|command| std::iter::once(&command.first).chain(&command.arguments));
        operands.find_map(|operand| self.operand(operand))
    }

    /// Parentheses nest up to the parser's limit.
    fn operand(&self, operand: &Operand) -> Option<String> {
        match &operand.form {
            Form::Field(path) if self.is_root => self.path(path),
            Form::Variable(variable, path) if variable.id == ROOT => self.path(path),
            Form::Pipe(pipe) => self.pipe(pipe),
            Form::Chain(of, _) => self.operand(of),
            _ => None,
        }
    }

    fn path(&self, path: &[String]) -> Option<String> {
        let path = path.join(".");
        let begins = |known: &&str| {
            let rest = known.strip_prefix(path.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let is_known = path.is_empty() || self.known.iter().any(begins);
        (!is_known).then(|| format!(".{path}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 3] = ["Body", "Title", "Raw.Body"];

    fn unknown(text: &str) -> Option<String> {
        Template::parse("prompt", text).unwrap().unknown_field(&KNOWN)
    }

    #[test]
    fn a_field_that_is_not_there_is_found_wherever_the_data_is_certain() {
        for (text, field) in [
            ("{{.Bdy}}", ".Bdy"),
            ("{{.Body}} {{.body}}", ".body"),
            ("{{.Raw.Title}}", ".Raw.Title"),
            ("{{.Raw.Bod}}", ".Raw.Bod"),
            ("{{.Title.X}}", ".Title.X"),
            ("{{if .Bdy}}x{{end}}", ".Bdy"),
            ("{{if .Body}}{{.Bdy}}{{else if .Title}}{{end}}", ".Bdy"),
            ("{{if .Body}}{{else if .Titel}}{{end}}", ".Titel"),
            ("{{if .Body}}{{else}}{{.Bdy}}{{end}}", ".Bdy"),
            ("{{with .Body}}{{$.Bdy}}{{end}}", ".Bdy"),
            ("{{with .Body}}{{.}}{{end}}{{.Bdy}}", ".Bdy"),
            ("{{with .Body}}{{else with .Title}}{{end}}{{.Bdy}}", ".Bdy"),
            ("{{range .Bdy}}{{end}}", ".Bdy"),
            ("{{range .Body}}{{break}}{{else}}{{end}}{{.Bdy}}", ".Bdy"),
            ("{{printf \"%s\" (slice .Bdy 0 1) | len}}", ".Bdy"),
            ("{{$x := .Bdy}}", ".Bdy"),
            ("{{(index .Bdy 0).x}}", ".Bdy"),
            ("{{template \"x\" .Bdy}}{{define \"x\"}}{{end}}", ".Bdy"),
        ] {
            assert_eq!(unknown(text).as_deref(), Some(field), "{text}");
        }
    }

    #[test]
    fn a_field_of_something_else_is_left_alone() {
        for text in [
            "",
            ".Bdy",
            "{{.}} {{$}} {{.Raw}} {{.Raw.Body}} {{$.Title}}",
            "{{with .Raw}}{{.Bdy}}{{end}}",
            "{{with .Raw}}{{else with .Body}}{{.x}}{{else}}{{.x}}{{end}}",
            "{{range .Raw}}{{if .x}}{{.y}}{{end}}{{.z}}{{end}}",
            "{{$x := .Raw}}{{$x.Bdy}}",
            "{{define \"x\"}}{{.Bdy}} {{$.Bdy}}{{end}}{{template \"x\" .Raw}}",
            "{{block \"x\" .Raw}}{{.Bdy}}{{end}}",
        ] {
            assert_eq!(unknown(text), None, "{text}");
        }
    }
}
