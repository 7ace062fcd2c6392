//! What each side has in the end, and what it lost.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, Instant};

use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::{Address, Amount, OutPoint, Transaction};
use gststreamiumpay::store::STORE_FILE;
use rusqlite::Connection;

use crate::chain::{Outcome, Spends, fee};
use crate::common::coins::{paid_in, sat};
use crate::common::regtest::Regtest;
use crate::world::{GRACE_MS, OPENING_SAT, PAYMENT_INTERVAL_MS, RATE_SAT_PER_S, WINDOW_MS};

/// What the processes said.
pub struct Heard {
    pub funded: Amount,
    pub payments: u64,
    pub restarts: u64,
    pub quiet_since: Instant,
    provider_kills: u64,
    consumer_kills: u64,
    sessions: u64,
    resumed: u64,
    /// The channel that the running session pays through.
    current: Option<OutPoint>,
    arrived_here: u64,
    early: Duration,
    channels: HashMap<OutPoint, ChannelHeard>,
    troubles: BTreeMap<String, u64>,
}

#[derive(Clone, Copy, Default)]
struct ChannelHeard {
    arrived: Duration,
    /// Kills of either side while it was in use.
    kills: u64,
    /// Of them, those of the consumer.
    consumer_kills: u64,
}

impl Default for Heard {
    fn default() -> Self {
        Self {
            funded: Amount::ZERO,
            payments: 0,
            restarts: 0,
            quiet_since: Instant::now(),
            provider_kills: 0,
            consumer_kills: 0,
            sessions: 0,
            resumed: 0,
            current: None,
            arrived_here: 0,
            early: Duration::ZERO,
            channels: HashMap::new(),
            troubles: BTreeMap::new(),
        }
    }
}

impl Heard {
    pub fn provider_killed(&mut self) {
        self.provider_kills += 1;
        self.hit();
    }

    pub fn consumer_killed(&mut self) {
        self.consumer_kills += 1;
        self.hit();
        if let Some(current) = self.current {
            self.channels.entry(current).or_default().consumer_kills += 1;
        }
        self.consumer_gone();
    }

    fn hit(&mut self) {
        if let Some(current) = self.current {
            self.channels.entry(current).or_default().kills += 1;
        }
    }

    /// Its count begins anew.
    pub fn consumer_gone(&mut self) {
        (self.current, self.arrived_here) = (None, 0);
        self.quiet_since = Instant::now();
    }

    /// Something has arrived since the consumer was started.
    pub fn is_playing(&self) -> bool {
        self.arrived_here > 0
    }

    /// `total` in nanoseconds, since the consumer's start.
    pub fn arrived(&mut self, total: u64) {
        let more = Duration::from_nanos(total.saturating_sub(self.arrived_here));
        self.arrived_here = total;
        self.quiet_since = Instant::now();
        match self.current {
            Some(current) => self.channels.entry(current).or_default().arrived += more,
            // Before it has said through which channel it pays.
            None => self.early += more,
        }
    }

    /// Answers address and amount where a person has to pay.
    pub fn consumer_note(&mut self, note: &str) -> Option<(String, Amount)> {
        let note = gst::Structure::from_str(note).unwrap();
        let text = |field: &str| note.get::<String>(field).unwrap_or_default();
        match note.name().trim_start_matches("streamium-pay/") {
            "terms" => self.sessions += 1,
            "channel" => self.current = text("outpoint").parse().ok(),
            "payment" => {
                self.current = text("outpoint").parse().ok();
                self.payments += 1;
            }
            "resumed" => {
                self.resumed += 1;
                self.current = text("outpoint").parse().ok().or(self.current);
            }
            "funding-required" => return Some((text("address"), sat(note.get("amount-sat").unwrap()))),
            name @ ("fault" | "store-failed" | "wallet") => self.trouble("consumer", name, &text("reason")),
            _ => (),
        }
        None
    }

    pub fn provider_note(&mut self, note: &str) {
        let note = gst::Structure::from_str(note).unwrap();
        if let name @ ("fault" | "failed" | "store-failed" | "unsettleable") =
            note.name().trim_start_matches("streamium-pay/")
        {
            self.trouble(
                "provider",
                name,
                &note.get::<String>("reason").unwrap_or_default(),
            );
        }
    }

