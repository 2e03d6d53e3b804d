//! Which replica does what.
//!
//! - [`leadership`]: one replica leads and runs the Task controller.
//! - [`membership`]: every replica renews a Lease; the live set is read from these.
//! - [`shard`]: which member owns a TaskSpawner. Pure.
//! - [`server_clock`]: the API server's time, so that replicas agree about what is due.

pub mod leadership;
pub mod membership;
pub mod server_clock;
pub mod shard;
