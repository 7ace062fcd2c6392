//! Where the tests kill the process: before and after each write that has to be durable.
//!
//! The points exist in the tests' builds only (`fail`'s feature is one of the development dependencies).

use fail::fail_point;

/// Lives as long as a write: one point where it begins, `NAME:before`, and one where it ends, `NAME:after`.
pub(crate) struct Around(&'static str);

/// Marks the write that the rest of a function does.
#[must_use]
pub(crate) fn around(name: &'static str) -> Around {
    fail_point!(&format!("{name}:before"));
    Around(name)
}

impl Drop for Around {
    fn drop(&mut self) {
        let Self(_name) = self;
        fail_point!(&format!("{_name}:after"));
    }
}
