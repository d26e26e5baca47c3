//! What a loader may ask about its node.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::error::Fault;
use crate::onnx::{Attribute, NodeProto};
use crate::{Tensor, Values};

/// A node with the constants that reach it.
pub(crate) struct Spec<'a> {
    proto: &'a NodeProto<'a>,
    opset: i64,
    constants: &'a HashMap<&'a str, Tensor>,
    asked: RefCell<Vec<&'static str>>,
    adopted: RefCell<Vec<usize>>,
}

impl<'a> Spec<'a> {
    /// The view of one node under one version of its operator set.
    pub(crate) fn new(
        proto: &'a NodeProto<'a>,
        opset: i64,
        constants: &'a HashMap<&'a str, Tensor>,
    ) -> Self {
        Self {
            proto,
            opset,
            constants,
            asked: RefCell::default(),
            adopted: RefCell::default(),
        }
    }

    /// The version of the operator set of the node's domain.
    pub(crate) fn opset(&self) -> i64 {
        self.opset
    }

    /// True if the node names an input at this position.
    pub(crate) fn has_input(&self, index: usize) -> bool {
        self.proto
            .inputs
            .get(index)
            .is_some_and(|name| !name.is_empty())
    }

    /// The number of outputs that the node names.
    pub(crate) fn outputs(&self) -> usize {
        self.proto.outputs.len()
    }

