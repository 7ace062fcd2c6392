//! Following one server's headers, up to its newest block.

use std::io::{Read, Write};

use bitcoin::absolute::Height;
use bitcoin::block::Header;
use bitcoin::consensus::encode::deserialize;
use bitcoin::constants::genesis_block;
use bitcoin::hex::FromHex;
use electrum_client::{Batch, ElectrumApi, Error, HeaderNotification, Param};
use serde_json::Value;

use super::Session;
use super::end::{End, end_by, wrong};
use super::proofs::Attempt;
use crate::chain::UnreachableReason;

/// The most headers a question is answered with; servers send no more at once.
const CHUNK: usize = 2016;
const HEADER_LEN: usize = 80;
/// How far below our own tip to begin asking: most reorganisations are shallower.
const OVERLAP_BLOCKS: u32 = 10;
/// How often in a row a server's newest header may not be in the chain it then sends (it may be reorganising).
const MAX_MISSES: u8 = 3;

/// How far a server's headers are known.
#[derive(Default)]
pub(super) struct Following {
    /// Its newest block, until all headers up to it are verified.
    wanted: Option<Wanted>,
    /// Where to go on asking; `None` to begin near our own tip.
    next: Option<u32>,
    /// How far below our tip to look for a block in common.
    overlap: u32,
    misses: u8,
}

#[derive(Clone, Copy)]
struct Wanted {
    height: u32,
    header: Header,
}

impl Following {
    pub(super) fn is_behind(&self) -> bool {
        self.wanted.is_some()
    }

    /// The server says what its newest block is.
    pub(super) fn announced(&mut self, newest: HeaderNotification) -> Result<(), End> {
        let height = u32::try_from(newest.height)
            .ok()
            .filter(|height| Height::from_consensus(*height).is_ok())
            .ok_or_else(|| wrong("a height no block can have"))?;
        self.wanted = Some(Wanted {
            height,
            header: newest.header,
        });
        self.begin();
        Ok(())
    }

    fn begin(&mut self) {
        self.next = None;
        self.overlap = OVERLAP_BLOCKS;
    }
}

