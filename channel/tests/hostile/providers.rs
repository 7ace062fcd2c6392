//! What providers try.
