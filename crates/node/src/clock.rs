//! The system's clock, read in one place.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since the Unix epoch, UTC; 0 for a clock that is set before it.
pub fn now_ns() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Milliseconds since the Unix epoch, UTC; 0 for a clock that is set before it.
pub fn now_ms() -> u64 {
    now_ns() / 1_000_000
}
