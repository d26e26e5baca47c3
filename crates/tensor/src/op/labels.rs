//! Labels and categories of `ai.onnx.ml`.

use std::collections::HashMap;

use super::scores::Labels;
use super::{Kernel, Spec, axis, integers, single, wrong_type};
use crate::error::Fault;
use crate::limits::{Budget, work};
use crate::tensor::with_values;
use crate::{Element, Shape, Tensor, Values};

/// ArrayFeatureExtractor: the columns that input 1 names; one dimension is one row.
pub(super) fn array_feature_extractor(_: &Spec<'_>) -> Result<Kernel, Fault> {
    single(|args, budget| {
        let tensor = args.tensor(0)?;
        let columns = integers(args.tensor(1)?, 1)?;
        let Some((size, outer)) = tensor.shape().split_last() else {
            return Err(Fault::because("input 0 is a scalar"));
        };
        let columns: Vec<usize> = columns
            .iter()
            .map(|c| axis(*c, *size))
            .collect::<Result<_, _>>()?;
        let dims = if outer.is_empty() {
            vec![1, columns.len()]
        } else {
            [outer, &[columns.len()]].concat()
        };
        let shape = Shape::new(&dims)?;
        budget.charge(work(&[shape.elements()]))?;
        with_values!(tensor.values(), v => {
            let mut out = budget.vector(shape.elements())?;
            for row in v.chunks((*size).max(1)) {
                out.extend(columns.iter().map(|c| row[*c].clone()));
            }
            Ok(Tensor::of(shape, out))
        })
    })
}

/// ZipMap makes one map per row, which is no tensor; the matrix of scores passes unchanged, its columns in the order of
/// the labels.
pub(super) fn zip_map(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    let labels = Labels::read(spec, "classlabels_int64s", "classlabels_strings")?;
    single(move |args, budget| {
        let tensor = args.take(0, budget)?;
        match tensor.shape().last() {
            Some(columns) if *columns == labels.len() => Ok(tensor),
            _ => Err(Fault::because(format!(
                "{} labels for scores of shape {}",
                labels.len(),
                tensor.shape()
            ))),
        }
    })
}

/// OneHotEncoder: a new last dimension with a 1 at the value's category.
pub(super) fn one_hot_encoder(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    let categories = Labels::read(spec, "cats_int64s", "cats_strings")?;
    let unknown_is_zeros = spec.flag("zeros", true)?;
    single(move |args, budget| {
        let tensor = args.tensor(0)?;
        let places: Vec<Option<usize>> = match (&categories, tensor.values()) {
            (Labels::Texts(own), Values::Str(v)) => places(own, v),
            (Labels::Ints(own), Values::F32(v)) => {
                let own: Vec<f32> = own.iter().map(|c| *c as f32).collect();
                v.iter().map(|x| own.iter().position(|c| c == x)).collect()
            }
            (Labels::Ints(own), _) => places(own, &integers(tensor, 0)?),
            (Labels::Texts(_), _) => return Err(wrong_type(0, "string", tensor.dtype())),
        };
        if !unknown_is_zeros && places.contains(&None) {
            return Err(Fault::because("a value is none of the categories"));
        }
        let dims = [tensor.shape(), &[categories.len()][..]].concat();
        let shape = Shape::new(&dims)?;
        budget.charge(work(&[shape.elements()]))?;
        let mut out = budget.filled(shape.elements(), 0f32)?;
        for (row, place) in out.chunks_mut(categories.len().max(1)).zip(places) {
            if let Some(cell) = place.and_then(|p| row.get_mut(p)) {
                *cell = 1.0;
            }
        }
        Ok(Tensor::of(shape, out))
    })
}

/// The position of each value among the categories.
fn places<T: Eq + std::hash::Hash>(categories: &[T], values: &[T]) -> Vec<Option<usize>> {
    let index: HashMap<&T, usize> = categories
        .iter()
        .enumerate()
        .map(|(place, category)| (category, place))
        .collect();
    values
        .iter()
        .map(|value| index.get(value).copied())
        .collect()
}

