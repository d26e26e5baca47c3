//! The forward pass of models of the Llama family: any number of sequences at once, each from wherever it stands.

use std::sync::{Mutex, PoisonError};

use super::{
    Angles, Bytes, Kernel, Matrix,
    cache::{Cache, readings},
    rows::{attend, gated, normalised},
};

/// Outputs of a product that one worker computes at a time, at least.
const LEAST_OUTPUTS: usize = 64;

/// Sizes of a model. Numbers are 32-bit floats, rows are tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dimensions {
    /// Tokens that there are.
    pub vocabulary: usize,
    /// Numbers of a token between layers.
    pub width: usize,
    /// Heads of the query.
    pub heads: usize,
    /// Heads of keys and values, of which each serves `heads / shared` of the query.
    pub shared: usize,
    /// Numbers of a head.
    pub head: usize,
    /// Numbers behind the gate.
    pub gated: usize,
    /// What is added to a mean of squares.
    pub epsilon: f32,
    /// Tokens that a sequence may have.
    pub context: usize,
    /// How fast positions turn.
    pub theta: f64,
}

/// A product with what is added to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// The weights.
    pub matrix: Matrix,
    /// What is added to each output; empty for nothing.
    pub bias: Vec<f32>,
}

/// The weights of a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Norm before attention.
    pub attention_norm: Vec<f32>,
    /// To the query.
    pub query: Linear,
    /// To keys.
    pub keys: Linear,
    /// To values.
    pub values: Linear,
    /// From all heads.
    pub merge: Linear,
    /// Norm before the gate.
    pub gate_norm: Vec<f32>,
    /// To the gate.
    pub gate: Linear,
    /// To what the gate lets through.
    pub up: Linear,
    /// From there.
    pub down: Linear,
}

/// All weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    /// A row for each token.
    pub embeddings: Matrix,
    /// The layers, in their order.
    pub layers: Vec<Layer>,
    /// The last norm.
    pub norm: Vec<f32>,
    /// To a score for each token; `None` where the embeddings serve.
    pub head: Option<Matrix>,
}

/// Does parts of some work, at once or one after the other: each part from 0 on exactly once.
pub trait Workers: Sync {
    /// Ends when all parts are done.
    fn each(&self, parts: usize, work: &(dyn Fn(usize) + Sync));

    /// How many parts are done at once.
    fn at_once(&self) -> usize;
}

/// One part after the other.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

impl Workers for Alone {
    fn each(&self, parts: usize, work: &(dyn Fn(usize) + Sync)) {
        (0..parts).for_each(work);
    }

    fn at_once(&self) -> usize {
        1
    }
}

/// How a pass is computed, which changes nothing about its numbers.
#[derive(Clone, Copy)]
pub struct How<'a> {
    /// The kernel of products.
    pub kernel: Kernel,
    /// Who does the work.
    pub workers: &'a dyn Workers,
}

/// What one sequence contributes to a pass.
#[derive(Debug)]
pub struct Run<'a> {
    /// Where the sequence stands; the pass adds its tokens.
    pub cache: &'a mut Cache,
    /// Its next tokens.
    pub tokens: &'a [u32],
    /// After how many of these tokens, the last ones, scores are wanted.
    pub wanted: usize,
}

/// Why a pass cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PassError {
    /// The caller gave nothing to compute.
    #[error("a sequence without a next token")]
    NoToken,
    /// The caller gave a token that the model has not.
    #[error("token {token} is none of the {vocabulary} of the vocabulary")]
    Token {
        /// It.
        token: u32,
        /// How many there are.
        vocabulary: usize,
    },
    /// The caller's sequence is too long.
    #[error("a sequence of {length} tokens, and the model reads at most {context}")]
    Context {
        /// Its length, with the new tokens.
        length: usize,
        /// The most.
        context: usize,
    },
}

/// A model.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    sizes: Dimensions,
    weights: Weights,
    angles: Angles,
}

/// A row of a pass.
struct Row {
    run: usize,
    position: usize,
}

