//! The revisions of a node: verified, loaded, warm, and found by their names.

use crate::{
    api::{ModelEntry, ProofOffer, request::ModelName, tensors},
    config::NodeConfig,
    error::Error,
    gateway::openai::format_name,
    inference_node::language::Speaker,
    problem::{Kind, Problem},
    proofs::{self, Registered},
    registry,
    rpc_client::RpcClient,
    secret::{Commitments, Secret},
};
use assay_inference::{
    DType, Dim, Engine, ModelLimits, NamedTensors, NonFinite, OnnxEngine, OnnxRuntime,
    OnnxRuntimeEngine, Revision, RevisionLimits, RunLimits, Signature, Tensor, ValueInfo,
    language::{self, EngineLimits, LanguageModel},
};
use assay_receipt::{EngineId, RevisionId, Rung};
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, Instant},
};

/// A published name is looked up again after this: a new revision is served soon.
const NAME_AGE: Duration = Duration::from_secs(2);
/// Most names that are remembered; beyond it all are forgotten and looked up again.
const MAX_NAMES: usize = 4_096;
/// Tokens that a sequence of a language model may have here.
const MAX_CONTEXT: usize = 8 << 10;
/// Largest input that is made up to warm an engine, elements.
const WARM_ELEMENTS: usize = 1 << 20;

/// A revision that is served.
pub struct Served {
    /// The engine with the revision loaded, where it takes tensors.
    pub engine: Option<Arc<dyn Engine>>,
    /// The engine with the revision loaded, where it is a language model.
    pub speaker: Option<Arc<Speaker>>,
    /// The engine whose answers can be proven, with the commitments that it can be proven under, where the revision has one.
    pub provable: Option<Arc<Commitments>>,
    /// How the revision is listed, without what the chain says of it.
    pub entry: ModelEntry,
    noted: RwLock<Noted>,
}

/// What the chain said of a revision when it was last asked.
#[derive(Debug, Clone, Default)]
pub(super) struct Noted {
    /// Names under which it is published.
    pub(super) published: Vec<String>,
    /// How its answers are proven; `None` where no model is registered yet.
    pub(super) proofs: Option<Result<ProofOffer, &'static str>>,
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Served")
            .field("entry", &self.entry)
            .finish_non_exhaustive()
    }
}

impl Served {
    /// How the revision is listed now.
    pub fn listing(&self) -> ModelEntry {
        let Noted { published, proofs } = self.noted();
        let mut entry = ModelEntry {
            published_as: published,
            ..self.entry.clone()
        };
        match proofs {
            Some(Err(_)) => entry.rungs = rungs(false),
            Some(Ok(offer)) => entry.proofs = Some(offer),
            None => {}
        }
        entry
    }

    fn noted(&self) -> Noted {
        let noted = self.noted.read();
        noted.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The engine for answers of this rung.
    ///
    /// # Errors
    /// [`Kind::UnsupportedRung`] where the revision has no model that can be proven, or none that this node can prove now.
    pub fn engine_for(&self, rung: Rung) -> Result<Arc<dyn Engine>, Problem> {
        if rung == Rung::Replayed {
            let detail = "answers of this revision are not checked by committees";
            return Err(Problem::new(Kind::UnsupportedRung, detail)
                .with_hint("GET /assay/v1/models lists the rungs of each model"));
        }
        if rung != Rung::Proven {
            return self.engine.clone().ok_or_else(|| {
                Problem::new(Kind::BadInput, "a language model takes no tensors")
                    .with_hint("ask it at /v1/chat/completions of a gateway")
            });
        }
        let noted = self.noted().proofs;
        let hides = self.provable.as_ref().is_some_and(|known| known.hides());
        if noted.is_none() && hides {
            let detail = "what is registered of the model is not known yet";
            return Err(Problem::new(Kind::Unavailable, detail).retry_after(1));
        }
        if let Some(Err(reason)) = noted {
            let refused = Problem::new(Kind::UnsupportedRung, reason);
            return Err(refused
                .with_hint("ask another node of GET /assay/v1/models, or the model's publisher"));
        }
        match &self.provable {
            Some(commitments) => Ok(commitments.engine().clone()),
            None => Err(Problem::new(
                Kind::UnsupportedRung,
                "answers of this revision cannot be proven",
            )
            .with_hint("GET /assay/v1/models lists the rungs of each model; a revision needs zk/calibration.npy")),
        }
    }

    /// Proofs that can still be made before a renewal; nothing where none are counted.
    pub fn proofs_left(&self) -> Option<u64> {
        let offer = self.noted().proofs?.ok()?;
        offer.proofs_left
    }

    /// Notes what the chain says.
    pub(super) fn note(&self, change: impl FnOnce(&mut Noted)) {
        let mut noted = self.noted.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut noted);
    }

