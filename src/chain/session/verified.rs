//! A server as `bdk_electrum` sees it: its headers are the verified ones, and what it will ask next has been asked
//! already.
//!
//! So a wallet's sync rests on no header that was not verified, and takes a few round trips instead of one for
//! each transaction (see the module above for why that matters).

use std::borrow::Borrow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{Read, Write};

use bitcoin::block::Header;
use bitcoin::consensus::encode::serialize;
use bitcoin::hex::FromHex;
use bitcoin::{Script, Txid};
use electrum_client::raw_client::RawClient;
use electrum_client::{
    Batch, BroadcastPackageRes, ElectrumApi, Error, EstimationMode, GetBalanceRes, GetHeadersRes,
    GetHistoryRes, GetMerkleRes, ListUnspentRes, MempoolInfoRes, Param, RawHeaderNotification, ScriptStatus,
    ServerFeaturesRes, TxidFromPosRes,
};
use serde_json::{Value, json};

use super::known::Known;
use super::scripts::BATCH;
use crate::chain::electrum::Shared;
use crate::chain::state::ServerIndex;

pub(super) struct VerifiedClient<'a, S: Read + Write> {
    client: &'a RawClient<S>,
    shared: &'a Shared,
    index: ServerIndex,
    known: &'a Known,
    transactions: RefCell<HashMap<Txid, Vec<u8>>>,
    proofs: RefCell<HashMap<(Txid, usize), GetMerkleRes>>,
}

impl<'a, S: Read + Write> VerifiedClient<'a, S> {
    pub(super) fn new(
        client: &'a RawClient<S>,
        shared: &'a Shared,
        index: ServerIndex,
        known: &'a Known,
    ) -> Self {
        Self {
            client,
            shared,
            index,
            known,
            transactions: RefCell::default(),
            proofs: RefCell::default(),
        }
    }

    /// The proofs that the server sent, not checked yet.
    pub(super) fn into_proofs(self) -> HashMap<(Txid, usize), GetMerkleRes> {
        self.proofs.into_inner()
    }

    /// The server's verified header at a height; `None` for those before the first.
    fn header(&self, height: usize) -> Result<Option<Header>, Error> {
        let height = u32::try_from(height).map_err(|_| beyond(height))?;
        let state = self.shared.lock();
        if height < state.headers().first_height() {
            return Ok(None);
        }
        let hash = state.block_of(self.index, height);
        let header = hash.and_then(|hash| state.headers().header(&hash).copied());
        header.map(Some).ok_or_else(|| beyond(height))
    }

    /// What is above the verified headers is unconfirmed as yet: a block that came since, or a made-up height.
    fn cut_off(&self, history: &mut [GetHistoryRes]) {
        let tip = self.shared.lock().tip_of(self.index);
        let top = tip.map_or(0, |(height, _)| i32::try_from(height).unwrap_or(i32::MAX));
        for entry in history.iter_mut().filter(|entry| entry.height > top) {
            entry.height = 0;
        }
    }

