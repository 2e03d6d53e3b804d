//! TaskBudgets: amounts are reserved before a Job is made, and counted when its Task has ended.
//!
//! - [`amount`], [`window`], [`ledger`]: the books of one budget. Pure.
//! - [`admission`]: which write comes next for a Task that wants to start, or has ended. Pure.

pub mod admission;
pub mod amount;
pub mod ledger;
pub mod window;
