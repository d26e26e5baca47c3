//! How long finality takes between continents: many validators, real distances, simulated time.
//!
//! Computing costs no simulated time, so the figures are what the network alone costs; the cost
//! per block and per receipt has to be added from BENCHMARKS.md.

use crate::{
    client::{Client, Stage, now_ns},
    error::Error,
    parties::{Role, registration::register},
    receipts::{Pen, pack, revision},
    regions::{one_way, region_of},
    simulation::{START, found, millis},
    validator::{Live, Seat, Site, link, open_network, set_link, start},
    wallet::Wallet,
};
use alloy_primitives::B256;
use assay_chain::{
    application::{Pace, now_ms},
    block::ValidatorKey,
    engine::Timing,
    settlement::settle_call,
    spec::SETTLEMENT,
};
use commonware_runtime::{
    Clock as _, Runner as _,
    deterministic::{self, Context},
};
use commonware_utils::NZDuration;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

/// A network between continents.
#[derive(Debug, Clone)]
pub struct WideArea {
    /// Validators, spread evenly over ten regions; at most 100.
    pub validators: u32,
    /// Simulated time of the measurement, after the network is up.
    pub duration: Duration,
    /// Receipts in a batch.
    pub batch_receipts: usize,
    /// Between two batches.
    pub batch_every: Duration,
    /// Patience of each validator.
    pub timing: Timing,
}

impl Default for WideArea {
    /// Twenty validators for twenty seconds, sixteen receipts every half second.
    fn default() -> Self {
        Self {
            validators: 20,
            duration: Duration::from_secs(20),
            batch_receipts: 16,
            batch_every: Duration::from_millis(500),
            timing: Timing {
                leader: Duration::from_millis(1_500),
                certification: Duration::from_millis(2_500),
                retry: Duration::from_millis(1_500),
                skip: Duration::from_secs(10),
                pace: Pace::default(),
                fetch: NZDuration!(Duration::from_secs(2)),
            },
        }
    }
}

/// Percentiles of a time, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percentiles {
    /// How many were measured.
    pub count: usize,
    /// Half took at most this.
    pub p50_ms: u64,
    /// Nine of ten took at most this.
    pub p90_ms: u64,
    /// Ninety-nine of a hundred took at most this.
    pub p99_ms: u64,
    /// The longest.
    pub max_ms: u64,
}

impl Percentiles {
    /// The percentiles of `times_ms` (nearest rank); `None` for no times.
    pub fn of(mut times_ms: Vec<u64>) -> Option<Self> {
        times_ms.sort_unstable();
        let rank = |percent: usize| {
            let rank = times_ms
                .len()
                .saturating_mul(percent)
                .div_ceil(100)
                .saturating_sub(1);
            times_ms.get(rank).copied()
        };
        Some(Self {
            count: times_ms.len(),
            p50_ms: rank(50)?,
            p90_ms: rank(90)?,
            p99_ms: rank(99)?,
            max_ms: rank(100)?,
        })
    }
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measurement {
    /// Validators.
    pub validators: u32,
    /// Blocks finalized during the measurement.
    pub blocks: u64,
    /// From a block's proposal to its finality at each validator.
    pub finality: Percentiles,
    /// From handing a batch to the validator next door to its finality there.
    pub receipts: Percentiles,
}

/// Measures under `seed`.
///
/// # Errors
/// [`Error::Setup`] if the options cannot be met, such as more validators than keys can be dealt
/// for, or nothing was finalized.
pub fn measure(seed: u64, options: &WideArea) -> Result<Measurement, Error> {
    let config = deterministic::Config::new()
        .with_seed(seed)
        .with_start_time(UNIX_EPOCH + START);
    let runner = deterministic::Runner::new(config);
    runner.start(|context| async move { Box::pin(observe(context, seed, options)).await })
}

async fn observe(context: Context, seed: u64, options: &WideArea) -> Result<Measurement, Error> {
    let role = Role::HonestNode(0);
    let (genesis, secrets, _) = found(seed, options.validators, &[role])?;
    let seats: Result<Vec<Arc<Seat>>, Error> = secrets
        .into_iter()
        .enumerate()
        .map(|(number, secret)| Ok(Arc::new(Seat::new(number, secret, true)?)))
        .collect();
    let seats = seats?;
    let keys: Vec<ValidatorKey> = seats.iter().map(|seat| seat.key.clone()).collect();
    let spec = genesis
        .spec()
        .map_err(|error| Error::Setup(error.to_string()))?;
    let links = open_network(&context, &keys)?;
    let site = Arc::new(Site {
        genesis,
        spec,
        timing: options.timing,
        links,
    });
    span_globe(&site, &keys).await?;
    let mut handles = Vec::new();
    for seat in &seats {
        handles.push(start(&context, &site, seat).await?);
    }
    let stage = Arc::new(Stage::new(seed, site, seats));
    let measured = load(&context, &stage, role, options).await;
    handles.iter().for_each(|handle| handle.abort());
    measured
}

/// Links every two validators as far apart as their regions are.
async fn span_globe(site: &Site, keys: &[ValidatorKey]) -> Result<(), Error> {
    for (a, from) in keys.iter().enumerate() {
        for (b, to) in keys.iter().enumerate().filter(|(b, _)| *b != a) {
            let latency = one_way(region_of(a), region_of(b));
            // A twentieth of the way is what such medians vary by within minutes.
            let link = link(latency, latency / 20, 0);
            set_link(&site.links, (from, to), Some(&link)).await?;
        }
    }
    Ok(())
}

/// Settles batches for a while and measures.
async fn load(
    context: &Context,
    stage: &Arc<Stage>,
    role: Role,
    options: &WideArea,
) -> Result<Measurement, Error> {
    let everyone = all_live(context, stage).await;
    let wallet = Wallet::new(stage.seed, &role.name(), stage.site.spec.chain_id)?;
    let connected = Client::connect(stage, wallet, stage.rng(&role.name(), 0)).await;
    let mut client = connected.ok_or_else(|| Error::Setup("no validator runs".into()))?;
    let key = role.node_key(stage.seed)?;
    register(context, &mut client, &key).await?;
    let mut pen = Pen::new(key, stage.site.spec.domain, revision(0));
    let mut watch = Stopwatch::new(&everyone);
    let first = height_of(&everyone);
    let end_ms = now_ms(context).saturating_add(millis(options.duration));
    let mut next_ms = now_ms(context);
    while now_ms(context) < end_ms {
        if now_ms(context) >= next_ms {
            next_ms = next_ms.saturating_add(millis(options.batch_every));
            let written = pen.write(options.batch_receipts, now_ns(context), &mut client.rng)?;
            let batch = pack(written, &stage.site.spec.domain);
            if let (Some(batch), Some(next_door)) = (batch, client.any_validator()) {
                let hash = client
                    .send_to(&next_door, SETTLEMENT, settle_call(batch))
                    .await;
                watch.waiting.push((next_door, hash, now_ms(context)));
            }
            client.observe()?;
        }
        context.sleep(RESOLUTION).await;
        watch.look(&everyone, now_ms(context));
    }
    let nothing = || Error::Setup("nothing was finalized: give it more time".into());
    Ok(Measurement {
        validators: options.validators,
        blocks: height_of(&everyone).saturating_sub(first),
        finality: Percentiles::of(watch.finality).ok_or_else(nothing)?,
        receipts: Percentiles::of(watch.receipts).ok_or_else(nothing)?,
    })
}

/// How often validators are looked at: the precision of the times measured.
const RESOLUTION: Duration = Duration::from_millis(2);

/// What is measured. It looks at all validators in turn instead of being woken by them, since the
/// order in which a watched value wakes its watchers does not repeat.
struct Stopwatch {
    heights: Vec<u64>,
    finality: Vec<u64>,
    waiting: Vec<(Live, B256, u64)>,
    receipts: Vec<u64>,
}

impl Stopwatch {
    /// Starts at the present heights.
    fn new(everyone: &[Live]) -> Self {
        let heights = everyone
            .iter()
            .map(|live| live.shelf.tip().borrow().height)
            .collect();
        Self {
            heights,
            finality: Vec::new(),
            waiting: Vec::new(),
            receipts: Vec::new(),
        }
    }

