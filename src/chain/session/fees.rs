//! What a server says of fees.

use std::io::{Read, Write};

use bitcoin::FeeRate;
use electrum_client::raw_client::RawClient;
use electrum_client::{Batch, ElectrumApi, Error};
use serde_json::Value;

use super::Session;
use super::end::{End, end_by};
use crate::chain::fee::{Estimates, TARGETS_BLOCKS, from_btc_per_kvb};

impl<S: Read + Write> Session<'_, S> {
    pub(super) fn refresh_fee_rates(&self) -> Result<(), End> {
        let mut batch = Batch::default();
        for target in TARGETS_BLOCKS {
            batch.estimate_fee(target.into(), None);
        }
        // One replaced the other with protocol 1.6.
        let floor = match self.knows_mempool_info()? {
            true => "mempool.get_info",
            false => "blockchain.relayfee",
        };
        batch.raw(floor.to_owned(), vec![]);
        let estimates = match self.client.batch_call(&batch) {
            Ok(answers) => read(&answers),
            // It does not know one of the questions.
            Err(Error::Protocol(_)) => self.ask_one_by_one()?,
            Err(error) => return Err(end_by(error)),
        };
        self.worker
            .shared
            .lock()
            .set_estimates(self.worker.index, estimates);
        self.worker.shared.save_belief();
        Ok(())
    }

    fn knows_mempool_info(&self) -> Result<bool, End> {
        let version = self.client.protocol_version().map_err(end_by)?;
        let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        Ok((parts.next(), parts.next()) >= (Some(1), Some(6)))
    }

    fn ask_one_by_one(&self) -> Result<Estimates, End> {
        let mut estimates = Estimates::default();
        for (target, rate) in TARGETS_BLOCKS.into_iter().zip(&mut estimates.rates) {
            *rate = self.ask_rate(|client| client.estimate_fee(target.into(), None))?;
        }
        estimates.floor = match self.ask_rate(|client| client.relay_fee())? {
            Some(floor) => Some(floor),
            None => self.ask_rate(|client| client.mempool_get_info().map(|info| info.mempoolminfee))?,
        };
        Ok(estimates)
    }

    /// A rate, in BTC per 1,000 vB; `None` where the server has none or does not know the question.
    fn ask_rate(
        &self,
        ask: impl FnOnce(&RawClient<S>) -> Result<f64, Error>,
    ) -> Result<Option<FeeRate>, End> {
        match ask(&self.client) {
            Ok(rate) => Ok(from_btc_per_kvb(rate)),
            Err(Error::Protocol(_) | Error::InvalidResponse(_)) => Ok(None),
            Err(error) => Err(end_by(error)),
        }
    }
}

/// Answers in the order of the questions. What is no number is no rate.
fn read(answers: &[Value]) -> Estimates {
    let rate = |value: &Value| value.as_f64().and_then(from_btc_per_kvb);
    let mut estimates = Estimates::default();
    for (answer, target) in answers.iter().zip(&mut estimates.rates) {
        *target = rate(answer);
    }
    estimates.floor = answers
        .get(TARGETS_BLOCKS.len())
        .map(|floor| floor.get("mempoolminfee").unwrap_or(floor))
        .and_then(rate);
    estimates
}
