//! The steps of the walk: each does something real, checks it, and says in a line or two what came of it.

mod check;
mod hub;

use crate::{
    ask::{Answered, Asking, ask},
    client::{Gateway, SettledReport},
    demo::forge::forgeries,
    infer::find_model,
    receipt::save,
    samples::Sample,
    saved::ReceiptFile,
    verify::{Status, judge},
};
use anyhow::{Context as _, Result, bail, ensure};
use assay_node::{
    consumer::ExampleConsumer,
    files::{Access, write_json},
    local::{
        LocalNetwork, Plan, RoleName,
        models::{CHAT, PROVEN},
    },
    rpc_client::RpcClient,
};
use assay_receipt::{ReceiptId, Rung};
use std::{
    net::TcpStream,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tokio::{task::JoinHandle, time::sleep};

/// Receipts must settle within this time, also when a validator was just killed.
const PATIENCE: Duration = Duration::from_secs(30);
/// A published model must be on offer within this time.
const LISTED_WITHIN: Duration = Duration::from_secs(20);
/// Between two looks.
const POLL: Duration = Duration::from_millis(100);
/// Questions after the kill: enough that every node that is left has its turn.
const AGAIN: usize = 6;
/// What is killed: not the validator that the gateway asks first, so that nothing depends on which one it is.
const VICTIMS: [RoleName; 2] = [RoleName::Validator(3), RoleName::Node(1)];

/// An answer, and who watches its receipt settle: proof and time since the answer.
#[derive(Debug)]
struct Asked {
    model: usize,
    answered: Answered,
    settling: JoinHandle<(Result<SettledReport>, Duration)>,
}

/// The state of the walk.
#[derive(Debug)]
pub struct Walk {
    network: LocalNetwork,
    plan: Plan,
    directories: Vec<PathBuf>,
    gateway: Gateway,
    models: Vec<Sample>,
    asked: Vec<Asked>,
    files: Vec<(PathBuf, ReceiptFile)>,
}

impl Walk {
    /// A walk over a running network.
    ///
    /// # Errors
    /// A complaint if a model's test vectors cannot be read.
    pub fn new(network: LocalNetwork, plan: &Plan, directories: &[PathBuf]) -> Result<Self> {
        let gateway = Gateway::new(&plan.gateway_url())?;
        let models = Sample::of(directories)?;
        Ok(Self {
            network,
            plan: plan.clone(),
            directories: directories.to_vec(),
            gateway,
            models,
            asked: Vec::new(),
            files: Vec::new(),
        })
    }

    /// How many models there are.
    pub fn models(&self) -> usize {
        self.models.len()
    }

    /// Where the walk leaves its files.
    pub fn folder(&self) -> PathBuf {
        self.plan.data.join("demo")
    }

    /// Publishes the models and waits until the gateway has them on offer.
    pub async fn publish(&mut self) -> Result<Vec<String>> {
        let published = self.network.publish(&self.directories).await?;
        let started = Instant::now();
        for (name, revision) in &published {
            while find_model(&self.gateway, name).await.is_err() {
                ensure!(started.elapsed() < LISTED_WITHIN, "{name} is not on offer");
                sleep(POLL).await;
            }
            ensure!(
                name == CHAT || self.models.iter().any(|model| model.revision == *revision),
                "{name} is another revision"
            );
        }
        let publisher = self.plan.accounts.developer.address;
        let names = published
            .iter()
            .map(|(name, revision)| format!("{publisher}/{name}  revision {revision}"));
        Ok(names.collect())
    }

    /// Asks model `index` for some rows of its test inputs, and compares the answer with onnxruntime's.
    pub async fn ask(&mut self, index: usize) -> Result<Vec<String>> {
        let started = Instant::now();
        let answered = self.question(index).await?;
        let took = started.elapsed();
        let model = self.models.get(index).context("no such model")?;
        model.compare(&answered.outputs)?;
        let lines = vec![
            format!(
                "{}: {} rows in {:.1} ms, node {}",
                model.name,
                model.rows(),
                millis(took),
                answered.answer.node
            ),
            format!("answer {}", model.describe(&answered)),
            format!("receipt {}", answered.answer.receipt_id),
        ];
        let settling = self.watch(answered.answer.receipt_id);
        self.asked.push(Asked {
            model: index,
            answered,
            settling,
        });
        Ok(lines)
    }

    fn watch(&self, id: ReceiptId) -> JoinHandle<(Result<SettledReport>, Duration)> {
        let (gateway, network, at) = (
            self.gateway.clone(),
            self.plan.network.clone(),
            Instant::now(),
        );
        tokio::spawn(async move { (gateway.settled(&id, &network, PATIENCE).await, at.elapsed()) })
    }

    async fn question(&self, index: usize) -> Result<Answered> {
        let model = self.models.get(index).context("no such model")?;
        let entry = find_model(&self.gateway, &model.revision.to_string()).await?;
        let asking = Asking {
            model: &entry,
            inputs: model.inputs(),
            rung: None,
            deadline_ms: None,
        };
        ask(&self.gateway, &self.plan.network, asking).await
    }

    /// Waits until each receipt is in a finalized block, checks its proof, and saves it.
    pub async fn settle(&mut self) -> Result<Vec<String>> {
        let folder = self.folder();
        write_json(
            &folder.join("network.json"),
            &self.plan.network,
            Access::Public,
        )?;
        let mut lines = Vec::new();
        for asked in std::mem::take(&mut self.asked) {
            let (proven, waited) = asked.settling.await?;
            let proven = proven?;
            let model = self.models.get(asked.model).context("no such model")?;
            let file = asked.answered.file(&self.plan.network, proven.report.proof);
            let path = folder.join(format!("{}.receipt.json", model.name));
            save(&path, &file)?;
            let (height, waited) = (proven.settled.height, millis(waited));
            lines.push(format!(
                "{}: final in block {height}, {waited:.0} ms after the answer",
                model.name
            ));
            self.files.push((path, file));
        }
        Ok(lines)
    }

    /// Asks for a proven answer of one row, and shows that a contract which needs the proof acts only after it.
    pub async fn prove(&mut self) -> Result<Vec<String>> {
        let model = self.models.iter().find(|model| model.name == PROVEN);
        let model = model.context("no model of the walk can be proven")?;
        let rpc = RpcClient::new(&self.network.endpoints().rpc)?;
        let wallet = self.network.developer()?;
        let consumer = ExampleConsumer::deploy(&rpc, &wallet, model.revision, Rung::Proven).await?;
        let entry = find_model(&self.gateway, &model.revision.to_string()).await?;
        let asking = Asking {
            model: &entry,
            inputs: model.first_input(),
            rung: Some("proven".into()),
            deadline_ms: None,
        };
        let started = Instant::now();
        let answered = ask(&self.gateway, &self.plan.network, asking).await?;
        let id = answered.answer.receipt_id;
        let settled = self.gateway.settled(&id, &self.plan.network, PATIENCE);
        let settled = settled.await?;
        let place = settled.report.proof.context("it settled without a proof")?;
        let signed = &answered.answer.receipt;
        let refusal = consumer.refusal(&rpc, signed, &place).await?;
        let evidence = self.gateway.proven(&id, PATIENCE).await?;
        let took = started.elapsed();
        let refusal = refusal.context("the consumer would have acted without the proof")?;
        let acted = consumer.act(&rpc, &wallet, signed, &place).await?;
        let output = consumer.latest_output(&rpc).await?;
        ensure!(
            output.0 == *signed.receipt.output.as_bytes(),
            "the consumer acted on another answer"
        );
        let block = evidence.block.context("proven in no block")?;
        let bytes = evidence.proof_bytes.unwrap_or_default();
        Ok(vec![
            format!(
                "{PROVEN}: settled in block {}; a contract that needs a proof refuses: {refusal}",
                settled.settled.height
            ),
            format!(
                "verdict Proven: {bytes} bytes checked by the validators in block {block}, {:.1} s after the question",
                took.as_secs_f64()
            ),
            format!("the contract acts on the answer in block {acted}"),
        ])
    }

    /// Kills a validator and an inference node.
    pub async fn kill(&mut self) -> Result<Vec<String>> {
        let pids = self.network.endpoints().pids;
        let mut lines = Vec::new();
        for victim in VICTIMS {
            let pid = pids
                .get(&victim.to_string())
                .context("a role has no process")?;
            self.network.kill(victim).await?;
            lines.push(format!("{victim} (process {pid}) killed with SIGKILL"));
        }
        Ok(lines)
    }

    /// Shows that what is left of the network answers and settles.
    pub async fn ask_again(&mut self) -> Result<Vec<String>> {
        let started = Instant::now();
        let mut receipts = Vec::new();
        for turn in 0..AGAIN {
            let index = turn % self.models.len().max(1);
            let answered = self.question(index).await?;
            self.models
                .get(index)
                .context("no such model")?
                .compare(&answered.outputs)?;
            receipts.push(answered.answer.receipt_id);
        }
        let answered = started.elapsed();
        let mut last = 0;
        for id in &receipts {
            last = self
                .gateway
                .settled(id, &self.plan.network, PATIENCE)
                .await?
                .settled
                .height
                .max(last);
        }
        Ok(vec![format!(
            "{AGAIN} more answers in {:.0} ms; all settled by block {last}, {:.1} s after the kill",
            millis(answered),
            started.elapsed().as_secs_f64()
        )])
    }

    /// Stops the network.
    pub async fn stop(&mut self) {
        self.network.stop().await;
    }

    /// Makes sure that nothing of the network answers any more.
    pub fn check_stopped(&self) -> Result<Vec<String>> {
        let open =
            |address: &std::net::SocketAddr| TcpStream::connect_timeout(address, POLL).is_ok();
        let all = self.plan.ports.all(self.plan.node_count(), self.plan.hubs);
        match all.iter().find(|address| open(address)) {
            Some(address) => bail!("something still answers at {address}"),
            None => Ok(vec![format!(
                "the whole network is stopped: none of its {} ports answers",
                all.len()
            )]),
        }
    }

    /// Verifies the saved receipts from their files alone.
    pub fn verify(&self) -> Result<Vec<String>> {
        let network = read_text(&self.folder().join("network.json"))?;
        let network = crate::saved::parse_network(&network)?;
        let mut lines = Vec::new();
        for (path, _) in &self.files {
            let started = Instant::now();
            let report = judge(&read_text(path)?, &network);
            let took = millis(started.elapsed());
            ensure!(
                report.status == Status::Verified,
                "{}: {}",
                path.display(),
                report.reason
            );
            lines.push(format!(
                "{}: verified in {took:.1} ms, {}",
                file_name(path),
                report.reason
            ));
        }
        ensure!(!lines.is_empty(), "there is no receipt to verify");
        lines.push(
            "not established: that the model computed the answer, or that the answer is any good"
                .into(),
        );
        Ok(lines)
    }

    /// Forges a receipt in several ways and has each refused.
    pub fn tamper(&self) -> Result<Vec<String>> {
        let [(_, genuine), (_, other), ..] = self.files.as_slice() else {
            bail!("two receipts are needed")
        };
        let mut lines = Vec::new();
        for forgery in forgeries(genuine, other)? {
            let report = judge(&forgery.text, &self.plan.network);
            ensure!(
                report.status == Status::Refuted,
                "{}: {:?}",
                forgery.deed,
                report.status
            );
            lines.push(format!("{}: refused, {}", forgery.deed, report.reason));
        }
        Ok(lines)
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn read_text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}
