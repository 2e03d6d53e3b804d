//! A "GitHub" of the attacker's choice, which answers each form of listing in a way that is meant to use memory or time up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Kinds of hostile answers; each is the owner of a repository.
pub const FORMS: [&str; 5] = ["zeros", "texts", "deep", "labels", "slow"];
/// An answer of this size took an operator that read it as a whole to 946 MB.
const ZEROS: usize = 24 << 20;

/// The server; it ends with the runtime.
pub struct Answers {
    /// Its host and port.
    pub host: String,
    asked: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Answers {
    /// Serves on a loopback address.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn serve() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let host = listener.local_addr()?.to_string();
        let asked = Arc::<Mutex<BTreeMap<String, usize>>>::default();
        let bodies: Arc<BTreeMap<&str, Vec<u8>>> =
            Arc::new(FORMS.into_iter().map(|form| (form, body(form))).collect());
        let counts = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (bodies, counts) = (Arc::clone(&bodies), Arc::clone(&counts));
                // The client may hang up at any byte.
                tokio::spawn(async move { answer(stream, &bodies, &counts).await });
            }
        });
        Ok(Self { host, asked })
    }

    /// Returns how often each form was asked for.
    pub fn asked(&self) -> BTreeMap<String, usize> {
        self.asked.lock().expect("nobody panics with it").clone()
    }
}

/// Answers one request for `/api/v3/repos/FORM/…`.
async fn answer(
    mut stream: TcpStream,
    bodies: &BTreeMap<&str, Vec<u8>>,
    asked: &Mutex<BTreeMap<String, usize>>,
) -> std::io::Result<()> {
    let (read, mut write) = stream.split();
    let mut lines = BufReader::new(read).lines();
    let first = lines.next_line().await?.unwrap_or_default();
    while lines.next_line().await?.is_some_and(|line| !line.is_empty()) {}
    let form = first.split('/').nth(4).unwrap_or_default();
    let Some(body) = bodies.get(form) else {
        return write
            .write_all(b"HTTP/1.1 404 x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
            .await;
    };
    *asked
        .lock()
        .expect("nobody panics with it")
        .entry(form.to_owned())
        .or_default() += 1;
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    write.write_all(head.as_bytes()).await?;
    if form != "slow" {
        return write.write_all(body).await;
    }
    for byte in body {
        write.write_all(&[*byte]).await?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

fn body(form: &str) -> Vec<u8> {
    match form {
        "deep" => vec![b'['; 7 << 20],
        "labels" => format!(
            "[{{\"number\":1,\"title\":\"t\",\"labels\":[{}\"l\"]}}]",
            "{\"name\":\"a\"},".repeat(400_000)
        )
        .into_bytes(),
        "texts" => {
            let text = "x".repeat(75_000);
            let item = |number| format!("{{\"number\":{number},\"title\":\"t\",\"body\":\"{text}\"}}");
            let items: Vec<String> = (1..100).map(item).collect();
            format!("[{}]", items.join(",")).into_bytes()
        }
        _ => format!("[{}0]", "0,".repeat(ZEROS)).into_bytes(),
    }
}
