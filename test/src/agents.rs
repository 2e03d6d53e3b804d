//! The agents, as tests run them against the scripted model.

/// A type of agent, with all that a Task needs to run it against the scripted model.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Its name in `spec.type`.
    pub kind: &'static str,
    /// Variable, and key of the Secret, that holds its API key.
    pub key: &'static str,
    /// A model, where the agent has none of its own or would ask another one first.
    pub model: Option<&'static str>,
    /// Variables that make it ask the model at a base URL.
    pub endpoint: fn(&str) -> Vec<(&'static str, String)>,
    /// True if the agent reports the cost of an answer only when the tools of the answer are done.
    pub tells_after_tools: bool,
    /// Kinds of MCP servers that it can use.
    pub mcp: &'static [&'static str],
}

/// One of each type.
pub const SAMPLES: &[Sample] = &[
    Sample {
        kind: "claude-code",
        key: "ANTHROPIC_API_KEY",
        model: None,
        endpoint: |base| vec![("ANTHROPIC_BASE_URL", base.to_owned())],
        tells_after_tools: false,
        mcp: &["stdio", "http", "sse"],
    },
    Sample {
        kind: "codex",
        key: "CODEX_API_KEY",
        model: None,
        endpoint: |base| vec![("OPENAI_BASE_URL", format!("{base}/v1"))],
        tells_after_tools: false,
        mcp: &["stdio", "http"],
    },
    Sample {
        kind: "gemini",
        key: "GEMINI_API_KEY",
        model: Some("gemini-2.5-pro"),
        endpoint: |base| vec![("GOOGLE_GEMINI_BASE_URL", base.to_owned())],
        tells_after_tools: false,
        mcp: &["stdio", "http", "sse"],
    },
    Sample {
        kind: "opencode",
        key: "OPENCODE_API_KEY",
        model: Some("anthropic/claude-sonnet-4-5"),
        endpoint: |base| vec![("ANTHROPIC_BASE_URL", format!("{base}/v1"))],
        tells_after_tools: true,
        mcp: &["stdio", "http", "sse"],
    },
];
