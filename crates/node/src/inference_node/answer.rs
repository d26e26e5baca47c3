//! From a request to its answer and receipt.

use crate::{
    api::{InferRequest, InferResponse, Opening, OutputForm, Parameters, UsageReport, tensors},
    clock::now_ns,
    cpu,
    error::Error,
    inference_node::{Node, Served, prover::Promise},
    limits::{Place, TURN_PATIENCE},
    problem::{Kind, Problem},
    writer::Draft,
};
use assay_inference::{Error as EngineError, NamedTensors, RunLimits};
use assay_receipt::{
    Commitment, EngineId, NodeAddress, Receipt, ReceiptId, ReceiptState, Request, Rung, Times,
    Usage,
};
use assay_tensor::Error as TensorError;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// An engine that does not notice that its time is over is left behind after this.
pub(crate) const OVERTIME: Duration = Duration::from_millis(500);

/// When a request arrived, by both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    ns: u64,
    at: Instant,
}

impl Arrival {
    /// Now.
    pub(super) fn now() -> Self {
        Self {
            ns: now_ns(),
            at: Instant::now(),
        }
    }

    /// How long ago that is.
    pub(super) fn elapsed(&self) -> Duration {
        self.at.elapsed()
    }

    /// Unix ns of it.
    pub(super) fn ns(&self) -> u64 {
        self.ns
    }

    /// Unix ns of a later moment, by the clock that never jumps back.
    pub(super) fn ns_at(&self, later: Instant) -> u64 {
        let passed = later.saturating_duration_since(self.at).as_nanos();
        self.ns
            .saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
    }
}

/// A request as it was read, with everything that the client left to the node.
struct Asked {
    inputs: BTreeMap<String, Value>,
    form: OutputForm,
    parameters: Parameters,
    seed: u64,
    nonce: u128,
    rung: Rung,
    deadline_ns: u64,
    prove_by_ns: Option<u64>,
    opening: Opening,
}

/// What an engine made of the inputs.
struct Computed {
    input: Commitment,
    output: Commitment,
    outputs: BTreeMap<String, Value>,
    usage: Usage,
    ended: Instant,
    engine: EngineId,
    /// CPU time of the thread that ran the engine.
    cpu: Duration,
    /// Inputs and outputs of an answer that is to be proven.
    tensors: Option<(NamedTensors, NamedTensors)>,
}

/// What a receipt says of an answer beyond its request.
pub(super) struct Made {
    pub(super) engine: EngineId,
    pub(super) output: Commitment,
    /// Head of the chain of its steps, zero where it was not streamed.
    pub(super) stream: Commitment,
    pub(super) usage: Usage,
    pub(super) times: Times,
}

/// Tells an engine to stop when whoever waited for it is gone.
struct Cancel(Arc<AtomicBool>);

impl Drop for Cancel {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Node {
    /// Answers a request; the receipt is on disk when this returns.
    pub(super) async fn answer(
        &self,
        request: InferRequest,
        arrival: Arrival,
        place: Place,
    ) -> Result<InferResponse, Problem> {
        let model = self
            .models
            .resolve(&request.model_name()?, &self.rpc)
            .await?;
        if !self.writer.takes(model.entry.revision) {
            let detail = "receipts of this node for this revision can no longer settle";
            return Err(Problem::new(Kind::Unavailable, detail).with_hint("ask another node"));
        }
        let asked = Asked::read(request, arrival)?;
        if asked.rung == Rung::Proven && !self.prover.has_room() {
            let detail = "too many proofs wait at this node";
            return Err(Problem::new(Kind::Unavailable, detail).retry_after(5));
        }
        // Each that waits takes one, if it is proven alone.
        let waiting = self.prover.waiting(&model.entry.revision) as u64;
        if asked.rung == Rung::Proven && model.proofs_left().is_some_and(|left| left <= waiting) {
            let detail = "the proofs that wait take all that may be made before a renewal";
            return Err(
                Problem::new(Kind::Unavailable, detail).with_hint("ask another node, or later")
            );
        }
        let (asked, computed) = self.compute(&model, asked, place).await?;
        self.metrics
            .engine_s
            .observe(Duration::from_micros(computed.usage.compute_us));
        self.sign(&model, asked, computed, arrival).await
    }

