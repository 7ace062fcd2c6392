//! What of an inner element's is not passed through. A test reads it: nothing is left out without a reason.

/// A part of an element's surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Property,
    PadTemplate,
    /// A property of its signaller's.
    Signaller,
}

/// Something of the inner element's that ours has not, or has as its own.
#[derive(Debug, Clone, Copy)]
pub struct LeftOut {
    pub part: Part,
    pub name: &'static str,
    pub why: &'static str,
}
