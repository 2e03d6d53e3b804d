//! The commands, one file each: `Args` is what can be typed, `execute` does it.

pub mod completion;
pub mod config;
pub mod cost;
pub mod create;
pub mod delete;
pub mod describe;
pub mod doctor;
pub mod get;
pub mod init;
pub mod install;
pub mod logs;
pub mod options;
pub mod preview;
pub mod retry;
pub mod run;
pub mod stop;
pub mod suspend;
pub mod tree;
pub mod uninstall;
pub mod verify_image;
pub mod version;
pub mod wait;
pub mod why;
