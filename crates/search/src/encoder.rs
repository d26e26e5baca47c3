//! Where does a sentence lie in meaning? The sentence encoder MiniLM-L6, and a static table of tokens distilled from
//! it.
//!
//! Weights are given as bytes: the safetensors file and the vocabulary of `sentence-transformers/all-MiniLM-L6-v2`, or
//! a model of the same shape. They are kept in eight bits, and sums of products are integer sums, which come out the
//! same in any order; the few sums of floats have a written order. So every hub has the same vectors on any machine.

mod kernel;
mod recent;
mod table;
mod weights;
mod wordpiece;

use std::sync::Arc;

use crate::Error;
use crate::lexicon::{Concept, Lexicon};
use kernel::{Linear, Norm, Rows};
use recent::Recent;
use weights::Tensors;
use wordpiece::Vocabulary;

pub use table::Table;

/// Elements of a vector.
pub const DIMENSIONS: usize = 384;
/// Tokens that are read of one text, the two at its ends included.
pub const TOKENS_MAX: usize = 64;
/// Layers at most.
const LAYERS_MAX: usize = 24;

/// The direction of a text's meaning, in eight bits an element.
#[derive(Clone, Debug, PartialEq)]
pub struct Vector {
    values: [i8; DIMENSIONS],
    inverse_norm: f32,
}

impl Default for Vector {
    fn default() -> Self {
        Self {
            values: [0; DIMENSIONS],
            inverse_norm: 0.0,
        }
    }
}

impl Vector {
    /// Rounds a vector of floats to eight bits an element; its length is lost. Missing elements are zero.
    #[must_use]
    pub fn of(values: &[f32]) -> Self {
        let largest = values
            .iter()
            .fold(0.0_f32, |most, value| most.max(value.abs()));
        let scale = if largest > 0.0 { 127.0 / largest } else { 0.0 };
        let mut vector = Self::default();
        for (rounded, value) in vector.values.iter_mut().zip(values) {
            *rounded = kernel::nearest(value * scale) as i8;
        }
        let square = kernel::dot_bytes(&vector.values, &vector.values);
        vector.inverse_norm = if square > 0 {
            1.0 / (square as f32).sqrt()
        } else {
            0.0
        };
        vector
    }

    /// The cosine of the angle to another; 0 when one of them is zero.
    #[must_use]
    pub fn cosine(&self, other: &Self) -> f32 {
        kernel::dot_bytes(&self.values, &other.values) as f32
            * self.inverse_norm
            * other.inverse_norm
    }

    /// The elements.
    #[must_use]
    pub fn values(&self) -> &[i8] {
        &self.values
    }
}

struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    attended: Linear,
    norm: Norm,
    wide: Linear,
    narrow: Linear,
    last_norm: Norm,
}

/// MiniLM: a BERT whose mean output, made a unit vector, is a sentence's meaning.
pub struct Encoder {
    vocabulary: Vocabulary,
    tokens: Rows,
    places: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
    digest: [u8; 32],
}

impl Encoder {
    /// Reads weights in safetensors' format, single precision, and the vocabulary, one token a line.
    ///
    /// # Errors
    /// [`Error::Weights`] when a tensor is missing, has another shape, or the files are not what they should be.
    pub fn new(safetensors: &[u8], vocabulary: &[u8]) -> Result<Self, Error> {
        let tensors = Tensors::of(safetensors)?;
        let vocabulary = Vocabulary::of(vocabulary)?;
        let words = tensors.matrix("embeddings.word_embeddings.weight", DIMENSIONS)?;
        if words.len() != vocabulary.len() * DIMENSIONS {
            return Err(Error::weights("vocabulary and embeddings differ in length"));
        }
        let mut places = tensors.matrix("embeddings.position_embeddings.weight", DIMENSIONS)?;
        let kind = tensors.matrix("embeddings.token_type_embeddings.weight", DIMENSIONS)?;
        for place in places.chunks_mut(DIMENSIONS) {
            place
                .iter_mut()
                .zip(&kind)
                .for_each(|(place, kind)| *place += kind);
        }
        if places.len() < TOKENS_MAX * DIMENSIONS {
            return Err(Error::weights("too few positions"));
        }
        let mut layers = Vec::new();
        while layers.len() < LAYERS_MAX
            && tensors.has(&format!(
                "encoder.layer.{}.output.dense.weight",
                layers.len()
            ))
        {
            layers.push(Layer::of(&tensors, layers.len())?);
        }
        let mut hasher = blake3::Hasher::new_derive_key("assay.network search encoder v1");
        hasher.update(blake3::hash(safetensors).as_bytes());
        vocabulary.hash_into(&mut hasher);
        Ok(Self {
            tokens: Rows::of(&words, DIMENSIONS),
            norm: tensors.norm("embeddings.LayerNorm")?,
            vocabulary,
            places,
            layers,
            digest: *hasher.finalize().as_bytes(),
        })
    }

