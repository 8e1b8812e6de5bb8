//! The time of a simulated world, which passes faster than ours.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use patchkit_core::Clock;
use patchkit_examples::Failure;
use serde::Deserialize;

/// A clock that goes with `sim-cloud`'s.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SimulatedTime {
    asked: Instant,
    world: World,
}

/// The answer of `GET /clock`.
#[derive(Clone, Copy, Debug, Deserialize)]
struct World {
    now: Timestamp,
    speed: f64,
}

impl SimulatedTime {
    /// Asks a control endpoint what time it is, and how fast it passes.
    pub(crate) fn ask(control: &str) -> Result<Self, Failure> {
        let wrong = |why: &dyn std::fmt::Display| {
            Failure::new(format!("{control} is no control endpoint of sim-cloud: {why}"))
        };
        let answer = get(control, "/clock").map_err(|error| wrong(&error))?;
        let (_, body) = answer.split_once("\r\n\r\n").ok_or_else(|| wrong(&"no answer"))?;
        let world: World = serde_json::from_str(body).map_err(|error| wrong(&error))?;
        if world.speed <= 0.0 {
            return Err(wrong(&"its time stands still, and waiting would not end: set its speed"));
        }
        Ok(Self { asked: Instant::now(), world })
    }
}

fn get(url: &str, path: &str) -> io::Result<String> {
    let host = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(64 * 1024).read_to_string(&mut answer)?;
    Ok(answer)
}

#[async_trait]
impl Clock for SimulatedTime {
    fn now(&self) -> Timestamp {
        let passed = self.asked.elapsed().as_secs_f64() * self.world.speed;
        let passed = SignedDuration::try_from_secs_f64(passed).unwrap_or_default();
        self.world.now.checked_add(passed).unwrap_or(Timestamp::MAX)
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration.div_f64(self.world.speed)).await;
    }
}
