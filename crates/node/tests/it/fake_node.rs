//! An inference node whose model doubles its input, honest or with one fraud or failure.

use alloy_primitives::B256;
use assay_chain::light::Network;
use assay_inference::{DType, NamedTensors, Tensor};
use assay_node::{
    api::{
        CANCEL_PATH, Dimension, HEALTH_PATH, Health, HealthStatus, INFER_PATH, InferRequest,
        InferResponse, MODELS_PATH, ModelEntry, ModelList, Opening, ProofReport, ProofState,
        RECEIPTS_PATH, ReceiptReport, TensorEntry, UsageReport, tensors,
    },
    problem::{Kind, Problem},
};
use assay_receipt::{
    Commitment, EngineId, Microcredits, NodeKey, ParametersDigest, Receipt, ReceiptId,
    ReceiptState, Request, RevisionId, Rung, SignedReceipt, Times, Usage,
};
use axum::{
    Json, Router,
    extract::{Path, State},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle};

/// How a node behaves when it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conduct {
    /// It answers.
    Honest,
    /// It says that the question is to blame.
    Refuses,
    /// It fails.
    Fails,
    /// It says that it is full.
    Full,
    /// It sends no JSON.
    Babbles,
    /// It breaks the connection before an answer.
    HangsUp,
    /// It never answers.
    Sleeps,
    /// It changes the receipt after it signed it.
    Forges,
    /// It answers with the receipt of another revision.
    Swaps,
    /// It answers with other outputs than it signed for.
    Embellishes,
    /// It commits to another input than it was sent.
    Mishears,
    /// It signs with another key than it registered.
    Impersonates,
    /// It answers an earlier question again.
    Replays,
    /// It answers with other outputs than it signed for, once it has dropped the model from its list.
    Withdraws,
    /// It says of each receipt that it has settled.
    Boasts,
}

/// A running node.
pub struct FakeNode {
    /// Its URL.
    pub url: String,
    /// Its key's address.
    pub address: assay_receipt::NodeAddress,
    /// How often it was asked for an answer.
    pub asked: Arc<AtomicU64>,
    /// How often it was told to cancel a proof.
    pub cancelled: Arc<AtomicU64>,
    server: JoinHandle<()>,
}

impl Drop for FakeNode {
    fn drop(&mut self) {
        self.server.abort();
    }
}

struct Inner {
    key: NodeKey,
    registered: NodeKey,
    network: Network,
    conduct: Conduct,
    asked: Arc<AtomicU64>,
    cancelled: Arc<AtomicU64>,
    given: Mutex<Vec<InferResponse>>,
    never: Notify,
    /// How often it was asked for its models since it dropped them.
    withdrawn: Mutex<Option<u32>>,
}

/// The model that every fake node serves.
pub fn model() -> ModelEntry {
    let entry = |name: &str| TensorEntry {
        name: name.into(),
        dtype: DType::F32.name().into(),
        shape: Some(vec![Dimension::Any(()), Dimension::Fixed(2)]),
        non_finite: false,
    };
    ModelEntry {
        revision: revision(),
        name: "double".into(),
        published_as: Vec::new(),
        task: "test".into(),
        licence: "MIT".into(),
        inputs: vec![entry("x")],
        outputs: vec![entry("y")],
        labels: Vec::new(),
        engine: EngineId::from_bytes([8; 32]),
        replayable: true,
        rungs: vec![Rung::Signed],
        proofs: None,
        context: None,
        tool_format: None,
        nodes: None,
    }
}

/// The revision of [`model`].
pub fn revision() -> RevisionId {
    RevisionId::from_bytes([7; 32])
}

/// Says where the node is: in a data centre of its own, of a holy operator, and in a country that is none.
fn health(number: u8) -> Health {
    let place = [
        ("operator", "a saint".to_owned()),
        ("data_centre", format!("Centre-{number}")),
        ("country", "Atlantis".to_owned()),
        ("planet", "earth".to_owned()),
    ];
    Health {
        role: "node".into(),
        status: HealthStatus::Ok,
        version: "0".into(),
        detail: None,
        unsettled: None,
        place: place.map(|(key, text)| (key.to_owned(), text)).into(),
    }
}

