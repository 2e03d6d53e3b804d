//! An API server of one closure: real HTTP on a loopback port, answers as the test says.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: String,
    pub body: Value,
    /// The header of this name; empty if there is none.
    pub authorization: String,
}

impl Request {
    /// Method and path, for assertions.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    pub fn has(&self, parameter: &str) -> bool {
        self.query.split('&').any(|p| p == parameter)
    }
}

pub enum Reply {
    Json(u16, Value),
    Text(u16, String),
    /// Chunks, and then a proper end.
    Stream(String),
    /// Chunks, and then the connection breaks.
    Broken(String),
    /// Chunks, and then nothing more, for ever.
    Open(String),
}

pub struct Fake {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

type Answer = dyn Fn(&Request) -> Reply + Send + Sync;

impl Fake {
    pub fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let fake = Self {
            address: listener.local_addr().unwrap(),
            requests: Arc::default(),
        };
        let requests = fake.requests.clone();
        let answer: Arc<Answer> = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, requests) = (answer.clone(), requests.clone());
                std::thread::spawn(move || serve(stream, &*answer, &requests));
            }
        });
        fake
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// Requests that write fields of objects, but not under the name that GitOps tools leave alone.
    fn written_under_another_name(&self) -> Vec<String> {
        // Questions about rights leave nothing behind.
        let writes = |r: &Request| {
            matches!(r.method.as_str(), "POST" | "PUT" | "PATCH") && !r.path.contains("authorization.k8s.io")
        };
        let requests = self.requests();
        let strange = requests
            .iter()
            .filter(|r| writes(r) && !r.has("fieldManager=axon-cli"));
        strange.map(|r| format!("{}?{}", r.line(), r.query)).collect()
    }

    /// Method and path of what changed something.
    pub fn writes(&self) -> Vec<String> {
        self.requests()
            .iter()
            .filter(|r| r.method != "GET")
            .map(Request::line)
            .collect()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.written_under_another_name(), [""; 0]);
        }
    }
}

fn serve(stream: TcpStream, answer: &Answer, requests: &Mutex<Vec<Request>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    while let Some(request) = read(&mut reader) {
        requests.lock().unwrap().push(request.clone());
        let (body, chunked, end) = match answer(&request) {
            Reply::Json(status, value) => (
                Body(status, "application/json", value.to_string()),
                false,
                End::Next,
            ),
            Reply::Text(status, text) => (Body(status, "text/plain", text), false, End::Next),
            Reply::Stream(text) => (Body(200, "text/plain", text), true, End::Finish),
            Reply::Broken(text) => (Body(200, "text/plain", text), true, End::Break),
            Reply::Open(text) => (Body(200, "text/plain", text), true, End::Hold),
        };
        let Body(status, kind, text) = body;
        let mut out = format!("HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\n");
        if !chunked {
            out += &format!("content-length: {}\r\n\r\n{text}", text.len());
        } else if text.is_empty() {
            out += "transfer-encoding: chunked\r\n\r\n";
        } else {
            out += &format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{text}\r\n", text.len());
        }
        if end == End::Finish {
            out += "0\r\n\r\n";
        }
        if writer.write_all(out.as_bytes()).is_err() || end == End::Break {
            return;
        }
        if end == End::Hold {
            std::thread::sleep(Duration::from_secs(60));
            return;
        }
    }
}

struct Body(u16, &'static str, String);

#[derive(PartialEq)]
enum End {
    Next,
    Finish,
    Break,
    Hold,
}

/// What the API server says about an object that does not exist.
pub fn not_found(name: &str) -> Reply {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404,
        "message": format!("{name} not found"), "details": {"name": name},
    });
    Reply::Json(404, status)
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut length = 0;
    let mut authorization = String::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let header = header.trim();
        if header.is_empty() {
            break;
        }
        let (name, value) = header.split_once(':')?;
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "authorization" => value.trim().clone_into(&mut authorization),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    Some(Request {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        authorization,
    })
}
