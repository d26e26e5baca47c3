//! Settled receipts per second, each verified by each of four validators.

use crate::{
    Result, Scale,
    chain_watch::ChainWatch,
    report::{Report, cpu_time},
    world::World,
};
use alloy_primitives::Bytes;
use assay_chain::{settlement::settle_call, spec::SETTLEMENT};
use assay_node::{
    local::{RoleName, ports::NODES},
    wallet::{Action, Wallet, confirm},
};
use assay_receipt::{
    Batch, Commitment, Domain, EngineId, Microcredits, NodeKey, ParametersDigest, Receipt,
    ReceiptId, RequestId, RevisionId, Rung, SignedReceipt, Times, Usage,
};
use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Receipts of a batch, and batches that one node keeps on their way.
const BATCH: u64 = 512;
const ON_THE_WAY: usize = 3;
/// Gas of one full batch: calldata, verification and the contract, with room.
const BATCH_GAS: u64 = 16_000_000;

pub async fn run(report: &mut Report, scale: Scale) -> Result<()> {
    let mut world = World::start(|_| Ok(())).await?;
    // The nodes' own keys sign here, so the nodes themselves must be silent.
    world.network.kill(RoleName::Gateway).await?;
    for index in 0..NODES {
        world.network.kill(RoleName::Node(index)).await?;
    }
    let watch = ChainWatch::start(world.network.rpc().clone()).await?;
    let (cpu, started) = (cpu_time(), Instant::now());
    let end = started + Duration::from_secs(scale.settle_seconds);
    let mut nodes = Vec::new();
    for index in 0..NODES {
        nodes.push(tokio::spawn(node(Sender::new(&world, index)?, end)));
    }
    let mut signing = Duration::ZERO;
    for node in nodes {
        signing += node.await??;
    }
    let (receipts, bytes, blocks) = watch.totals();
    let elapsed = started.elapsed().as_secs_f64();
    let cpu = (cpu_time() - cpu).as_secs_f64();
    let each = |amount: f64| amount / receipts.max(1) as f64;
    report.row(
        format!("settled receipts, 4 validators, {} s", scale.settle_seconds),
        format!(
            "{:.0} per second ({receipts} in {blocks} blocks)",
            receipts as f64 / elapsed
        ),
        ">= 2000 per second",
    );
    report.row(
        "CPU per settled receipt, whole process",
        format!("{:.0} us", each(cpu * 1e6)),
        "",
    );
    report.row(
        "of which signing and packing by the load itself",
        format!("{:.0} us", each(signing.as_secs_f64() * 1e6)),
        "",
    );
    report.row(
        "of which each validator, for checking and ordering it",
        format!("{:.0} us", each((cpu - signing.as_secs_f64()) / 4.0 * 1e6)),
        "",
    );
    report.row(
        "bytes on chain per receipt",
        format!("{:.0}", each(bytes as f64)),
        "",
    );
    world.network.stop().await;
    Ok(())
}

struct Sender {
    key: Arc<NodeKey>,
    wallet: Wallet,
    rpc: assay_node::rpc_client::RpcClient,
    domain: Domain,
    revision: RevisionId,
    next: u64,
    previous: ReceiptId,
}

impl Sender {
    fn new(world: &World, index: u16) -> Result<Self> {
        let key = Arc::new(world.network.plan().node_key(index)?);
        let network = &world.network.plan().network;
        Ok(Self {
            wallet: Wallet::new(key.clone(), network.chain_id),
            key,
            rpc: world.network.rpc().clone(),
            domain: network.domain(),
            revision: world.revision,
            next: 0,
            previous: ReceiptId::ZERO,
        })
    }

    fn batch(&mut self) -> Result<Bytes> {
        let mut receipts = Vec::with_capacity(usize::try_from(BATCH)?);
        for _ in 0..BATCH {
            receipts.push(self.receipt()?);
        }
        Ok(settle_call(Batch::pack(receipts, &self.domain)?.encode()))
    }

    fn receipt(&mut self) -> Result<SignedReceipt> {
        let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())?;
        let distinct = |kind: u8| {
            let mut bytes = [kind; 32];
            bytes[..8].copy_from_slice(&self.next.to_be_bytes());
            bytes[8..28].copy_from_slice(self.key.address().as_bytes());
            bytes
        };
        let receipt = Receipt {
            request: RequestId::from_bytes(distinct(1)),
            nonce: u128::from_be_bytes(*distinct(2).first_chunk().ok_or("16 of 32 bytes")?),
            revision: self.revision,
            engine: EngineId::from_bytes([7; 32]),
            parameters: ParametersDigest::ZERO,
            seed: 0,
            input: Commitment::from_bytes(distinct(3)),
            output: Commitment::from_bytes(distinct(4)),
            stream: Commitment::ZERO,
            usage: Usage {
                input_units: 64,
                output_units: 11,
                compute_us: 40,
            },
            price: Microcredits(0),
            payer: Commitment::ZERO,
            node: self.key.address(),
            times: Times {
                request_ns: now - 900_000,
                first_output_ns: now - 100_000,
                end_ns: now,
                uncertainty_ns: 1_000_000,
            },
            rung: Rung::Signed,
            deadline_ns: now + 600_000_000_000,
            sequence: self.next,
            previous: self.previous,
        };
        let signed = self.key.sign(receipt, &self.domain)?;
        self.previous = signed.receipt.id(&self.domain);
        self.next += 1;
        Ok(signed)
    }
}

/// Keeps some batches on their way until `end`; returns the time spent on signing and packing.
async fn node(mut sender: Sender, end: Instant) -> Result<Duration> {
    let mut nonce = sender.rpc.pending_nonce(sender.wallet.address()).await?;
    let mut on_the_way = std::collections::VecDeque::new();
    let mut signing = Duration::ZERO;
    while Instant::now() < end {
        let began = Instant::now();
        let data = sender.batch()?;
        let signed = sender.wallet.sign(
            &Action {
                to: SETTLEMENT,
                data,
                gas: BATCH_GAS,
            },
            nonce,
        );
        signing += began.elapsed();
        nonce += 1;
        sender.rpc.send_raw(&signed.raw).await?;
        on_the_way.push_back(signed);
        if on_the_way.len() >= ON_THE_WAY
            && let Some(oldest) = on_the_way.pop_front()
        {
            settled(&sender, &oldest).await?;
        }
    }
    for signed in on_the_way {
        settled(&sender, &signed).await?;
    }
    Ok(signing)
}

async fn settled(sender: &Sender, signed: &assay_node::wallet::Signed) -> Result<()> {
    let receipt = confirm(&sender.rpc, signed).await?;
    if receipt.succeeded() {
        Ok(())
    } else {
        Err("a batch of good receipts was refused".into())
    }
}
