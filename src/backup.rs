//! Real money needs a copy of its keys: said once, when they are made.

use std::path::{Path, PathBuf};

use bitcoin::Network;

use crate::messages::{Speaker, post_report};
use crate::report::{Report, Severity};
use crate::wallet::SEED_FILE;

/// What starting an element may make in its data folder.
pub struct Seedling(Option<PathBuf>);

impl Seedling {
    /// Before the element opens its folder.
    pub fn look(network: Network, dir: &Path) -> Self {
        let seed = dir.join(SEED_FILE);
        Self((network == Network::Bitcoin && !seed.exists()).then_some(seed))
    }

    /// After that: where a seed for bitcoin has been made, says so and that it needs a copy.
    pub fn tell(self, element: &impl Speaker) {
        let Some(seed) = self.0.filter(|seed| seed.exists()) else {
            return;
        };
        let (seed, folder) = (
            seed.display().to_string(),
            seed.parent().unwrap_or(&seed).display().to_string(),
        );
        let words = format!(
            "This is real money. Its keys were made now, in {seed}: write these twelve words down. An open channel \
             needs the whole folder {folder}: keep it, and keep others out."
        );
        post_report(
            element,
            &Report::new("backup")
                .text_field("seed", seed)
                .text_field("data-dir", folder)
                .severity(Severity::Warning)
                .say(words),
        );
    }
}
