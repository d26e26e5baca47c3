//! The forward pass of models of the Llama family: any number of sequences at once, each from wherever it stands.

use std::sync::Mutex;

use super::{
    Angles, Bytes, Kernel, Matrix,
    cache::{Cache, Shape, readings},
    product::{Product, Times, for_rows, locked, products, through},
    rows::{attend, normalised},
};

/// Pieces of attention for each worker, at least.
const PIECES: usize = 2;

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
        let mut last: Option<Product> = None;
        for (index, layer) in self.weights.layers.iter().enumerate() {
            let by = self.normed(&mut state, last.as_ref(), &layer.attention_norm, how);
            let read = self.attention(index, layer, runs, &rows, &by, how);
            let [merged] = products([layer.merge.times()], &read, how);
            let by = self.normed(&mut state, Some(&merged), &layer.gate_norm, how);
            let by = through([layer.gate.times(), layer.up.times()], &by, how);
            let by = by.quantised(how);
            let [down] = products([layer.down.times()], &by, how);
            last = Some(down);
        }
        if let Some(last) = last {
            let rows = state.chunks_exact_mut(self.sizes.width).enumerate();
            rows.for_each(|(row, state)| last.add_row(row, state));
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

    /// Adds a product to the state, and makes bytes of what the norm makes of it.
    fn normed(
        &self,
        state: &mut [f32],
        more: Option<&Product>,
        weights: &[f32],
        how: How<'_>,
    ) -> Bytes {
        let width = self.sizes.width;
        let rows: Vec<_> = state.chunks_exact_mut(width).map(Mutex::new).collect();
        let workers = for_rows(how, rows.len());
        Bytes::made(rows.len(), width, workers, &|row, into| {
            let mut state = locked(&rows[row]);
            if let Some(more) = more {
                more.add_row(row, &mut state);
            }
            normalised(&state, weights, self.sizes.epsilon, into);
        })
    }

    /// What each row reads from its sequence, which has grown by the rows.
    fn attention(
        &self,
        index: usize,
        layer: &Layer,
        runs: &mut [Run<'_>],
        rows: &[Row],
        by: &Bytes,
        how: How<'_>,
    ) -> Bytes {
        let sizes = &self.sizes;
        let wide = sizes.heads * sizes.head;
        let query = self.asked(index, layer, runs, rows, by, how);
        let pages: Vec<_> = runs
            .iter()
            .map(|run| [0, 1].map(|which| run.cache.pages(index, which)))
            .collect();
        // Few rows are cut between heads.
        let pieces = how.workers.at_once() * PIECES;
        let heads = (sizes.heads * rows.len()).div_ceil(pieces);
        let heads = heads.clamp(1, sizes.heads);
        let of_row = sizes.heads.div_ceil(heads);
        let mut read = vec![0.0; rows.len() * wide];
        let cut = read
            .chunks_exact_mut(wide)
            .flat_map(|row| row.chunks_mut(heads * sizes.head));
        let parts: Vec<_> = cut.map(Mutex::new).collect();
        how.workers.each(parts.len(), &|at| {
            let (row, first) = (at / of_row, at % of_row * heads);
            let mut into = locked(&parts[at]);
            let query = &query[row * wide + first * sizes.head..][..into.len()];
            let from = readings(&pages[rows[row].run], sizes.head);
            let shared = sizes.heads / sizes.shared;
            let until = (rows[row].position + 1, how.kernel);
            attend(query, (first, shared), from, until, &mut into);
        });
        drop(parts);
        Bytes::made(rows.len(), wide, for_rows(how, rows.len()), &|row, into| {
            into.copy_from_slice(&read[row * wide..][..wide]);
        })
    }

    /// The queries of all rows; their keys and values are in the caches.
    fn asked(
        &self,
        index: usize,
        layer: &Layer,
        runs: &mut [Run<'_>],
        rows: &[Row],
        by: &Bytes,
        how: How<'_>,
    ) -> Vec<f32> {
        let sizes = &self.sizes;
        let (wide, narrow) = (sizes.heads * sizes.head, sizes.shared * sizes.head);
        let [query, keys, values] = products(layer.asking(), by, how);
        let mut queries = vec![0.0; rows.len() * wide];
        let mut others = vec![0.0; rows.len() * 2 * narrow];
        let parts = queries
            .chunks_exact_mut(wide)
            .zip(others.chunks_exact_mut(2 * narrow));
        let parts: Vec<_> = parts.map(Mutex::new).collect();
        for_rows(how, rows.len()).each(rows.len(), &|at| {
            let (into, others) = &mut *locked(&parts[at]);
            let (key, value) = others.split_at_mut(narrow);
            query.copy_row(at, into);
            keys.copy_row(at, key);
            values.copy_row(at, value);
            self.angles.rotate(into, rows[at].position);
            self.angles.rotate(key, rows[at].position);
        });
        drop(parts);
        let shape = Shape {
            layers: self.weights.layers.len(),
            size: sizes.head,
        };
        for (row, others) in rows.iter().zip(others.chunks_exact(2 * narrow)) {
            let of = others.split_at(narrow).into();
            runs[row.run].cache.put(index, row.position, shape, of);
        }
        queries
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
        let (mut wanted, counts) = self.wanted(runs, state);
        let by = self.normed(&mut wanted, None, &self.weights.norm, how);
        let own = self.weights.head.as_ref();
        let head = own.unwrap_or(&self.weights.embeddings);
        let [scores] = products([(head, &[])], &by, how);
        scores.into_rows(&counts, how)
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

impl Linear {
    fn times(&self) -> Times<'_> {
        (&self.matrix, &self.bias)
    }
}

impl Layer {
    fn asking(&self) -> [Times<'_>; 3] {
        [&self.query, &self.keys, &self.values].map(Linear::times)
    }

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
