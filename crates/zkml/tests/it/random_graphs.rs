//! Graphs grown from seeds, over all operators: what is proven is what they compute.

use assay_tensor::quant::{Op, ValueId, Window};
use assay_zkml::compile;

use crate::graphs::Growing;
use crate::honest::check;

/// Seeds that are tried.
const SEEDS: u64 = 60;

/// A graph that grows: its narrow values.
struct Random {
    graph: Growing,
    narrow: Vec<ValueId>,
    used: Vec<&'static str>,
}

impl Random {
    fn pick(&mut self, n: usize) -> usize {
        self.graph.numbers.within(0, n as i64 - 1) as usize
    }

    /// A narrow value.
    fn any(&mut self) -> ValueId {
        let at = self.pick(self.narrow.len());
        self.narrow[at]
    }

    fn shape(&self, id: ValueId) -> Vec<usize> {
        self.graph.nodes[id.0].shape.clone()
    }

    /// The same elements in another shape of so many axes.
    fn reshaped(&mut self, id: ValueId, axes: usize) -> ValueId {
        let mut rest: usize = self.shape(id).iter().product();
        let mut shape = Vec::new();
        for _ in 1..axes {
            let divisors: Vec<usize> = (1..=rest).filter(|d| rest.is_multiple_of(*d)).collect();
            let divisor = divisors[self.pick(divisors.len())];
            shape.push(divisor);
            rest /= divisor;
        }
        shape.push(rest);
        let map = (0..shape.iter().product::<usize>() as u32)
            .map(Some)
            .collect();
        self.graph.gather(id, map, &shape)
    }

    /// Elements of a value anywhere, some of them zero, in this shape.
    fn gathered(&mut self, id: ValueId, shape: &[usize]) -> ValueId {
        let len: usize = self.shape(id).iter().product();
        let take = |_| {
            let at = self.graph.numbers.within(-1, len as i64 - 1);
            u32::try_from(at).ok()
        };
        let map = (0..shape.iter().product::<usize>()).map(take).collect();
        self.graph.gather(id, map, shape)
    }

    fn concat(&mut self) -> ValueId {
        let parts: Vec<ValueId> = (0..2 + self.pick(2)).map(|_| self.any()).collect();
        let lens = parts
            .iter()
            .map(|id| self.shape(*id).iter().product::<usize>());
        let len = lens.sum();
        self.graph.node(Op::Concat(parts), &[len], -128, 127)
    }

    fn convolution(&mut self) -> ValueId {
        let x = self.any();
        let image = [1 + self.pick(3), 2 + self.pick(4), 2 + self.pick(4)];
        let x = self.gathered(x, &image);
        let groups = if image[0] == 2 { 1 + self.pick(2) } else { 1 };
        let window = Window {
            kernel: [1 + self.pick(2), 1 + self.pick(2)],
            stride: [1 + self.pick(2), 1 + self.pick(2)],
            before: [self.pick(2), self.pick(2)],
            dilation: [1, 1 + self.pick(2)],
        };
        let window = match window.dilation[1] * (window.kernel[1] - 1) < image[2] {
            true => window,
            false => Window {
                dilation: [1, 1],
                ..window
            },
        };
        let outputs = groups * (1 + self.pick(3));
        self.graph.convolution(x, outputs, window, groups)
    }

    fn contract(&mut self) -> ValueId {
        let (a, b) = (self.any(), self.any());
        let [m, k, n, groups] = [(); 4].map(|()| 1 + self.pick(4));
        let (left, right) = match self.pick(2) {
            0 => (vec![m, k], vec![k, n]),
            _ => (vec![groups, m, k], vec![groups, k, n]),
        };
        let (a, b) = (self.gathered(a, &left), self.gathered(b, &right));
        self.graph.contract(a, b)
    }

    /// One more value.
    fn grow(&mut self) {
        let x = self.any();
        let kind = self.pick(9);
        let (name, value) = match kind {
            0 => {
                let axes = 1 + self.pick(2);
                let x = self.reshaped(x, axes);
                let columns = 1 + self.pick(7);
                ("dense", self.graph.dense(x, columns))
            }
            1 => ("convolution", self.convolution()),
            2 => ("contract", self.contract()),
            3 => {
                let other = self.any();
                let shape = self.shape(x);
                let other = self.gathered(other, &shape);
                ("multiply", self.graph.multiply(x, other))
            }
            4 => {
                let other = self.any();
                let shape = self.shape(x);
                let other = self.gathered(other, &shape);
                let [a, b] = [(); 2].map(|()| self.graph.numbers.within(-5, 5) as i32);
                let constants = self.pick(2) == 1;
                (
                    "combine",
                    self.graph.combine(&[(x, a), (other, b)], constants),
                )
            }
            5 => {
                let x = self.reshaped(x, 2);
                ("sum", self.graph.sum(x))
            }
            6 => {
                let x = self.reshaped(x, 2);
                ("max", self.graph.max(x))
            }
            7 => ("concat", self.concat()),
            _ => {
                let shape = [1 + self.pick(4), 1 + self.pick(5)];
                ("gather", self.gathered(x, &shape))
            }
        };
        self.used.push(name);
        let narrow = match kind {
            6.. => value,
            _ => self.graph.rescale(value),
        };
        self.narrow.push(narrow);
    }
}

fn random(seed: u64) -> (Growing, Vec<ValueId>, Vec<&'static str>) {
    let mut graph = Growing::new(seed);
    let shape = match seed % 3 {
        0 => vec![1 + seed as usize % 13],
        1 => vec![1 + seed as usize % 4, 5],
        _ => vec![2, 3, 1 + seed as usize % 4],
    };
    let x = graph.input(&shape);
    let mut random = Random {
        graph,
        narrow: vec![x],
        used: Vec::new(),
    };
    for _ in 0..3 + seed % 6 {
        random.grow();
    }
    let last = *random.narrow.last().unwrap();
    let end = random.graph.dense(last, 2);
    (random.graph, vec![end, last], random.used)
}

#[test]
fn random_graphs_are_proven_and_are_what_they_compute() {
    let mut used = std::collections::BTreeMap::new();
    for seed in 0..SEEDS {
        let (graph, outputs, names) = random(seed);
        if let Err(error) = compile(&graph.nodes, &outputs) {
            panic!("seed {seed}: {error}");
        }
        check(graph, &outputs, 1 + seed as usize % 3);
        for name in names {
            *used.entry(name).or_insert(0usize) += 1;
        }
    }
    assert_eq!(used.len(), 9, "{used:?}");
}