impl Model {
    /// A model of weights of exactly these sizes.
    ///
    /// # Errors
    /// What does not fit, in words.
    pub fn new(sizes: Dimensions, weights: Weights) -> Result<Self, String> {
        check(&sizes, &weights)?;
        Ok(Self {
            angles: Angles::new(sizes.context, sizes.head / 2, sizes.theta),
            sizes,
            weights,
        })
    }

    /// Its sizes.
    pub fn dimensions(&self) -> &Dimensions {
        &self.sizes
    }

    /// What its matrices take of memory, bytes.
    pub fn memory(&self) -> usize {
        let layers = self.weights.layers.iter().flat_map(|layer| layer.linears());
        let linears: usize = layers.map(|linear| linear.matrix.memory()).sum();
        let head = self.weights.head.as_ref().map_or(0, Matrix::memory);
        linears + self.weights.embeddings.memory() + head
    }

    /// Scores of each token of the vocabulary to come next, `[wanted token][vocabulary]` for each run.
    ///
    /// A run's scores do not depend on the others, on how its tokens are cut into passes, or on `how`.
    ///
    /// # Errors
    /// [`PassError`]; nothing is computed, and no cache has changed.
    pub fn pass(&self, runs: &mut [Run<'_>], how: How<'_>) -> Result<Vec<Vec<f32>>, PassError> {
        let state = self.advanced(runs, how)?;
        Ok(self.scores(runs, &state, how))
    }

    /// What the last norm makes of each wanted token, `[wanted token][width]` for each run: what scores are made of.
    ///
    /// # Errors
    /// As of [`Self::pass`].
    pub fn states(&self, runs: &mut [Run<'_>], how: How<'_>) -> Result<Vec<Vec<f32>>, PassError> {
        let state = self.advanced(runs, how)?;
        let width = self.sizes.width;
        let (wanted, counts) = self.wanted(runs, &state);
        let mut normed = vec![0.0; wanted.len()];
        for (row, into) in wanted
            .chunks_exact(width)
            .zip(normed.chunks_exact_mut(width))
        {
            normalised(row, &self.weights.norm, self.sizes.epsilon, into);
        }
        Ok(split(
            &normed,
            counts.into_iter().map(|count| count * width),
        ))
    }

    /// The rows of all tokens after the last layer; caches have grown.
    fn advanced(&self, runs: &mut [Run<'_>], how: How<'_>) -> Result<Vec<f32>, PassError> {
        let rows = self.rows(runs)?;
        let mut state = self.embedded(runs);
        if rows.is_empty() {
            return Ok(state);
        }
        for (index, layer) in self.weights.layers.iter().enumerate() {
            self.attention(index, layer, runs, &rows, &mut state, how);
            self.gate(layer, &mut state, how);
        }
        for run in runs.iter_mut() {
            run.cache.grown(run.tokens.len());
        }
        Ok(state)
    }

    fn rows(&self, runs: &[Run<'_>]) -> Result<Vec<Row>, PassError> {
        let (vocabulary, context) = (self.sizes.vocabulary, self.sizes.context);
        let mut rows = Vec::new();
        for (run, of) in runs.iter().enumerate() {
            let length = of.cache.length().saturating_add(of.tokens.len());
            if of.tokens.is_empty() {
                return Err(PassError::NoToken);
            }
            if length > context {
                return Err(PassError::Context { length, context });
            }
            if let Some(token) = of
                .tokens
                .iter()
                .find(|token| **token as usize >= vocabulary)
            {
                let token = *token;
                return Err(PassError::Token { token, vocabulary });
            }
            rows.extend((of.cache.length()..length).map(|position| Row { run, position }));
        }
        Ok(rows)
    }

    fn embedded(&self, runs: &[Run<'_>]) -> Vec<f32> {
        let tokens = runs.iter().flat_map(|run| run.tokens);
        let rows = tokens.flat_map(|token| self.weights.embeddings.row(*token as usize));
        rows.collect()
    }

    fn normed(&self, state: &[f32], weights: &[f32]) -> Bytes {
        let width = self.sizes.width;
        let mut normed = vec![0.0; state.len()];
        for (row, into) in state
            .chunks_exact(width)
            .zip(normed.chunks_exact_mut(width))
        {
            normalised(row, weights, self.sizes.epsilon, into);
        }
        Bytes::quantised(&normed, width)
    }

    fn attention(
        &self,
        index: usize,
        layer: &Layer,
        runs: &mut [Run<'_>],
        rows: &[Row],
        state: &mut [f32],
        how: How<'_>,
    ) {
        let sizes = &self.sizes;
        let (wide, narrow) = (sizes.heads * sizes.head, sizes.shared * sizes.head);
        let by = self.normed(state, &layer.attention_norm);
        let mut query = linear(&layer.query, &by, how);
        let mut keys = linear(&layer.keys, &by, how);
        let values = linear(&layer.values, &by, how);
        for (at, row) in rows.iter().enumerate() {
            self.angles
                .rotate(&mut query[at * wide..][..wide], row.position);
            self.angles
                .rotate(&mut keys[at * narrow..][..narrow], row.position);
            let of = [&keys, &values].map(|numbers| &numbers[at * narrow..][..narrow]);
            let layers = self.weights.layers.len();
            runs[row.run].cache.put(index, row.position, layers, of);
        }
        let pages: Vec<_> = runs
            .iter()
            .map(|run| [0, 1].map(|which| run.cache.pages(index, which)))
            .collect();
        let mut read = vec![0.0; rows.len() * wide];
        let parts: Vec<Mutex<&mut [f32]>> = read.chunks_exact_mut(wide).map(Mutex::new).collect();
        how.workers.each(rows.len(), &|at| {
            let (row, mut into) = (&rows[at], locked(&parts[at]));
            let from = readings(&pages[row.run], narrow);
            let query = &query[at * wide..][..wide];
            attend(query, from, row.position + 1, sizes.head, &mut into);
        });
        drop(parts);
        add(
            state,
            &linear(&layer.merge, &Bytes::quantised(&read, wide), how),
        );
    }

    fn gate(&self, layer: &Layer, state: &mut [f32], how: How<'_>) {
        let by = self.normed(state, &layer.gate_norm);
        let (mut gate, up) = (linear(&layer.gate, &by, how), linear(&layer.up, &by, how));
        let through = gate.clone();
        gated(&through, &up, &mut gate);
        let by = Bytes::quantised(&gate, self.sizes.gated);
        add(state, &linear(&layer.down, &by, how));
    }

    /// The rows of wanted tokens, and how many each run wants.
    fn wanted(&self, runs: &[Run<'_>], state: &[f32]) -> (Vec<f32>, Vec<usize>) {
        let width = self.sizes.width;
        let (mut wanted, mut counts, mut end) = (Vec::new(), Vec::new(), 0);
        for run in runs {
            end += run.tokens.len();
            let count = run.wanted.min(run.tokens.len());
            wanted.extend_from_slice(&state[(end - count) * width..end * width]);
            counts.push(count);
        }
        (wanted, counts)
    }

    fn scores(&self, runs: &[Run<'_>], state: &[f32], how: How<'_>) -> Vec<Vec<f32>> {
        let (wanted, counts) = self.wanted(runs, state);
        let by = self.normed(&wanted, &self.weights.norm);
        let head = self
            .weights
            .head
            .as_ref()
            .unwrap_or(&self.weights.embeddings);
        let scores = product(head, &[], &by, how);
        let sizes = counts
            .into_iter()
            .map(|count| count * self.sizes.vocabulary);
        split(&scores, sizes)
    }
}

/// One vector after the other, of these sizes.
fn split(mut rest: &[f32], sizes: impl Iterator<Item = usize>) -> Vec<Vec<f32>> {
    let parts = sizes.map(|size| {
        let (part, others) = rest.split_at(size);
        rest = others;
        part.to_vec()
    });
    parts.collect()
}

impl Layer {
    fn linears(&self) -> [&Linear; 7] {
        [
            &self.query,
            &self.keys,
            &self.values,
            &self.merge,
            &self.gate,
            &self.up,
            &self.down,
        ]
    }
}

fn locked<'a, T>(part: &'a Mutex<T>) -> std::sync::MutexGuard<'a, T> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

fn add(state: &mut [f32], more: &[f32]) {
    for (value, more) in state.iter_mut().zip(more) {
        *value += more;
    }
}

fn linear(of: &Linear, by: &Bytes, how: How<'_>) -> Vec<f32> {
    product(&of.matrix, &of.bias, by, how)
}

/// A product and what is added to it: `[row of activations][output]`.
fn product(matrix: &Matrix, bias: &[f32], by: &Bytes, how: How<'_>) -> Vec<f32> {
    let (outputs, rows) = (matrix.rows(), by.rows());
    if rows == 0 {
        return Vec::new();
    }
    let at_once = how.workers.at_once().max(1);
    let of_part = outputs
        .div_ceil(at_once)
        .next_multiple_of(4)
        .max(LEAST_OUTPUTS);
    let mut products = vec![0i32; outputs * rows];
    let parts: Vec<Mutex<&mut [i32]>> = products
        .chunks_mut(of_part * rows)
        .map(Mutex::new)
        .collect();
    how.workers.each(parts.len(), &|part| {
        let of = part * of_part..((part + 1) * of_part).min(outputs);
        matrix.products(of, by, how.kernel, &mut locked(&parts[part]));
    });
    drop(parts);
    let mut out = vec![0.0f32; outputs * rows];
    for (row, into) in out.chunks_exact_mut(outputs).enumerate() {
        for (output, into) in into.iter_mut().enumerate() {
            *into = matrix.scaled(products[output * rows + row], output, by, row);
        }
        add(into, bias);
    }
    out
}

/// Whether weights have these sizes.
fn check(sizes: &Dimensions, weights: &Weights) -> Result<(), String> {
    let Dimensions {
        width,
        heads,
        shared,
        head,
        gated,
        vocabulary,
        ..
    } = *sizes;
    let is_sound = [width, heads, shared, head, gated, vocabulary, sizes.context]
        .iter()
        .all(|size| *size > 0)
        && heads.is_multiple_of(shared)
        && head.is_multiple_of(2)
        && sizes.theta >= 1.0
        && sizes.epsilon > 0.0;
    if !is_sound {
        return Err(format!("sizes that make no model: {sizes:?}"));
    }
    let fits = |name: &str, matrix: &Matrix, rows: usize, inner: usize| {
        let found = (matrix.rows(), matrix.inner());
        match found == (rows, inner) {
            true => Ok(()),
            false => Err(format!("{name} is {found:?}, not {:?}", (rows, inner))),
        }
    };
    fits("embeddings", &weights.embeddings, vocabulary, width)?;
    if let Some(head) = &weights.head {
        fits("head", head, vocabulary, width)?;
    }
    let mut norms = vec![&weights.norm];
    for layer in &weights.layers {
        let (wide, narrow) = (heads * head, shared * head);
        let expected = [
            (wide, width),
            (narrow, width),
            (narrow, width),
            (width, wide),
            (gated, width),
            (gated, width),
            (width, gated),
        ];
        for (linear, (rows, inner)) in layer.linears().into_iter().zip(expected) {
            fits("a layer's matrix", &linear.matrix, rows, inner)?;
            if !linear.bias.is_empty() && linear.bias.len() != rows {
                return Err(format!("a bias of {}, not {rows}", linear.bias.len()));
            }
        }
        norms.extend([&layer.attention_norm, &layer.gate_norm]);
    }
    match norms.iter().all(|norm| norm.len() == width) {
        true => Ok(()),
        false => Err(format!("a norm that is not of {width}")),
    }
}