    /// The meaning of a text.
    #[must_use]
    pub fn encode(&self, text: &str) -> Vector {
        Vector::of(&self.encode_tokens(&self.vocabulary.tokens(text, TOKENS_MAX)))
    }

    /// The mean of the last layer over all tokens.
    fn encode_tokens(&self, tokens: &[u32]) -> Vec<f32> {
        let mut states = Vec::with_capacity(tokens.len() * DIMENSIONS);
        for (token, place) in tokens.iter().zip(self.places.chunks(DIMENSIONS)) {
            let row = self.tokens.row(*token as usize);
            states.extend(row.zip(place).map(|(word, place)| word + place));
        }
        self.norm.apply(&mut states);
        for layer in &self.layers {
            layer.apply(&mut states);
        }
        let mut mean = vec![0.0; DIMENSIONS];
        for state in states.chunks(DIMENSIONS) {
            mean.iter_mut()
                .zip(state)
                .for_each(|(sum, value)| *sum += value);
        }
        let count = tokens.len().max(1) as f32;
        mean.iter_mut().for_each(|sum| *sum /= count);
        mean
    }
}

impl Layer {
    fn of(tensors: &Tensors<'_>, number: usize) -> Result<Self, Error> {
        let name = |part: &str| format!("encoder.layer.{number}.{part}");
        let linear = |part: &str| tensors.linear(&name(part));
        let layer = Self {
            query: linear("attention.self.query")?,
            key: linear("attention.self.key")?,
            value: linear("attention.self.value")?,
            attended: linear("attention.output.dense")?,
            norm: tensors.norm(&name("attention.output.LayerNorm"))?,
            wide: linear("intermediate.dense")?,
            narrow: linear("output.dense")?,
            last_norm: tensors.norm(&name("output.LayerNorm"))?,
        };
        let shapes = [
            (&layer.query, DIMENSIONS, DIMENSIONS),
            (&layer.key, DIMENSIONS, DIMENSIONS),
            (&layer.value, DIMENSIONS, DIMENSIONS),
            (&layer.attended, DIMENSIONS, DIMENSIONS),
            (&layer.wide, DIMENSIONS, layer.narrow.inner()),
            (&layer.narrow, layer.wide.outer(), DIMENSIONS),
        ];
        if shapes
            .iter()
            .any(|(linear, inner, outer)| linear.inner() != *inner || linear.outer() != *outer)
        {
            return Err(Error::weights(format!("layer {number} has other shapes")));
        }
        Ok(layer)
    }

    fn apply(&self, states: &mut [f32]) {
        let input = kernel::Rounded::of(states, DIMENSIONS);
        let (query, key, value) = (
            self.query.apply(&input),
            self.key.apply(&input),
            self.value.apply(&input),
        );
        let attended = kernel::attention(&query, &key, &value);
        let attended = self
            .attended
            .apply(&kernel::Rounded::of(&attended, DIMENSIONS));
        add(states, &attended);
        self.norm.apply(states);
        let mut wide = self.wide.apply(&kernel::Rounded::of(states, DIMENSIONS));
        wide.iter_mut()
            .for_each(|value| *value = crate::numeric::gelu(*value));
        let narrow = self
            .narrow
            .apply(&kernel::Rounded::of(&wide, self.wide.outer()));
        add(states, &narrow);
        self.last_norm.apply(states);
    }
}

