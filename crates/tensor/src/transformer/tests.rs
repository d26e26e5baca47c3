//! The same bits whatever is computed together, and numbers near those of plain arithmetic.

use proptest::prelude::*;

use super::*;

const SIZES: Dimensions = Dimensions {
    vocabulary: 50,
    width: 24,
    heads: 4,
    shared: 2,
    head: 8,
    gated: 40,
    epsilon: 1e-5,
    context: 80,
    theta: 10_000.0,
};
const LAYERS: usize = 3;

/// Numbers that a seed makes, between -1 and 1.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    fn some(&mut self, count: usize, scale: f32) -> Vec<f32> {
        (0..count).map(|_| self.next() * scale).collect()
    }
}

/// The weights as numbers, in the order in which a pass uses them.
struct Plain {
    embeddings: Vec<f32>,
    /// Norm, query, keys, values, merge, norm, gate, up, down; the bias of keys.
    layers: Vec<([Vec<f32>; 9], Vec<f32>)>,
    norm: Vec<f32>,
    head: Vec<f32>,
}

fn plain() -> Plain {
    let mut numbers = Numbers(0x1234_5678_9abc_def1);
    let (width, wide, narrow) = (
        SIZES.width,
        SIZES.heads * SIZES.head,
        SIZES.shared * SIZES.head,
    );
    let sizes = [
        width,
        wide * width,
        narrow * width,
        narrow * width,
        width * wide,
        width,
        SIZES.gated * width,
        SIZES.gated * width,
        width * SIZES.gated,
    ];
    let layers = (0..LAYERS).map(|_| {
        let weights = sizes.map(|size| numbers.some(size, if size == width { 1.0 } else { 0.4 }));
        (weights, numbers.some(narrow, 0.1))
    });
    let layers = layers.collect();
    Plain {
        embeddings: numbers.some(SIZES.vocabulary * width, 1.0),
        layers,
        norm: numbers.some(width, 1.0),
        head: numbers.some(SIZES.vocabulary * width, 0.5),
    }
}

fn weights(of: &Plain) -> Weights {
    let matrix = |values: &[f32], inner: usize| {
        Matrix::quantised(values, values.len() / inner, inner).unwrap()
    };
    let linear = |values: &[f32], inner: usize, bias: &[f32]| Linear {
        matrix: matrix(values, inner),
        bias: bias.to_vec(),
    };
    let (width, wide) = (SIZES.width, SIZES.heads * SIZES.head);
    let layer = |(w, bias): &([Vec<f32>; 9], Vec<f32>)| Layer {
        attention_norm: w[0].clone(),
        query: linear(&w[1], width, &[]),
        keys: linear(&w[2], width, bias),
        values: linear(&w[3], width, &[]),
        merge: linear(&w[4], wide, &[]),
        gate_norm: w[5].clone(),
        gate: linear(&w[6], width, &[]),
        up: linear(&w[7], width, &[]),
        down: linear(&w[8], SIZES.gated, &[]),
    };
    Weights {
        embeddings: matrix(&of.embeddings, width),
        layers: of.layers.iter().map(layer).collect(),
        norm: of.norm.clone(),
        head: Some(matrix(&of.head, width)),
    }
}

fn model() -> Model {
    Model::new(SIZES, weights(&plain())).unwrap()
}

/// Threads of its own for each piece of work.
struct Threads(usize);

impl Workers for Threads {
    fn each(&self, parts: usize, work: &(dyn Fn(usize) + Sync)) {
        std::thread::scope(|scope| {
            for thread in 0..self.0 {
                scope.spawn(move || (thread..parts).step_by(self.0).for_each(work));
            }
        });
    }

    fn at_once(&self) -> usize {
        self.0
    }
}

const PLAINLY: How<'static> = How {
    kernel: Kernel::Scalar,
    workers: &Alone,
};

fn tokens(seed: u64, count: usize) -> Vec<u32> {
    let mut numbers = Numbers(seed | 1);
    let token = |_| ((numbers.next() + 1.0) * 0.5 * SIZES.vocabulary as f32) as u32 % 50;
    (0..count).map(token).collect()
}

