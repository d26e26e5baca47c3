//! Accumulators: from the nodes of a graph to the terms of a domain.

use assay_tensor::quant::{Matrix, Node, Op, Range, ValueId, Window};
use assay_zkml_verify::circuit::{Accumulator, Domain, Part, Term};
use assay_zkml_verify::view::NONE;

use super::views::compressed;
use super::{Compiler, Form, Outcome, Value};

/// A sum of terms, before it has a domain.
#[derive(Debug, Clone, Default)]
pub(super) struct Sum {
    elements: usize,
    /// One number for each column of the domain, or none.
    bias: Vec<i64>,
    terms: Vec<SumTerm>,
}

#[derive(Debug, Clone)]
enum SumTerm {
    /// The sum of `each` values for each element.
    Linear { form: Form, each: usize },
    /// Rows of `inner` values times weights.
    Weights {
        form: Form,
        inner: usize,
        weights: Vec<i8>,
        grid: Grid,
    },
    /// Products of values.
    Product {
        left: Form,
        right: Form,
        inner: usize,
        grid: Grid,
    },
}

/// Which element stands at which group, row and column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grid {
    groups: usize,
    rows: usize,
    columns: usize,
    order: Order,
}

/// How elements follow each other in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Columns fastest.
    RowMajor,
    /// Rows fastest: the channels of an image come first.
    ColumnMajor,
}

impl Grid {
    /// All elements in one row.
    fn flat(elements: usize) -> Self {
        Self::rows(1, elements)
    }

    fn rows(rows: usize, columns: usize) -> Self {
        Self {
            groups: 1,
            rows,
            columns,
            order: Order::RowMajor,
        }
    }

    fn domain(&self) -> Domain {
        Domain {
            groups: log(self.groups),
            rows: log(self.rows),
            columns: log(self.columns),
        }
    }

    /// The position of every element.
    fn places(&self) -> Vec<u32> {
        let domain = self.domain();
        let position = |g: usize, m: usize, n: usize| {
            ((((g << domain.rows) | m) << domain.columns) | n) as u32
        };
        let (rows, columns) = (self.rows, self.columns);
        let within = |i: usize| match self.order {
            Order::RowMajor => (i / columns, i % columns),
            Order::ColumnMajor => (i % rows, i / rows),
        };
        (0..self.groups * rows * columns)
            .map(|element| {
                let (m, n) = within(element % (rows * columns));
                position(element / (rows * columns), m, n)
            })
            .collect()
    }
}

fn log(len: usize) -> u32 {
    len.next_power_of_two().trailing_zeros()
}

/// A form as an accumulator of its own, all elements in one row.
pub(super) fn flat(
    form: &Form,
    column_logs: impl Fn(assay_zkml_verify::circuit::Source) -> u32,
) -> Outcome<(Accumulator, Vec<u32>)> {
    let grid = Grid::flat(form.len());
    let places = grid.places();
    let operand = linear(form, 1, &places, grid.domain(), &column_logs);
    let accumulator = Accumulator {
        domain: grid.domain(),
        terms: vec![Term::Linear { operand, summed: 0 }],
        bias: None,
    };
    Ok((accumulator, places))
}

/// The operand of a linear term.
fn linear(
    form: &Form,
    each: usize,
    places: &[u32],
    domain: Domain,
    column_log: &impl Fn(assay_zkml_verify::circuit::Source) -> u32,
) -> Vec<Part> {
    let summed = log(each);
    let axes = [domain.groups, domain.rows, domain.columns, summed];
    let parts = form.parts.iter().map(|part| {
        let mut list = vec![NONE; 1 << (domain.log() + summed)];
        for (place, run) in places.iter().zip(part.map.chunks(each.max(1))) {
            list[(*place as usize) << summed..][..run.len()].copy_from_slice(run);
        }
        Part {
            source: part.source,
            coefficient: part.coefficient,
            view: compressed(list, &axes, 1 << column_log(part.source)),
        }
    });
    parts.collect()
}