    fn trouble(&mut self, who: &str, name: &str, reason: &str) {
        *self
            .troubles
            .entry(format!("{who}: {name} {reason}"))
            .or_default() += 1;
    }
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "kills: {} of the provider, {} of the consumer; {} sessions, {} channels, {} resumed",
            self.provider_kills,
            self.consumer_kills,
            self.sessions,
            self.channels.len(),
            self.resumed
        )
    }
}

/// The end of it, in sat unless named otherwise.
pub struct Tally {
    heard: String,
    restarts: u64,
    troubles: BTreeMap<String, u64>,
    channels: usize,
    settled: usize,
    refunded: usize,
    arrived: Duration,
    paid_on_record: Amount,
    earned_on_record: Amount,
    paid_on_chain: Amount,
    received: Amount,
    change: Amount,
    fees: [Amount; 3],
    beyond_a_window: Amount,
    consumer_lost: Amount,
    provider_lost: Amount,
    contradictions: Vec<String>,
    funded: Amount,
    pub expected_in_wallet: Amount,
    in_wallet: Amount,
}

/// A channel in both records.
struct Row {
    outpoint: OutPoint,
    capacity: Amount,
    commitment: Transaction,
    paid: Amount,
    balance: Amount,
    consumed_msat: u64,
}

impl Tally {
    pub fn new(
        heard: &Heard,
        regtest: &Regtest,
        payout: &Address,
        first_block: u32,
        provider_dir: &Path,
        consumer_dir: &Path,
    ) -> Self {
        let rows = rows(provider_dir, consumer_dir);
        let spends = Spends::since(regtest, first_block);
        let mut tally = Self {
            heard: heard.to_string(),
            restarts: heard.restarts,
            troubles: heard.troubles.clone(),
            channels: rows.len(),
            settled: 0,
            refunded: 0,
            arrived: heard.channels.values().map(|channel| channel.arrived).sum(),
            paid_on_record: rows.iter().map(|row| row.paid).sum(),
            earned_on_record: rows.iter().map(|row| row.balance).sum(),
            paid_on_chain: Amount::ZERO,
            received: Amount::ZERO,
            change: Amount::ZERO,
            fees: [Amount::ZERO; 3],
            beyond_a_window: Amount::ZERO,
            consumer_lost: Amount::ZERO,
            provider_lost: Amount::ZERO,
            contradictions: Vec::new(),
            funded: heard.funded,
            expected_in_wallet: Amount::ZERO,
            in_wallet: Amount::ZERO,
        };
        let mut counted = HashSet::new();
        for row in &rows {
            let said = heard.channels.get(&row.outpoint).copied().unwrap_or_default();
            tally.add(row, said, spends.outcome(row.outpoint, row.capacity));
            if counted.insert(row.commitment.compute_txid()) && spends.of(row.outpoint).is_some() {
                tally.fees[0] += fee(regtest, &row.commitment);
            }
            if let Some(spend) = spends
                .of(row.outpoint)
                .filter(|tx| counted.insert(tx.compute_txid()))
            {
                let kind = if spend.version.0 == 3 { 1 } else { 2 };
                tally.fees[kind] += fee(regtest, spend);
                tally.received += paid_in(spend, payout);
            }
        }
        tally.expected_in_wallet = tally.funded - tally.paid_on_chain - tally.fees[0] - tally.fees[2];
        tally
    }

    fn add(&mut self, row: &Row, said: ChannelHeard, outcome: Outcome) {
        let paid = match outcome {
            Outcome::Settled { paid } => {
                self.settled += 1;
                paid
            }
            Outcome::Refunded => {
                self.refunded += 1;
                Amount::ZERO
            }
            Outcome::Unspent => {
                self.contradict(row, "it was never spent");
                return;
            }
        };
        self.paid_on_chain += paid;
        self.change += row.capacity - paid;
        if paid > row.paid {
            self.contradict(
                row,
                &format!("{paid} cashed, {} on the consumer's record", row.paid),
            );
        }
        if matches!(outcome, Outcome::Settled { .. }) && paid != row.balance {
            self.contradict(
                row,
                &format!("{paid} cashed, {} on the provider's record", row.balance),
            );
        }
        if outcome == Outcome::Refunded && row.balance > Amount::ZERO {
            self.contradict(
                row,
                &format!("refunded, with {} on the provider's record", row.balance),
            );
        }
        let cost = |time: Duration| sat((time.as_millis() as u64 * RATE_SAT_PER_S).div_ceil(1_000));
        let arrived = cost(said.arrived);
        // A consumer that crashed may lack two payment intervals of its own count, and believes the provider so far.
        let unwritten = cost(Duration::from_millis(2 * PAYMENT_INTERVAL_MS)) * said.consumer_kills;
        let bound = arrived + sat(OPENING_SAT) + cost(Duration::from_millis(WINDOW_MS));
        self.beyond_a_window += paid.checked_sub(bound).unwrap_or(Amount::ZERO);
        let bound = bound + unwritten;
        self.consumer_lost += paid.checked_sub(bound).unwrap_or(Amount::ZERO);
        let sent = arrived.max(sat(row.consumed_msat / 1_000));
        let grace = cost(Duration::from_millis(GRACE_MS)) * (said.kills + 1);
        self.provider_lost += sent.checked_sub(paid + grace).unwrap_or(Amount::ZERO);
    }