impl<S: Read + Write> Session<'_, S> {
    /// The first questions, all at once: the network, the newest block, and the headers we lack.
    pub(super) fn greet(&mut self) -> Result<(), End> {
        let start = self.first_to_ask(u32::MAX, OVERLAP_BLOCKS);
        let mut batch = Batch::default();
        batch.block_header(0);
        batch.raw("blockchain.headers.subscribe".to_owned(), vec![]);
        batch.raw("blockchain.block.headers".to_owned(), chunk_from(start));
        let (first, newest, headers) = match self.client.batch_call(&batch) {
            Ok(answers) => take_three(answers)?,
            // It has not so many blocks, perhaps.
            Err(Error::Protocol(_)) => (
                self.raw("blockchain.block.header", vec![Param::U32(0)])?,
                self.raw("blockchain.headers.subscribe", vec![])?,
                Value::Null,
            ),
            Err(error) => return Err(end_by(error)),
        };
        self.check_network(&first)?;
        self.following.announced(notification(&newest)?)?;
        self.worker.shared.lock().reachable(self.worker.index);
        match headers {
            Value::Null => self.follow(),
            headers => self.take_chunk(start, &read_headers(&headers)?),
        }
    }

    fn check_network(&self, first: &Value) -> Result<(), End> {
        let expected = genesis_block(self.worker.shared.network).block_hash();
        let found = read_header(first)?.block_hash();
        if found == expected {
            Ok(())
        } else {
            Err(End::Failed(UnreachableReason::WrongNetwork { expected, found }))
        }
    }

    /// Asks anew for the newest block and gets all headers up to it.
    pub(super) fn follow_to_the_end(&mut self) -> Result<(), End> {
        self.ask_for_newest()?;
        while self.following.is_behind() {
            self.follow()?;
        }
        Ok(())
    }

    fn ask_for_newest(&mut self) -> Result<(), End> {
        let newest = self.raw("blockchain.headers.subscribe", vec![])?;
        self.following.announced(notification(&newest)?)
    }

    /// One question further towards the server's newest block.
    pub(super) fn follow(&mut self) -> Result<(), End> {
        if self.arrive()? {
            return Ok(());
        }
        let Some(wanted) = self.following.wanted else {
            return Ok(());
        };
        let start = match self.following.next {
            Some(next) => next,
            None => self.first_to_ask(wanted.height, self.following.overlap),
        };
        let answer = self.raw("blockchain.block.headers", chunk_from(start))?;
        self.take_chunk(start, &read_headers(&answer)?)
    }

    /// Where to begin asking a server whose newest block is at `height`.
    fn first_to_ask(&self, height: u32, overlap: u32) -> u32 {
        let state = self.worker.shared.lock();
        let headers = state.headers();
        let known = headers.height().unwrap_or(0).min(height);
        known.saturating_sub(overlap).max(headers.first_height())
    }

    /// Takes headers that begin at a height.
    fn take_chunk(&mut self, start: u32, headers: &[Header]) -> Result<(), End> {
        if self.arrive()? {
            return Ok(());
        }
        let Some(first) = headers.first() else {
            return Err(wrong(format!("it has no headers from {start} on")));
        };
        let mut state = self.worker.shared.lock();
        let tree = state.headers();
        let (base, is_empty) = (tree.first_height(), tree.height().is_none());
        if start > base && !tree.contains(&first.prev_blockhash) && !tree.contains(&first.block_hash()) {
            // Not a block in common yet: further back.
            drop(state);
            self.following.next = None;
            self.following.overlap = self.following.overlap.saturating_mul(4);
            return Ok(());
        }
        if is_empty && start != base {
            return Err(wrong(format!("it has no headers from {base} on")));
        }
        state.connect(headers).map_err(wrong)?;
        let count = u32::try_from(headers.len()).map_err(wrong)?;
        let next = start.saturating_add(count);
        let last = headers.last().map(Header::block_hash);
        if last.and_then(|last| state.headers().height_of(&last)) != next.checked_sub(1) {
            return Err(wrong(format!("its headers from {start} on are of other heights")));
        }
        drop(state);
        self.worker.shared.save_headers();
        self.following.next = Some(next);
        if self.arrive()? {
            return Ok(());
        }
        self.ask_again_beyond(next)
    }

    /// All headers up to the newest are there and it is not among them: the server has another one by now.
    fn ask_again_beyond(&mut self, next: u32) -> Result<(), End> {
        if self.following.wanted.is_some_and(|wanted| next <= wanted.height) {
            return Ok(());
        }
        self.following.misses = self.following.misses.saturating_add(1);
        if self.following.misses > MAX_MISSES {
            return Err(wrong("its newest block is not in its chain"));
        }
        self.ask_for_newest()
    }

    /// Whether nothing is missing up to the newest block; from then on it is this server's tip.
    fn arrive(&mut self) -> Result<bool, End> {
        let Some(Wanted { height, header }) = self.following.wanted else {
            return Ok(true);
        };
        let hash = header.block_hash();
        let mut state = self.worker.shared.lock();
        if !state.headers().contains(&hash) {
            if !state.headers().contains(&header.prev_blockhash) {
                return Ok(false);
            }
            state.connect(&[header]).map_err(wrong)?;
        }
        if state.headers().height_of(&hash) != Some(height) {
            return Err(wrong(format!("block {hash} is not at height {height}")));
        }
        state.set_tip(self.worker.index, hash);
        drop(state);
        self.worker.shared.save_headers();
        self.following.wanted = None;
        self.following.misses = 0;
        // A new block, a new chance for what could not be proven.
        self.attempts
            .retain(|_, attempt| !matches!(attempt, Attempt::Refused));
        Ok(true)
    }

    fn raw(&self, method: &str, params: Vec<Param>) -> Result<Value, End> {
        self.client.raw_call(method, params).map_err(end_by)
    }
}

fn chunk_from(start: u32) -> Vec<Param> {
    vec![Param::U32(start), Param::Usize(CHUNK)]
}

fn take_three(answers: Vec<Value>) -> Result<(Value, Value, Value), End> {
    let [first, second, third] = <[Value; 3]>::try_from(answers).map_err(|_| wrong("answers are missing"))?;
    Ok((first, second, third))
}

fn notification(value: &Value) -> Result<HeaderNotification, End> {
    let height = value.get("height").and_then(Value::as_u64);
    let height = height.and_then(|height| usize::try_from(height).ok());
    Ok(HeaderNotification {
        height: height.ok_or_else(|| wrong("a newest block without a height"))?,
        header: read_header(value.get("hex").unwrap_or(&Value::Null))?,
    })
}

fn read_header(value: &Value) -> Result<Header, End> {
    let hex = value.as_str().ok_or_else(|| wrong("a header that is not text"))?;
    let bytes = Vec::<u8>::from_hex(hex).map_err(wrong)?;
    deserialize(&bytes).map_err(wrong)
}

/// The answer to `blockchain.block.headers`: one text, or from protocol 1.6 on a list.
fn read_headers(value: &Value) -> Result<Vec<Header>, End> {
    if let Some(list) = value.get("headers").and_then(Value::as_array) {
        return list.iter().take(CHUNK).map(read_header).collect();
    }
    let hex = value.get("hex").and_then(Value::as_str);
    let bytes = Vec::<u8>::from_hex(hex.ok_or_else(|| wrong("no headers in the answer"))?).map_err(wrong)?;
    bytes
        .chunks(HEADER_LEN)
        .take(CHUNK)
        .map(|bytes| deserialize(bytes).map_err(wrong))
        .collect()
}
