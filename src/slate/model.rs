//! What a slate shows.

/// Plain texts, of any origin: they are cleaned and cut to length when they are drawn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Slate {
    /// The largest, on top.
    pub title: String,
    /// Lines below it.
    pub facts: Vec<String>,
    /// What is going on, in a few words, and how that is.
    pub status: String,
    pub tone: Tone,
    /// Sentences about it.
    pub notes: Vec<String>,
    pub code: Option<Code>,
}

/// Something to be scanned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    pub content: String,
    /// For those who type.
    pub caption: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tone {
    /// Something is under way.
    #[default]
    Busy,
    /// The viewer has to do something.
    Ask,
    Trouble,
}
