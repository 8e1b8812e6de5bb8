//! The simulated cloud's S3 server alone, for clients of other languages.
//!
//! `cargo run -p patchkit-testkit --example s3_server -- [--check-signatures] [--lake DIR]` prints
//! its endpoint and serves until its standard input ends. It knows one lasting key, one session and
//! one session that has ended, and has one bucket.

use std::{env, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use patchkit_core::{Clock, SystemClock};
use patchkit_testkit::cloud::{
    keys::{KeyEntry, Keys},
    s3::{S3Options, S3Server, SignatureChecks},
};
use tokio::{io::AsyncReadExt, net::TcpListener};

#[derive(Debug)]
struct ThreeKeys {
    started: Timestamp,
}

impl Keys for ThreeKeys {
    fn secret(&self, access_key: &str) -> Option<KeyEntry> {
        let hour = SignedDuration::from_hours(1);
        match access_key {
            "AKIALASTING" => Some(KeyEntry::new("lasting-secret")),
            "ASIASESSION" => {
                let end = self.started + hour;
                Some(KeyEntry::new("session-secret").with_session("session-token", end))
            }
            "ASIAENDED" => {
                let end = self.started - hour;
                Some(KeyEntry::new("session-secret").with_session("session-token", end))
            }
            _ => None,
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let keys = ThreeKeys { started: SystemClock.now() };
    let mut options = S3Options::new(Arc::new(keys), Arc::new(SystemClock));
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        options = match argument.as_str() {
            "--check-signatures" => options.with_checks(SignatureChecks::On),
            "--lake" => options.with_lake(arguments.next().ok_or("--lake needs a folder")?),
            other => return Err(format!("{other} is not known").into()),
        };
    }
    let server = S3Server::start(TcpListener::bind("127.0.0.1:0").await?, options)?;
    server.ensure_bucket("example-bucket")?;
    let key = "AWS:ComplianceItem/accountid=123456789012/a b.json";
    server.writer().put("example-bucket", key, b"{\"written\":\"inside\"}\n")?;
    println!("{}", server.endpoint());
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    Ok(())
}
