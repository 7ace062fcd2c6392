//! The clock that money is counted with.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Time since the machine booted, suspension included (`CLOCK_BOOTTIME`).
///
/// Neither the pipeline clock nor the wall clock will do for money: the first may be the network's, jump
/// or stop; the second can be set by hand.
pub fn now() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    // Both fields are never negative for this clock; a kernel that says otherwise gives us zero.
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

#[cfg(test)]
mod tests {
    use super::now;

    #[test]
    fn does_not_run_backwards() {
        let first = now();
        assert!(first.as_nanos() > 0);
        assert!(now() >= first);
    }
}
