//! Random quantised graphs, and the slow executor that is obviously right.

use assay_tensor::quant::{
    InputSpec, IntGraph, Matrix, Node, Op, OutputSpec, Range, Reading, Table, ValueId, Window,
};

/// A generator of numbers that a seed repeats (Knuth's MMIX).
pub struct Dice(pub u64);

impl Dice {
    /// From `least` to `most`, both included.
    pub fn between(&mut self, least: i64, most: i64) -> i64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        least + ((self.0 >> 33) % (most - least + 1) as u64) as i64
    }

    fn size(&mut self, least: usize, most: usize) -> usize {
        self.between(least as i64, most as i64) as usize
    }

    fn weights(&mut self, count: usize) -> Vec<i8> {
        (0..count).map(|_| self.between(-127, 127) as i8).collect()
    }

    fn biases(&mut self, count: usize) -> Vec<i32> {
        (0..count)
            .map(|_| self.between(-9999, 9999) as i32)
            .collect()
    }
}

fn size(shape: &[usize]) -> usize {
    shape.iter().product()
}

/// A graph of some random nodes; each accumulator is also rescaled, so that it can be used on.
pub fn graph(seed: u64) -> IntGraph {
    let mut dice = Dice(seed);
    let mut graph = IntGraph::empty();
    let shape = vec![dice.size(1, 3), dice.size(2, 5), dice.size(2, 5)];
    graph.inputs.push(InputSpec {
        name: "x".into(),
        shape: shape.clone(),
        scale: vec![0.5],
        offset: vec![0.0],
        range: Range {
            least: dice.between(-200, 0),
            most: dice.between(1, 255),
        },
    });
    let mut narrow = vec![graph.add("x", Op::Input(0), &[]).unwrap()];
    for number in 0..dice.between(1, 12) {
        let name = format!("node {number}");
        let (op, shape) = operator(&mut dice, &graph, &narrow);
        let Ok(id) = graph.add(&name, op, &shape) else {
            continue;
        };
        let accumulates = matches!(
            graph.nodes[id.0].op,
            Op::Dense { .. }
                | Op::Convolution { .. }
                | Op::Contract { .. }
                | Op::Multiply { .. }
                | Op::Combine { .. }
                | Op::Sum { .. }
        );
        match accumulates {
            true => narrow.push(rescaled(&mut dice, &mut graph, id)),
            false => narrow.push(id),
        }
    }
    let last = ValueId(graph.nodes.len() - 1);
    let shape = graph.nodes[last.0].shape.clone();
    graph.outputs.push(last);
    graph.results.push(OutputSpec {
        name: "y".into(),
        shape,
        scale: 0.25,
        offset: vec![1.0],
        reading: Reading::Value,
    });
    graph
}

/// A rescale by a random table.
fn rescaled(dice: &mut Dice, graph: &mut IntGraph, x: ValueId) -> ValueId {
    let range = graph.nodes[x.0].range;
    let width = range.most - range.least;
    let shift = (0..16).find(|s| width >> s < 1000).unwrap_or(16);
    let half = if shift == 0 { 0 } else { 1 << (shift - 1) };
    let (first, last) = ((range.least + half) >> shift, (range.most + half) >> shift);
    let table = Table {
        first: first as i32,
        values: (first..=last)
            .map(|_| dice.between(-300, 300) as i16)
            .collect(),
    };
    let op = Op::Rescale { x, shift, table };
    graph.add("rescale", op, &[]).unwrap()
}

/// A random operator on random narrow values and the shape that it needs to be told.
fn operator(dice: &mut Dice, graph: &IntGraph, narrow: &[ValueId]) -> (Op, Vec<usize>) {
    let x = narrow[dice.size(0, narrow.len() - 1)];
    let shape = graph.nodes[x.0].shape.clone();
    let last = shape.last().copied().unwrap_or(1);
    match dice.between(0, 9) {
        0 | 1 => {
            let columns = dice.size(1, 9);
            let weights = Matrix {
                rows: last,
                columns,
                values: dice.weights(last * columns),
            };
            let bias = dice.biases(columns);
            (Op::Dense { x, weights, bias }, vec![])
        }
        2 => convolution(dice, x, &shape),
        3 => (Op::Multiply { a: x, b: x }, vec![]),
        4 => {
            let constant = match dice.between(0, 1) {
                0 => vec![],
                _ => dice.biases(last),
            };
            let terms = vec![(x, dice.between(-50, 50) as i32), (x, 3)];
            (Op::Combine { terms, constant }, vec![])
        }
        5 => (Op::Sum { x }, vec![]),
        6 => (Op::Max { x }, vec![]),
        7 => (Op::Concat(vec![x, narrow[0], x]), vec![]),
        8 => {
            let b = narrow[dice.size(0, narrow.len() - 1)];
            (Op::Contract { a: x, b }, vec![])
        }
        _ => {
            let own = vec![dice.size(1, 2), dice.size(1, 4), dice.size(1, 6)];
            let from = |dice: &mut Dice| match dice.between(0, 4) {
                0 => None,
                _ => Some(dice.size(0, size(&shape) - 1) as u32),
            };
            let map = (0..size(&own)).map(|_| from(dice)).collect();
            (Op::Gather { x, map }, own)
        }
    }
}

