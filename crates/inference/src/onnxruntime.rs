//! The fast path for ONNX models: onnxruntime, from a shared library that the operator names.
//!
//! Its bits depend on its version and on the machine, so nothing that it answers can be replayed: its engine id is
//! another one than [`OnnxEngine`]'s, and says so. A model reaches the library only after our own loader took it, and
//! an input only after it was checked against the manifest. What the library allocates and how long one of its kernels
//! runs is bounded by nobody here; it runs inside this process, and keeps a copy of the model for each run at once.

use crate::{
    EngineId, Error, NamedTensors, Revision, RevisionId, RunLimits, Signature,
    engine::{Engine, engine_id},
    onnx::{MODEL_FILE, OnnxEngine},
};
use assay_tensor::{DType, Element, ModelLimits, Tensor, Values};
use ort::{
    environment::Environment,
    session::{RunOptions, Session, SessionInputValue, SessionOutputs},
    value::{DynValue, PrimitiveTensorElementType, Tensor as Texts, TensorRef},
};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        mpsc::{RecvTimeoutError, sync_channel},
    },
    thread,
    time::Duration,
};

/// How often a run is asked whether it has to end.
const CANCEL_EVERY: Duration = Duration::from_millis(2);

/// The library of this process, with the path that it came from: it can be loaded once and not unloaded.
static LOADED: Mutex<Option<(PathBuf, OnnxRuntime)>> = Mutex::new(None);

/// onnxruntime, loaded into this process.
#[derive(Clone)]
pub struct OnnxRuntime {
    environment: Environment,
    build: &'static str,
}

impl fmt::Debug for OnnxRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OnnxRuntime").field(&self.build).finish()
    }
}

impl OnnxRuntime {
    /// Loads the library at `path`, 1.17 or later, as it lies in onnxruntime's releases and Python packages.
    ///
    /// # Errors
    /// [`Error::Library`] if it is none, or this process has loaded another one.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let at = |reason: String| Error::Library(format!("{}: {reason}", path.display()));
        // A relative path would be looked for beside the program and in the system's folders.
        let path = &path.canonicalize().map_err(|error| at(error.to_string()))?;
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, runtime)) = &*loaded {
            return if known == path {
                Ok(runtime.clone())
            } else {
                let known = known.display();
                Err(Error::Library(format!(
                    "this process has loaded {known} already"
                )))
            };
        }
        let builder = ort::init_from(path).map_err(|error| at(error.to_string()))?;
        let environment = builder.with_name("assay").with_telemetry(false).build();
        let runtime = Self {
            environment: environment.map_err(|error| at(error.to_string()))?,
            build: ort::info(),
        };
        *loaded = Some((path.clone(), runtime.clone()));
        Ok(runtime)
    }

    /// The library's own words about its version and build.
    pub fn build(&self) -> &str {
        self.build
    }

    fn session(&self, model: &[u8]) -> ort::Result<Session> {
        Session::builder(&self.environment)?
            .with_intra_threads(1)?
            .with_inter_threads(1)?
            // What our loader read as ONNX must not be read as the library's own format.
            .with_config_entry("session.load_model_format", "ONNX")?
            .commit_from_memory(model)
    }
}

/// A verified revision that onnxruntime has loaded.
#[derive(Debug)]
pub struct OnnxRuntimeEngine {
    /// Took the model, and checks inputs.
    checked: OnnxEngine,
    runtime: OnnxRuntime,
    model: Vec<u8>,
    /// Sessions that nobody uses; a session runs one thing at a time.
    idle: Mutex<Vec<Session>>,
}