    /// Whether answers can be proven under what is registered.
    pub(super) fn judge(&self, registered: &Registered) -> Result<ProofOffer, &'static str> {
        let commitments = self.provable.as_ref();
        let offer = commitments.and_then(|commitments| commitments.offer(registered));
        let other = match registered.openings {
            Some(_) => {
                "the registered model's weights are hidden by a secret that this node does not have"
            }
            None => "the registered model is another one than this node quantises",
        };
        let offer = offer.ok_or(other)?;
        match offer.proofs_left {
            Some(0) => Err(
                "proofs of this model have shown of its weights what they may; its publisher has to commit to them anew",
            ),
            _ => Ok(offer),
        }
    }
}

/// What the registry said of a name, and when.
type Resolved = (Option<RevisionId>, Instant);

/// The revisions of a node.
#[derive(Debug)]
pub struct Models {
    revisions: BTreeMap<RevisionId, Arc<Served>>,
    names: Mutex<HashMap<ModelName, Resolved>>,
}

impl Models {
    /// Verifies and loads the revisions of a configuration, which lie in these directories, and runs each one once; through a library of onnxruntime, where it
    /// names one.
    ///
    /// # Errors
    /// [`Error::Config`] if the library cannot be loaded or a secret is not usable; [`Error::Revision`] naming the first
    /// directory that does not hold.
    pub async fn load(config: &NodeConfig, directories: Vec<PathBuf>) -> Result<Self, Error> {
        let library = config.onnxruntime.clone();
        let (secrets, limits) = (config.secrets.clone(), config.limits.run_limits());
        let checks = config.checks;
        let loading = tokio::task::spawn_blocking(move || {
            let runtime = library
                .as_deref()
                .map(|path| OnnxRuntime::open(path).map_err(|error| Error::config(path, error)));
            let runtime = runtime.transpose()?;
            if let Some(runtime) = &runtime {
                tracing::info!(
                    build = runtime.build(),
                    "onnxruntime runs the models; no answer is replayable"
                );
            }
            let mut secrets = open_secrets(&secrets)?;
            let loaded: Result<Vec<Served>, Error> = directories
                .iter()
                .map(|directory| {
                    let mut served = load(directory, runtime.as_ref(), &mut secrets, &limits)?;
                    if checks && served.speaker.is_some() {
                        served.entry.rungs.push(Rung::Replayed);
                    }
                    Ok(served)
                })
                .collect();
            match secrets.into_values().flatten().next() {
                Some(secret) => Err(Error::config(
                    secret.path(),
                    "it is of a revision whose answers this node cannot prove",
                )),
                None => loaded,
            }
        });
        let loaded: Result<Vec<Served>, Error> = loading
            .await
            .unwrap_or(Err(Error::PartEnded("loading of the models")));
        let revisions = loaded?
            .into_iter()
            .map(|served| (served.entry.revision, Arc::new(served)));
        Ok(Self {
            revisions: revisions.collect(),
            names: Mutex::default(),
        })
    }

    /// Number of revisions.
    pub fn count(&self) -> usize {
        self.revisions.len()
    }

    /// The revisions, in order of name and revision.
    pub fn all(&self) -> Vec<Arc<Served>> {
        let mut all: Vec<Arc<Served>> = self.revisions.values().cloned().collect();
        all.sort_by(|a, b| a.entry.name.cmp(&b.entry.name));
        all
    }

    /// A revision, if it is served.
    pub(super) fn served(&self, revision: RevisionId) -> Option<Arc<Served>> {
        self.revisions.get(&revision).cloned()
    }

