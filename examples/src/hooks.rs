//! Hooks around a patch run: a command on this machine, and a call over HTTP.

#[cfg(feature = "http")]
mod http;
mod shell;

#[cfg(feature = "http")]
pub use http::HttpHook;
pub use shell::ShellHook;