    /// Asks for all transactions and proofs that these histories lead to, at once.
    fn look_ahead<'h>(&self, histories: impl Iterator<Item = &'h GetHistoryRes>) -> Result<(), Error> {
        let (mut txids, mut claims) = (Vec::new(), Vec::new());
        for entry in histories {
            if !self.known.transactions.contains_key(&entry.tx_hash)
                && !self.transactions.borrow().contains_key(&entry.tx_hash)
            {
                txids.push(entry.tx_hash);
            }
            if let Ok(height @ 1..) = usize::try_from(entry.height) {
                claims.push((entry.tx_hash, height));
            }
        }
        claims.retain(|(txid, height)| {
            !self.known.is_proven(txid, *height) && !self.proofs.borrow().contains_key(&(*txid, *height))
        });
        for (txids, claims) in portions(&txids, &claims) {
            self.ask_ahead(txids, claims)?;
        }
        Ok(())
    }

    fn ask_ahead(&self, txids: &[Txid], claims: &[(Txid, usize)]) -> Result<(), Error> {
        let mut batch = Batch::default();
        txids.iter().for_each(|txid| batch.transaction_get(txid));
        claims
            .iter()
            .for_each(|claim| batch.transaction_get_merkle(claim));
        let answers = match self.client.batch_call(&batch) {
            Ok(answers) => answers,
            // One of them is refused; they are asked one by one when they are needed.
            Err(Error::Protocol(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut answers = answers.into_iter();
        for (txid, answer) in txids.iter().zip(answers.by_ref()) {
            let hex = answer
                .as_str()
                .ok_or_else(|| Error::InvalidResponse(answer.clone()))?;
            let bytes = Vec::<u8>::from_hex(hex)?;
            self.transactions.borrow_mut().insert(*txid, bytes);
        }
        for (claim, answer) in claims.iter().zip(answers) {
            let proof = serde_json::from_value(answer)?;
            self.proofs.borrow_mut().insert(*claim, proof);
        }
        Ok(())
    }
}

fn beyond(height: impl std::fmt::Display) -> Error {
    Error::Message(format!("block {height} is above the server's newest"))
}

/// Both lists in portions of what is asked at once.
fn portions<'l, A, B>(first: &'l [A], second: &'l [B]) -> impl Iterator<Item = (&'l [A], &'l [B])> {
    let mut first = first.chunks(BATCH);
    let mut second = second.chunks(BATCH);
    std::iter::from_fn(move || match (first.next(), second.next()) {
        (None, None) => None,
        (first, second) => Some((first.unwrap_or_default(), second.unwrap_or_default())),
    })
}

/// Methods that just ask the server.
macro_rules! asked_as_they_are {
    ($($name:ident($($arg:ident: $type:ty),*) -> $answer:ty;)*) => {
        $(fn $name(&self, $($arg: $type),*) -> Result<$answer, Error> {
            self.client.$name($($arg),*)
        })*
    };
}

impl<S: Read + Write> ElectrumApi for VerifiedClient<'_, S> {
    fn block_headers_subscribe_raw(&self) -> Result<RawHeaderNotification, Error> {
        let state = self.shared.lock();
        let tip = state.tip_of(self.index);
        let (height, header) = tip.ok_or_else(|| Error::Message("no verified headers".to_owned()))?;
        Ok(RawHeaderNotification {
            height: usize::try_from(height).map_err(|_| beyond(height))?,
            header: serialize(&header),
        })
    }

    fn block_header_raw(&self, height: usize) -> Result<Vec<u8>, Error> {
        match self.header(height)? {
            Some(header) => Ok(serialize(&header)),
            None => self.client.block_header_raw(height),
        }
    }

    fn batch_block_header_raw<I>(&self, heights: I) -> Result<Vec<Vec<u8>>, Error>
    where
        I: IntoIterator + Clone,
        I::Item: Borrow<u32>,
    {
        heights
            .into_iter()
            .map(|height| self.block_header_raw(usize::try_from(*height.borrow()).map_err(|_| beyond("it"))?))
            .collect()
    }

    fn block_headers(&self, start_height: usize, count: usize) -> Result<GetHeadersRes, Error> {
        let mut headers = Vec::new();
        for height in start_height..start_height.saturating_add(count) {
            match self.header(height) {
                Ok(Some(header)) => headers.push(header),
                Ok(None) => return self.client.block_headers(start_height, count),
                Err(_) => break,
            }
        }
        let mut answer: GetHeadersRes =
            serde_json::from_value(json!({"max": count, "count": headers.len()}))?;
        answer.headers = headers;
        Ok(answer)
    }

    fn batch_script_get_history<'s, I>(&self, scripts: I) -> Result<Vec<Vec<GetHistoryRes>>, Error>
    where
        I: IntoIterator + Clone,
        I::Item: Borrow<&'s Script>,
    {
        let mut histories = self.client.batch_script_get_history(scripts)?;
        histories.iter_mut().for_each(|history| self.cut_off(history));
        self.look_ahead(histories.iter().flatten())?;
        Ok(histories)
    }

    fn script_get_history(&self, script: &Script) -> Result<Vec<GetHistoryRes>, Error> {
        let mut history = self.client.script_get_history(script)?;
        self.cut_off(&mut history);
        Ok(history)
    }

    fn transaction_get_raw(&self, txid: &Txid) -> Result<Vec<u8>, Error> {
        let known = self.transactions.borrow().get(txid).cloned();
        known.map_or_else(|| self.client.transaction_get_raw(txid), Ok)
    }

    fn batch_transaction_get_merkle<I>(&self, txids_and_heights: I) -> Result<Vec<GetMerkleRes>, Error>
    where
        I: IntoIterator + Clone,
        I::Item: Borrow<(Txid, usize)>,
    {
        txids_and_heights
            .into_iter()
            .map(|claim| self.transaction_get_merkle(&claim.borrow().0, claim.borrow().1))
            .collect()
    }

    fn transaction_get_merkle(&self, txid: &Txid, height: usize) -> Result<GetMerkleRes, Error> {
        if let Some(known) = self.proofs.borrow().get(&(*txid, height)) {
            return Ok(known.clone());
        }
        let proof = self.client.transaction_get_merkle(txid, height)?;
        self.proofs.borrow_mut().insert((*txid, height), proof.clone());
        Ok(proof)
    }

    fn raw_call(&self, method: &str, params: impl IntoIterator<Item = Param>) -> Result<Value, Error> {
        self.client.raw_call(method, params)
    }

    fn batch_script_subscribe<'s, I>(&self, scripts: I) -> Result<Vec<Option<ScriptStatus>>, Error>
    where
        I: IntoIterator + Clone,
        I::Item: Borrow<&'s Script>,
    {
        self.client.batch_script_subscribe(scripts)
    }

    fn batch_script_get_balance<'s, I>(&self, scripts: I) -> Result<Vec<GetBalanceRes>, Error>
    where
        I: IntoIterator + Clone,
        I::Item: Borrow<&'s Script>,
    {
        self.client.batch_script_get_balance(scripts)
    }

    fn batch_script_list_unspent<'s, I>(&self, scripts: I) -> Result<Vec<Vec<ListUnspentRes>>, Error>
    where
        I: IntoIterator + Clone,
        I::Item: Borrow<&'s Script>,
    {
        self.client.batch_script_list_unspent(scripts)
    }

    fn batch_transaction_get_raw<'t, I>(&self, txids: I) -> Result<Vec<Vec<u8>>, Error>
    where
        I: IntoIterator + Clone,
        I::Item: Borrow<&'t Txid>,
    {
        self.client.batch_transaction_get_raw(txids)
    }

    fn batch_estimate_fee<I>(&self, numbers: I) -> Result<Vec<f64>, Error>
    where
        I: IntoIterator + Clone,
        I::Item: Borrow<usize>,
    {
        self.client.batch_estimate_fee(numbers)
    }

    fn transaction_broadcast_package_raw<T: AsRef<[u8]>>(
        &self,
        raw_txs: &[T],
    ) -> Result<BroadcastPackageRes, Error> {
        self.client.transaction_broadcast_package_raw(raw_txs)
    }

    asked_as_they_are! {
        batch_call(batch: &Batch) -> Vec<Value>;
        block_headers_pop_raw() -> Option<RawHeaderNotification>;
        estimate_fee(number: usize, mode: Option<EstimationMode>) -> f64;
        relay_fee() -> f64;
        script_subscribe(script: &Script) -> Option<ScriptStatus>;
        script_unsubscribe(script: &Script) -> bool;
        script_pop(script: &Script) -> Option<ScriptStatus>;
        script_get_balance(script: &Script) -> GetBalanceRes;
        script_list_unspent(script: &Script) -> Vec<ListUnspentRes>;
        transaction_broadcast_raw(raw_tx: &[u8]) -> Txid;
        txid_from_pos(height: usize, tx_pos: usize) -> Txid;
        txid_from_pos_with_merkle(height: usize, tx_pos: usize) -> TxidFromPosRes;
        server_features() -> ServerFeaturesRes;
        protocol_version() -> String;
        mempool_get_info() -> MempoolInfoRes;
        ping() -> ();
        calls_made() -> usize;
    }
}
