//! Signals as messages. PID 1 gets only those that it listens to.

use std::io;
use std::thread;

use nix::sys::signal::Signal;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

/// Starts to listen. `on_signal` is called, in a thread of its own, with SIGTERM, SIGINT and SIGHUP (stop) and with
/// SIGCHLD (a child ended). When this returns, none of them is lost any more.
///
/// # Errors
/// If the kernel gives no pipe or the handlers can't be set.
pub fn listen(on_signal: impl Fn(Signal) + Send + 'static) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let guard = runtime.enter();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut child = signal(SignalKind::child())?;
    drop(guard);
    thread::spawn(move || {
        runtime.block_on(async {
            loop {
                let (signal, open) = tokio::select! {
                    got = terminate.recv() => (Signal::SIGTERM, got),
                    got = interrupt.recv() => (Signal::SIGINT, got),
                    got = hangup.recv() => (Signal::SIGHUP, got),
                    got = child.recv() => (Signal::SIGCHLD, got),
                };
                if open.is_none() {
                    return;
                }
                on_signal(signal);
            }
        });
    });
    Ok(())
}
