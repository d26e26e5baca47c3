//! What stands for an ONNX value while the integer graph is built: integers with a view, a pending function and a pending
//! affine map, or a linear operator whose weights are still real.

use std::cell::RefCell;
use std::rc::Rc;

use super::trace::Seen;
use crate::quant::graph::{ValueId, Window};

/// A function of one real number, applied when a table is made.
pub(super) type Function = Rc<dyn Fn(f64) -> f64>;

/// Where each element comes from: a flat position, or nowhere (zero).
pub(super) type Map = Rc<Vec<Option<u32>>>;

/// A value: element `i` is `gain[i] * function(step * node[map[i]]) + offset[i]`.
#[derive(Clone)]
pub(super) struct Signal {
    pub(super) node: ValueId,
    /// `None` takes the elements as they are.
    pub(super) map: Option<Map>,
    /// Shape in the ONNX graph.
    pub(super) shape: Vec<usize>,
    pub(super) step: f64,
    pub(super) function: Option<Function>,
    pub(super) gain: Option<Rc<Vec<f64>>>,
    pub(super) offset: Option<Rc<Vec<f64>>>,
    /// The calibrated range of `step * node`.
    pub(super) argument: Seen,
    /// The calibrated range of the value.
    pub(super) seen: Seen,
    /// The value whose square this is.
    pub(super) square_of: Option<Box<Signal>>,
}

impl Signal {
    /// The integers of a node as they are.
    pub(super) fn new(node: ValueId, shape: Vec<usize>, step: f64, seen: Seen) -> Self {
        Self {
            node,
            map: None,
            shape,
            step,
            function: None,
            gain: None,
            offset: None,
            argument: seen,
            seen,
            square_of: None,
        }
    }

    /// The number of elements.
    pub(super) fn size(&self) -> usize {
        self.shape.iter().product()
    }

    /// Gain and offset if they are the same for all elements.
    pub(super) fn uniform(&self) -> Option<(f64, f64)> {
        let one = |list: &Option<Rc<Vec<f64>>>, default: f64| match list {
            None => Some(default),
            Some(values) => {
                let first = values.first().copied()?;
                values.iter().all(|v| *v == first).then_some(first)
            }
        };
        Some((one(&self.gain, 1.0)?, one(&self.offset, 0.0)?))
    }

    /// True if element `i` is `step * node[i]`.
    pub(super) fn is_bare(&self) -> bool {
        self.map.is_none() && self.function.is_none() && self.gain.is_none()
    }

    /// True if both are made of the same integers in the same order.
    pub(super) fn same_base(&self, other: &Self) -> bool {
        self.node == other.node && self.shape == other.shape && self.map == other.map
    }

    /// The function from the base to the value, where it is the same for all elements.
    pub(super) fn whole_function(&self) -> Option<Function> {
        let (gain, offset) = self.uniform()?;
        let own = self.function.clone();
        let padded = self.map.as_ref().is_some_and(|map| map.contains(&None));
        (!padded).then(|| {
            let whole: Function = Rc::new(move |x| {
                let inner = own.as_ref().map_or(x, |f| f(x));
                gain * inner + offset
            });
            whole
        })
    }

    /// The view `map` of this, of another shape; elements from nowhere are zero.
    pub(super) fn viewed(&self, map: Vec<Option<u32>>, shape: Vec<usize>) -> Self {
        let pick = |list: &Option<Rc<Vec<f64>>>, empty: f64| {
            list.as_ref().map(|values| {
                let at = |from: &Option<u32>| from.map_or(empty, |i| values[i as usize]);
                Rc::new(map.iter().map(at).collect())
            })
        };
        let (gain, offset) = (pick(&self.gain, 1.0), pick(&self.offset, 0.0));
        let unchanged = map.len() == self.size()
            && map
                .iter()
                .enumerate()
                .all(|(i, from)| *from == u32::try_from(i).ok());
        let composed = match (&self.map, unchanged) {
            (own, true) => own.clone(),
            (None, false) => Some(Rc::new(map)),
            (Some(own), false) => Some(Rc::new(
                map.iter()
                    .map(|from| from.and_then(|i| own[i as usize]))
                    .collect(),
            )),
        };
        let square = self.square_of.as_ref();
        Self {
            map: composed,
            shape,
            gain,
            offset,
            square_of: square.filter(|_| unchanged).cloned(),
            ..self.clone()
        }
    }

