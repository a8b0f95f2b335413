//! What a build may take before it is stopped.

use std::time::Duration;

/// Limits of one build; `None` is no limit, as with Nix's settings
/// `timeout`, `max-silent-time` and `max-build-log-size`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Wall time from the start of the builder.
    pub timeout: Option<Duration>,
    /// Time since the builder last wrote anything.
    pub max_silent: Option<Duration>,
    /// Bytes of log.
    pub max_log_bytes: Option<u64>,
}