/// The scores after each token of a sequence, computed in one pass by itself.
fn alone(model: &Model, tokens: &[u32], how: How<'_>) -> Vec<f32> {
    let mut cache = Cache::default();
    let run = Run {
        cache: &mut cache,
        tokens,
        wanted: usize::MAX,
    };
    model.pass(&mut [run], how).unwrap().concat()
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn a_sequence_has_the_same_scores_whatever_is_computed_with_it(
        seed: u64, length in 1usize..40, cuts in prop::collection::vec(1usize..9, 0..12),
        others in prop::collection::vec(1usize..20, 0..4), threads in 1usize..4, widest: bool,
    ) {
        let model = model();
        let sequence = tokens(seed, length);
        let expected = alone(&model, &sequence, PLAINLY);
        let kernel = if widest { Kernel::Widest } else { Kernel::Portable };
        let workers = Threads(threads);
        let how = How { kernel, workers: &workers };
        // In several passes, beside other sequences that come and go.
        let (mut cache, mut found, mut rest) = (Cache::default(), Vec::new(), sequence.as_slice());
        let mut cuts = cuts.into_iter();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(cuts.next().unwrap_or(rest.len()).min(rest.len()));
            rest = later;
            let beside: Vec<Vec<u32>> = others.iter().map(|count| tokens(seed ^ *count as u64, *count)).collect();
            let mut caches = vec![Cache::default(); beside.len()];
            let mut runs: Vec<Run<'_>> = caches.iter_mut().zip(&beside)
                .map(|(cache, tokens)| Run { cache, tokens, wanted: 1 }).collect();
            let place = runs.len() / 2;
            runs.insert(place, Run { cache: &mut cache, tokens: now, wanted: usize::MAX });
            found.extend(model.pass(&mut runs, how).unwrap().swap_remove(place));
        }
        prop_assert_eq!(bits(&found), bits(&expected));
        prop_assert_eq!(cache.length(), length);
    }

    #[test]
    fn a_sequence_goes_on_from_the_beginning_of_another(seed: u64, same in 0usize..40, more in 1usize..10, cut: bool) {
        let model = model();
        let mut sequence = tokens(seed, same + 20);
        let mut cache = Cache::default();
        model.pass(&mut [Run { cache: &mut cache, tokens: &sequence, wanted: 1 }], PLAINLY).unwrap();
        let before = cache.clone();
        let mut shared = if cut {
            let mut shared = cache.clone();
            shared.cut(same);
            prop_assert_eq!(shared.length(), same);
            shared
        } else {
            let shared = cache.beginning(same);
            prop_assert_eq!(shared.length(), same / PAGE_TOKENS * PAGE_TOKENS);
            shared
        };
        sequence.truncate(same);
        sequence.extend(tokens(seed ^ 99, more));
        let from = shared.length();
        let run = Run { cache: &mut shared, tokens: &sequence[from..], wanted: usize::MAX };
        let found = model.pass(&mut [run], PLAINLY).unwrap().concat();
        let all = alone(&model, &sequence, PLAINLY);
        prop_assert_eq!(bits(&found), bits(&all[from * SIZES.vocabulary..]));
        prop_assert!(cache == before, "the other sequence is as it was");
    }
}

/// The same model in double precision, without bytes: scores after the last token.
fn reference(of: &Plain, tokens: &[u32]) -> Vec<f64> {
    let s = SIZES;
    let times = |w: &[f32], x: &[f64]| -> Vec<f64> {
        let row = |row: &[f32]| row.iter().zip(x).map(|(a, b)| f64::from(*a) * b).sum();
        w.chunks(x.len()).map(row).collect()
    };
    let norm = |x: &[f64], w: &[f32]| -> Vec<f64> {
        let mean = x.iter().map(|v| v * v).sum::<f64>() / x.len() as f64;
        let factor = 1.0 / (mean + f64::from(s.epsilon)).sqrt();
        x.iter()
            .zip(w)
            .map(|(v, w)| v * factor * f64::from(*w))
            .collect()
    };
    let rotate = |x: &mut [f64], position: usize| {
        for head in x.chunks_mut(s.head) {
            for i in 0..s.head / 2 {
                let angle = position as f64 * s.theta.powf(-((2 * i) as f64) / s.head as f64);
                let (a, b) = (head[i], head[i + s.head / 2]);
                head[i] = a * angle.cos() - b * angle.sin();
                head[i + s.head / 2] = b * angle.cos() + a * angle.sin();
            }
        }
    };
    let width = s.width;
    let embed = |token: &u32| {
        of.embeddings[*token as usize * width..][..width]
            .iter()
            .map(|v| f64::from(*v))
            .collect()
    };
    let mut state: Vec<Vec<f64>> = tokens.iter().map(embed).collect();
    for (w, bias) in &of.layers {
        let (mut q, mut k, mut v) = (Vec::new(), Vec::new(), Vec::new());
        for (position, x) in state.iter().enumerate() {
            let x = norm(x, &w[0]);
            let (mut query, mut key) = (times(&w[1], &x), times(&w[2], &x));
            key.iter_mut()
                .zip(bias)
                .for_each(|(key, bias)| *key += f64::from(*bias));
            rotate(&mut query, position);
            rotate(&mut key, position);
            q.push(query);
            k.push(key);
            v.push(times(&w[3], &x));
        }
        for position in 0..state.len() {
            let mut read = vec![0.0; s.heads * s.head];
            for head in 0..s.heads {
                let from = head / (s.heads / s.shared) * s.head;
                let of = |x: &Vec<f64>, at: usize| x[at..at + s.head].to_vec();
                let query = of(&q[position], head * s.head);
                let like = |key: &Vec<f64>| {
                    let dot: f64 = of(key, from).iter().zip(&query).map(|(a, b)| a * b).sum();
                    (dot / (s.head as f64).sqrt()).exp()
                };
                let weights: Vec<f64> = k[..=position].iter().map(like).collect();
                let sum: f64 = weights.iter().sum();
                for (weight, value) in weights.iter().zip(&v) {
                    for (i, value) in of(value, from).iter().enumerate() {
                        read[head * s.head + i] += weight / sum * value;
                    }
                }
            }
            let x = &mut state[position];
            for (x, more) in x.iter_mut().zip(times(&w[4], &read)) {
                *x += more;
            }
            let normed = norm(x, &w[5]);
            let up = times(&w[7], &normed);
            let gate = times(&w[6], &normed)
                .into_iter()
                .zip(up)
                .map(|(g, u)| g / (1.0 + (-g).exp()) * u);
            let down = times(&w[8], &gate.collect::<Vec<_>>());
            x.iter_mut().zip(down).for_each(|(x, more)| *x += more);
        }
    }
    times(&of.head, &norm(state.last().unwrap(), &of.norm))
}