    /// What answers can be proven with.
    pub(super) fn commitments(&self) -> BTreeMap<RevisionId, Arc<Commitments>> {
        let provable = |(revision, served): (&RevisionId, &Arc<Served>)| {
            Some((*revision, served.provable.clone()?))
        };
        self.revisions.iter().filter_map(provable).collect()
    }

    /// The revision that `name` stands for.
    ///
    /// # Errors
    /// [`Kind::UnknownModel`] if it is not served here; [`Kind::Unavailable`] if nobody can say
    /// what the name stands for.
    pub async fn resolve(&self, name: &ModelName, rpc: &RpcClient) -> Result<Arc<Served>, Problem> {
        let revision = match name {
            ModelName::Revision(revision) => *revision,
            ModelName::Published { .. } => self.look_up(name, rpc).await?.ok_or_else(|| {
                Problem::new(
                    Kind::UnknownModel,
                    format!("nothing is published as {name}"),
                )
            })?,
        };
        let served = self.revisions.get(&revision).cloned();
        served.ok_or_else(|| {
            Problem::new(
                Kind::UnknownModel,
                format!("revision {revision} is not served by this node"),
            )
        })
    }

    async fn look_up(
        &self,
        name: &ModelName,
        rpc: &RpcClient,
    ) -> Result<Option<RevisionId>, Problem> {
        let ModelName::Published {
            publisher,
            name: short,
        } = name
        else {
            return Ok(None);
        };
        let known = self.names().get(name).copied();
        if let Some((revision, at)) = known
            && at.elapsed() < NAME_AGE
        {
            return Ok(revision);
        }
        match registry::latest_revision(rpc, *publisher, short).await {
            Ok(revision) => {
                let mut names = self.names();
                if names.len() >= MAX_NAMES {
                    names.clear();
                }
                names.insert(name.clone(), (revision, Instant::now()));
                Ok(revision)
            }
            Err(error) => match known {
                // Names only ever get newer revisions: an old answer was right once.
                Some((revision, _)) => Ok(revision),
                None => Err(Problem::new(
                    Kind::Unavailable,
                    format!("the model registry cannot be asked: {error}"),
                )
                .with_hint("name the revision by its id, or try again")
                .retry_after(1)),
            },
        }
    }