/// One column of a LabelEncoder's table.
enum Column {
    Ints(Vec<i64>),
    Texts(Vec<String>),
    /// Compared by bits, so that -0 and NaN are keys like others.
    Floats(Vec<f32>),
}

impl Column {
    /// Reads the one of three attributes that is there.
    fn read(spec: &Spec<'_>, names: [&'static str; 3]) -> Result<Self, Fault> {
        let ints = spec.ints(names[0])?.unwrap_or(&[]);
        let texts = spec.texts(names[1])?;
        let floats = spec.floats(names[2])?;
        match (ints.is_empty(), texts.is_empty(), floats.is_empty()) {
            (false, true, true) => Ok(Self::Ints(ints.to_vec())),
            (true, false, true) => Ok(Self::Texts(texts.into_iter().map(str::to_string).collect())),
            (true, true, false) => Ok(Self::Floats(floats.to_vec())),
            _ => Err(Fault::because(format!(
                "exactly one of {} is expected",
                names.join(", ")
            ))),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Ints(v) => v.len(),
            Self::Texts(v) => v.len(),
            Self::Floats(v) => v.len(),
        }
    }
}

/// LabelEncoder of operator sets 2 and 3, and the table of strings of set 1.
pub(super) fn label_encoder(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    let classes = spec.texts("classes_strings")?;
    let (keys, values) = if classes.is_empty() {
        let keys = Column::read(spec, ["keys_int64s", "keys_strings", "keys_floats"])?;
        (
            keys,
            Column::read(spec, ["values_int64s", "values_strings", "values_floats"])?,
        )
    } else {
        let ints = (0..classes.len() as i64).collect();
        (
            Column::Texts(classes.into_iter().map(str::to_string).collect()),
            Column::Ints(ints),
        )
    };
    if keys.len() != values.len() {
        return Err(Fault::because(format!(
            "{} keys for {} values",
            keys.len(),
            values.len()
        )));
    }
    let (int, text) = (
        spec.int("default_int64")?.unwrap_or(-1),
        spec.text("default_string")?
            .unwrap_or("_Unused")
            .to_string(),
    );
    let float = spec.float("default_float")?.unwrap_or(-0.0);
    single(move |args, budget| {
        let tensor = args.tensor(0)?;
        budget.charge(work(&[8, tensor.shape().elements()]))?;
        let places: Vec<Option<usize>> = match (&keys, tensor.values()) {
            (Column::Ints(own), Values::I64(v)) => places(own, v),
            (Column::Texts(own), Values::Str(v)) => places(own, v),
            (Column::Floats(own), Values::F32(v)) => {
                let bits = |v: &[f32]| -> Vec<u32> { v.iter().map(|x| x.to_bits()).collect() };
                places(&bits(own), &bits(v))
            }
            _ => {
                return Err(Fault::because(format!(
                    "input 0 ({}) is not of the type of the keys",
                    tensor.dtype()
                )));
            }
        };
        match &values {
            Column::Ints(v) => looked_up(tensor.shape(), &places, v, &int, budget),
            Column::Texts(v) => looked_up(tensor.shape(), &places, v, &text, budget),
            Column::Floats(v) => looked_up(tensor.shape(), &places, v, &float, budget),
        }
    })
}

/// The values at the places, or the default.
fn looked_up<T: Element>(
    shape: &Shape,
    places: &[Option<usize>],
    values: &[T],
    default: &T,
    budget: &mut Budget<'_>,
) -> Result<Tensor, Fault> {
    let mut out = budget.vector(places.len())?;
    out.extend(
        places
            .iter()
            .map(|p| p.and_then(|p| values.get(p)).unwrap_or(default).clone()),
    );
    Ok(Tensor::of(*shape, out))
}
