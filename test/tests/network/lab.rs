//! A node, its pods and the world outside, each a network namespace of this machine. Nothing of the machine's own network is
//! touched, and everything is gone when the test ends.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sched::{CloneFlags, unshare};

/// Address of the node, also of its end of every pod's link.
pub const NODE: &str = "10.250.0.1";
/// Longer than any answer takes, and than an ICMP error.
const PATIENCE: Duration = Duration::from_millis(700);

type Job = Box<dyn FnOnce() + Send>;

/// A network namespace, which a thread of its own is in. What is opened or started in it stays in it.
pub struct Netns {
    jobs: mpsc::Sender<Job>,
    path: String,
}

impl Netns {
    pub fn new() -> Result<Self> {
        let (jobs, todo) = mpsc::channel::<Job>();
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let entered = unshare(CloneFlags::CLONE_NEWNET);
            let path = format!(
                "/proc/{}/task/{}/ns/net",
                std::process::id(),
                nix::unistd::gettid()
            );
            let _ = tell.send(entered.map(|()| path));
            for job in todo {
                job();
            }
        });
        let path = told
            .recv()?
            .context("a network namespace can't be made: the test needs root")?;
        let netns = Self { jobs, path };
        netns.ip("link set lo up")?;
        Ok(netns)
    }

    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let (tell, told) = mpsc::channel();
        let job: Job = Box::new(move || {
            let _ = tell.send(job());
        });
        self.jobs
            .send(job)
            .ok()
            .context("the thread of the namespace has ended")?;
        Ok(told.recv()?)
    }

    pub fn command(&self, program: &str, args: &[&str]) -> Result<()> {
        let words = format!("{program} {}", args.join(" "));
        let mut command = Command::new(program);
        command.args(args);
        let output = self
            .run(move || command.output())?
            .with_context(|| words.clone())?;
        ensure!(
            output.status.success(),
            "{words}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    fn ip(&self, args: &str) -> Result<()> {
        self.command("ip", &args.split(' ').collect::<Vec<_>>())
    }

    pub fn spawn(&self, mut command: Command) -> Result<Child> {
        Ok(self.run(move || command.spawn())??)
    }

    pub fn listen(&self, address: &str) -> Result<TcpListener> {
        let address = address.to_owned();
        Ok(self.run(move || TcpListener::bind(&address))??)
    }

    /// Answers on a TCP port of all addresses, and on the UDP port of one.
    pub fn serve(&self, address: &str, port: u16) -> Result<()> {
        let listener = self.listen(&format!("0.0.0.0:{port}"))?;
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let _ = stream.map(|mut stream| stream.write_all(b"!"));
            }
        });
        self.serve_udp(address, port)
    }

    /// Bound to the address, so that answers come from the one that was asked.
    fn serve_udp(&self, address: &str, port: u16) -> Result<()> {
        let address = format!("{address}:{port}");
        let socket = self.run(move || UdpSocket::bind(&address))??;
        std::thread::spawn(move || {
            let mut buffer = [0; 16];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to(buffer.get(..length).unwrap_or_default(), from);
            }
        });
        Ok(())
    }

    /// Returns whether a server answers.
    pub fn reaches(&self, to: &str) -> Result<bool> {
        let (address, is_udp) = match to.strip_suffix("/udp") {
            Some(address) => (address, true),
            None => (to, false),
        };
        let address: SocketAddr = address.parse()?;
        self.run(move || match is_udp {
            true => asks(address).is_ok(),
            false => connects(address).is_ok(),
        })
    }
}

fn connects(address: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.read_exact(&mut [0])
}

fn asks(address: SocketAddr) -> std::io::Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(address)?;
    socket.send(b"?")?;
    socket.recv(&mut [0]).map(drop)
}

/// The node with the world outside.
pub struct Lab {
    pub node: Netns,
    outside: Netns,
    pods: usize,
}

impl Lab {
    /// Builds a node that forwards, and a world that has these addresses and answers on these ports.
    pub fn new(addresses: &[&str], ports: &[u16]) -> Result<Self> {
        let (node, outside) = (Netns::new()?, Netns::new()?);
        // These settings are those of the namespace that the thread is in.
        node.run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1"))??;
        node.ip(&format!("addr add {NODE}/32 dev lo"))?;
        node.ip(&format!(
            "link add out type veth peer name eth0 netns {}",
            outside.path
        ))?;
        node.ip("addr add 172.30.0.1/30 dev out")?;
        node.ip("link set out up")?;
        outside.ip("addr add 172.30.0.2/30 dev eth0")?;
        outside.ip("link set eth0 up")?;
        outside.ip("route add default via 172.30.0.1")?;
        for address in addresses {
            outside.ip(&format!("addr add {address}/32 dev lo"))?;
            node.ip(&format!("route add {address}/32 via 172.30.0.2"))?;
        }
        for port in ports {
            outside.serve("172.30.0.2", *port)?;
            for address in addresses {
                outside.serve_udp(address, *port)?;
            }
        }
        Ok(Self {
            node,
            outside,
            pods: 0,
        })
    }

    /// Adds a pod.
    pub fn pod(&mut self, address: &str) -> Result<Netns> {
        let pod = Netns::new()?;
        self.pods += 1;
        let link = format!("pod{}", self.pods);
        let node = &self.node;
        node.ip(&format!(
            "link add {link} type veth peer name eth0 netns {}",
            pod.path
        ))?;
        node.ip(&format!("link set {link} up"))?;
        pod.ip(&format!("addr add {address}/32 dev eth0"))?;
        pod.ip("link set eth0 up")?;
        pod.ip(&format!("route add {NODE}/32 dev eth0"))?;
        pod.ip(&format!("route add default via {NODE} dev eth0"))?;
        node.ip(&format!("route add {address}/32 dev {link} src {NODE}"))?;
        Ok(pod)
    }

    /// Returns whether the world outside can reach a pod.
    pub fn is_reached_from_outside(&self, to: &str) -> Result<bool> {
        self.outside.reaches(to)
    }

    /// Lets programs on the node use a server that listens on this machine's loopback, at the same address.
    pub fn relay(&self, server: SocketAddr) -> Result<()> {
        if !server.ip().is_loopback() {
            bail!("{server} is not on this machine's loopback");
        }
        let listener = self.node.listen(&server.to_string())?;
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let _ = copy_both(near, server);
                });
            }
        });
        Ok(())
    }
}

fn copy_both(near: TcpStream, server: SocketAddr) -> std::io::Result<()> {
    let far = TcpStream::connect(server)?;
    let (mut from_near, mut to_far) = (near.try_clone()?, far.try_clone()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_near, &mut to_far);
        let _ = to_far.shutdown(std::net::Shutdown::Both);
    });
    let (mut from_far, mut to_near) = (far, near);
    let copied = std::io::copy(&mut from_far, &mut to_near);
    let _ = to_near.shutdown(std::net::Shutdown::Both);
    copied.map(drop)
}

/// Returns the address of a URL such as `https://127.0.0.1:6443`.
pub fn address_of(url: &str) -> Result<SocketAddr> {
    let url = url::Url::parse(url)?;
    let host: IpAddr = url.host_str().context("a host")?.parse()?;
    Ok(SocketAddr::new(host, url.port().context("a port")?))
}