    /// Runs the engine on a thread of its own, within the limits of a request.
    async fn compute(
        &self,
        model: &Arc<Served>,
        asked: Asked,
        place: Place,
    ) -> Result<(Asked, Computed), Problem> {
        let patience = self.limits.run_time();
        let turn = place.turn(TURN_PATIENCE).await?;
        let stop = Arc::new(AtomicBool::new(false));
        let _cancel = Cancel(stop.clone());
        let (model, limits) = (model.clone(), self.limits.run_limits());
        let work = tokio::task::spawn_blocking(move || {
            // The turn ends with the work, not with the patience of whoever waits for it.
            let _turn = turn;
            let started = Instant::now();
            let cancel = || stop.load(Ordering::Relaxed) || started.elapsed() > patience;
            let computed = asked.run(&model, &limits, &cancel)?;
            Ok((asked, computed))
        });
        match tokio::time::timeout(patience.saturating_add(OVERTIME), work).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => Err(Problem::new(Kind::Internal, "the engine ended early")),
            Err(_) => Err(took_too_long(patience)),
        }
    }

    /// Signs for the answer and waits until the receipt is on disk.
    async fn sign(
        &self,
        model: &Served,
        asked: Asked,
        computed: Computed,
        arrival: Arrival,
    ) -> Result<InferResponse, Problem> {
        let request = Request {
            network: self.domain.network(),
            revision: model.entry.revision,
            input: computed.input,
            parameters: asked.parameters.digest(),
            seed: asked.seed,
            rung: asked.rung,
            deadline_ns: asked.deadline_ns,
            nonce: asked.nonce,
            payer: Commitment::ZERO,
        };
        let end_ns = arrival.ns_at(computed.ended);
        let times = Times {
            request_ns: arrival.ns,
            first_output_ns: end_ns,
            end_ns,
            uncertainty_ns: self.uncertainty_ns,
        };
        let made = Made {
            engine: computed.engine,
            output: computed.output,
            stream: Commitment::ZERO,
            usage: computed.usage,
            times,
        };
        let receipt = self.receipt(&request, &made);
        let draft = Draft {
            receipt,
            opening: asked.opening.clone(),
        };
        let durable = self
            .writer
            .append(draft)
            .await
            .map_err(|error| not_durable(&error))?;
        if let Some((inputs, outputs)) = computed.tensors {
            let promise = Promise {
                signed: durable.signed.clone(),
                id: durable.id,
                inputs,
                outputs,
                opening: asked.opening.clone(),
                infer_cpu: computed.cpu,
                prove_by_ns: asked.prove_by_ns,
            };
            self.prover.push(promise).await;
        }
        Ok(InferResponse {
            outputs: computed.outputs,
            revision: model.entry.revision,
            node: self.address,
            receipt_id: durable.id,
            receipt: durable.signed,
            request,
            state: ReceiptState::Executed,
            opening: asked.opening,
            usage: self.usage(&computed.usage),
        })
    }

    /// The receipt of an answer, but for its place, which the writer gives it.
    pub(super) fn receipt(&self, request: &Request, made: &Made) -> Receipt {
        Receipt {
            request: request.id(),
            nonce: request.nonce,
            revision: request.revision,
            engine: made.engine,
            parameters: request.parameters,
            seed: request.seed,
            input: request.input,
            output: made.output,
            stream: made.stream,
            usage: made.usage,
            price: self.price,
            payer: request.payer,
            node: NodeAddress::ZERO,
            times: made.times,
            rung: request.rung,
            deadline_ns: request.deadline_ns,
            sequence: 0,
            previous: ReceiptId::ZERO,
        }
    }

