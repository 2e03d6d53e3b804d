//! The smallest HTTP/1.1 client: one request a connection, no TLS. What it sends and gets is what is on the wire.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One HTTP request over an unencrypted connection.
#[derive(Clone, Debug, Default)]
pub struct Request {
    head: String,
    host: String,
    body: Vec<u8>,
}

/// A whole response.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// HTTP status code, such as 200.
    pub status: u16,
    /// Headers, with names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Body, without its transfer encoding.
    pub body: Vec<u8>,
}

impl Request {
    /// Begins a request to `url`, which is an `http://` one with a port.
    ///
    /// # Errors
    /// If the URL is of another form.
    pub fn new(method: &str, url: &str) -> Result<Self> {
        let rest = url
            .strip_prefix("http://")
            .with_context(|| format!("{url} is not http://"))?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        Ok(Self {
            head: format!("{method} /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"),
            host: host.to_owned(),
            body: Vec::new(),
        })
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.head.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// Sets a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.body(body.to_string().into_bytes())
            .header("content-type", "application/json")
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    /// Sends the request and returns the connection, with nothing read.
    ///
    /// # Errors
    /// If the server can't be reached.
    pub async fn open(self) -> Result<TcpStream> {
        let mut stream = TcpStream::connect(&self.host)
            .await
            .with_context(|| format!("failed to connect to {}", self.host))?;
        let head = format!("{}Content-Length: {}\r\n\r\n", self.head, self.body.len());
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&self.body).await?;
        Ok(stream)
    }

    /// Sends the request and reads the whole response.
    ///
    /// # Errors
    /// If the connection or the response is broken.
    pub async fn send(self) -> Result<Response> {
        let mut stream = self.open().await?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await?;
        Response::parse(&bytes)
    }
}

impl Response {
    fn parse(bytes: &[u8]) -> Result<Self> {
        let end = find(bytes, b"\r\n\r\n").context("the response has no end of its headers")?;
        let (head, body) = bytes.split_at(end + 4);
        let head = std::str::from_utf8(head)?;
        let mut lines = head.lines();
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1))
            .context("no status line")?;
        let headers: BTreeMap<String, String> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let is_chunked = headers
            .get("transfer-encoding")
            .is_some_and(|value| value == "chunked");
        Ok(Self {
            status: status.parse()?,
            body: if is_chunked { dechunk(body)? } else { body.to_vec() },
            headers,
        })
    }

    /// Returns the body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the body as JSON.
    ///
    /// # Errors
    /// If it is none.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("{} is no JSON", self.text()))
    }
}

fn dechunk(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = find(rest, b"\r\n").context("the body was cut off")?;
        let (size, tail) = rest.split_at(end);
        let size = usize::from_str_radix(std::str::from_utf8(size)?.trim(), 16)?;
        if size == 0 {
            return Ok(body);
        }
        ensure!(tail.len() >= size + 4, "the body was cut off");
        body.extend(tail.iter().skip(2).take(size));
        rest = tail.get(size + 4..).unwrap_or_default();
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunked_body_is_put_together() {
        let wire = b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n";
        let response = Response::parse(wire).unwrap();
        assert_eq!((response.status, response.text().as_str()), (201, "abcd"));
        assert_eq!(response.headers["x-a"], "b");
        assert!(Response::parse(&wire[..wire.len() - 9]).is_err());
    }
}