fn add(states: &mut [f32], more: &[f32]) {
    states
        .iter_mut()
        .zip(more)
        .for_each(|(state, more)| *state += more);
}

/// What turns a text into a vector.
#[derive(Clone)]
pub enum Embedder {
    /// The whole encoder: milliseconds a text.
    Encoder(Arc<Encoder>),
    /// A table of tokens distilled from it: microseconds a text.
    Table(Arc<Table>),
}

impl Embedder {
    /// The meaning of a text.
    #[must_use]
    pub fn encode(&self, text: &str) -> Vector {
        match self {
            Self::Encoder(encoder) => encoder.encode(text),
            Self::Table(table) => table.encode(text),
        }
    }

    fn digest(&self) -> [u8; 32] {
        match self {
            Self::Encoder(encoder) => encoder.digest,
            Self::Table(table) => table.digest(),
        }
    }
}

/// What turns documents and queries into vectors of one space, and vectors into concepts.
#[derive(Clone)]
pub struct Semantics {
    documents: Embedder,
    queries: Embedder,
    quick: Embedder,
    /// Phrases of the lexicon with their vectors.
    prototypes: Arc<Vec<(Concept, Vector)>>,
    /// Of queries.
    recent: Arc<Recent>,
    digest: [u8; 32],
}

/// A cosine from which on a text may mean what a phrase means.
const MEANT: f32 = 0.38;
/// How much nearer than others a concept must be.
const MARGIN: f32 = 0.06;

impl Semantics {
    /// Documents by the first, queries by the second, and by the third those that were understood without vectors; all
    /// three have to be of the same model. Encodes the lexicon, which takes a second or two with the whole encoder.
    #[must_use]
    pub fn new(documents: Embedder, queries: Embedder, quick: Embedder) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("assay.network search semantics v1");
        hasher
            .update(&documents.digest())
            .update(&queries.digest())
            .update(&quick.digest());
        let phrases = Lexicon::shared().concept_phrases();
        let prototypes = phrases
            .map(|(concept, phrase)| (concept, queries.encode(phrase)))
            .collect();
        Self {
            digest: *hasher.finalize().as_bytes(),
            documents,
            queries,
            quick,
            prototypes: Arc::new(prototypes),
            recent: Arc::default(),
        }
    }

    /// The vector of a document's summary.
    #[must_use]
    pub fn document(&self, summary: &str) -> Vector {
        self.documents.encode(summary)
    }

    /// The vector of a query that nothing else explains.
    #[must_use]
    pub fn query(&self, text: &str) -> Vector {
        let text = crate::document::clipped(text, crate::need::QUERY_BYTES_MAX);
        self.recent.get(text, |text| self.queries.encode(text))
    }

    /// The vector of a query that was understood by its words.
    #[must_use]
    pub fn quick_query(&self, text: &str) -> Vector {
        self.quick
            .encode(crate::document::clipped(text, crate::need::QUERY_BYTES_MAX))
    }

    /// What a text most likely is about, by the nearest phrases: two concepts at most, and how near.
    #[must_use]
    pub fn concepts(&self, vector: &Vector) -> Vec<(Concept, f32)> {
        let mut nearest: Vec<(Concept, f32)> = Vec::new();
        for (concept, prototype) in self.prototypes.iter() {
            let cosine = vector.cosine(prototype);
            match nearest.last_mut() {
                Some((last, held)) if last == concept => *held = held.max(cosine),
                _ => nearest.push((*concept, cosine)),
            }
        }
        nearest.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let best = nearest.first().map_or(0.0, |(_, cosine)| *cosine);
        nearest.retain(|(_, cosine)| *cosine >= MEANT && *cosine >= best - MARGIN);
        nearest.truncate(2);
        nearest
    }

    /// Whether a word is an ordinary one, that the encoder knows whole.
    pub(crate) fn ordinary(&self, word: &str) -> bool {
        match &self.queries {
            Embedder::Encoder(encoder) => encoder.vocabulary.has(word),
            Embedder::Table(table) => table.vocabulary().has(word),
        }
    }

    /// Names the weights: vectors of two hubs are the same if these are.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }
}