fn convolution(dice: &mut Dice, x: ValueId, shape: &[usize]) -> (Op, Vec<usize>) {
    let channels = shape.first().copied().unwrap_or(1);
    let groups = if dice.between(0, 1) == 0 { 1 } else { channels };
    let filters = groups * dice.size(1, 3);
    let kernel = [dice.size(1, 3), dice.size(1, 3)];
    let window = Window {
        kernel,
        stride: [dice.size(1, 2), dice.size(1, 2)],
        before: [dice.size(0, 2), dice.size(0, 2)],
        dilation: [dice.size(1, 2), dice.size(1, 2)],
    };
    let weights = dice.weights(filters * channels / groups * kernel[0] * kernel[1]);
    let bias = dice.biases(filters);
    let out = vec![filters, dice.size(1, 4), dice.size(1, 4)];
    let op = Op::Convolution {
        x,
        weights,
        bias,
        window,
        groups,
    };
    (op, out)
}

/// Random values of the graph's inputs.
pub fn inputs(seed: u64, graph: &IntGraph) -> Vec<Vec<i32>> {
    let mut dice = Dice(seed ^ 0xABCD);
    graph
        .inputs
        .iter()
        .map(|spec| {
            let value = |_| dice.between(spec.range.least, spec.range.most) as i32;
            (0..size(&spec.shape)).map(value).collect()
        })
        .collect()
}

/// All values, straight from the definitions, in 128 bits.
pub fn reference(graph: &IntGraph, inputs: &[Vec<i32>]) -> Vec<Vec<i128>> {
    let mut values: Vec<Vec<i128>> = Vec::new();
    for node in &graph.nodes {
        let value = (0..size(&node.shape))
            .map(|at| element(graph, node, at, &values, inputs))
            .collect();
        values.push(value);
    }
    values
}

/// One element of a node.
fn element(
    graph: &IntGraph,
    node: &Node,
    at: usize,
    values: &[Vec<i128>],
    inputs: &[Vec<i32>],
) -> i128 {
    let shape = |id: &ValueId| graph.nodes[id.0].shape.as_slice();
    match &node.op {
        Op::Input(index) => i128::from(inputs[*index][at]),
        Op::Dense { x, weights, bias } => {
            let (row, o) = (at / weights.columns, at % weights.columns);
            let products = (0..weights.rows).map(|k| {
                values[x.0][row * weights.rows + k]
                    * i128::from(weights.values[k * weights.columns + o])
            });
            products.sum::<i128>() + i128::from(bias[o])
        }
        Op::Convolution { x, .. } => correlation(node, at, shape(x), &values[x.0]),
        Op::Contract { a, b } => {
            let (k, n) = (shape(a)[shape(a).len() - 1], shape(b)[shape(b).len() - 1]);
            let m = shape(a)[shape(a).len() - 2];
            let (lead, row, column) = (at / (m * n), at / n % m, at % n);
            (0..k)
                .map(|i| {
                    values[a.0][(lead * m + row) * k + i] * values[b.0][(lead * k + i) * n + column]
                })
                .sum()
        }
        Op::Multiply { a, b } => values[a.0][at] * values[b.0][at],
        Op::Combine { terms, constant } => {
            let own = match constant[..] {
                [] => 0,
                _ => i128::from(constant[at % constant.len()]),
            };
            let terms = terms
                .iter()
                .map(|(id, c)| values[id.0][at] * i128::from(*c));
            own + terms.sum::<i128>()
        }
        Op::Sum { x } => {
            let n = shape(x)[shape(x).len() - 1];
            values[x.0][at * n..][..n].iter().sum()
        }
        Op::Max { x } => {
            let n = shape(x)[shape(x).len() - 1];
            values[x.0][at * n..][..n].iter().copied().max().unwrap()
        }
        Op::Rescale { x, shift, table } => {
            let half = if *shift == 0 { 0 } else { 1i128 << (shift - 1) };
            let argument = (values[x.0][at] + half).div_euclid(1 << shift);
            i128::from(table.values[(argument - i128::from(table.first)) as usize])
        }
        Op::Gather { x, map } => map[at].map_or(0, |from| values[x.0][from as usize]),
        Op::Concat(parts) => {
            let all = parts.iter().flat_map(|id| values[id.0].iter().copied());
            all.collect::<Vec<i128>>()[at]
        }
    }
}

/// One element of a convolution.
fn correlation(node: &Node, at: usize, image: &[usize], x: &[i128]) -> i128 {
    let Op::Convolution {
        weights,
        bias,
        window,
        groups,
        ..
    } = &node.op
    else {
        return 0;
    };
    let (height, width) = (node.shape[1], node.shape[2]);
    let (o, row, column) = (at / (height * width), at / width % height, at % width);
    let depth = image[0] / groups;
    let group = o / (node.shape[0] / groups);
    let [kh, kw] = window.kernel;
    let mut sum = i128::from(bias[o]);
    for (c, y, z) in
        (0..depth).flat_map(|c| (0..kh).flat_map(move |y| (0..kw).map(move |z| (c, y, z))))
    {
        let i = (row * window.stride[0] + y * window.dilation[0]) as i64 - window.before[0] as i64;
        let j =
            (column * window.stride[1] + z * window.dilation[1]) as i64 - window.before[1] as i64;
        if (0..image[1] as i64).contains(&i) && (0..image[2] as i64).contains(&j) {
            let channel = group * depth + c;
            let from = (channel * image[1] + i as usize) * image[2] + j as usize;
            sum += x[from] * i128::from(weights[((o * depth + c) * kh + y) * kw + z]);
        }
    }
    sum
}
