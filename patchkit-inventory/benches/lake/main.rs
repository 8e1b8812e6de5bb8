//! What `cargo xtask bench lake` times on our side: one question of one lake, answered by a process.
//!
//! ```text
//! lake WORK LAKE [OUT]
//! lake make LAKE NODES
//! lake snapshot LAKE STORE
//! lake refresh LAKE STORE
//! lake copy LAKE COPY
//! lake change COPY
//! lake spoil LAKE DIRTY
//! ```

mod change;
mod kept;
mod make;
mod spoil;
mod work;

use std::{env, process::ExitCode};

fn main() -> ExitCode {
    let args: Vec<_> = env::args().skip(1).collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    match work::run(&args) {
        Ok(answer) => {
            println!("{answer}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