/// The operand of a product: `outer` runs of `inner` elements, each axis padded.
fn rows(
    form: &Form,
    extents: [usize; 3],
    column_log: &impl Fn(assay_zkml_verify::circuit::Source) -> u32,
) -> Vec<Part> {
    let [groups, outer, inner] = extents;
    let axes = extents.map(log);
    let parts = form.parts.iter().map(|part| {
        let mut list = vec![NONE; 1 << axes.iter().sum::<u32>()];
        for (row, run) in part
            .map
            .chunks(inner.max(1))
            .take(groups * outer)
            .enumerate()
        {
            let place = (((row / outer) << axes[1]) | (row % outer)) << axes[2];
            list[place..][..run.len()].copy_from_slice(run);
        }
        Part {
            source: part.source,
            coefficient: part.coefficient,
            view: compressed(list, &axes, 1 << column_log(part.source)),
        }
    });
    parts.collect()
}

impl Compiler<'_> {
    /// The padded length of a column, base-two logarithm.
    pub(super) fn column_logs(&self) -> impl Fn(assay_zkml_verify::circuit::Source) -> u32 {
        |source| self.circuit.column_log(source).unwrap_or_default()
    }

    /// The sum that a node is.
    pub(super) fn sum(&self, node: &Node) -> Outcome<Sum> {
        let elements: usize = node.shape.iter().product();
        match &node.op {
            Op::Dense { x, weights, bias } => self.dense(*x, weights, bias, elements),
            Op::Convolution {
                x,
                weights,
                bias,
                window,
                groups,
            } => self.convolution(node, (*x, weights, bias), window, *groups),
            Op::Contract { a, b } => self.contract(*a, *b, &node.shape),
            Op::Multiply { a, b } => {
                let grid = Grid {
                    groups: elements,
                    ..Grid::flat(1)
                };
                let (left, right) = (self.form(*a)?, self.form(*b)?);
                Ok(Sum::of(
                    elements,
                    SumTerm::Product {
                        left,
                        right,
                        inner: 1,
                        grid,
                    },
                ))
            }
            Op::Sum { x } => {
                let form = self.form(*x)?;
                let each = form.len() / elements.max(1);
                Ok(Sum::of(elements, SumTerm::Linear { form, each }))
            }
            Op::Combine { terms, constant } => self.combine(terms, constant, elements),
            _ => Err("it is no accumulator".into()),
        }
    }

    fn dense(&self, x: ValueId, weights: &Matrix, bias: &[i32], elements: usize) -> Outcome<Sum> {
        let grid = Grid::rows(elements / weights.columns.max(1), weights.columns);
        let term = SumTerm::Weights {
            form: self.form(x)?,
            inner: weights.rows,
            weights: weights.values.clone(),
            grid,
        };
        let mut sum = Sum::of(elements, term);
        sum.bias = bias.iter().map(|b| i64::from(*b)).collect();
        Ok(sum)
    }

    fn convolution(
        &self,
        node: &Node,
        (x, weights, bias): (ValueId, &[i8], &[i32]),
        window: &Window,
        groups: usize,
    ) -> Outcome<Sum> {
        let image = &self.at(x)?.0.shape;
        let (&[channels, height, width], &[outputs, rows, columns]) = (&image[..], &node.shape[..])
        else {
            return Err("a convolution takes and gives three axes".into());
        };
        let [kh, kw] = window.kernel;
        let inner = channels * kh * kw;
        let mut windows = Vec::with_capacity(rows * columns * inner);
        for position in 0..rows * columns {
            let (oy, ox) = (position / columns, position % columns);
            for k in 0..inner {
                let (c, ky, kx) = (k / (kh * kw), k / kw % kh, k % kw);
                let at = |o: usize, k: usize, axis: usize, len: usize| {
                    let padded = o * window.stride[axis] + k * window.dilation[axis];
                    padded.checked_sub(window.before[axis]).filter(|i| *i < len)
                };
                let inside = at(oy, ky, 0, height).zip(at(ox, kx, 1, width));
                windows.push(inside.map(|(y, x)| ((c * height + y) * width + x) as u32));
            }
        }
        let term = SumTerm::Weights {
            form: self.form(x)?.gather(&windows),
            inner,
            weights: kernel_matrix(weights, outputs, channels, kh * kw, groups),
            grid: Grid {
                order: Order::ColumnMajor,
                ..Grid::rows(rows * columns, outputs)
            },
        };
        let mut sum = Sum::of(outputs * rows * columns, term);
        sum.bias = bias.iter().map(|b| i64::from(*b)).collect();
        Ok(sum)
    }

    fn contract(&self, a: ValueId, b: ValueId, shape: &[usize]) -> Outcome<Sum> {
        let [leading @ .., m, n] = shape else {
            return Err("a contraction gives at least two axes".into());
        };
        let groups: usize = leading.iter().product();
        let (left, right) = (self.form(a)?, self.form(b)?);
        let inner = left.len() / (groups * m).max(1);
        // The right factor with its columns in front of the contracted axis.
        let transposed: Vec<Option<u32>> = (0..groups * n * inner)
            .map(|i| {
                let (g, n_at, k) = (i / (n * inner), i / inner % n, i % inner);
                Some(((g * inner + k) * n + n_at) as u32)
            })
            .collect();
        let term = SumTerm::Product {
            left,
            right: right.gather(&transposed),
            inner,
            grid: Grid {
                groups,
                ..Grid::rows(*m, *n)
            },
        };
        Ok(Sum::of(groups * m * n, term))
    }

    fn combine(&self, terms: &[(ValueId, i32)], constant: &[i32], elements: usize) -> Outcome<Sum> {
        let mut sum = Sum {
            elements,
            bias: constant.iter().map(|c| i64::from(*c)).collect(),
            terms: Vec::new(),
        };
        for (id, coefficient) in terms {
            match self.at(*id)?.1 {
                Value::Narrow(form) => sum.add(SumTerm::Linear {
                    form: form.clone().scaled(*coefficient),
                    each: 1,
                }),
                Value::Sum(other) => {
                    let other = other.clone().scaled(*coefficient);
                    sum.add_bias(&other.bias)?;
                    other.terms.into_iter().for_each(|term| sum.add(term));
                }
            }
        }
        Ok(sum)
    }

    /// The accumulator of a value, the position of each of its elements, and what the padded positions can hold.
    pub(super) fn accumulator(&mut self, id: ValueId) -> Outcome<(Accumulator, Vec<u32>, Range)> {
        let (node, value) = self.at(id)?;
        let elements: usize = node.shape.iter().product();
        let sum = match value {
            Value::Narrow(form) => Sum::of(
                elements,
                SumTerm::Linear {
                    form: form.clone(),
                    each: 1,
                },
            ),
            Value::Sum(sum) => sum.clone(),
        };
        let grid = sum.grid()?;
        let places = grid.places();
        let domain = grid.domain();
        let mut terms = Vec::with_capacity(sum.terms.len());
        for term in &sum.terms {
            terms.push(self.term(term, &places, domain));
        }
        let bias = match sum.bias.iter().any(|b| *b != 0) {
            true => Some(self.blocks.bias(&sum.bias, domain.columns)?),
            false => None,
        };
        let padding = Range {
            least: sum.bias.iter().min().copied().unwrap_or_default().min(0),
            most: sum.bias.iter().max().copied().unwrap_or_default().max(0),
        };
        let accumulator = Accumulator {
            domain,
            terms,
            bias,
        };
        Ok((accumulator, places, padding))
    }

    fn term(&mut self, term: &SumTerm, places: &[u32], domain: Domain) -> Term {
        let column_log = |source| self.circuit.column_log(source).unwrap_or_default();
        match term {
            SumTerm::Linear { form, each } => Term::Linear {
                operand: linear(form, *each, places, domain, &column_log),
                summed: log(*each),
            },
            SumTerm::Weights {
                form,
                inner,
                weights,
                grid,
            } => Term::Weights {
                operand: rows(form, [1, grid.rows, *inner], &column_log),
                inner: log(*inner),
                offset: self
                    .blocks
                    .matrix(weights, grid.columns, log(*inner), domain.columns),
            },
            SumTerm::Product {
                left,
                right,
                inner,
                grid,
            } => Term::Product {
                left: rows(left, [grid.groups, grid.rows, *inner], &column_log),
                right: rows(right, [grid.groups, grid.columns, *inner], &column_log),
                inner: log(*inner),
            },
        }
    }
}