#[test]
fn scores_are_near_those_of_plain_arithmetic() {
    let (plain, model) = (plain(), model());
    for seed in 1..20 {
        let sequence = tokens(seed * 7_919, 1 + seed as usize);
        let right = reference(&plain, &sequence);
        let found = alone(&model, &sequence, PLAINLY);
        let last = &found[found.len() - SIZES.vocabulary..];
        let spread = right.iter().map(|v| v * v).sum::<f64>().sqrt();
        let error = right
            .iter()
            .zip(last)
            .map(|(a, b)| (a - f64::from(*b)).powi(2))
            .sum::<f64>()
            .sqrt();
        assert!(error < 0.06 * spread, "{seed}: {error} of {spread}");
    }
}

#[test]
fn what_cannot_be_computed_is_refused_and_changes_nothing() {
    let model = model();
    let mut cache = Cache::default();
    let sequence = tokens(5, 30);
    let run = Run {
        cache: &mut cache,
        tokens: &sequence,
        wanted: 1,
    };
    model.pass(&mut [run], PLAINLY).unwrap();
    let before = cache.clone();
    for (tokens, error) in [
        (vec![], PassError::NoToken),
        (
            vec![3, 50],
            PassError::Token {
                token: 50,
                vocabulary: 50,
            },
        ),
        (
            vec![0; 51],
            PassError::Context {
                length: 81,
                context: 80,
            },
        ),
    ] {
        let run = Run {
            cache: &mut cache,
            tokens: &tokens,
            wanted: usize::MAX,
        };
        let mut other = Cache::default();
        let beside = Run {
            cache: &mut other,
            tokens: &[1],
            wanted: usize::MAX,
        };
        assert_eq!(model.pass(&mut [beside, run], PLAINLY), Err(error));
        assert_eq!((cache.length(), other.length()), (before.length(), 0));
    }
    assert!(cache == before);
    assert_eq!(model.pass(&mut [], PLAINLY), Ok(vec![]));
}

#[test]
fn weights_of_other_sizes_make_no_model() {
    let of = |change: fn(&mut Dimensions, &mut Weights)| {
        let (mut sizes, mut weights) = (SIZES, weights(&plain()));
        change(&mut sizes, &mut weights);
        Model::new(sizes, weights)
    };
    assert!(of(|_, _| ()).is_ok());
    let changes: [fn(&mut Dimensions, &mut Weights); 12] = [
        |sizes, _| sizes.width = 25,
        |sizes, _| sizes.heads = 3,
        |sizes, _| sizes.head = 7,
        |sizes, _| sizes.shared = 0,
        |sizes, _| sizes.gated = 41,
        |sizes, _| sizes.vocabulary = 51,
        |sizes, _| sizes.epsilon = 0.0,
        |sizes, _| sizes.theta = 0.5,
        |sizes, _| sizes.context = 0,
        |_, weights| weights.norm.push(1.0),
        |_, weights| weights.layers[1].up = weights.layers[1].down.clone(),
        |_, weights| weights.layers[2].query.bias = vec![0.0; 3],
    ];
    for (index, change) in changes.into_iter().enumerate() {
        assert!(of(change).is_err(), "{index}");
    }
    // The embeddings may score, too.
    let tied = of(|_, weights| weights.head = None).unwrap();
    assert_eq!(alone(&tied, &[1, 2], PLAINLY).len(), 2 * SIZES.vocabulary);
    assert!(tied.memory() < model().memory());
}
