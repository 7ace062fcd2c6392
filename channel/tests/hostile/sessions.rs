//! What consumers try with sessions.
