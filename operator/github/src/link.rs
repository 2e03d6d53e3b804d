//! The `Link` header (RFC 8288), as far as paging needs it. Pure.

/// Returns path and query of the link with the relation `relation`, such as `next` or `last`. Scheme and host are left
/// away: the next page is asked of the same server in any case.
#[must_use]
pub fn target(header: &str, relation: &str) -> Option<String> {
    let mut rest = header;
    loop {
        let (_, after) = rest.split_once('<')?;
        let (url, tail) = after.split_once('>')?;
        let parameters = tail.split('<').next().unwrap_or_default();
        let matches = parameters.split(';').any(|parameter| {
            let (key, value) = parameter.trim().split_once('=').unwrap_or_default();
            let value = value.trim().trim_end_matches(',').trim_matches('"');
            key.eq_ignore_ascii_case("rel") && value.split(' ').any(|one| one == relation)
        });
        if matches {
            return path_of(url);
        }
        rest = tail;
    }
}

/// Returns path and query of a URL, absolute or not.
#[must_use]
pub fn path_of(url: &str) -> Option<String> {
    let uri: http::Uri = url.parse().ok()?;
    let path = uri.path_and_query()?.as_str();
    path.starts_with('/').then(|| path.to_owned())
}

/// Returns the number of a page, as its URL has it.
#[must_use]
pub fn page_number(path: &str) -> Option<u64> {
    let (_, query) = path.split_once('?')?;
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == "page")
        .and_then(|(_, value)| value.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_relation_among_several() {
        let header = "<https://api.github.com/repositories/1/issues?page=2&after=a,b>; rel=\"next\", \
                      <https://api.github.com/repositories/1/issues?page=7>; rel=\"last\"";
        assert_eq!(
            target(header, "next").as_deref(),
            Some("/repositories/1/issues?page=2&after=a,b")
        );
        assert_eq!(
            target(header, "last").as_deref(),
            Some("/repositories/1/issues?page=7")
        );
        assert_eq!(target(header, "prev"), None);
        assert_eq!(
            target("</x?page=3>;rel=next", "next").as_deref(),
            Some("/x?page=3")
        );
        assert_eq!(
            target("<a>; rel=\"next\",<b>; rel=\"prev\"", "prev"),
            None,
            "not a path"
        );
        for broken in ["", "x", "<", "<>", "<>;", "<http://[>; rel=next"] {
            assert_eq!(target(broken, "next"), None, "{broken}");
        }
    }

    #[test]
    fn page_numbers_are_read_from_the_query() {
        assert_eq!(page_number("/x?per_page=100&page=12"), Some(12));
        assert_eq!(page_number("/x?per_page=100"), None);
        assert_eq!(page_number("/x"), None);
    }
}
