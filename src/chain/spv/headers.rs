//! The tree of block headers that are known to be valid, and the chain in it with the most work.
//!
//! Checked of each header: that it links to one already there, that its target is the one that consensus
//! demands at its height, that its hash meets it, and that its time is later than the median of the eleven before
//! it (and BIP94's rule on testnet 4). Not checked: what only a whole block shows, signet's signatures among it
//! (BIP325; they are in the coinbase), and that its time is not in the future, since a viewer's clock may be
//! wrong. The headers from the start of the checkpoint's period up to it are not judged but authenticated: the
//! checkpoint's hash covers them.

use std::collections::{HashMap, HashSet};

use bitcoin::block::Header;
use bitcoin::constants::genesis_block;
use bitcoin::params::Params;
use bitcoin::{BlockHash, CompactTarget, Network, Target, Work};

use super::checkpoint::Checkpoint;
use super::difficulty::{begins_period, easiest, may_be_easiest, period_start, retarget};

/// How many blocks the median time is taken of.
const MEDIAN_SPAN: usize = 11;

/// How far a period's first block may be before the one before it, in seconds (BIP94).
const MAX_TIMEWARP_S: u32 = 600;

/// So many headers beside the best chain are kept at most: more than any reorganisation has, and a few megabytes. On test
/// networks they cost whoever sends them little.
const MOST_BESIDE: usize = 20_000;

/// Why a header is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    #[error("header {hash} does not link to the chain")]
    Unlinked { hash: BlockHash },
    #[error("header {hash} at height {height} has not the work it claims")]
    NoWork { hash: BlockHash, height: u32 },
    #[error(
        "header {hash} at height {height} has difficulty bits {found:08x} where {required:08x} is required"
    )]
    WrongBits {
        hash: BlockHash,
        height: u32,
        found: u32,
        required: u32,
    },
    #[error("header {hash} at height {height} is older than the blocks before it allow")]
    TooOld { hash: BlockHash, height: u32 },
    #[error("the headers do not lead to the checkpoint {hash} at height {height}")]
    NotTheCheckpoint { hash: BlockHash, height: u32 },
}

#[derive(Debug, Clone, Copy)]
struct Block {
    header: Header,
    height: u32,
    /// Of all blocks from the tree's first.
    total_work: Work,
    work: Work,
}

/// Valid headers from a checkpoint's period on.
#[derive(Debug, Clone)]
pub struct HeaderTree {
    params: Params,
    checkpoint: Checkpoint,
    first_height: u32,
    blocks: HashMap<BlockHash, Block>,
    /// The chain with the most work, from the first height.
    best: Vec<BlockHash>,
    /// From where on `best` has changed since it was last asked.
    changed_from: usize,
}

impl HeaderTree {
    /// The tree of a network. Where the checkpoint is the genesis block it is in it already.
    pub fn new(network: Network) -> Self {
        let mut tree = Self::after(Params::new(network), Checkpoint::of(network));
        let genesis = genesis_block(network).header;
        if genesis.block_hash() == tree.checkpoint.hash {
            tree.add(genesis.block_hash(), genesis, 0, None);
        }
        tree
    }

    /// An empty tree with rules and a checkpoint of one's own.
    pub fn after(params: Params, checkpoint: Checkpoint) -> Self {
        let first_height = period_start(&params, checkpoint.height);
        Self {
            params,
            checkpoint,
            first_height,
            blocks: HashMap::new(),
            best: Vec::new(),
            changed_from: 0,
        }
    }

    /// The first height it can have: the beginning of the checkpoint's period.
    pub fn first_height(&self) -> u32 {
        self.first_height
    }

    /// The height of the best chain; `None` before the checkpoint is in.
    pub fn height(&self) -> Option<u32> {
        self.tip().map(|(height, _)| height)
    }

    /// The best chain's last block.
    pub fn tip(&self) -> Option<(u32, BlockHash)> {
        let hash = *self.best.last()?;
        Some((self.blocks.get(&hash)?.height, hash))
    }

    pub fn header(&self, hash: &BlockHash) -> Option<&Header> {
        self.blocks.get(hash).map(|block| &block.header)
    }

    pub fn height_of(&self, hash: &BlockHash) -> Option<u32> {
        self.blocks.get(hash).map(|block| block.height)
    }

