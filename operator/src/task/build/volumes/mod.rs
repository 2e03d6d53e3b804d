//! Files of Secrets that are mounted into a Task's containers. Pure.
//!
//! - [`ssh`]: key and known hosts; [`ca`]: a CA of the Workspace; [`mcp_secrets`]: values of MCP servers.
//! - [`secret_file`]: one file of a Secret, shared by the first two.

pub mod ca;
pub mod mcp_secrets;
pub mod secret_file;
pub mod ssh;
