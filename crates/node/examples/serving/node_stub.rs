//! A node without a model: it speaks the nodes' protocol with real signatures, chains and receipts, and makes its tokens up.
//! Its receipts are numbered and signed, and neither kept nor settled.

use crate::{clock::Clock, script::Script};
use alloy_primitives::B256;
use assay_chain::light::Network;
use assay_inference::language::Finish;
use assay_node::{
    api::{
        MODELS_PATH, ModelEntry, ModelList, Opening, UsageReport,
        generate::{
            ALIVE_MS, Answer, Began, Ended, Frame, GENERATE_PATH, GenerateRequest, LINES,
            StepEntry, Steps, append, commit_prompt, parameters_digest,
        },
        request::{deadline_ns_of, nonce_of},
    },
    clock::now_ns,
    problem::{Kind, Problem},
};
use assay_receipt::{
    ChunkChain, Commitment, Domain, EngineId, Microcredits, NodeKey, Progress, Receipt, ReceiptId,
    ReceiptState, Request, RevisionId, Role, Rung, SignedReceipt, Times, Usage,
};
use axum::{
    Json, Router,
    body::Body,
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{sync::oneshot, time::timeout};

/// A revision that it says it serves.
struct Served {
    script: Script,
    entry: ModelEntry,
    /// How many receipts there are, and the last one's id.
    last: Mutex<(u64, ReceiptId)>,
}

/// The node.
pub struct Stub {
    key: NodeKey,
    network: Network,
    domain: Domain,
    clock: Clock,
    served: Vec<Served>,
}

impl Stub {
    /// A node of a network with this key.
    pub fn new(key: NodeKey, network: Network, clock: Clock, scripts: Vec<Script>) -> Self {
        let served = scripts.into_iter().map(|script| Served {
            entry: entry(&script.name),
            script,
            last: Mutex::new((0, ReceiptId::ZERO)),
        });
        Self {
            key,
            domain: network.domain(),
            network,
            clock,
            served: served.collect(),
        }
    }

    /// What it answers over HTTP.
    pub fn router(self) -> Router {
        Router::new()
            .route(GENERATE_PATH, post(generate))
            .route(MODELS_PATH, get(models))
            .with_state(Arc::new(self))
    }

    fn served(&self, model: &str) -> Option<usize> {
        let is_it = |served: &Served| {
            served.entry.name == model || served.entry.revision.to_string() == model
        };
        self.served.iter().position(is_it)
    }

    /// Numbers and signs a receipt.
    fn sign(&self, served: usize, mut receipt: Receipt) -> (ReceiptId, SignedReceipt) {
        let mut last = self.served[served].last.lock().unwrap();
        (receipt.sequence, receipt.previous) = *last;
        let signed = self.key.sign(receipt, &self.domain).unwrap();
        let id = signed.receipt.id(&self.domain);
        *last = (last.0 + 1, id);
        (id, signed)
    }
}

fn entry(name: &str) -> ModelEntry {
    ModelEntry {
        revision: RevisionId::from_bytes(*blake3::hash(name.as_bytes()).as_bytes()),
        name: name.into(),
        published_as: Vec::new(),
        task: "text-generation".into(),
        licence: "none".into(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        labels: Vec::new(),
        engine: EngineId::from_bytes([0x57; 32]),
        replayable: false,
        rungs: vec![Rung::Signed],
        proofs: None,
        context: Some(1 << 20),
        tool_format: None,
        nodes: None,
    }
}

async fn models(State(stub): State<Arc<Stub>>) -> Json<ModelList> {
    let models = stub.served.iter().map(|served| served.entry.clone());
    Json(ModelList {
        models: models.collect(),
    })
}

async fn generate(
    State(stub): State<Arc<Stub>>,
    Json(question): Json<GenerateRequest>,
) -> Result<Response, Problem> {
    let making = Making::begin(stub, question)?;
    let lines = futures::stream::unfold(making, async |mut making| {
        let mut line = serde_json::to_vec(&making.next().await?).unwrap();
        line.push(b'\n');
        Some((Ok::<_, Infallible>(line), making))
    });
    Ok(([(header::CONTENT_TYPE, LINES)], Body::from_stream(lines)).into_response())
}

/// An answer on its way.
struct Making {
    stub: Arc<Stub>,
    served: usize,
    script: Script,
    started: Instant,
    started_ns: u64,
    first_ns: u64,
    request: Request,
    opening: Opening,
    chain: ChunkChain,
    tokens: Vec<u32>,
    text: String,
    alarm: oneshot::Receiver<()>,
    stage: Stage,
}

enum Stage {
    Begin,
    Steps,
    Over,
}

impl Making {
    fn begin(stub: Arc<Stub>, question: GenerateRequest) -> Result<Self, Problem> {
        let (started, started_ns) = (Instant::now(), now_ns());
        let unknown = || Problem::new(Kind::UnknownModel, &question.model);
        let served = stub.served(&question.model).ok_or_else(unknown)?;
        if !question.after.is_empty() {
            let detail = "a stub goes on after nobody";
            return Err(Problem::new(Kind::Unavailable, detail));
        }
        let opening = Opening::drawn();
        let request = Request {
            network: stub.network.id(),
            revision: stub.served[served].entry.revision,
            input: commit_prompt(&question.prompt, &opening.input)?,
            parameters: parameters_digest(&question.parameters)?,
            seed: question.seed,
            rung: Rung::Signed,
            deadline_ns: started_ns.saturating_add(deadline_ns_of(question.deadline_ms)?),
            nonce: nonce_of(question.nonce.as_deref())?.unwrap_or_else(rand::random),
            payer: Commitment::ZERO,
        };
        let script = stub.served[served].script.clone();
        Ok(Self {
            alarm: stub.clock.at(started + script.due(0)),
            chain: ChunkChain::new(request.id()),
            served,
            script,
            started,
            started_ns,
            first_ns: started_ns,
            request,
            opening,
            tokens: Vec::new(),
            text: String::new(),
            stage: Stage::Begin,
            stub,
        })
    }

    async fn next(&mut self) -> Option<Frame> {
        match self.stage {
            Stage::Over => None,
            Stage::Begin => {
                self.stage = Stage::Steps;
                Some(Frame::Began(Box::new(Began {
                    request: self.request.clone(),
                    input: self.opening.input,
                    engine: self.stub.served[self.served].entry.engine,
                    prompt_tokens: 1,
                })))
            }
            Stage::Steps if self.tokens.len() as u32 == self.script.tokens => {
                self.stage = Stage::Over;
                Some(Frame::Ended(Box::new(self.ended())))
            }
            Stage::Steps => {
                let alive = Duration::from_millis(ALIVE_MS);
                if timeout(alive, &mut self.alarm).await.is_err() {
                    return Some(Frame::Alive);
                }
                Some(Frame::Steps(self.step()))
            }
        }
    }

    fn step(&mut self) -> Steps {
        let token = self.tokens.len() as u32;
        if token == 0 {
            self.first_ns = now_ns();
        }
        let entry = StepEntry {
            token,
            digest: B256::from(*blake3::hash(&token.to_le_bytes()).as_bytes()),
            text: Script::text(token),
            likelihood: None,
        };
        append(&mut self.chain, [(&entry.token, &entry.digest)]).unwrap();
        self.tokens.push(token);
        self.text.push_str(&entry.text);
        self.alarm = self
            .stub
            .clock
            .at(self.started + self.script.due(token + 1));
        let progress = Progress {
            request: self.request.id(),
            role: Role::Made,
            from: 0,
            to: self.chain.count(),
            head: self.chain.head(),
        };
        Steps {
            from: token.into(),
            steps: vec![entry],
            progress: progress.sign(&self.stub.key, &self.stub.domain).unwrap(),
        }
    }

    fn ended(&self) -> Ended {
        let answer = Answer {
            finish: Finish::Stop,
            parts: &[],
            text: &self.text,
            tokens: &self.tokens,
        };
        let usage = Usage {
            input_units: 1,
            output_units: self.tokens.len() as u64,
            compute_us: 0,
        };
        let receipt = Receipt {
            request: self.request.id(),
            nonce: self.request.nonce,
            revision: self.request.revision,
            engine: self.stub.served[self.served].entry.engine,
            parameters: self.request.parameters,
            seed: self.request.seed,
            input: self.request.input,
            output: answer.commit(&self.opening.output).unwrap(),
            stream: self.chain.head(),
            usage,
            price: Microcredits::ZERO,
            payer: self.request.payer,
            node: self.stub.key.address(),
            times: Times {
                request_ns: self.started_ns,
                first_output_ns: self.first_ns,
                end_ns: now_ns(),
                uncertainty_ns: 1_000_000_000,
            },
            rung: Rung::Signed,
            deadline_ns: self.request.deadline_ns,
            sequence: 0,
            previous: ReceiptId::ZERO,
        };
        let (receipt_id, receipt) = self.stub.sign(self.served, receipt);
        Ended {
            finish: Finish::Stop,
            receipt_id,
            receipt,
            state: ReceiptState::Executed,
            output: self.opening.output,
            usage: UsageReport {
                input_units: usage.input_units,
                output_units: usage.output_units,
                compute_us: usage.compute_us,
                price_microcredits: Microcredits::ZERO,
            },
            cached_tokens: 0,
        }
    }
}
