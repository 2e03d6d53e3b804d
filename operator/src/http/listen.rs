//! Listens on the HTTP port, by IPv6, by IPv4, or by both.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Listens on `address`. `[::]` takes IPv4 as well, whatever the node's default is, and where there is no IPv6, IPv4
/// alone.
///
/// # Errors
/// What the kernel says about the address.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    with_fallback(address, bind)
}

fn with_fallback<T>(address: SocketAddr, bind: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    let any_v6 = address.is_ipv6() && address.ip().is_unspecified();
    match bind(address) {
        // A port that is taken or forbidden is so for both. Anything else is about IPv6.
        Err(error)
            if any_v6 && !matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::PermissionDenied) =>
        {
            bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()))).map_err(|_| error)
        }
        bound => bound,
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::net::Ipv6Addr;

    use clap::Parser as _;
    use tokio::net::TcpStream;

    use super::*;
    use crate::args::Args;

    #[tokio::test]
    async fn the_default_address_takes_both_families() {
        let args = Args::try_parse_from(["axon-operator", "--identity=a"]).unwrap();
        assert_eq!(args.listen.port(), 8080);
        let listener = listen(SocketAddr::new(args.listen.ip(), 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let reached = async |from: SocketAddr| TcpStream::connect(from).await.map(drop);
        reached((Ipv4Addr::LOCALHOST, port).into()).await.unwrap();
        // A machine without IPv6 can't even have a port of it.
        if std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
            reached((Ipv6Addr::LOCALHOST, port).into()).await.unwrap();
        }
    }

    #[test]
    fn without_ipv6_it_is_ipv4_and_a_port_that_is_taken_is_told() {
        let asked = |address: &str, error: io::Error| {
            let (tried, error) = (RefCell::new(Vec::new()), RefCell::new(Some(error)));
            let bound = with_fallback(address.parse().unwrap(), |address| {
                tried.borrow_mut().push(address.to_string());
                error.take().map_or(Ok(()), Err)
            });
            (bound.is_ok(), tried.into_inner().join(" "))
        };
        // EAFNOSUPPORT, as a kernel without IPv6 answers.
        let no_family = || io::Error::from_raw_os_error(97);
        let v4 = (true, "[::]:8080 0.0.0.0:8080".to_owned());
        assert_eq!(asked("[::]:8080", no_family()), v4);
        assert_eq!(asked("[::]:8080", ErrorKind::AddrNotAvailable.into()), v4);
        for (address, error) in [
            ("[::]:8080", ErrorKind::AddrInUse.into()),
            ("[::]:80", ErrorKind::PermissionDenied.into()),
            ("[fd00::1]:8080", no_family()),
            ("10.0.0.1:8080", ErrorKind::AddrNotAvailable.into()),
        ] {
            assert_eq!(asked(address, error), (false, address.to_owned()));
        }
    }
}
