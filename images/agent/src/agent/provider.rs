//! What errors of a model provider mean.

use axon_api::TaskReason;
use serde_json::Value;

/// Errors wrap one another: the CLI's text holds the library's, which holds the provider's.
const DEPTH: usize = 4;

/// What an error says to people, and the HTTP status behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The status, if the text tells it.
    pub status: Option<u16>,
    /// The provider's own words, if they can be told from what is around them.
    pub message: String,
}

/// Reads an agent's error: text, a JSON document, or text around one.
#[must_use]
pub fn said(text: &str) -> Said {
    let mut status = None;
    let mut message = text.trim().to_owned();
    for _ in 0..DEPTH {
        let Some((code, inner)) = document(&message) else {
            break;
        };
        status = code.or(status);
        message = inner;
    }
    Said {
        status: status.or_else(|| status_in(text)),
        message,
    }
}

/// Returns status and message of the JSON error in a text.
fn document(text: &str) -> Option<(Option<u16>, String)> {
    let (from, to) = (text.find('{')?, text.rfind('}')?);
    let value: Value = serde_json::from_str(text.get(from..=to)?).ok()?;
    let error = value.get("error").unwrap_or(&value);
    let message = error.get("message")?.as_str()?.trim().to_owned();
    let code = error.get("code").and_then(Value::as_u64);
    let code = code.and_then(|code| u16::try_from(code).ok());
    Some((code.filter(|code| (400..600).contains(code)), message))
}

/// Returns the number after the word "status" that is an HTTP error.
fn status_in(text: &str) -> Option<u16> {
    let text = text.to_ascii_lowercase();
    text.split("status").skip(1).find_map(|after| {
        let after = after.trim_start_matches(|c: char| c == ':' || c == '=' || c.is_whitespace());
        let after = after.strip_prefix("code").unwrap_or(after);
        let digits: String = after
            .trim_start_matches(|c: char| c == ':' || c.is_whitespace())
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        digits.parse().ok().filter(|code| (400..600).contains(code))
    })
}

/// Returns the reason behind an error of a model provider, from its HTTP status or, without one, from its text.
#[must_use]
pub fn provider_reason(status: Option<u16>, text: &str) -> TaskReason {
    const AUTH: [&str; 17] = [
        "not logged in",
        "please run /login",
        "invalid api key",
        "incorrect api key",
        "api key not valid",
        "api key expired",
        "invalid x-api-key",
        "invalid bearer token",
        "failed to authenticate",
        "authentication_error",
        "permission_error",
        "token has expired",
        "could not be refreshed",
        "sign in again",
        "refresh token was already used",
        "401 unauthorized",
        "must specify the gemini_api_key",
    ];
    const RATE: [&str; 13] = [
        "(429)",
        "error: 429",
        "429 too many requests",
        "rate limit",
        "rate_limit_error",
        "resource_exhausted",
        "exceeded your current quota",
        "quota exceeded",
        "you have exhausted your",
        "usage limit",
        "session limit",
        "weekly limit",
        "hit your limit",
    ];
    const UNAVAILABLE: [&str; 6] = [
        "overloaded",
        "experiencing high demand",
        "service unavailable",
        "bad gateway",
        "gateway timeout",
        "internal server error",
    ];
    const TOO_LONG: [&str; 6] = [
        "prompt is too long",
        "context_length_exceeded",
        "maximum context length",
        "exceeds the context window",
        "exceeds the maximum number of tokens",
        "input length and `max_tokens` exceed context limit",
    ];
    // What a file system says, too.
    let text = text.to_ascii_lowercase().replace("disk quota exceeded", "");
    let any = |phrases: &[&str]| phrases.iter().any(|phrase| text.contains(phrase));
    match status {
        Some(401 | 403) => TaskReason::AuthFailed,
        Some(429) => TaskReason::RateLimited,
        Some(500..=599) => TaskReason::ProviderUnavailable,
        Some(400 | 413) | None if any(&TOO_LONG) => TaskReason::ContextLengthExceeded,
        None if lacks_credential(&text) => TaskReason::AuthFailed,
        // Google answers so to a bad key.
        Some(400) | None if any(&AUTH) => TaskReason::AuthFailed,
        None if any(&RATE) => TaskReason::RateLimited,
        None if any(&UNAVAILABLE) => TaskReason::ProviderUnavailable,
        _ => TaskReason::AgentError,
    }
}

