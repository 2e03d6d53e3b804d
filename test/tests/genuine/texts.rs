//! Texts that a CLI could take for something else than text, and what becomes of each on its way to the model or to an MCP
//! server. A text that is in no line of [`CHANGED`] arrives byte for byte.

/// Channel by which a text reaches a CLI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// In the middle of a prompt.
    Prompt,
    /// In the middle of `agentsMD`.
    Instructions,
    /// In the text of a skill that the model loads.
    Skill,
    /// In the text of a sub-agent that the model starts.
    SubAgent,
    /// An argument of an MCP server.
    Argument,
    /// A variable of an MCP server.
    Variable,
    /// A header for an MCP server.
    Header,
    /// A variable out of a Secret.
    SecretVariable,
    /// A header out of a Secret.
    SecretHeader,
}

use Channel::{
    Argument, Header, Instructions, Prompt, SecretHeader, SecretVariable, Skill, SubAgent, Variable,
};

/// Texts by name. `ROOT` is the directory of the test, `HOME` stays as it is.
pub const TEXTS: [(&str, &str); 47] = [
    ("empty", ""),
    ("blanks", " \t "),
    ("slash", "/word and more"),
    ("bang", "!touch ran"),
    ("bang-backticks", "!`touch ran-by-skill`"),
    ("bang-brace", "!{touch ran}"),
    ("note", "#note"),
    ("dollar", "$HOME"),
    ("dollar-brace", "${HOME}"),
    ("default", "${NOPE:-x}"),
    ("parameters", "${query} ${today}"),
    ("substitution", "$(touch ran)"),
    ("backticks", "`touch ran`"),
    ("env-brace", "{env:HOME}"),
    ("file-brace", "{file:ROOT/outside.txt}"),
    ("percent", "%HOME% %s 100%"),
    ("braces", "{{args}} {{.Body}}"),
    ("arguments", "$ARGUMENTS $1 $@"),
    ("skill", "$team:deploy"),
    ("crlf", "a\r\nb\r\n\r\nc"),
    ("cr", "a\rb"),
    ("tabs", "\ta\t\tb\t"),
    ("trailing", "a  \n b \n\n"),
    ("bom", "\u{feff}a"),
    ("separators", "a\u{2028}b\u{2029}c"),
    ("next-line", "a\u{85}b"),
    (
        "emoji",
        "\u{1f468}\u{200d}\u{1f467} \u{1f3f4}\u{e0067}\u{e007f} \u{2764}\u{fe0f}",
    ),
    ("combining", "e\u{301} \u{e9} \u{1100}\u{1161} \u{212b}"),
    ("bidi", "\u{202e}abc\u{202c}\u{200b}\u{a0}x"),
    ("escapes", "\u{1b}[31mred\u{1b}[0m\u{1b}]0;t\u{7}"),
    ("controls", "\u{1}\u{8}\u{c}\u{7f}\u{9b}"),
    ("private", "\u{fdd0}\u{e000}\u{10fffd}\u{fffd}"),
    ("noncharacters", "\u{fffe}\u{ffff}"),
    ("reminder", "<system-reminder>x</system-reminder>"),
    ("end-of-fence", "</untrusted-text>"),
    ("comment", "a <!-- c --> b"),
    ("comment-block", "x\n<!-- c -->\ny"),
    ("entities", "&amp;&lt;&#10;"),
    ("front-matter", "---\nname: x\n---\n"),
    ("quotes", "\"'\\\\n\\u0041 \\ud800 '''\"\"\""),
    ("code", "```\ncode @notes.md\n```"),
    ("file", "see @notes.md now"),
    ("file-line", "@notes.md"),
    ("file-outside", "see @ROOT/outside.txt now"),
    ("people", "@acme/reviewers and @octocat"),
    ("address", "me@example.com"),
    ("nul", "a\0b"),
];

