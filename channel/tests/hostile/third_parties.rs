//! Who is neither.