    /// All work up to a block, from the tree's first.
    pub fn work(&self, hash: &BlockHash) -> Option<Work> {
        self.blocks.get(hash).map(|block| block.total_work)
    }

    pub fn contains(&self, hash: &BlockHash) -> bool {
        self.blocks.contains_key(hash)
    }

    /// The best chain's block at a height.
    pub fn at(&self, height: u32) -> Option<BlockHash> {
        let index = height.checked_sub(self.first_height)?;
        self.best.get(usize::try_from(index).ok()?).copied()
    }

    pub fn is_best(&self, hash: &BlockHash) -> bool {
        self.height_of(hash)
            .is_some_and(|height| self.at(height) == Some(*hash))
    }

    /// The block at a height of the chain that ends in `tip`.
    pub fn ancestor(&self, tip: &BlockHash, height: u32) -> Option<BlockHash> {
        let mut hash = *tip;
        loop {
            let block = self.blocks.get(&hash)?;
            if block.height < height {
                return None;
            }
            if block.height == height {
                return Some(hash);
            }
            if self.is_best(&hash) {
                return self.at(height);
            }
            hash = block.header.prev_blockhash;
        }
    }

    /// The height of the last block that the chain ending in `tip` shares with the best one.
    pub fn fork_height(&self, tip: &BlockHash) -> Option<u32> {
        let mut hash = *tip;
        while !self.is_best(&hash) {
            hash = self.blocks.get(&hash)?.header.prev_blockhash;
        }
        self.height_of(&hash)
    }

    /// Takes headers, each the next of the one before; known ones are passed over. The first of an empty tree
    /// are those of the checkpoint's period up to the checkpoint, all at once.
    ///
    /// After an error those before the bad one are in: they are valid.
    pub fn connect(&mut self, headers: &[Header]) -> Result<(), HeaderError> {
        self.forget_branches();
        let rest = match self.best.is_empty() {
            true => self.anchor(headers)?,
            false => headers,
        };
        rest.iter().try_for_each(|header| self.take(header))
    }

    /// Drops all that is beside the best chain once that is too much. A server whose branch was among it sends it again from
    /// a block in common on.
    fn forget_branches(&mut self) {
        if self.blocks.len().saturating_sub(self.best.len()) > MOST_BESIDE {
            let best: HashSet<BlockHash> = self.best.iter().copied().collect();
            self.blocks.retain(|hash, _| best.contains(hash));
        }
    }

    /// The best chain's headers that are new or other than when this was last asked, and the index of the first.
    pub fn take_changes(&mut self) -> Option<(usize, Vec<Header>)> {
        let from = std::mem::replace(&mut self.changed_from, self.best.len());
        let changed = self.best.get(from..).filter(|changed| !changed.is_empty())?;
        let headers = changed.iter().filter_map(|hash| self.header(hash).copied());
        Some((from, headers.collect()))
    }

    /// From this index on the best chain is new to whoever takes the changes.
    pub fn changed_since(&mut self, index: usize) {
        self.changed_from = index;
    }