/// Returns true if a model was not found although the very same one is proposed: OpenCode's words for a provider that
/// it has no credential for. `text` is in lower case.
fn lacks_credential(text: &str) -> bool {
    let Some((_, after)) = text.split_once("model not found: ") else {
        return false;
    };
    let Some((asked, proposed)) = after.split_once(". did you mean: ") else {
        return false;
    };
    let model = asked.split_once('/').map_or(asked, |(_, model)| model);
    proposed
        .split(['?', '\n'])
        .next()
        .is_some_and(|names| names.split(", ").any(|name| name == model))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_more_than_words() {
        for (status, text, reason) in [
            (Some(401), "", TaskReason::AuthFailed),
            (Some(403), "", TaskReason::AuthFailed),
            (Some(429), "", TaskReason::RateLimited),
            (Some(500), "rate limit", TaskReason::ProviderUnavailable),
            (Some(529), "Overloaded", TaskReason::ProviderUnavailable),
            (None, "API Error: Overloaded", TaskReason::ProviderUnavailable),
            (
                None,
                "The model is currently experiencing high demand. Please try again later.",
                TaskReason::ProviderUnavailable,
            ),
            (
                Some(400),
                "prompt is too long: 212000 tokens > 200000 maximum",
                TaskReason::ContextLengthExceeded,
            ),
            (
                None,
                "This model's maximum context length is 128000 tokens.",
                TaskReason::ContextLengthExceeded,
            ),
            (Some(404), "prompt is too long", TaskReason::AgentError),
            (
                Some(400),
                "API key not valid. Please pass a valid API key.",
                TaskReason::AuthFailed,
            ),
            (Some(400), "rate limit", TaskReason::AgentError),
            (None, "Not logged in · Please run /login", TaskReason::AuthFailed),
            (None, "Claude usage limit reached", TaskReason::RateLimited),
            (None, "it broke", TaskReason::AgentError),
            (
                None,
                "Your access token could not be refreshed because your refresh token was already used. Please log out \
                 and sign in again.",
                TaskReason::AuthFailed,
            ),
            (
                None,
                "Quota exceeded. Check your plan and billing details.",
                TaskReason::RateLimited,
            ),
            (
                None,
                "Session limit reached · resets 3pm",
                TaskReason::RateLimited,
            ),
            (None, "You've reached your weekly limit", TaskReason::RateLimited),
            (None, "write failed: Disk quota exceeded", TaskReason::AgentError),
            (
                None,
                "ProviderModelNotFoundError: Model not found: p/m-1. Did you mean: m-1, m-1-2025?)])",
                TaskReason::AuthFailed,
            ),
            (
                None,
                "Model not found: p/m-1. Did you mean: m-1-2025, m-2?",
                TaskReason::AgentError,
            ),
            (None, "Model not found: p/nonsense", TaskReason::AgentError),
        ] {
            assert_eq!(provider_reason(status, text), reason, "{status:?} {text}");
        }
    }

    #[test]
    fn the_provider_s_words_are_found_in_their_wrapping() {
        for (text, status, message) in [
            (" it broke ", None, "it broke"),
            (
                r#"{"error":{"message":"no model","type":"x","code":null}}"#,
                None,
                "no model",
            ),
            (
                r#"[API Error: {"error":{"code":403,"message":"no","status":"PERMISSION_DENIED"}}]"#,
                Some(403),
                "no",
            ),
            (
                r#"{"error":{"message":"{\"error\":{\"code\":400,\"message\":\"API key not valid\"}}","code":500}}"#,
                Some(400),
                "API key not valid",
            ),
            (
                "unexpected status 401 Unauthorized: no, url: http://m/status/9",
                Some(401),
                "unexpected status 401 Unauthorized: no, url: http://m/status/9",
            ),
            (
                "exceeded retry limit, last status: 429 Too Many Requests",
                Some(429),
                "exceeded retry limit, last status: 429 Too Many Requests",
            ),
            ("status code: 503", Some(503), "status code: 503"),
            ("exit status 1 {x}", None, "exit status 1 {x}"),
            ("}{", None, "}{"),
        ] {
            let expected = Said {
                status,
                message: message.into(),
            };
            assert_eq!(said(text), expected, "{text}");
        }
    }
}