impl FakeNode {
    /// Starts on a free port; `number` makes its key.
    pub async fn start(number: u8, network: &Network, conduct: Conduct) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let registered = NodeKey::from_bytes([number; 32]).unwrap();
        let secret = if conduct == Conduct::Impersonates {
            number ^ 0x80
        } else {
            number
        };
        let [asked, cancelled] = [(); 2].map(|()| Arc::new(AtomicU64::new(0)));
        let address = registered.address();
        let inner = Inner {
            key: NodeKey::from_bytes([secret; 32]).unwrap(),
            registered,
            network: network.clone(),
            conduct,
            asked: Arc::clone(&asked),
            cancelled: Arc::clone(&cancelled),
            given: Mutex::default(),
            never: Notify::new(),
            withdrawn: Mutex::default(),
        };
        let router = Router::new()
            .route(INFER_PATH, post(infer))
            .route(MODELS_PATH, get(models))
            .route(HEALTH_PATH, get(async move || Json(health(number))))
            .route(&format!("{RECEIPTS_PATH}/{{id}}"), get(receipt))
            .route(
                &format!("{RECEIPTS_PATH}/{{id}}{CANCEL_PATH}"),
                post(cancel),
            )
            .with_state(Arc::new(inner));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url,
            address,
            asked,
            cancelled,
            server,
        }
    }
}

async fn models(State(node): State<Arc<Inner>>) -> Json<ModelList> {
    let mut withdrawn = node.withdrawn.lock().unwrap();
    let models = match &mut *withdrawn {
        Some(probes) => {
            *probes += 1;
            Vec::new()
        }
        None => vec![model()],
    };
    Json(ModelList { models })
}

