//! What kind of world a run takes place in.

use crate::dice::Dice;
use std::time::Duration;
use streamium_channel::blocks::SETTLEMENT_MARGIN;
use streamium_channel::money::Rate;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// For so many blocks the servers are out of reach at a time, and a computer off or asleep.
pub const OUTAGE_BLOCKS: u32 = 8;

/// How late news of the chain may be: a provider settles in time after one outage of each kind as well. Here deadlines go by
/// the clock only while no server answers; the real driver's do as soon as the newest block is ten minutes old, so to
/// it no news is that late.
const LATEST_NEWS_BLOCKS: u32 = SETTLEMENT_MARGIN as u32 - 2 * OUTAGE_BLOCKS - 2;

/// Drawn from the seed. A mean time of `None`: it never happens in this run.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// For how long the two are left to it.
    pub length: Duration,
    /// At first.
    pub rate: Rate,
    pub opening_sat: u64,
    pub window: Duration,
    pub grace: Duration,
    pub capacity_sat: u64,
    pub budget_sat: u64,
    pub min_confirmations: u16,
    pub unconfirmed_limit_sat: u64,
    pub refund_delay: u16,
    pub settle_delay: Duration,
    /// How long what is due waits for company.
    pub batch: Duration,
    pub latency: Duration,
    pub jitter: Duration,
    /// Messages overtake each other and come twice, which the transport forbids.
    pub unruly: bool,
    pub cut: Option<Duration>,
    /// In a million effects.
    pub provider_crash: u32,
    pub consumer_crash: u32,
    /// A crashed side is back within this.
    pub downtime: Duration,
    /// A computer is suspended, or a process stopped, for up to `downtime`.
    pub freeze: Option<Duration>,
    pub media_loss: Option<Duration>,
    pub media_loss_length: Duration,
    pub block: Duration,
    /// In percent of the blocks.
    pub reorg: u32,
    /// The chance of a transaction to be in the next block, in percent.
    pub mined: u32,
    /// The consumer's coins go elsewhere before the commitment is confirmed, in percent of the blocks.
    pub double_spend: u32,
    pub news: Duration,
    pub unreachable: Option<Duration>,
    /// Answers to effects take up to this long.
    pub answers: Duration,
    /// And come twice, or not at all, in percent.
    pub twice: u32,
    pub wallet_fails: u32,
    /// What the chain suggests for commitments, in sat/vB: settling costs as much.
    pub fee_rate: u32,
    pub pause: Option<Duration>,
    pub budget: Option<Duration>,
    pub stop_and_return: Option<Duration>,
    pub reprice: Option<Duration>,
    pub provider_ppm: i64,
    pub consumer_ppm: i64,
    /// The chance of a connection to have other terms than the last, within the consumer's bounds or beyond, in percent.
    pub fickle: u32,
    /// Each connection asks for a refund delay of its own.
    pub delays: bool,
    /// The viewer presses play and pause as fast as the limit on messages allows, for a while.
    pub toggle: Option<Duration>,
    /// Somebody with the consumer's key offers a cooperative close of some balance and fee.
    pub odd_close: Option<Duration>,
    /// The chance of a connection to name the oldest channel first, used up or not, in percent.
    pub greedy: u32,
    /// The chance of a commitment that no server ever takes, in percent.
    pub unknown: u32,
    /// The chance of a connection to be told a made-up fee rate, in percent.
    pub lies: u32,
    /// The provider never comes back after the end: everything has to be refunded.
    pub provider_gone: bool,
}

