//! Small integer graphs, made from a seed.

use assay_tensor::quant::{Matrix, Node, Op, Range, Table, ValueId, Window};

/// Numbers from a seed (SplitMix64).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number of `least..=most`.
    pub(crate) fn within(&mut self, least: i64, most: i64) -> i64 {
        least + (self.next() % (most - least + 1) as u64) as i64
    }

    pub(crate) fn weights(&mut self, n: usize) -> Vec<i8> {
        (0..n).map(|_| self.within(-128, 127) as i8).collect()
    }

    pub(crate) fn biases(&mut self, n: usize) -> Vec<i32> {
        (0..n).map(|_| self.within(-1000, 1000) as i32).collect()
    }
}

/// A graph as it grows.
pub(crate) struct Growing {
    pub(crate) nodes: Vec<Node>,
    pub(crate) numbers: Numbers,
}

impl Growing {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            nodes: Vec::new(),
            numbers: Numbers(seed),
        }
    }

    pub(crate) fn node(&mut self, op: Op, shape: &[usize], least: i64, most: i64) -> ValueId {
        let name = format!("node {}", self.nodes.len());
        let range = Range { least, most };
        self.nodes.push(Node {
            name,
            op,
            shape: shape.to_vec(),
            range,
        });
        ValueId(self.nodes.len() - 1)
    }

    pub(crate) fn input(&mut self, shape: &[usize]) -> ValueId {
        self.node(Op::Input(0), shape, -128, 127)
    }

    fn magnitude(&self, id: ValueId) -> i64 {
        let range = self.nodes[id.0].range;
        range.least.abs().max(range.most.abs())
    }

    pub(crate) fn dense(&mut self, x: ValueId, columns: usize) -> ValueId {
        let mut shape = self.nodes[x.0].shape.clone();
        let rows = shape.pop().unwrap();
        shape.push(columns);
        let weights = Matrix {
            rows,
            columns,
            values: self.numbers.weights(rows * columns),
        };
        let bias = self.numbers.biases(columns);
        let bound = rows as i64 * 128 * self.magnitude(x) + 1000;
        self.node(Op::Dense { x, weights, bias }, &shape, -bound, bound)
    }

    /// Rescales to eight bits: a clamp, a ramp or a wave, by the seed.
    pub(crate) fn rescale(&mut self, x: ValueId) -> ValueId {
        let bound = self.magnitude(x);
        let shift = (0..=16).find(|s| (bound >> s) + 1 < 1 << 11).unwrap();
        let reach = (bound >> shift) + 1;
        let kind = self.numbers.next() % 3;
        let value = |q: i64| match kind {
            0 => q.clamp(-128, 127),
            1 => (q / 4).clamp(0, 127),
            _ => (q * q) % 100 - 50,
        };
        let values: Vec<i16> = (-reach..=reach).map(|q| value(q) as i16).collect();
        let least = i64::from(*values.iter().min().unwrap());
        let most = i64::from(*values.iter().max().unwrap());
        let table = Table {
            first: -reach as i32,
            values,
        };
        let shape = self.nodes[x.0].shape.clone();
        self.node(Op::Rescale { x, shift, table }, &shape, least, most)
    }

    pub(crate) fn convolution(
        &mut self,
        x: ValueId,
        outputs: usize,
        window: Window,
        groups: usize,
    ) -> ValueId {
        let [channels, height, width] = self.nodes[x.0].shape[..] else {
            panic!("an image has three axes");
        };
        let out = |len: usize, axis: usize| {
            let reach = (window.kernel[axis] - 1) * window.dilation[axis] + 1;
            (len + 2 * window.before[axis] - reach) / window.stride[axis] + 1
        };
        let inner = channels / groups * window.kernel[0] * window.kernel[1];
        let op = Op::Convolution {
            x,
            weights: self.numbers.weights(outputs * inner),
            bias: self.numbers.biases(outputs),
            window,
            groups,
        };
        let bound = inner as i64 * 128 * self.magnitude(x) + 1000;
        self.node(op, &[outputs, out(height, 0), out(width, 1)], -bound, bound)
    }

    pub(crate) fn contract(&mut self, a: ValueId, b: ValueId) -> ValueId {
        let mut shape = self.nodes[a.0].shape.clone();
        let inner = shape.pop().unwrap() as i64;
        shape.push(*self.nodes[b.0].shape.last().unwrap());
        let bound = inner * self.magnitude(a) * self.magnitude(b);
        self.node(Op::Contract { a, b }, &shape, -bound, bound)
    }

    pub(crate) fn multiply(&mut self, a: ValueId, b: ValueId) -> ValueId {
        let shape = self.nodes[a.0].shape.clone();
        let bound = self.magnitude(a) * self.magnitude(b);
        self.node(Op::Multiply { a, b }, &shape, -bound, bound)
    }

    pub(crate) fn combine(&mut self, terms: &[(ValueId, i32)], constants: bool) -> ValueId {
        let shape = self.nodes[terms[0].0.0].shape.clone();
        let each = terms
            .iter()
            .map(|(id, c)| self.magnitude(*id) * i64::from(*c).abs());
        let bound = each.sum::<i64>() + 1000;
        let columns = if constants { *shape.last().unwrap() } else { 0 };
        let constant = self.numbers.biases(columns);
        let terms = terms.to_vec();
        self.node(Op::Combine { terms, constant }, &shape, -bound, bound)
    }

    pub(crate) fn sum(&mut self, x: ValueId) -> ValueId {
        let mut shape = self.nodes[x.0].shape.clone();
        let bound = shape.pop().unwrap() as i64 * self.magnitude(x);
        self.node(Op::Sum { x }, &shape, -bound, bound)
    }

    pub(crate) fn max(&mut self, x: ValueId) -> ValueId {
        let Range { least, most } = self.nodes[x.0].range;
        let mut shape = self.nodes[x.0].shape.clone();
        shape.pop();
        self.node(Op::Max { x }, &shape, least, most)
    }

    pub(crate) fn gather(&mut self, x: ValueId, map: Vec<Option<u32>>, shape: &[usize]) -> ValueId {
        let Range { least, most } = self.nodes[x.0].range;
        self.node(Op::Gather { x, map }, shape, least.min(0), most.max(0))
    }
}