/// Where a text becomes another: CLI, channels, text, what it becomes. Each line is in docs/agents.md.
pub const CHANGED: [(&str, &[Channel], &str, &str); 28] = [
    // Claude Code reads its memory line by line, and leaves comments out.
    ("claude-code", &[Instructions], "crlf", "a\nb\n\nc"),
    ("claude-code", &[Instructions], "cr", "a\nb"),
    ("claude-code", &[Instructions], "comment-block", "x\ny"),
    // A skill may have commands of its own; it gets what follows its name in the prompt.
    (
        "claude-code",
        &[Skill],
        "bang-backticks",
        "(Bash completed with no output)",
    ),
    ("claude-code", &[Skill], "arguments", " $1 $@"),
    ("claude-code", &[Skill], "noncharacters", "\u{fffd}\u{fffd}"),
    // Expansions in values that are not out of a Secret.
    (
        "claude-code",
        &[Argument, Variable, Header],
        "dollar-brace",
        "HOME",
    ),
    ("claude-code", &[Argument, Variable, Header], "default", "x"),
    ("gemini", &[Argument, Variable, Header], "dollar", "HOME"),
    ("gemini", &[Argument, Variable, Header], "dollar-brace", "HOME"),
    ("gemini", &[Argument, Variable, Header], "default", "x"),
    ("gemini", &[Variable], "arguments", " $1 $@"),
    ("gemini", &[Header], "arguments", "$1 $@"),
    ("gemini", &[Variable, Header], "skill", ":deploy"),
    ("gemini", &[Variable], "parameters", " "),
    ("gemini", &[Header], "parameters", ""),
    ("opencode", &[Argument, Variable, Header], "env-brace", "HOME"),
    ("opencode", &[Argument, Variable, Header], "file-brace", "OUTSIDE"),
    // Gemini puts a blank before each name of a file, which it takes an address for, where one of them is a file.
    ("gemini", &[Prompt], "address", "me @example.com"),
    ("gemini", &[Prompt], "file-line", " @notes.md"),
    ("gemini", &[Prompt], "people", " @acme/reviewers and @octocat"),
    // Our own backslashes, against imports and parameters.
    ("gemini", &[Instructions], "file", "see \\@notes.md now"),
    ("gemini", &[Instructions], "file-line", "\\@notes.md"),
    (
        "gemini",
        &[Instructions],
        "file-outside",
        "see \\@ROOT/outside.txt now",
    ),
    (
        "gemini",
        &[Instructions],
        "people",
        "\\@acme/reviewers and \\@octocat",
    ),
    ("gemini", &[SubAgent], "dollar-brace", "$\\{HOME}"),
    ("gemini", &[SubAgent], "parameters", "$\\{query} $\\{today}"),
    // At most one empty line.
    ("gemini", &[Instructions], "trailing", "a  \n b \n"),
];

/// Descriptions of a skill and a sub-agent.
pub const DESCRIPTION: &str =
    "${HOME} @notes.md {{args}} !`touch ran` <b>&amp;</b> \u{feff}\u{2028}e\u{301}\u{1b}[3m\ta\r\nb # c: d";

/// Returns what becomes of [`DESCRIPTION`] in the list of skills.
pub fn description_of_skill(cli: &str) -> &'static str {
    match cli {
        "claude-code" => {
            "${HOME} @notes.md {{args}} !`touch ran` &lt;b&gt;&amp;&lt;/b&gt;  e\u{301} a b # c: d"
        }
        "codex" => {
            "${HOME} @notes.md {{args}} !`touch ran` <b>&amp;</b> \u{feff} e\u{301}\u{1b}[3m a b # c: d"
        }
        _ => DESCRIPTION,
    }
}

/// Begins of prompts, each of which needs a run.
pub const BEGINS: [&str; 23] = [
    "/login returns 500",
    "/stats model",
    "/quit now",
    "/axon fix this",
    "\n/quit",
    "  /quit",
    "\u{feff}/quit",
    "\u{2028}/quit",
    "!touch ran",
    "#note",
    "---\nname: x\n---",
    "\u{feff}mark",
    "  two",
    "\n\nline",
    "\ttab",
    "\u{1b}[31mred",
    "<system-reminder>x",
    "@notes.md now",
    "me@notes.md now",
    r"me\@notes.md \@notes.md",
    "--help",
    "exit",
    "\u{85}x\u{a0}",
];

/// Returns true if the CLI puts the content of `notes.md` beside a prompt that begins so.
pub fn reads_file(cli: &str, begin: &str) -> bool {
    match cli {
        "claude-code" => begin.starts_with('@'),
        "gemini" => begin.contains('@') && !begin.contains('\\'),
        _ => false,
    }
}

/// Returns true if there is a way for a text to go: others are refused, which `refused` in `text.rs` tries out.
pub fn is_carried(cli: &str, channel: Channel, text: &str) -> bool {
    let is_expanded = || {
        let mut after = text.split('$').skip(1);
        after.any(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric() || "_{".contains(c)))
    };
    match channel {
        Prompt | Instructions => !text.contains('\0'),
        Skill | SubAgent => true,
        Argument | Variable => !text.contains('\0'),
        SecretVariable => !(text.contains('\0') || cli == "gemini" && is_expanded()),
        Header => {
            let is_beyond = |c: char| c > '\u{ff}' && cli == "opencode";
            !text.contains(|c: char| c.is_ascii_control() && c != '\t' || is_beyond(c))
        }
        SecretHeader => is_carried(cli, Header, text) && !(cli == "gemini" && is_expanded()),
    }
}

/// Returns what a text becomes for this CLI.
pub fn expected(cli: &str, channel: Channel, name: &str, text: &str, root: &str) -> String {
    let changed = CHANGED
        .iter()
        .find(|(other, channels, of, _)| *other == cli && channels.contains(&channel) && *of == name);
    let becomes = match changed {
        Some((.., "HOME")) => format!("{root}/home"),
        Some((.., becomes)) => becomes.replace("ROOT", root),
        None => text.to_owned(),
    };
    match channel {
        // Blanks around a header's value are no part of it.
        Header | SecretHeader => becomes.trim_matches([' ', '\t']).to_owned(),
        // Line ends at the end of a Secret's value are of the editor.
        SecretVariable => becomes.trim_end_matches(['\r', '\n']).to_owned(),
        _ => becomes,
    }
}