    /// What an answer used, as clients are told.
    pub(super) fn usage(&self, used: &Usage) -> UsageReport {
        UsageReport {
            input_units: used.input_units,
            output_units: used.output_units,
            compute_us: used.compute_us,
            price_microcredits: self.price,
        }
    }
}

impl Asked {
    fn read(request: InferRequest, arrival: Arrival) -> Result<Self, Problem> {
        let parameters = Parameters::of(request.parameters.as_ref())?;
        // A receipt must not bind parameters that changed nothing.
        if let Some(name) = parameters.names().next() {
            let detail = format!("this engine takes no parameters; `{name}` was given");
            return Err(Problem::new(Kind::BadParameters, detail));
        }
        Ok(Self {
            nonce: request.nonce()?.unwrap_or_else(rand::random),
            rung: request.rung()?,
            deadline_ns: arrival.ns.saturating_add(request.deadline_ns()?),
            prove_by_ns: request
                .prove_within_ns()?
                .map(|within| arrival.ns.saturating_add(within)),
            seed: request.seed.unwrap_or(0),
            form: request.outputs.unwrap_or_default(),
            inputs: request.inputs,
            parameters,
            opening: Opening::drawn(),
        })
    }

    fn run(
        &self,
        model: &Served,
        limits: &RunLimits,
        cancel: &dyn Fn() -> bool,
    ) -> Result<Computed, Problem> {
        let inputs = tensors::read(&self.inputs, &model.entry.inputs, limits.input_elements)?;
        let input = tensors::commit(&inputs, &self.opening.input)?;
        let engine = model.engine_for(self.rung)?;
        let (started, cpu) = (Instant::now(), cpu::of_thread());
        let outputs = engine
            .run(&inputs, limits, cancel)
            .map_err(|error| engine_problem(&error))?;
        let (ended, cpu) = (Instant::now(), cpu::of_thread().saturating_sub(cpu));
        let compute_us = ended.saturating_duration_since(started).as_micros();
        Ok(Computed {
            input,
            output: tensors::commit(&outputs, &self.opening.output)?,
            outputs: tensors::write(&outputs, self.form)?,
            usage: Usage {
                input_units: elements(&inputs),
                output_units: elements(&outputs),
                compute_us: u64::try_from(compute_us).unwrap_or(u64::MAX),
            },
            ended,
            engine: engine.id(),
            cpu,
            tensors: (self.rung == Rung::Proven).then_some((inputs, outputs)),
        })
    }
}

fn elements(tensors: &NamedTensors) -> u64 {
    tensors
        .iter()
        .map(|(_, tensor)| tensor.shape().elements() as u64)
        .sum()
}

fn took_too_long(patience: Duration) -> Problem {
    let detail = format!(
        "the model did not finish within {} ms",
        patience.as_millis()
    );
    Problem::new(Kind::Timeout, detail)
}

/// Who is to blame for an engine's error.
fn engine_problem(error: &EngineError) -> Problem {
    let kind = match error {
        EngineError::Input { .. } | EngineError::Npy(_) | EngineError::Run(_) => Kind::BadInput,
        EngineError::Language(_) => Kind::Internal,
        EngineError::Tensor(inner) => match inner {
            // A node that stops on these very values: the loader has accepted the graph.
            TensorError::Input { .. } | TensorError::Node { .. } | TensorError::Tensor(_) => {
                Kind::BadInput
            }
            TensorError::Exhausted { .. } => Kind::OverBudget,
            TensorError::Cancelled { .. } => Kind::Timeout,
            _ => Kind::Internal,
        },
        _ => Kind::Internal,
    };
    Problem::new(kind, error)
}

pub(super) fn not_durable(error: &Error) -> Problem {
    match error {
        Error::Receipt(assay_receipt::Error::IllFormed(_)) => {
            Problem::new(Kind::Timeout, "the answer came after its deadline")
        }
        Error::Stopping => {
            Problem::new(Kind::Unavailable, "this node is stopping").with_hint("ask another node")
        }
        _ => Problem::new(Kind::Internal, "the receipt could not be made durable"),
    }
}
