//! The ONNX file format: the messages of `onnx.proto` that an inference graph needs.
//!
//! Source: github.com/onnx/onnx/blob/main/onnx/onnx.proto (IR versions 3 to 13). What changes the meaning of a graph and
//! is not supported here (functions, sparse tensors, external data) is an error; documentation fields are skipped.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod attribute;
mod initializer;

pub(crate) use attribute::Attribute;

use crate::wire::{Field, Message};
use crate::{DType, Dim, Error, ModelLimits, Tensor, ValueInfo};

/// A parsed file, borrowing its text.
#[derive(Debug, Default)]
pub(crate) struct File<'a> {
    /// Operator set versions by domain; "" is the standard one.
    pub(crate) opsets: Vec<(&'a str, i64)>,
    /// Nodes as stored.
    pub(crate) nodes: Vec<NodeProto<'a>>,
    /// Initial tensors by name.
    pub(crate) initializers: Vec<(&'a str, Tensor)>,
    /// Declared inputs (before IR version 4 they repeat the initial tensors).
    pub(crate) inputs: Vec<ValueInfo>,
    /// Declared outputs.
    pub(crate) outputs: Vec<OutputProto>,
}

/// A declared output: ZipMap makes a sequence of maps, which has no tensor type.
#[derive(Debug)]
pub(crate) struct OutputProto {
    /// Its name.
    pub(crate) name: String,
    /// Its tensor type, where it has one.
    pub(crate) tensor: Option<ValueInfo>,
}

/// A parsed node.
#[derive(Debug, Default)]
pub(crate) struct NodeProto<'a> {
    /// Often empty.
    pub(crate) name: &'a str,
    /// Operator type.
    pub(crate) op: &'a str,
    /// Operator domain, "" or `ai.onnx` for the standard one.
    pub(crate) domain: &'a str,
    /// Names of values; "" where an optional input is left out.
    pub(crate) inputs: Vec<&'a str>,
    /// Names of values.
    pub(crate) outputs: Vec<&'a str>,
    /// Attributes by name.
    pub(crate) attributes: Vec<(&'a str, Attribute<'a>)>,
}

/// Refuses a count above its limit.
pub(crate) fn bounded(what: &'static str, found: usize, limit: u64) -> Result<(), Error> {
    let found = found as u64;
    if found > limit {
        Err(Error::TooLarge { what, found, limit })
    } else {
        Ok(())
    }
}

/// Reads a whole file.
///
/// # Errors
/// [`Error::Malformed`], [`Error::TooLarge`], or [`Error::Unsupported`] for features of the format.
pub(crate) fn parse<'a>(bytes: &'a [u8], limits: &ModelLimits) -> Result<File<'a>, Error> {
    bounded("the file's size in bytes", bytes.len(), limits.file_bytes)?;
    let mut message = Message::new(bytes);
    let mut file = File::default();
    let mut graphs: usize = 0;
    while let Some((number, field)) = message.next()? {
        match number {
            7 => {
                graphs = graphs.saturating_add(1);
                graph(field.message(&message)?, limits, &mut file)?;
            }
            8 => file.opsets.push(opset(field.message(&message)?)?),
            20 => return Err(Error::Unsupported(vec!["training information".into()])),
            25 => {
                return Err(Error::Unsupported(vec![
                    "model-local functions (inline them on export)".into(),
                ]));
            }
            _ => {}
        }
    }
    match graphs {
        1 => Ok(file),
        n => Err(message.malformed(format!("an ONNX file has one graph, this has {n}"))),
    }
}

/// OperatorSetIdProto.
fn opset<'a>(mut message: Message<'a>) -> Result<(&'a str, i64), Error> {
    let (mut domain, mut version) = ("", 0);
    while let Some((number, field)) = message.next()? {
        match number {
            1 => domain = field.text(&message)?,
            2 => version = field.int(&message)?,
            _ => {}
        }
    }
    Ok((canonical_domain(domain), version))
}

/// The standard domain has two spellings.
fn canonical_domain(domain: &str) -> &str {
    if domain == "ai.onnx" { "" } else { domain }
}

