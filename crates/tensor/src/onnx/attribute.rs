//! AttributeProto: a named constant of a node.

use super::initializer;
use crate::wire::Message;
use crate::{Error, Tensor};

/// The value of an attribute.
#[derive(Debug, Clone)]
pub(crate) enum Attribute<'a> {
    Float(f32),
    Int(i64),
    Text(&'a [u8]),
    Tensor(Tensor),
    Floats(Vec<f32>),
    Ints(Vec<i64>),
    Texts(Vec<&'a [u8]>),
    /// A subgraph or another kind that no supported operator takes.
    Other,
}

/// What has been read of an attribute so far.
#[derive(Default)]
struct Parts<'a> {
    name: &'a str,
    kind: i64,
    float: f32,
    int: i64,
    text: &'a [u8],
    tensor: Option<Tensor>,
    floats: Vec<f32>,
    ints: Vec<i64>,
    texts: Vec<&'a [u8]>,
}

/// Name and value of an AttributeProto; its `type` field (mandatory since IR version 2) says which value counts.
pub(super) fn parse<'a>(mut message: Message<'a>) -> Result<(&'a str, Attribute<'a>), Error> {
    let mut parts = Parts::default();
    while let Some((number, field)) = message.next()? {
        match number {
            1 => parts.name = field.text(&message)?,
            2 => parts.float = field.float(&message)?,
            3 => parts.int = field.int(&message)?,
            4 => parts.text = field.message(&message)?.bytes(),
            5 => parts.tensor = Some(initializer::parse(field.message(&message)?)?.1),
            7 => field.floats(&message, &mut parts.floats)?,
            8 => field.ints(&message, &mut parts.ints)?,
            9 => parts.texts.push(field.message(&message)?.bytes()),
            20 => parts.kind = field.int(&message)?,
            21 => {
                return Err(message.malformed(
                    "an attribute that refers to a function's parameter, outside of a function",
                ));
            }
            _ => {}
        }
    }
    let value = match (parts.kind, parts.tensor) {
        (1, _) => Attribute::Float(parts.float),
        (2, _) => Attribute::Int(parts.int),
        (3, _) => Attribute::Text(parts.text),
        (4, Some(tensor)) => Attribute::Tensor(tensor),
        (4, None) => {
            return Err(message.malformed(format!(
                "the tensor of attribute `{}` is missing",
                parts.name
            )));
        }
        (6, _) => Attribute::Floats(parts.floats),
        (7, _) => Attribute::Ints(parts.ints),
        (8, _) => Attribute::Texts(parts.texts),
        _ => Attribute::Other,
    };
    Ok((parts.name, value))
}
