//! The verified headers on disk, so that a start need not fetch them all again.
//!
//! A flat file of 80-byte headers from the tree's first height. It is only a saving: what is read is verified as
//! if a server had sent it, what is damaged or missing is fetched again, and what can't be written is left out.
//! Headers have their place by their height, so two programs on one folder write the same bytes there.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use bitcoin::Network;
use bitcoin::block::Header;
use bitcoin::consensus::encode::{deserialize, serialize};

use super::spv::headers::HeaderTree;

const HEADER_LEN: usize = 80;

/// The open file.
#[derive(Debug)]
pub(super) struct HeaderFile(File);

impl HeaderFile {
    /// Opens a data folder's file and reads what is good of it; `None` if there can be none.
    pub(super) fn load(folder: &Path, network: Network) -> Option<(Self, HeaderTree)> {
        let path = folder.join(format!("headers-{network}.dat"));
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .ok()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        let mut tree = HeaderTree::new(network);
        let headers: Vec<Header> = bytes
            .chunks_exact(HEADER_LEN)
            .map_while(|bytes| deserialize(bytes).ok())
            .collect();
        // The good ones before a bad one are in.
        let _ = tree.connect(&headers);
        // They need not be written again, if the file is what the tree is.
        if let Some((0, kept)) = tree.take_changes() {
            let as_kept = kept.iter().zip(&headers).take_while(|(a, b)| a == b).count();
            tree.changed_since(as_kept);
        }
        Some((Self(file), tree))
    }

    /// Writes headers from an index on; there is nothing behind them.
    pub(super) fn write(&mut self, index: usize, headers: &[Header]) -> std::io::Result<()> {
        let bytes: Vec<u8> = headers.iter().flat_map(serialize).collect();
        let offset = u64::try_from(index.saturating_mul(HEADER_LEN)).map_err(std::io::Error::other)?;
        self.0.seek(SeekFrom::Start(offset))?;
        self.0.write_all(&bytes)?;
        let end = self.0.stream_position()?;
        self.0.set_len(end)
    }
}

#[cfg(test)]
#[path = "header_file_tests.rs"]
mod tests;