    fn contradict(&mut self, row: &Row, words: &str) {
        self.contradictions
            .push(format!("channel {}: {words}", row.outpoint));
    }

    /// What the consumer's wallet says it has, once it knows all of the chain.
    pub fn with_wallet(mut self, in_wallet: Amount) -> Self {
        self.in_wallet = in_wallet;
        self
    }

    pub fn is_within_the_bounds(&self) -> bool {
        self.consumer_lost == Amount::ZERO
            && self.provider_lost == Amount::ZERO
            && self.contradictions.is_empty()
            && self.in_wallet == self.expected_in_wallet
            && self.received + self.fees[1] == self.paid_on_chain
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sats = |amount: Amount| format!("{:>12} sat", amount.to_sat());
        let mut line = |what: &str, amount: Amount| writeln!(f, "  {what:<44}{}", sats(amount));
        line("paid, by the consumer's record", self.paid_on_record)?;
        line("earned, by the provider's record", self.earned_on_record)?;
        line("cashed on the chain", self.paid_on_chain)?;
        line("  of it at the payout address", self.received)?;
        line("  of it fees of settlements", self.fees[1])?;
        line("change and refunds back to the consumer", self.change)?;
        line("  of it fees of refunds", self.fees[2])?;
        line("fees of commitments", self.fees[0])?;
        line("the consumer's wallet had", self.funded)?;
        line("  and must have now", self.expected_in_wallet)?;
        line("  and has now", self.in_wallet)?;
        line(
            "lost by the consumer beyond opening + window",
            self.beyond_a_window,
        )?;
        line("  and beyond what its crashes forgot", self.consumer_lost)?;
        line("lost by the provider beyond its grace", self.provider_lost)?;
        writeln!(
            f,
            "  {}; {} restarts of the consumer by itself\n  {} channels on record: {} settled, {} given back; {:.1} s of \
             sound arrived",
            self.heard,
            self.restarts,
            self.channels,
            self.settled,
            self.refunded,
            self.arrived.as_secs_f64()
        )?;
        for (trouble, count) in &self.troubles {
            writeln!(f, "  {count} x {trouble}")?;
        }
        self.contradictions
            .iter()
            .try_for_each(|words| writeln!(f, "  CONTRADICTION {words}"))
    }
}

/// All channels of the consumer, with what the provider has of them on record.
fn rows(provider_dir: &Path, consumer_dir: &Path) -> Vec<Row> {
    let open = |dir: &Path| Connection::open(dir.join(STORE_FILE)).unwrap();
    let (provider, consumer) = (open(provider_dir), open(consumer_dir));
    let mut select = consumer
        .prepare("SELECT outpoint, capacity_sat, commitment, paid_sat FROM consumer_channel")
        .unwrap();
    let earned = |outpoint: &str| {
        let sql = "SELECT balance_sat, consumed_msat FROM provider_channel WHERE outpoint = ?1";
        let row = provider.query_row(sql, [outpoint], |row| Ok((row.get::<_, u64>(0)?, row.get(1)?)));
        row.unwrap_or((0, 0))
    };
    let row = |row: &rusqlite::Row<'_>| {
        let outpoint: String = row.get(0)?;
        let (balance, consumed_msat) = earned(&outpoint);
        Ok(Row {
            outpoint: outpoint.parse().unwrap(),
            capacity: sat(row.get(1)?),
            commitment: deserialize_hex(&row.get::<_, String>(2)?).unwrap(),
            paid: sat(row.get(3)?),
            balance: sat(balance),
            consumed_msat,
        })
    };
    select
        .query_map([], row)
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}