/// What a graph computes, one number after the other and as plainly as can be: the compiler is held against it.
pub(crate) fn evaluate(nodes: &[Node], inputs: &[Vec<i16>]) -> Vec<Vec<i64>> {
    let mut values: Vec<Vec<i64>> = Vec::new();
    for node in nodes {
        let len: usize = node.shape.iter().product();
        let of = |id: &ValueId| &values[id.0];
        let last = |id: &ValueId| *nodes[id.0].shape.last().unwrap();
        let value = match &node.op {
            Op::Input(index) => inputs[*index].iter().map(|v| i64::from(*v)).collect(),
            Op::Dense { x, weights, bias } => (0..len)
                .map(|i| {
                    let (row, column) = (i / weights.columns, i % weights.columns);
                    let product = |k| {
                        of(x)[row * weights.rows + k]
                            * i64::from(weights.values[k * weights.columns + column])
                    };
                    (0..weights.rows).map(product).sum::<i64>() + i64::from(bias[column])
                })
                .collect(),
            Op::Convolution {
                x,
                weights,
                bias,
                window,
                groups,
            } => {
                let [channels, height, width] = nodes[x.0].shape[..] else {
                    panic!()
                };
                let [outputs, rows, columns] = node.shape[..] else {
                    panic!()
                };
                let (own, each) = (channels / groups, outputs / groups);
                let mut result = Vec::new();
                for (o, bias) in bias.iter().enumerate().take(outputs) {
                    for (oy, ox) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
                        let mut sum = i64::from(*bias);
                        for c in 0..own {
                            for (ky, kx) in (0..window.kernel[0])
                                .flat_map(|y| (0..window.kernel[1]).map(move |x| (y, x)))
                            {
                                let y = (oy * window.stride[0] + ky * window.dilation[0])
                                    .wrapping_sub(window.before[0]);
                                let x_at = (ox * window.stride[1] + kx * window.dilation[1])
                                    .wrapping_sub(window.before[1]);
                                if y < height && x_at < width {
                                    let from = ((o / each * own + c) * height + y) * width + x_at;
                                    let weight = ((o * own + c) * window.kernel[0] + ky)
                                        * window.kernel[1]
                                        + kx;
                                    sum += of(x)[from] * i64::from(weights[weight]);
                                }
                            }
                        }
                        result.push(sum);
                    }
                }
                result
            }
            Op::Contract { a, b } => {
                let (inner, columns) = (last(a), last(b));
                let rows = nodes[a.0].shape[nodes[a.0].shape.len() - 2];
                (0..len)
                    .map(|i| {
                        let (g, m, n) = (i / (rows * columns), i / columns % rows, i % columns);
                        (0..inner)
                            .map(|k| {
                                of(a)[(g * rows + m) * inner + k]
                                    * of(b)[(g * inner + k) * columns + n]
                            })
                            .sum()
                    })
                    .collect()
            }
            Op::Multiply { a, b } => of(a).iter().zip(of(b)).map(|(x, y)| x * y).collect(),
            Op::Combine { terms, constant } => (0..len)
                .map(|i| {
                    let sum: i64 = terms.iter().map(|(id, c)| of(id)[i] * i64::from(*c)).sum();
                    sum + constant
                        .get(i % constant.len().max(1))
                        .map_or(0, |c| i64::from(*c))
                })
                .collect(),
            Op::Sum { x } => of(x).chunks(last(x)).map(|run| run.iter().sum()).collect(),
            Op::Max { x } => of(x)
                .chunks(last(x))
                .map(|run| *run.iter().max().unwrap())
                .collect(),
            Op::Rescale { x, shift, table } => {
                let half = (1i64 << shift) >> 1;
                let look = |v: &i64| {
                    i64::from(
                        table.values[(((v + half) >> shift) - i64::from(table.first)) as usize],
                    )
                };
                of(x).iter().map(look).collect()
            }
            Op::Gather { x, map } => map
                .iter()
                .map(|from| from.map_or(0, |i| of(x)[i as usize]))
                .collect(),
            Op::Concat(parts) => parts.iter().flat_map(|id| of(id).clone()).collect(),
        };
        values.push(value);
    }
    values
}
