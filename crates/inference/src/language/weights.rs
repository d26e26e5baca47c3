//! Weights of a Hugging Face directory as the matrices of a pass.

use assay_hub::tensors::{DType, Elements, Tensor, Weights as Safetensors};
use assay_tensor::transformer::{Layer, Linear, Matrix, Weights};

use super::{Config, Error};

/// All tensors of a model by name.
pub(super) struct Named {
    files: Safetensors<Vec<u8>>,
}

impl Named {
    /// The tensors of these safetensors files.
    pub(super) fn open(files: Vec<(String, Vec<u8>)>) -> Result<Self, Error> {
        let parts = files.into_iter().map(|(name, bytes)| {
            Safetensors::open(bytes).map_err(|error| Error::Weights(format!("{name}: {error}")))
        });
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        let files = Safetensors::join(parts).map_err(|error| Error::Weights(error.to_string()))?;
        Ok(Self { files })
    }

    fn tensor(&self, name: &str) -> Option<&Tensor> {
        let mut all = self.files.tensors().iter();
        all.find(|tensor| tensor.name == name)
    }

    fn has(&self, name: &str) -> bool {
        self.tensor(name).is_some()
    }

    /// The numbers of a tensor of this shape.
    fn numbers(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        let tensor = self
            .tensor(name)
            .ok_or_else(|| Error::Weights(format!("tensor `{name}` is missing")))?;
        let found = &tensor.shape;
        let same = found.len() == shape.len()
            && found
                .iter()
                .zip(shape)
                .all(|(found, wanted)| usize::try_from(*found).is_ok_and(|found| found == *wanted));
        if !same {
            return Err(Error::Weights(format!(
                "tensor `{name}` has the shape {found:?}, not {shape:?}"
            )));
        }
        if !matches!(tensor.dtype, DType::F32 | DType::F16 | DType::BF16) {
            return Err(Error::Weights(format!(
                "tensor `{name}` is of {}; F32, F16 and BF16 are read",
                tensor.dtype.name()
            )));
        }
        let failed = |reason: String| Error::Weights(format!("tensor `{name}`: {reason}"));
        let count = usize::try_from(tensor.elements).map_err(|error| failed(error.to_string()))?;
        let mut elements = Elements::default();
        let read = self.files.read(tensor, 0, count, &mut elements);
        read.map_err(|error| failed(error.to_string()))?;
        let numbers = elements.values;
        match numbers.iter().all(|number| number.is_finite()) {
            true => Ok(numbers),
            false => Err(Error::Weights(format!(
                "tensor `{name}` holds NaN or an infinity"
            ))),
        }
    }

    fn matrix(&self, name: &str, rows: usize, inner: usize) -> Result<Matrix, Error> {
        let numbers = self.numbers(name, &[rows, inner])?;
        Matrix::quantised(&numbers, rows, inner).ok_or_else(|| {
            Error::Weights(format!(
                "tensor `{name}` of {rows} x {inner} cannot be multiplied"
            ))
        })
    }

    fn linear(&self, name: &str, rows: usize, inner: usize) -> Result<Linear, Error> {
        let bias = format!("{name}.bias");
        Ok(Linear {
            matrix: self.matrix(&format!("{name}.weight"), rows, inner)?,
            bias: match self.has(&bias) {
                true => self.numbers(&bias, &[rows])?,
                false => Vec::new(),
            },
        })
    }

    fn layer(&self, config: &Config, index: usize) -> Result<Layer, Error> {
        let sizes = &config.sizes;
        let (width, gated) = (sizes.width, sizes.gated);
        let wide = sizes.heads.saturating_mul(sizes.head);
        let narrow = sizes.shared.saturating_mul(sizes.head);
        let of = |part: &str| format!("model.layers.{index}.{part}");
        let linear = |part: &str, rows: usize, inner: usize| self.linear(&of(part), rows, inner);
        let norm = |part: &str| self.numbers(&of(&format!("{part}.weight")), &[width]);
        Ok(Layer {
            attention_norm: norm("input_layernorm")?,
            query: linear("self_attn.q_proj", wide, width)?,
            keys: linear("self_attn.k_proj", narrow, width)?,
            values: linear("self_attn.v_proj", narrow, width)?,
            merge: linear("self_attn.o_proj", width, wide)?,
            gate_norm: norm("post_attention_layernorm")?,
            gate: linear("mlp.gate_proj", gated, width)?,
            up: linear("mlp.up_proj", gated, width)?,
            down: linear("mlp.down_proj", width, gated)?,
        })
    }

    /// The weights of a model with this configuration.
    pub(super) fn weights(&self, config: &Config) -> Result<Weights, Error> {
        let (vocabulary, width) = (config.sizes.vocabulary, config.sizes.width);
        let layers = (0..config.layers).map(|index| self.layer(config, index));
        Ok(Weights {
            embeddings: self.matrix("model.embed_tokens.weight", vocabulary, width)?,
            layers: layers.collect::<Result<_, _>>()?,
            norm: self.numbers("model.norm.weight", &[width])?,
            head: match config.tied {
                true => None,
                false => Some(self.matrix("lm_head.weight", vocabulary, width)?),
            },
        })
    }
}