impl Conditions {
    pub fn draw(dice: &mut Dice, length: Duration) -> Self {
        let mut maybe = |percent: u32, mean: Duration| dice.percent(percent).then_some(mean);
        let (cut, freeze) = (maybe(50, length / 3), maybe(20, length / 2));
        let (media_loss, unreachable) = (maybe(40, length / 5), maybe(25, length / 3));
        let (pause, budget) = (maybe(25, length / 4), maybe(20, length / 4));
        let stop_and_return = maybe(15, length / 2);
        let reprice = maybe(35, length / 4);
        let rate = dice.pick(&[100, 20_000, 100_000, 400_000, 400_000, 400_000]);
        let per_second = (rate / 1_000).max(1);
        // Small ones are used up within the run.
        let opening_sat = 600 + dice.below(2 * per_second);
        let capacity_sat = (opening_sat * 4).max(per_second * dice.between(8, 30)) + 400;
        // A day's blocks within the run, so that channels get old.
        let hasty = dice.percent(20);
        let block = match hasty {
            true => length / 150,
            false => length / u32::try_from(dice.between(3, 12)).unwrap(),
        };
        let mut conditions = Self {
            length,
            rate: Rate::new(rate),
            opening_sat,
            window: dice.pick(&[2_000, 5_000, 5_000, 8_000]) * MS,
            grace: dice.pick(&[0, 500, 500, 1_000]) * MS,
            capacity_sat: if hasty { capacity_sat * 4 } else { capacity_sat },
            budget_sat: capacity_sat * dice.pick(&[1, 2, 5, 100]),
            min_confirmations: dice.pick(&[1, 1, 1, 2, 3]),
            unconfirmed_limit_sat: dice.pick(&[0, 500, 1_000, 1_000, 20_000]),
            refund_delay: 144,
            settle_delay: dice.pick(&[3, 10, 60]) * SECOND,
            batch: Duration::ZERO,
            latency: dice.pick(&[2, 40, 40, 150, 600]) * MS,
            jitter: dice.pick(&[0, 20, 100, 400]) * MS,
            unruly: dice.percent(10),
            cut,
            provider_crash: dice.pick(&[0, 0, 3_000, 15_000]),
            consumer_crash: dice.pick(&[0, 0, 3_000, 15_000]),
            downtime: if hasty {
                block * OUTAGE_BLOCKS / 2
            } else {
                dice.pick(&[200, 2_000, 15_000]) * MS
            },
            freeze,
            media_loss,
            media_loss_length: dice.pick(&[500, 1_500, 4_000]) * MS,
            block,
            reorg: dice.pick(&[0, 0, 15]),
            mined: dice.pick(&[95, 80, 30]),
            double_spend: if hasty { 0 } else { dice.pick(&[0, 0, 0, 30]) },
            news: (dice.pick(&[10, 1_000, 3_000]) * MS).min(block * LATEST_NEWS_BLOCKS),
            unreachable,
            answers: dice.pick(&[0, 0, 50, 2_000]) * MS,
            twice: dice.pick(&[0, 0, 20]),
            wallet_fails: dice.pick(&[0, 0, 20]),
            fee_rate: dice.pick(&[1, 1, 10]),
            pause,
            budget,
            stop_and_return,
            reprice,
            provider_ppm: dice.between(0, 400) as i64 - 200,
            consumer_ppm: dice.between(0, 400) as i64 - 200,
            fickle: 0,
            delays: false,
            toggle: None,
            odd_close: None,
            greedy: 0,
            unknown: 0,
            lies: 0,
            provider_gone: dice.percent(4),
        };
        conditions.draw_odd(dice);
        if length > SECOND * 3_600 {
            conditions.for_hours();
        }
        conditions
    }

    /// What a side may do that is not this crate, or that means harm.
    fn draw_odd(&mut self, dice: &mut Dice) {
        let length = self.length;
        let mut maybe = |percent: u32, mean: Duration| dice.percent(percent).then_some(mean);
        self.toggle = maybe(20, length / 4);
        self.odd_close = maybe(15, length / 2);
        self.fickle = dice.pick(&[0, 0, 60]);
        self.batch = dice.pick(&[0, 0, 20]) * SECOND;
        self.delays = dice.percent(30);
        self.greedy = dice.pick(&[0, 0, 0, 50]);
        self.unknown = dice.pick(&[0, 0, 0, 0, 30]);
        self.lies = dice.pick(&[0, 0, 0, 30]);
    }

    /// The most that a first payment may be, by the consumer's bounds.
    pub fn max_opening_sat(&self) -> u64 {
        match self.fickle {
            0 => self.opening_sat,
            _ => self.opening_sat * 2,
        }
    }

    /// The longest window that it keeps.
    pub fn max_window(&self) -> Duration {
        match self.fickle {
            0 => self.window,
            _ => self.window * 2,
        }
    }

    /// Whatever comes by the effect comes as often in hours as in a short run, and channels last for a while.
    fn for_hours(&mut self) {
        self.provider_crash /= 100;
        self.consumer_crash /= 100;
        self.capacity_sat *= 20;
        self.budget_sat *= 2_000;
    }
}