    fn names(&self) -> std::sync::MutexGuard<'_, HashMap<ModelName, Resolved>> {
        // A panic elsewhere leaves the map whole: entries are inserted in one step.
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Secrets by the revision that they are of.
type Secrets = BTreeMap<RevisionId, Vec<Secret>>;

fn open_secrets(files: &[PathBuf]) -> Result<Secrets, Error> {
    let mut secrets = Secrets::new();
    for file in files {
        let secret = Secret::open(file)?;
        secrets.entry(secret.revision()).or_default().push(secret);
    }
    Ok(secrets)
}

fn load(
    directory: &Path,
    runtime: Option<&OnnxRuntime>,
    secrets: &mut Secrets,
    limits: &RunLimits,
) -> Result<Served, Error> {
    let unusable = |reason: String| Error::Revision {
        directory: directory.into(),
        reason,
    };
    let revision = Revision::open(directory, &RevisionLimits::default())
        .map_err(|error| unusable(error.to_string()))?;
    if revision.manifest().engine == language::ENGINE {
        return speaker(&revision, MAX_CONTEXT);
    }
    let model = ModelLimits::default();
    let engine: Result<Arc<dyn Engine>, _> = match runtime {
        Some(runtime) => {
            OnnxRuntimeEngine::load(&revision, &model, runtime).map(|e| Arc::new(e) as _)
        }
        None => OnnxEngine::load(&revision, &model).map(|e| Arc::new(e) as _),
    };
    let engine = engine.map_err(|error| unusable(error.to_string()))?;
    if engine.signature().inputs.is_empty() || engine.signature().outputs.is_empty() {
        return Err(unusable(
            "a model without inputs or outputs cannot be asked".into(),
        ));
    }
    warm(&*engine, limits);
    let provable = proofs::engine_of(&revision).map(|engine| {
        let secrets = secrets.remove(&revision.id()).unwrap_or_default();
        Commitments::new(engine, secrets).map(Arc::new)
    });
    let provable = provable.transpose()?;
    let mut entry = entry(&revision, engine.signature());
    entry.engine = engine.id();
    entry.replayable = engine.replayable();
    entry.rungs = rungs(provable.is_some());
    Ok(Served {
        entry,
        provable,
        engine: Some(engine),
        speaker: None,
        noted: RwLock::default(),
    })
}

fn rungs(provable: bool) -> Vec<Rung> {
    match provable {
        true => vec![Rung::Signed, Rung::Proven],
        false => vec![Rung::Signed],
    }
}

/// Loads a language model and starts its engine.
fn speaker(revision: &Revision, context: usize) -> Result<Served, Error> {
    let failed = |error: &dyn fmt::Display| Error::Revision {
        directory: revision.directory().into(),
        reason: error.to_string(),
    };
    let model = LanguageModel::load(revision, context).map_err(|error| failed(&error))?;
    let signature = revision
        .manifest()
        .signature()
        .map_err(|error| failed(&error))?;
    let mut entry = entry(revision, &signature);
    entry.engine = model.engine();
    entry.replayable = true;
    entry.context = Some(model.context() as u64);
    entry.tool_format = model
        .tool_format()
        .map(|format| format_name(format).to_owned());
    let speaker = Speaker::start(model, EngineLimits::default())?;
    Ok(Served {
        entry,
        engine: None,
        speaker: Some(Arc::new(speaker)),
        provable: None,
        noted: RwLock::default(),
    })
}

fn entry(revision: &Revision, signature: &Signature) -> ModelEntry {
    let manifest = revision.manifest();
    let open = |name: &str| {
        let value = manifest.inputs.iter().find(|value| value.name == name);
        value.is_some_and(|value| value.non_finite == Some(NonFinite::Allow))
    };
    ModelEntry {
        revision: revision.id(),
        name: manifest.name.clone(),
        published_as: Vec::new(),
        task: manifest.task.clone(),
        licence: manifest.licence.clone(),
        inputs: signature
            .inputs
            .iter()
            .map(|info| tensors::entry(info, open(&info.name)))
            .collect(),
        outputs: signature
            .outputs
            .iter()
            .map(|info| tensors::entry(info, true))
            .collect(),
        labels: manifest.labels.clone().unwrap_or_default(),
        engine: EngineId::ZERO,
        replayable: false,
        rungs: vec![Rung::Signed],
        proofs: None,
        context: None,
        tool_format: None,
        nodes: None,
    }
}

/// Runs the engine once on zeros, so that the first client does not pay for cold memory. A model
/// that refuses zeros stays cold.
fn warm(engine: &dyn Engine, limits: &RunLimits) {
    let zeros: Option<Vec<(String, Tensor)>> = engine
        .signature()
        .inputs
        .iter()
        .map(|info| Some((info.name.clone(), zeros(info)?)))
        .collect();
    let Some(zeros) = zeros else { return };
    if let Err(error) = engine.run(&NamedTensors::new(zeros), limits, &|| false) {
        tracing::debug!(%error, revision = %engine.revision(), "the engine was not warmed");
    }
}

fn zeros(info: &ValueInfo) -> Option<Tensor> {
    let dims: Vec<usize> = info
        .dims
        .as_ref()?
        .iter()
        .map(|dim| if let Dim::Fixed(size) = dim { *size } else { 1 })
        .collect();
    let elements = dims
        .iter()
        .try_fold(1usize, |all, dim| all.checked_mul(*dim))?;
    if elements > WARM_ELEMENTS {
        return None;
    }
    match info.dtype {
        DType::F32 => Tensor::new(&dims, vec![0f32; elements]).ok(),
        DType::F64 => Tensor::new(&dims, vec![0f64; elements]).ok(),
        DType::I64 => Tensor::new(&dims, vec![0i64; elements]).ok(),
        DType::I32 => Tensor::new(&dims, vec![0i32; elements]).ok(),
        DType::U8 => Tensor::new(&dims, vec![0u8; elements]).ok(),
        DType::Bool => Tensor::new(&dims, vec![false; elements]).ok(),
        DType::Str => Tensor::new(&dims, vec![String::new(); elements]).ok(),
    }
}