/// A convolution's weights with the contracted axis first and zeros between groups.
fn kernel_matrix(
    weights: &[i8],
    outputs: usize,
    channels: usize,
    area: usize,
    groups: usize,
) -> Vec<i8> {
    let (own, each) = (channels / groups.max(1), outputs / groups.max(1));
    let mut matrix = vec![0; channels * area * outputs];
    for o in 0..outputs {
        for k in 0..own * area {
            let from = weights.get(o * own * area + k).copied().unwrap_or_default();
            matrix[(o / each.max(1) * own * area + k) * outputs + o] = from;
        }
    }
    matrix
}

impl Sum {
    fn of(elements: usize, term: SumTerm) -> Self {
        Self {
            elements,
            bias: Vec::new(),
            terms: vec![term],
        }
    }

    /// Adds a term; linear ones are joined.
    fn add(&mut self, term: SumTerm) {
        if let SumTerm::Linear { form, each } = &term {
            for own in &mut self.terms {
                if let SumTerm::Linear {
                    form: mine,
                    each: same,
                } = own
                    && same == each
                {
                    *mine = mine.clone().plus(form.clone());
                    return;
                }
            }
        }
        self.terms.push(term);
    }

    fn add_bias(&mut self, other: &[i64]) -> Outcome<()> {
        if self.bias.is_empty() {
            self.bias = other.to_vec();
        } else if !other.is_empty() {
            if self.bias.len() != other.len() {
                return Err("it adds constants of different lengths".into());
            }
            self.bias.iter_mut().zip(other).for_each(|(a, b)| *a += b);
        }
        Ok(())
    }

