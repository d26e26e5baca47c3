//! The weights of the chat model as floats, and what other revisions can be made of them.

use std::collections::BTreeMap;
use std::path::Path;

use assay_hub::tensors::{Elements, Weights as Safetensors};
use assay_tensor::transformer::{Dimensions, Layer, Linear, Matrix, Model, Weights};

/// A matrix: `rows` outputs of `inner` inputs each, row after row.
#[derive(Debug, Clone)]
pub struct Floats {
    pub rows: usize,
    pub inner: usize,
    pub values: Vec<f32>,
}

/// The matrices and norms of a layer: query, keys, values, merge; gate, up, down.
#[derive(Debug, Clone)]
pub struct FloatLayer {
    pub attention_norm: Vec<f32>,
    pub attention: [Floats; 4],
    pub gate_norm: Vec<f32>,
    pub gated: [Floats; 3],
}

/// A model whose embeddings give the scores, too.
#[derive(Debug, Clone)]
pub struct FloatModel {
    pub sizes: Dimensions,
    pub embeddings: Floats,
    pub layers: Vec<FloatLayer>,
    pub norm: Vec<f32>,
}

impl Floats {
    /// Rounded to `bits` bits, evenly around zero with a scale for each row.
    fn coarse(&self, bits: u32) -> Self {
        let most = ((1u32 << (bits - 1)) - 1) as f32;
        let values = self.values.chunks_exact(self.inner).flat_map(|row| {
            let scale = row.iter().fold(0.0f32, |most, value| most.max(value.abs())) / most;
            let round = move |value: &f32| match scale > 0.0 {
                true => (value / scale).round_ties_even() * scale,
                false => 0.0,
            };
            row.iter().map(round)
        });
        Self {
            values: values.collect(),
            ..*self
        }
    }

    fn matrix(&self) -> Matrix {
        Matrix::quantised(&self.values, self.rows, self.inner).expect("weights of a model")
    }

    fn linear(&self) -> Linear {
        Linear {
            matrix: self.matrix(),
            bias: Vec::new(),
        }
    }
}

impl FloatModel {
    /// Reads the weights of a revision; the sizes are those of its model.
    pub fn read(directory: &Path, sizes: Dimensions) -> Self {
        let file = std::fs::read(directory.join("model.safetensors")).expect("the model's weights");
        let file = Safetensors::open(file).expect("safetensors");
        let mut tensors = BTreeMap::new();
        for tensor in file.tensors() {
            let mut elements = Elements::default();
            let count = usize::try_from(tensor.elements).expect("a small model");
            file.read(tensor, 0, count, &mut elements)
                .expect("elements");
            tensors.insert(tensor.name.clone(), elements.values);
        }
        let mut take = |name: &str| tensors.remove(name).expect("a tensor of that name");
        let mut layers = Vec::new();
        let (wide, narrow) = (sizes.heads * sizes.head, sizes.shared * sizes.head);
        for index in 0.. {
            let at = |part: &str| format!("model.layers.{index}.{part}.weight");
            if !file
                .tensors()
                .iter()
                .any(|tensor| tensor.name == at("input_layernorm"))
            {
                break;
            }
            let mut matrix = |part: &str, rows: usize, inner: usize| Floats {
                rows,
                inner,
                values: take(&at(part)),
            };
            layers.push(FloatLayer {
                attention: [
                    matrix("self_attn.q_proj", wide, sizes.width),
                    matrix("self_attn.k_proj", narrow, sizes.width),
                    matrix("self_attn.v_proj", narrow, sizes.width),
                    matrix("self_attn.o_proj", sizes.width, wide),
                ],
                gated: [
                    matrix("mlp.gate_proj", sizes.gated, sizes.width),
                    matrix("mlp.up_proj", sizes.gated, sizes.width),
                    matrix("mlp.down_proj", sizes.width, sizes.gated),
                ],
                attention_norm: take(&at("input_layernorm")),
                gate_norm: take(&at("post_attention_layernorm")),
            });
        }
        let embeddings = Floats {
            rows: sizes.vocabulary,
            inner: sizes.width,
            values: take("model.embed_tokens.weight"),
        };
        let norm = take("model.norm.weight");
        assert!(tensors.is_empty(), "tensors that nobody reads");
        Self {
            sizes,
            embeddings,
            layers,
            norm,
        }
    }

    /// All matrices rounded to `bits` bits.
    pub fn coarse(&self, bits: u32) -> Self {
        let layers = self.layers.iter().map(|layer| FloatLayer {
            attention: layer.attention.each_ref().map(|floats| floats.coarse(bits)),
            gated: layer.gated.each_ref().map(|floats| floats.coarse(bits)),
            ..layer.clone()
        });
        Self {
            layers: layers.collect(),
            embeddings: self.embeddings.coarse(bits),
            ..self.clone()
        }
    }

    /// Without the layer at `skipped`.
    pub fn smaller(&self, skipped: usize) -> Self {
        let mut smaller = self.clone();
        smaller.layers.remove(skipped);
        smaller
    }

    /// As the engine runs it.
    pub fn exact(&self) -> Model {
        let layers = self.layers.iter().map(|layer| {
            let [query, keys, values, merge] = layer.attention.each_ref().map(Floats::linear);
            let [gate, up, down] = layer.gated.each_ref().map(Floats::linear);
            Layer {
                attention_norm: layer.attention_norm.clone(),
                gate_norm: layer.gate_norm.clone(),
                query,
                keys,
                values,
                merge,
                gate,
                up,
                down,
            }
        });
        let weights = Weights {
            layers: layers.collect(),
            embeddings: self.embeddings.matrix(),
            norm: self.norm.clone(),
            head: None,
        };
        Model::new(self.sizes, weights).expect("weights of these sizes")
    }
}
