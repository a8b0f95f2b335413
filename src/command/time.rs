//! The wall clock as a [`Timestamp`].

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use crate::nix::time::{TimeError, Timestamp};

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        i64::try_from(since).ok().and_then(Self::from_seconds).unwrap_or(Self::LAST)
    }
}
