//! TaskBudgets: amounts are reserved before a Job is made, and counted when its Task has ended.
//!
//! - [`amount`], [`window`], [`ledger`]: the books of one budget. Pure.
//! - [`cap`]: which budgets count a Task, what it may spend, and what it has spent. Pure.
//! - [`queue`], [`message`], [`condition`]: who waits, and what people are told. Pure.
//! - [`keeper`], [`add_up`], [`settle`], [`sweep`]: read and write the objects.
//! - [`admission`]: which write comes next for a Task that wants to start, or has ended. Pure.

mod add_up;
pub mod admission;
pub mod amount;
mod basis;
pub mod cap;
mod condition;
pub mod keeper;
pub mod ledger;
mod message;
mod queue;
mod settle;
pub mod sweep;
pub mod window;