    /// Records the age of blocks that are new at a validator, and of batches that are in one.
    fn look(&mut self, everyone: &[Live], now_ms: u64) {
        for (live, height) in everyone.iter().zip(&mut self.heights) {
            let tip = *live.shelf.tip().borrow();
            if tip.height > *height {
                *height = tip.height;
                self.finality.push(now_ms.saturating_sub(tip.timestamp_ms));
            }
        }
        let receipts = &mut self.receipts;
        self.waiting.retain(|(live, hash, since_ms)| {
            let settled = live.shelf.index.transaction(hash).ok().flatten().is_some();
            if settled {
                receipts.push(now_ms.saturating_sub(*since_ms));
            }
            !settled
        });
    }
}

/// Every validator, once all have opened their storage.
async fn all_live(context: &Context, stage: &Stage) -> Vec<Live> {
    loop {
        let live: Option<Vec<Live>> = stage.seats.iter().map(|seat| seat.live()).collect();
        match live {
            Some(live) => return live,
            None => context.sleep(Duration::from_millis(10)).await,
        }
    }
}

fn height_of(everyone: &[Live]) -> u64 {
    everyone
        .iter()
        .map(|live| live.shelf.tip().borrow().height)
        .max()
        .unwrap_or_default()
}

/// Validators in each region, for a report.
pub fn regions(validators: u32) -> BTreeMap<&'static str, u32> {
    let mut regions = BTreeMap::new();
    for number in 0..validators {
        let region = region_of(usize::try_from(number).unwrap_or_default());
        if let Some(name) = crate::regions::REGIONS.get(region) {
            let count: &mut u32 = regions.entry(*name).or_default();
            *count = count.saturating_add(1);
        }
    }
    regions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let of = |times: &[u64]| Percentiles::of(times.to_vec());
        assert_eq!(of(&[]), None);
        let hundred: Vec<u64> = (1..=100).rev().collect();
        let expected = Percentiles {
            count: 100,
            p50_ms: 50,
            p90_ms: 90,
            p99_ms: 99,
            max_ms: 100,
        };
        assert_eq!(of(&hundred), Some(expected));
        assert_eq!(of(&[7]).map(|p| (p.p50_ms, p.max_ms)), Some((7, 7)));
    }

    #[test]
    fn every_validator_is_in_a_region() {
        let regions = regions(23);
        assert_eq!(regions.values().sum::<u32>(), 23);
        assert_eq!(regions.values().max(), Some(&3));
    }
}