/// GraphProto.
fn graph<'a>(
    mut message: Message<'a>,
    limits: &ModelLimits,
    file: &mut File<'a>,
) -> Result<(), Error> {
    while let Some((number, field)) = message.next()? {
        match number {
            1 => {
                bounded(
                    "the number of nodes",
                    file.nodes.len().saturating_add(1),
                    limits.nodes,
                )?;
                file.nodes.push(node(field.message(&message)?)?);
            }
            5 => {
                bounded(
                    "the number of initial tensors",
                    file.initializers.len().saturating_add(1),
                    limits.initializers,
                )?;
                file.initializers
                    .push(initializer::parse(field.message(&message)?)?);
            }
            11 => {
                bounded(
                    "the number of inputs",
                    file.inputs.len().saturating_add(1),
                    limits.initializers,
                )?;
                file.inputs.push(input(field.message(&message)?)?);
            }
            12 => {
                bounded(
                    "the number of outputs",
                    file.outputs.len().saturating_add(1),
                    limits.nodes,
                )?;
                let (name, tensor) = value_info(field.message(&message)?)?;
                file.outputs.push(OutputProto { name, tensor });
            }
            15 => return Err(Error::Unsupported(vec!["sparse initial tensors".into()])),
            _ => {}
        }
    }
    Ok(())
}

/// NodeProto.
fn node<'a>(mut message: Message<'a>) -> Result<NodeProto<'a>, Error> {
    let mut node = NodeProto::default();
    while let Some((number, field)) = message.next()? {
        match number {
            1 => node.inputs.push(field.text(&message)?),
            2 => node.outputs.push(field.text(&message)?),
            3 => node.name = field.text(&message)?,
            4 => node.op = field.text(&message)?,
            5 => node
                .attributes
                .push(attribute::parse(field.message(&message)?)?),
            7 => node.domain = canonical_domain(field.text(&message)?),
            _ => {}
        }
    }
    Ok(node)
}

/// A ValueInfoProto that must be a tensor.
fn input(message: Message<'_>) -> Result<ValueInfo, Error> {
    let (name, tensor) = value_info(message)?;
    tensor.ok_or_else(|| {
        message.malformed(format!(
            "input `{name}` is not a tensor of a supported element type"
        ))
    })
}

/// ValueInfoProto: the name, and the tensor type if it is one.
fn value_info(mut message: Message<'_>) -> Result<(String, Option<ValueInfo>), Error> {
    let (mut name, mut kind) = (String::new(), None);
    while let Some((number, field)) = message.next()? {
        match number {
            1 => name = field.text(&message)?.to_string(),
            2 => kind = tensor_type(field.message(&message)?)?,
            _ => {}
        }
    }
    let tensor = kind.map(|(dtype, dims)| ValueInfo {
        name: name.clone(),
        dtype,
        dims,
    });
    Ok((name, tensor))
}

/// Element type and dimensions of a tensor type; the latter may be absent.
type TensorType = (DType, Option<Vec<Dim>>);

/// TypeProto: element type and dimensions of its tensor case.
fn tensor_type(mut message: Message<'_>) -> Result<Option<TensorType>, Error> {
    let mut found = None;
    while let Some((number, field)) = message.next()? {
        if number == 1 {
            let mut tensor = field.message(&message)?;
            let (mut dtype, mut dims) = (None, None);
            while let Some((number, field)) = tensor.next()? {
                match number {
                    1 => dtype = DType::from_onnx(field.int(&tensor)?),
                    2 => dims = Some(shape(field.message(&tensor)?)?),
                    _ => {}
                }
            }
            found = dtype.map(|dtype| (dtype, dims));
        }
    }
    Ok(found)
}

/// TensorShapeProto.
fn shape(mut message: Message<'_>) -> Result<Vec<Dim>, Error> {
    let mut dims = Vec::new();
    while let Some((number, field)) = message.next()? {
        if number == 1 {
            bounded(
                "the rank of a declared value",
                dims.len().saturating_add(1),
                crate::MAX_RANK as u64,
            )?;
            dims.push(dim(field.message(&message)?)?);
        }
    }
    Ok(dims)
}

/// TensorShapeProto.Dimension; a size of -1, which some exporters write, means any.
fn dim(mut message: Message<'_>) -> Result<Dim, Error> {
    let mut found = Dim::Any;
    while let Some((number, field)) = message.next()? {
        match (number, field) {
            (1, Field::Varint(size)) => match (usize::try_from(size), size.cast_signed()) {
                (_, -1) => found = Dim::Any,
                (Ok(size), 0..) => found = Dim::Fixed(size),
                _ => return Err(message.malformed("a negative dimension")),
            },
            (2, _) => match field.text(&message)? {
                "" => {}
                name => found = Dim::Named(name.into()),
            },
            _ => {}
        }
    }
    Ok(found)
}