/// Drops the model and waits until the gateway has surely read the list without it: two probes follow each other.
async fn withdraw(node: &Inner) {
    *node.withdrawn.lock().unwrap() = Some(0);
    while (*node.withdrawn.lock().unwrap()).is_some_and(|probes| probes < 2) {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn infer(State(node): State<Arc<Inner>>, Json(request): Json<InferRequest>) -> Response {
    node.asked.fetch_add(1, Ordering::SeqCst);
    match node.conduct {
        Conduct::Refuses => return Problem::new(Kind::BadInput, "no such input").into_response(),
        Conduct::Fails => return Problem::new(Kind::Internal, "broken").into_response(),
        Conduct::Full => return Problem::new(Kind::Unavailable, "full").into_response(),
        Conduct::Babbles => return "hello".into_response(),
        // A panic in a handler ends the connection without an answer.
        Conduct::HangsUp => panic!("hanging up, as this test wants it"),
        Conduct::Sleeps => node.never.notified().await,
        Conduct::Withdraws => withdraw(&node).await,
        _ => {}
    }
    if node.conduct == Conduct::Replays
        && let Some(earlier) = node.given.lock().unwrap().first()
    {
        return Json(earlier.clone()).into_response();
    }
    let answer = answer(&node, &request);
    node.given.lock().unwrap().push(answer.clone());
    Json(answer).into_response()
}

async fn receipt(State(node): State<Arc<Inner>>, Path(id): Path<ReceiptId>) -> Response {
    let given = node.given.lock().unwrap();
    match given.iter().find(|answer| answer.receipt_id == id) {
        Some(answer) => Json(ReceiptReport {
            evidence: None,
            id,
            state: if node.conduct == Conduct::Boasts {
                ReceiptState::Settled
            } else {
                ReceiptState::Executed
            },
            receipt: answer.receipt.clone(),
            height: (node.conduct == Conduct::Boasts).then_some(7),
            proof: None,
            network: None,
        })
        .into_response(),
        None => Problem::new(Kind::UnknownReceipt, id).into_response(),
    }
}

/// Cancels what it promised, for who has the opening.
async fn cancel(
    State(node): State<Arc<Inner>>,
    Path(id): Path<ReceiptId>,
    Json(opening): Json<Opening>,
) -> Response {
    node.cancelled.fetch_add(1, Ordering::SeqCst);
    let given = node.given.lock().unwrap();
    match given.iter().find(|answer| answer.receipt_id == id) {
        Some(answer) if answer.opening == opening => {
            Json(ProofReport::of(ProofState::Cancelled)).into_response()
        }
        Some(_) => Problem::new(Kind::BadRequest, "another opening").into_response(),
        None => Problem::new(Kind::UnknownReceipt, id).into_response(),
    }
}

fn answer(node: &Inner, request: &InferRequest) -> InferResponse {
    let inputs = tensors::read(&request.inputs, &model().inputs, 1_000).unwrap();
    let doubled: Vec<f32> = inputs
        .at(0)
        .unwrap()
        .as_slice::<f32>()
        .unwrap()
        .iter()
        .map(|x| x * 2.0)
        .collect();
    let output = Tensor::new(&[doubled.len() / 2, 2], doubled).unwrap();
    let outputs = NamedTensors::new(vec![("y".into(), output)]);
    let opening = Opening {
        input: B256::repeat_byte(1),
        output: B256::repeat_byte(2),
    };
    let mut input = tensors::commit(&inputs, &opening.input).unwrap();
    if node.conduct == Conduct::Mishears {
        input = Commitment::from_bytes([3; 32]);
    }
    let output = tensors::commit(&outputs, &opening.output).unwrap();
    let asked = asked_for(node, request, input);
    let mut signed = node
        .key
        .sign(receipt_for(node, &asked, output), &node.network.domain())
        .unwrap();
    let receipt_id = signed.receipt.id(&node.network.domain());
    if node.conduct == Conduct::Forges {
        signed.receipt.price = Microcredits(1_000_000);
    }
    let mut written = tensors::write(&outputs, request.outputs.unwrap_or_default()).unwrap();
    if matches!(node.conduct, Conduct::Embellishes | Conduct::Withdraws) {
        written.insert("y".into(), serde_json::json!([[100, 100]]));
    }
    response(signed, receipt_id, asked, opening, written)
}

fn response(
    signed: SignedReceipt,
    receipt_id: ReceiptId,
    request: Request,
    opening: Opening,
    outputs: std::collections::BTreeMap<String, serde_json::Value>,
) -> InferResponse {
    let receipt = &signed.receipt;
    InferResponse {
        outputs,
        revision: receipt.revision,
        node: receipt.node,
        receipt_id,
        request,
        state: ReceiptState::Executed,
        opening,
        usage: UsageReport {
            input_units: receipt.usage.input_units,
            output_units: receipt.usage.output_units,
            compute_us: receipt.usage.compute_us,
            price_microcredits: receipt.price,
        },
        receipt: signed,
    }
}

fn asked_for(node: &Inner, request: &InferRequest, input: Commitment) -> Request {
    let swapped = node.conduct == Conduct::Swaps;
    Request {
        network: node.network.id(),
        revision: if swapped {
            RevisionId::from_bytes([6; 32])
        } else {
            revision()
        },
        input,
        parameters: ParametersDigest::ZERO,
        seed: request.seed.unwrap_or(0),
        rung: Rung::Signed,
        deadline_ns: REQUEST_NS + request.deadline_ns().unwrap(),
        nonce: request.nonce().unwrap().unwrap_or(0),
        payer: Commitment::ZERO,
    }
}

/// When every request arrives.
const REQUEST_NS: u64 = 1_000;

fn receipt_for(node: &Inner, asked: &Request, output: Commitment) -> Receipt {
    let sequence = node.given.lock().unwrap().len() as u64;
    Receipt {
        request: asked.id(),
        nonce: asked.nonce,
        revision: asked.revision,
        engine: model().engine,
        parameters: asked.parameters,
        seed: asked.seed,
        input: asked.input,
        output,
        stream: Commitment::ZERO,
        usage: Usage {
            input_units: 2,
            output_units: 2,
            compute_us: 5,
        },
        price: Microcredits::ZERO,
        payer: asked.payer,
        node: if node.conduct == Conduct::Impersonates {
            node.key.address()
        } else {
            node.registered.address()
        },
        times: Times {
            request_ns: REQUEST_NS,
            first_output_ns: REQUEST_NS + 1,
            end_ns: REQUEST_NS + 1,
            uncertainty_ns: 0,
        },
        rung: Rung::Signed,
        deadline_ns: asked.deadline_ns,
        sequence,
        previous: if sequence == 0 {
            ReceiptId::ZERO
        } else {
            ReceiptId::from_bytes([1; 32])
        },
    }
}