    /// With other elementwise constants: `factor * self + addend`.
    pub(super) fn affine(mut self, factor: Option<&[f64]>, addend: Option<&[f64]>) -> Self {
        let size = self.size();
        if let Some(factor) = factor {
            let scaled = |list: &Option<Rc<Vec<f64>>>, default: f64| {
                let at = |i: usize| list.as_ref().map_or(default, |v| v[i]) * factor[i];
                Rc::new((0..size).map(at).collect::<Vec<f64>>())
            };
            self.gain = Some(scaled(&self.gain, 1.0));
            self.offset = self.offset.is_some().then(|| scaled(&self.offset, 0.0));
        }
        if let Some(addend) = addend {
            let at = |i: usize| self.offset.as_ref().map_or(0.0, |v| v[i]) + addend[i];
            self.offset = Some(Rc::new((0..size).map(at).collect()));
        }
        self.square_of = None;
        self
    }
}

/// What a linear operator looks like.
#[derive(Clone)]
pub(super) enum Form {
    /// Over the last axis.
    Dense,
    /// Over an image.
    Convolution { window: Window, groups: usize },
}

/// A linear operator on integers with real weights; `O` outputs or filters.
#[derive(Clone)]
pub(super) struct Linear {
    pub(super) form: Form,
    pub(super) x: ValueId,
    /// Real weight per integer step, one row per output.
    pub(super) rows: Vec<Vec<f64>>,
    /// Real bias per output.
    pub(super) bias: Vec<f64>,
    /// Shape in the ONNX graph; channels are the last axis of a dense operator, the second of a convolution.
    pub(super) shape: Vec<usize>,
    pub(super) seen: Seen,
    /// What it became, once it has been needed.
    pub(super) settled: RefCell<Option<Signal>>,
}

impl Linear {
    /// The output that an element belongs to.
    pub(super) fn channel(&self, element: usize) -> usize {
        let count = self.bias.len();
        match self.form {
            Form::Dense => element % count,
            Form::Convolution { .. } => {
                let size: usize = self.shape.iter().product();
                element / (size / count).max(1)
            }
        }
    }

    /// One number per output, if elementwise numbers are that.
    fn per_channel(&self, values: &[f64]) -> Option<Vec<f64>> {
        let mut found: Vec<Option<f64>> = vec![None; self.bias.len()];
        for (element, value) in values.iter().enumerate() {
            let own = found.get_mut(self.channel(element))?;
            if *own.get_or_insert(*value) != *value {
                return None;
            }
        }
        found.into_iter().collect()
    }

    /// `factor * self + addend` elementwise, if that is again of this form.
    pub(super) fn affine(&self, factor: Option<&[f64]>, addend: Option<&[f64]>) -> Option<Self> {
        let count = self.bias.len();
        let factor = factor.map_or(Some(vec![1.0; count]), |f| self.per_channel(f))?;
        let addend = addend.map_or(Some(vec![0.0; count]), |a| self.per_channel(a))?;
        let mut folded = self.clone();
        for (row, factor) in folded.rows.iter_mut().zip(&factor) {
            row.iter_mut().for_each(|w| *w *= factor);
        }
        let pairs = factor.iter().zip(&addend);
        for (bias, (factor, addend)) in folded.bias.iter_mut().zip(pairs) {
            *bias = *bias * factor + addend;
        }
        folded.settled = RefCell::new(None);
        Some(folded)
    }
}

/// An ONNX value.
#[derive(Clone)]
pub(super) enum Value {
    Signal(Signal),
    Linear(Rc<Linear>),
}

impl Value {
    /// Its shape in the ONNX graph.
    pub(super) fn shape(&self) -> &[usize] {
        match self {
            Self::Signal(signal) => &signal.shape,
            Self::Linear(linear) => &linear.shape,
        }
    }

    /// With the range that calibration saw of the ONNX value.
    pub(super) fn with_seen(self, seen: Seen) -> Self {
        match self {
            Self::Signal(mut signal) => {
                if signal.is_bare() && signal.offset.is_none() {
                    signal.argument = seen;
                }
                signal.seen = seen;
                Self::Signal(signal)
            }
            Self::Linear(linear) => Self::Linear(match linear.settled.borrow().is_some() {
                true => linear.clone(),
                false => Rc::new(Linear {
                    seen,
                    ..(*linear).clone()
                }),
            }),
        }
    }
}