    /// The value of an input that is known at load; the kernel will not be passed it again.
    pub(crate) fn adopt(&self, index: usize) -> Option<&'a Tensor> {
        let tensor = self.constants.get(self.proto.inputs.get(index)?)?;
        self.adopted.borrow_mut().push(index);
        Some(tensor)
    }

    /// The inputs that the kernel keeps by itself.
    pub(crate) fn adopted(&self) -> Vec<usize> {
        self.adopted.borrow().clone()
    }

    /// Attributes that do not change the result of an inference.
    pub(crate) fn ignore(&self, names: &[&'static str]) {
        self.asked.borrow_mut().extend(names);
    }

    /// Refuses attributes that the loader has not asked for.
    pub(crate) fn finish(&self) -> Result<(), Fault> {
        let asked = self.asked.borrow();
        match self
            .proto
            .attributes
            .iter()
            .find(|(name, _)| !asked.contains(name))
        {
            Some((name, _)) => Err(Fault::because(format!(
                "attribute `{name}` is not supported"
            ))),
            None => Ok(()),
        }
    }

    /// An attribute by name.
    fn find(&self, name: &'static str) -> Option<&'a Attribute<'a>> {
        self.asked.borrow_mut().push(name);
        self.proto
            .attributes
            .iter()
            .find(|(own, _)| *own == name)
            .map(|(_, value)| value)
    }

    /// An optional integer.
    pub(crate) fn int(&self, name: &'static str) -> Result<Option<i64>, Fault> {
        match self.find(name) {
            None => Ok(None),
            Some(Attribute::Int(value)) => Ok(Some(*value)),
            Some(_) => Err(mistyped(name, "an integer")),
        }
    }

    /// An integer that stands for a truth value.
    pub(crate) fn flag(&self, name: &'static str, default: bool) -> Result<bool, Fault> {
        Ok(self.int(name)?.map_or(default, |value| value != 0))
    }

    /// An optional float.
    pub(crate) fn float(&self, name: &'static str) -> Result<Option<f32>, Fault> {
        match self.find(name) {
            None => Ok(None),
            Some(Attribute::Float(value)) => Ok(Some(*value)),
            Some(_) => Err(mistyped(name, "a float")),
        }
    }

    /// An optional text.
    pub(crate) fn text(&self, name: &'static str) -> Result<Option<&'a str>, Fault> {
        match self.find(name) {
            None => Ok(None),
            Some(Attribute::Text(value)) => std::str::from_utf8(value)
                .map(Some)
                .map_err(|_| mistyped(name, "UTF-8 text")),
            Some(_) => Err(mistyped(name, "a text")),
        }
    }

    /// An optional list of integers.
    pub(crate) fn ints(&self, name: &'static str) -> Result<Option<&'a [i64]>, Fault> {
        match self.find(name) {
            None => Ok(None),
            Some(Attribute::Ints(value)) => Ok(Some(value)),
            Some(_) => Err(mistyped(name, "a list of integers")),
        }
    }

    /// A list of floats, empty if absent.
    pub(crate) fn floats(&self, name: &'static str) -> Result<&'a [f32], Fault> {
        match self.find(name) {
            None => Ok(&[]),
            Some(Attribute::Floats(value)) => Ok(value),
            Some(_) => Err(mistyped(name, "a list of floats")),
        }
    }

    /// A list of texts, empty if absent.
    pub(crate) fn texts(&self, name: &'static str) -> Result<Vec<&'a str>, Fault> {
        match self.find(name) {
            None => Ok(Vec::new()),
            Some(Attribute::Texts(values)) => {
                let texts: Result<Vec<&str>, _> =
                    values.iter().map(|v| std::str::from_utf8(v)).collect();
                texts.map_err(|_| mistyped(name, "UTF-8 texts"))
            }
            Some(_) => Err(mistyped(name, "a list of texts")),
        }
    }

    /// An optional tensor.
    pub(crate) fn tensor(&self, name: &'static str) -> Result<Option<&'a Tensor>, Fault> {
        match self.find(name) {
            None => Ok(None),
            Some(Attribute::Tensor(value)) => Ok(Some(value)),
            Some(_) => Err(mistyped(name, "a tensor")),
        }
    }

    /// Non-negative sizes of an attribute such as `strides`, or `default` repeated `count` times.
    pub(crate) fn sizes(
        &self,
        name: &'static str,
        count: usize,
        default: usize,
    ) -> Result<Vec<usize>, Fault> {
        let Some(values) = self.ints(name)? else {
            return Ok(vec![default; count]);
        };
        let sizes: Option<Vec<usize>> = values
            .iter()
            .map(|v| usize::try_from(*v).ok().filter(|s| *s <= MAX_SIZE))
            .collect();
        match sizes {
            Some(sizes) if sizes.len() == count => Ok(sizes),
            _ => Err(Fault::because(format!(
                "`{name}` must be {count} sizes between 0 and {MAX_SIZE}, it is {values:?}"
            ))),
        }
    }

    /// Axes given as an attribute (older operator sets) or as input `index` (newer ones), for the kernel to read.
    pub(crate) fn list_or_input(
        &self,
        name: &'static str,
        index: usize,
    ) -> Result<ListOrInput, Fault> {
        if let Some(values) = self.ints(name)? {
            return Ok(ListOrInput::List(values.to_vec()));
        }
        match self.adopt(index) {
            Some(tensor) => Ok(ListOrInput::List(super::integers(tensor, index)?)),
            None if self.has_input(index) => Ok(ListOrInput::Input(index)),
            None => Ok(ListOrInput::Absent),
        }
    }
}

/// Strides, kernels and pads above this are no real model's; it keeps the arithmetic of windows far from overflow.
const MAX_SIZE: usize = 1 << 20;

/// The fault of an attribute of the wrong kind.
fn mistyped(name: &str, expected: &str) -> Fault {
    Fault::because(format!("attribute `{name}` must be {expected}"))
}

/// A list that is known at load, or comes as an input, or is left out.
#[derive(Debug, Clone)]
pub(crate) enum ListOrInput {
    List(Vec<i64>),
    Input(usize),
    Absent,
}

impl ListOrInput {
    /// The list, once the arguments are there.
    pub(crate) fn resolve(&self, args: &super::Args<'_>) -> Result<Option<Vec<i64>>, Fault> {
        match self {
            Self::List(values) => Ok(Some(values.clone())),
            Self::Input(index) => super::integers(args.tensor(*index)?, *index).map(Some),
            Self::Absent => Ok(None),
        }
    }
}

/// The one float of a constant or argument such as a bound of Clip.
pub(crate) fn scalar(tensor: &Tensor, index: usize) -> Result<f64, Fault> {
    match tensor.values() {
        Values::F32(v) if v.len() == 1 => Ok(f64::from(v[0])),
        Values::F64(v) if v.len() == 1 => Ok(v[0]),
        Values::I64(v) if v.len() == 1 => Ok(v[0] as f64),
        Values::I32(v) if v.len() == 1 => Ok(f64::from(v[0])),
        _ => Err(Fault::because(format!(
            "input {index} must be one number, it is {} {}",
            tensor.dtype(),
            tensor.shape()
        ))),
    }
}
