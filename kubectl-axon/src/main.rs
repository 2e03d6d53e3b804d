//! The `kubectl-axon` program; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Several rustls providers could be linked in; without a choice the first TLS connection would panic.
    rustls::crypto::ring::default_provider().install_default().ok();
    kubectl_axon::main(std::env::args_os().collect())
}
