//! From a question to its answer, and from the answer to its settlement.

use crate::{
    Result, Scale,
    chain_watch::{ChainWatch, Key},
    report::{Report, latencies, percentile},
    world::World,
};
use assay_inference::{Engine as _, OnnxEngine, Revision, json::Policy};
use assay_node::{
    api::{INFER_PATH, InferRequest, InferResponse},
    local::RoleName,
};
use std::time::{Duration, Instant};

/// Patience with the last receipts of a row.
const PATIENCE: Duration = Duration::from_secs(30);

/// One answered question.
struct Asked {
    took: Duration,
    answered: Instant,
    key: Key,
}

/// Time from answer to finalized receipt, with all validators and with one dead.
pub async fn settlement(report: &mut Report, scale: Scale) -> Result<()> {
    let mut world = World::start(|_| Ok(())).await?;
    for (dead, what, goal) in [
        (
            false,
            "answer to finalized receipt, 100 requests/s",
            "p50 < 400 ms, p99 < 1200 ms",
        ),
        (
            true,
            "the same with one of four validators dead",
            "p50 < 1000 ms, p99 < 3000 ms",
        ),
    ] {
        if dead {
            world.network.kill(RoleName::Validator(3)).await?;
        }
        let watch = ChainWatch::start(world.network.rpc().clone()).await?;
        let asked = load(&world, 100, scale.seconds).await?;
        let keys: Vec<Key> = asked.iter().map(|asked| asked.key).collect();
        let times = watch.times(&keys, PATIENCE).await;
        let unsettled = times.iter().filter(|time| time.is_none()).count();
        let waits = asked
            .iter()
            .zip(&times)
            .filter_map(|(asked, time)| Some((*time)?.saturating_duration_since(asked.answered)));
        let mut value = latencies(waits.collect());
        if unsettled > 0 {
            value.push_str(&format!(", {unsettled} NOT settled"));
        }
        report.row(what, value, goal);
    }
    world.network.stop().await;
    Ok(())
}

/// What gateway, receipt and durable log add to the engine's own time.
pub async fn overhead(report: &mut Report, scale: Scale) -> Result<()> {
    let mut world = World::start(|_| Ok(())).await?;
    let asked = load(&world, 200, scale.seconds).await?;
    let mut through: Vec<Duration> = asked.iter().map(|asked| asked.took).collect();
    through.sort();
    let mut alone = in_process(&world)?;
    alone.sort();
    report.row(
        "question to answer through the network, 200 requests/s",
        latencies(through.clone()),
        "",
    );
    report.row("the same model in process", latencies(alone.clone()), "");
    let added = |percent| {
        let difference = percentile(&through, percent).saturating_sub(percentile(&alone, percent));
        difference.as_secs_f64() * 1e3
    };
    let value = format!("p50 {:.2} ms, p99 {:.2} ms", added(50), added(99));
    report.row("added by the network", value, "p50 < 2 ms, p99 < 10 ms");
    world.network.stop().await;
    Ok(())
}

/// Asks at a fixed rate, each question on time whether or not the ones before have answers.
async fn load(world: &World, per_second: u64, seconds: u64) -> Result<Vec<Asked>> {
    let question = world.question()?;
    let url = format!("{}{INFER_PATH}", world.network.plan().gateway_url());
    // Connections and caches first: nobody measures the first second of a server.
    for _ in 0..20 {
        ask(&world.http, &url, &question).await?;
    }
    let period = Duration::from_secs(1) / u32::try_from(per_second)?;
    let mut ticks = tokio::time::interval(period);
    let mut tasks = Vec::new();
    for _ in 0..per_second * seconds {
        ticks.tick().await;
        let (http, url, question) = (world.http.clone(), url.clone(), question.clone());
        tasks.push(tokio::spawn(
            async move { ask(&http, &url, &question).await },
        ));
    }
    let mut asked = Vec::new();
    for task in tasks {
        asked.push(task.await??);
    }
    Ok(asked)
}

async fn ask(http: &reqwest::Client, url: &str, question: &InferRequest) -> Result<Asked> {
    let started = Instant::now();
    let response = http.post(url).json(question).send().await?;
    let status = response.status();
    if !status.is_success() {
        return Err(format!("{status}: {}", response.text().await?).into());
    }
    let answer: InferResponse = response.json().await?;
    let receipt = &answer.receipt.receipt;
    let key = (receipt.node, receipt.revision, receipt.sequence);
    Ok(Asked {
        took: started.elapsed(),
        answered: Instant::now(),
        key,
    })
}

fn in_process(world: &World) -> Result<Vec<Duration>> {
    let revision = Revision::open(&world.directory, &Default::default())?;
    let engine = OnnxEngine::load(&revision, &Default::default())?;
    let document = serde_json::to_value(&world.question()?.inputs)?;
    let mut times = Vec::new();
    for _ in 0..2_000 {
        let started = Instant::now();
        let policy = Policy {
            max_elements: 1 << 20,
            non_finite: engine.non_finite_inputs(),
        };
        let inputs = assay_inference::json::read_inputs(&document, engine.signature(), &policy)?;
        let output = engine.run(&inputs, &Default::default(), &|| false)?;
        std::hint::black_box(output);
        times.push(started.elapsed());
    }
    Ok(times)
}