impl OnnxRuntimeEngine {
    /// Loads a revision, first with our own loader and then with the library.
    ///
    /// # Errors
    /// As [`OnnxEngine::load`], and [`Error::Library`] if the library refuses the model.
    pub fn load(
        revision: &Revision,
        limits: &ModelLimits,
        runtime: &OnnxRuntime,
    ) -> Result<Self, Error> {
        let checked = OnnxEngine::load(revision, limits)?;
        let model = revision.read(MODEL_FILE)?;
        let first = runtime.session(&model).map_err(refused)?;
        if let Some(output) = first
            .outputs()
            .iter()
            .find(|output| !output.dtype().is_tensor())
        {
            return Err(Error::Library(format!(
                "its output `{}` is {}, no tensor: export the model without ZipMap, or serve it without the library",
                output.name(),
                output.dtype()
            )));
        }
        Ok(Self {
            checked,
            runtime: runtime.clone(),
            model,
            idle: Mutex::new(vec![first]),
        })
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Session>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine for OnnxRuntimeEngine {
    fn id(&self) -> EngineId {
        engine_id("onnxruntime", self.runtime.build, "not replayable")
    }

    fn replayable(&self) -> bool {
        false
    }

    fn revision(&self) -> RevisionId {
        self.checked.revision()
    }

    fn signature(&self) -> &Signature {
        self.checked.signature()
    }

    /// Of `limits` the input's elements are kept, and the bytes of the outputs (of texts, without their characters).
    fn run(
        &self,
        inputs: &NamedTensors,
        limits: &RunLimits,
        cancel: &dyn Fn() -> bool,
    ) -> Result<NamedTensors, Error> {
        self.checked.check(inputs)?;
        let elements = inputs.iter().map(|(_, tensor)| tensor.shape().elements());
        let elements = elements.fold(0, usize::saturating_add);
        bounded("the inputs", "elements", elements, limits.input_elements)?;
        let values = inputs
            .iter()
            .map(|(name, tensor)| Ok((name, lend(tensor)?)));
        let values = values.collect::<ort::Result<_>>().map_err(stopped)?;
        let idle = self.idle().pop();
        let mut session = match idle {
            Some(session) => session,
            None => self.runtime.session(&self.model).map_err(refused)?,
        };
        let options = RunOptions::new().map_err(refused)?;
        let given = run(&mut session, values, &options, cancel);
        let outputs = given.and_then(|given| self.collect(&given, limits.memory_bytes));
        // One whose run failed or was ended is as good as another.
        self.idle().push(session);
        outputs
    }
}

impl OnnxRuntimeEngine {
    /// Copies of the outputs, of `most` bytes in all.
    fn collect(&self, given: &SessionOutputs<'_>, most: u64) -> Result<NamedTensors, Error> {
        let (mut outputs, mut bytes) = (NamedTensors::default(), 0);
        for info in &self.signature().outputs {
            let value = given.get(&info.name);
            let value = value.ok_or_else(|| Error::Library(format!("no output {}", info.name)))?;
            let size = value
                .shape()
                .num_elements()
                .saturating_mul(info.dtype.size());
            bytes = size.saturating_add(bytes);
            bounded("the outputs", "bytes", bytes, most)?;
            outputs.push(&info.name, take(value, info.dtype)?);
        }
        Ok(outputs)
    }
}

/// Runs a session on a thread of its own, so that this one can ask whether it has to end. That is heard between two
/// kernels.
fn run<'a>(
    session: &'a mut Session,
    values: Vec<(&str, SessionInputValue<'_>)>,
    options: &'a RunOptions,
    cancel: &dyn Fn() -> bool,
) -> Result<SessionOutputs<'a>, Error> {
    let (send, done) = sync_channel(1);
    thread::scope(|scope| {
        let work = move || {
            let _ = send.send(session.run_with_options(values, options));
        };
        let thread = thread::Builder::new().name("onnxruntime".into());
        let thread = thread.spawn_scoped(scope, work);
        let thread = thread.map_err(|error| Error::Library(format!("no thread: {error}")))?;
        let mut cancelled = false;
        loop {
            match done.recv_timeout(CANCEL_EVERY) {
                Ok(Err(_)) if cancelled => {
                    let place = "onnxruntime".into();
                    return Err(assay_tensor::Error::Cancelled { place }.into());
                }
                Ok(result) => return result.map_err(stopped),
                Err(RecvTimeoutError::Timeout) if !cancelled && cancel() => {
                    cancelled = true;
                    options.terminate().map_err(refused)?;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let _ = thread.join();
                    return Err(Error::Library("its thread ended early".into()));
                }
            }
        }
    })
}

/// A view of a tensor for the library; texts are copied.
fn lend(tensor: &Tensor) -> ort::Result<SessionInputValue<'_>> {
    fn view<'a, T: PrimitiveTensorElementType + fmt::Debug + Clone + 'static>(
        tensor: &Tensor,
        values: &'a [T],
    ) -> ort::Result<SessionInputValue<'a>> {
        Ok(TensorRef::from_array_view((tensor.shape().to_vec(), values))?.into())
    }
    match tensor.values() {
        Values::F32(values) => view(tensor, values),
        Values::F64(values) => view(tensor, values),
        Values::I64(values) => view(tensor, values),
        Values::I32(values) => view(tensor, values),
        Values::U8(values) => view(tensor, values),
        Values::Bool(values) => view(tensor, values),
        Values::Str(values) => {
            Ok(Texts::from_string_array((tensor.shape().to_vec(), &**values))?.into())
        }
    }
}

/// A copy of what the library gave.
fn take(value: &DynValue, dtype: DType) -> Result<Tensor, Error> {
    fn copy<T: Element + PrimitiveTensorElementType>(value: &DynValue) -> Result<Tensor, Error> {
        let (shape, values) = value.try_extract_tensor::<T>().map_err(refused)?;
        Ok(Tensor::new(&dims(shape)?, values.to_vec())?)
    }
    match dtype {
        DType::F32 => copy::<f32>(value),
        DType::F64 => copy::<f64>(value),
        DType::I64 => copy::<i64>(value),
        DType::I32 => copy::<i32>(value),
        DType::U8 => copy::<u8>(value),
        DType::Bool => copy::<bool>(value),
        DType::Str => {
            let (shape, texts) = value.try_extract_strings().map_err(refused)?;
            Ok(Tensor::new(&dims(shape)?, texts)?)
        }
    }
}

fn dims(shape: &[i64]) -> Result<Vec<usize>, Error> {
    let dims = shape.iter().map(|dim| usize::try_from(*dim));
    let dims: Result<_, _> = dims.collect();
    dims.map_err(|_| Error::Library(format!("an output of the shape {shape:?}")))
}

fn bounded(place: &str, what: &'static str, needed: usize, limit: u64) -> Result<(), Error> {
    let needed = needed as u64;
    if needed <= limit {
        return Ok(());
    }
    let place = place.into();
    let exhausted = assay_tensor::Error::Exhausted {
        place,
        what,
        needed,
        limit,
    };
    Err(exhausted.into())
}

fn refused(error: ort::Error) -> Error {
    Error::Library(error.to_string())
}

fn stopped(error: ort::Error) -> Error {
    Error::Run(error.to_string())
}