    /// Takes the headers up to the checkpoint and returns the others.
    fn anchor<'h>(&mut self, headers: &'h [Header]) -> Result<&'h [Header], HeaderError> {
        let Checkpoint { height, hash } = self.checkpoint;
        let missed = HeaderError::NotTheCheckpoint { hash, height };
        let up_to = usize::try_from(height.saturating_sub(self.first_height)).map_err(|_| missed)?;
        let (period, rest) = headers.split_at_checked(up_to.saturating_add(1)).ok_or(missed)?;
        let hashes: Vec<BlockHash> = period.iter().map(Header::block_hash).collect();
        let linked = period
            .iter()
            .skip(1)
            .zip(&hashes)
            .all(|(header, before)| header.prev_blockhash == *before);
        if !linked || hashes.last() != Some(&hash) {
            return Err(missed);
        }
        for ((header, hash), height) in period.iter().zip(hashes).zip(self.first_height..) {
            let before = self.blocks.get(&header.prev_blockhash).copied();
            self.add(hash, *header, height, before);
        }
        Ok(rest)
    }

    fn take(&mut self, header: &Header) -> Result<(), HeaderError> {
        let hash = header.block_hash();
        if self.contains(&hash) {
            return Ok(());
        }
        let previous = self
            .blocks
            .get(&header.prev_blockhash)
            .copied()
            .ok_or(HeaderError::Unlinked { hash })?;
        let height = previous.height.saturating_add(1);
        let required = self
            .required_bits(&previous, header.time)
            .ok_or(HeaderError::Unlinked { hash })?;
        if header.bits != required {
            return Err(HeaderError::WrongBits {
                hash,
                height,
                found: header.bits.to_consensus(),
                required: required.to_consensus(),
            });
        }
        if !Target::from_compact(header.bits).is_met_by(hash) {
            return Err(HeaderError::NoWork { hash, height });
        }
        if self.is_too_old(header, &previous) {
            return Err(HeaderError::TooOld { hash, height });
        }
        self.add(hash, *header, height, Some(previous));
        Ok(())
    }

    /// Puts a header in, and makes it the best tip if it has the most work: of two with the same the first stays.
    fn add(&mut self, hash: BlockHash, header: Header, height: u32, previous: Option<Block>) {
        // Work is a division of 256 bits; all blocks of a period have the same.
        let work = match previous {
            Some(previous) if previous.header.bits == header.bits => previous.work,
            _ => header.work(),
        };
        let block = Block {
            header,
            height,
            total_work: previous.map_or(work, |previous| previous.total_work + work),
            work,
        };
        self.blocks.insert(hash, block);
        let best = self.best.last().and_then(|hash| self.work(hash));
        if best.is_none_or(|best| block.total_work > best) {
            self.lead_to(hash);
        }
    }

    /// Makes the best chain the one that ends in `tip`.
    fn lead_to(&mut self, tip: BlockHash) {
        let (mut new, mut hash) = (Vec::new(), tip);
        let mut keep = 0;
        while let Some(block) = self.blocks.get(&hash) {
            if self.is_best(&hash) {
                keep = usize::try_from(block.height.saturating_sub(self.first_height))
                    .map_or(0, |index| index.saturating_add(1));
                break;
            }
            new.push(hash);
            hash = block.header.prev_blockhash;
        }
        self.best.truncate(keep);
        self.best.extend(new.into_iter().rev());
        self.changed_from = self.changed_from.min(keep);
    }

    /// The target that the block after `previous` must have.
    fn required_bits(&self, previous: &Block, time: u32) -> Option<CompactTarget> {
        let params = &self.params;
        let last = &previous.header;
        if begins_period(params, previous.height.saturating_add(1)) {
            let start = period_start(params, previous.height);
            let first = self.ancestor(&last.block_hash(), start)?;
            return Some(retarget(params, self.header(&first)?, last));
        }
        if !params.allow_min_difficulty_blocks {
            return Some(last.bits);
        }
        if may_be_easiest(params, last, time) {
            return Some(easiest(params));
        }
        self.last_of_full_difficulty(previous)
    }

    /// On a test network: the target of the period's last block that had not the least difficulty.
    fn last_of_full_difficulty(&self, previous: &Block) -> Option<CompactTarget> {
        let easiest = easiest(&self.params);
        let mut block = *previous;
        while block.header.bits == easiest && !begins_period(&self.params, block.height) {
            block = *self.blocks.get(&block.header.prev_blockhash)?;
        }
        Some(block.header.bits)
    }

    fn is_too_old(&self, header: &Header, previous: &Block) -> bool {
        let is_testnet_4 = self.params.network == Network::Testnet4;
        let warped = is_testnet_4
            && begins_period(&self.params, previous.height.saturating_add(1))
            && header.time < previous.header.time.saturating_sub(MAX_TIMEWARP_S);
        warped || header.time <= self.median_time(previous)
    }

    /// The median time of a block and the ten before it, or of as many as there are.
    fn median_time(&self, last: &Block) -> u32 {
        let mut times = Vec::with_capacity(MEDIAN_SPAN);
        let mut block = Some(last);
        while let Some(found) = block.filter(|_| times.len() < MEDIAN_SPAN) {
            times.push(found.header.time);
            block = self.blocks.get(&found.header.prev_blockhash);
        }
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or(0)
    }
}

#[cfg(test)]
#[path = "headers_tests.rs"]
mod tests;