    /// Scales the values that are read, not the weights, which would not fit eight bits any more.
    fn scaled(mut self, coefficient: i32) -> Self {
        self.bias
            .iter_mut()
            .for_each(|b| *b *= i64::from(coefficient));
        for term in &mut self.terms {
            let (SumTerm::Linear { form, .. }
            | SumTerm::Weights { form, .. }
            | SumTerm::Product { left: form, .. }) = term;
            *form = form.clone().scaled(coefficient);
        }
        self
    }

    /// The grid of the products, or one that suits the bias.
    fn grid(&self) -> Outcome<Grid> {
        let grids: Vec<Grid> = self
            .terms
            .iter()
            .filter_map(|term| match term {
                SumTerm::Linear { .. } => None,
                SumTerm::Weights { grid, .. } | SumTerm::Product { grid, .. } => Some(*grid),
            })
            .collect();
        let grid = match (grids.first(), self.bias.len()) {
            (Some(grid), _) => *grid,
            (None, 0) => Grid::flat(self.elements),
            (None, columns) => Grid::rows(self.elements / columns, columns),
        };
        if grids.iter().any(|other| *other != grid) {
            return Err("it adds products of different forms; rescale one of them first".into());
        }
        if !self.bias.is_empty() && self.bias.len() != grid.columns {
            return Err("it adds a constant along another axis than its products have".into());
        }
        Ok(grid)
    }
}
