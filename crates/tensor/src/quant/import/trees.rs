//! Ensembles of comparison trees. No branch is walked: every comparison of the ensemble is looked up once, a leaf is reached
//! where all comparisons on its path hold, which is a sum and a table, and what the leaves vote for is a dense operator.
//!
//! Which feature a branch compares and how branches lead to leaves is the shape of the graph; thresholds and votes are
//! parameters. A comparison of integers decides as the float operator does on the real numbers that the integers stand for.

use std::collections::{BTreeMap, HashMap};

use super::builder::Precision;
use super::linear::{self, along};
use super::outputs;
use super::trace::{Seen, Step, Trace};
use super::translate::Translation;
use super::value::{Signal, Value};
use crate::error::Fault;
use crate::op::Spec;
use crate::op::scores::PostTransform;
use crate::op::trees::{Binary, Branch, Classifier, Forest, Mode, Place, Regressor};
use crate::quant::graph::{Op, Range, Table, ValueId};
use crate::quant::model::Reading;

/// Most comparisons on all paths from roots to leaves, most places of the sums over them, and most votes with their zeros:
/// no step of a circuit has more positions.
const MAX_SIZE: usize = 1 << 22;

/// One score: `factor` times the votes for a target, and a bias.
struct Score {
    target: u32,
    factor: f64,
    bias: f64,
}

/// An ensemble with what becomes of its votes.
struct Ensemble {
    forest: Forest,
    scores: Vec<Score>,
    reading: Reading,
}

impl Ensemble {
    fn read(spec: &Spec<'_>, op: &str) -> Result<Self, Fault> {
        match op {
            "TreeEnsembleRegressor" => Self::regressor(Regressor::read(spec)?),
            _ => Self::classifier(Classifier::read(spec)?),
        }
    }

    fn regressor(read: Regressor) -> Result<Self, Fault> {
        let factor = 1.0 / read.divisor;
        Ok(Self {
            scores: each_target(&read.base, factor),
            reading: reading_of(read.post)?,
            forest: read.forest,
        })
    }

    /// The same cases as the float operator has.
    fn classifier(read: Classifier) -> Result<Self, Fault> {
        let offset = read.offsets.first().copied().unwrap_or(0.0);
        let score = |factor: f64, bias: f64| Score {
            target: 0,
            factor,
            bias,
        };
        let (scores, reading) = match (read.binary, read.post) {
            _ if read.second || read.binary == Binary::No => {
                (each_target(&read.offsets, 1.0), reading_of(read.post)?)
            }
            (Binary::Probability, _) => {
                let pair = vec![score(-1.0, 1.0 - offset), score(1.0, offset)];
                (pair, Reading::Value)
            }
            (_, PostTransform::Logistic) => (vec![score(1.0, offset)], Reading::Logistic),
            _ => {
                let pair = vec![score(-1.0, -offset), score(1.0, offset)];
                (pair, Reading::Value)
            }
        };
        Ok(Self {
            forest: read.forest,
            scores,
            reading,
        })
    }
}

fn each_target(bias: &[f64], factor: f64) -> Vec<Score> {
    let score = |(target, bias): (u32, &f64)| Score {
        target,
        factor,
        bias: *bias,
    };
    (0..).zip(bias).map(score).collect()
}

fn reading_of(post: PostTransform) -> Result<Reading, Fault> {
    match post {
        PostTransform::None => Ok(Reading::Value),
        PostTransform::Logistic => Ok(Reading::Sigmoid),
        PostTransform::Softmax => Ok(Reading::Softmax),
        PostTransform::SoftmaxZero => Err(Fault::because("post_transform SOFTMAX_ZERO")),
    }
}

/// How the scores of an ensemble are read.
pub(super) fn reading(trace: &Trace<'_>, step: &Step<'_>) -> Result<Reading, Fault> {
    let spec = Spec::new(step.proto, step.version, &trace.constants);
    Ok(Ensemble::read(&spec, step.proto.op)?.reading)
}

/// TreeEnsembleRegressor.
pub(super) fn regressor<'a>(
    t: &mut Translation<'_, 'a>,
    step: &Step<'a>,
) -> Result<Vec<Value>, Fault> {
    let ensemble = Ensemble::read(&t.spec(step), step.proto.op)?;
    outputs::only_read(t, step, ensemble.reading)?;
    Ok(vec![scores(t, step, &ensemble)?])
}

/// TreeEnsembleClassifier: the scores stand for both outputs; `outputs` knows how to read them.
pub(super) fn classifier<'a>(
    t: &mut Translation<'_, 'a>,
    step: &Step<'a>,
) -> Result<Vec<Value>, Fault> {
    let ensemble = Ensemble::read(&t.spec(step), step.proto.op)?;
    outputs::only_read(t, step, ensemble.reading)?;
    let scores = scores(t, step, &ensemble)?;
    Ok(vec![scores.clone(), scores])
}

/// The scores: comparisons, leaves, votes.
fn scores<'a>(
    t: &mut Translation<'_, 'a>,
    step: &Step<'a>,
    ensemble: &Ensemble,
) -> Result<Value, Fault> {
    let signal = t.signal(step, 0)?;
    let features = Features::new(t, &signal, &ensemble.forest)?;
    let leaves = Leaves::of(&ensemble.forest, &features)?;
    let (count, targets) = (leaves.list.len(), ensemble.scores.len());
    if count == 0 {
        return Err(Fault::because(
            "none of its comparisons tells the calibrated inputs apart",
        ));
    }
    if count.saturating_mul(targets) > MAX_SIZE {
        return Err(Fault::because(format!(
            "{count} leaves with votes for {targets} targets, at most {MAX_SIZE} votes are supported"
        )));
    }
    let below = comparisons(t, features.node, &leaves.compared)?;
    let reached = reached(t, below, &leaves)?;
    let rows = ensemble.scores.iter().map(|score| {
        let votes = leaves.list.iter().map(|leaf| leaf.vote(score.target));
        votes.map(|vote| vote * score.factor).collect()
    });
    let bias = ensemble.scores.iter().map(|score| {
        let always = leaves.always.get(&score.target).copied().unwrap_or(0.0);
        always * score.factor + score.bias
    });
    let weights = (rows.collect(), bias.collect());
    let signal = Signal::new(reached, vec![1, count], 1.0, Seen::new(0.0, 1.0));
    let seen = linear::seen(t, step);
    linear::dense(t, &signal, weights, vec![1, targets], seen)
}

/// For each comparison 1 if the feature is at most the threshold, 0 if not.
fn comparisons(
    t: &mut Translation<'_, '_>,
    features: ValueId,
    compared: &[(u32, i64)],
) -> Result<ValueId, Fault> {
    let shape = [compared.len()];
    let map = compared.iter().map(|(feature, _)| Some(*feature)).collect();
    let x = t.builder.push(Op::Gather { x: features, map }, &shape)?;
    let constant = compared.iter().map(|(_, threshold)| -*threshold as i32);
    let op = Op::Combine {
        terms: vec![(x, 1)],
        constant: constant.collect(),
    };
    let distance = t.builder.push(op, &shape)?;
    looked_up(t, distance, |distance| distance <= 0)
}

/// A node's truth values.
fn looked_up(
    t: &mut Translation<'_, '_>,
    x: ValueId,
    holds: impl Fn(i64) -> bool,
) -> Result<ValueId, Fault> {
    let node = t.builder.node(x);
    let (shape, range) = (node.shape.clone(), node.range);
    let table = Table {
        first: range.least as i32,
        values: (range.least..=range.most)
            .map(|at| i16::from(holds(at)))
            .collect(),
    };
    let shift = 0;
    t.builder.push(Op::Rescale { x, shift, table }, &shape)
}

/// For each leaf 1 if the row reaches it, 0 if not.
fn reached(t: &mut Translation<'_, '_>, below: ValueId, leaves: &Leaves) -> Result<ValueId, Fault> {
    let hold: Vec<&[u32]> = leaves.list.iter().map(|l| l.hold.as_slice()).collect();
    let fail: Vec<&[u32]> = leaves.list.iter().map(|l| l.fail.as_slice()).collect();
    let mut terms = Vec::new();
    for (lists, sign) in [(hold, 1), (fail, -1)] {
        if let Some(sum) = sums(t, below, &lists)? {
            terms.push((sum, sign));
        }
    }
    let constant = leaves.list.iter().map(|leaf| -(leaf.needed as i32));
    let op = Op::Combine {
        terms,
        constant: constant.collect(),
    };
    let missing = t.builder.push(op, &[leaves.list.len()])?;
    looked_up(t, missing, |missing| missing == 0)
}

/// For each list the sum of the elements that it names; none if all lists are empty.
fn sums(
    t: &mut Translation<'_, '_>,
    x: ValueId,
    lists: &[&[u32]],
) -> Result<Option<ValueId>, Fault> {
    let width = lists.iter().map(|list| list.len()).max().unwrap_or(0);
    let size = lists.len().saturating_mul(width);
    if size > MAX_SIZE {
        return Err(Fault::because(format!(
            "{} leaves with up to {width} comparisons, at most {MAX_SIZE} together are supported",
            lists.len()
        )));
    }
    if width == 0 {
        return Ok(None);
    }
    let mut map = Vec::with_capacity(size);
    for list in lists {
        map.extend(list.iter().map(|at| Some(*at)));
        map.resize(map.len() + width - list.len(), None);
    }
    let x = t
        .builder
        .push(Op::Gather { x, map }, &[lists.len(), width])?;
    Ok(Some(t.builder.push(Op::Sum { x }, &[])?))
}

/// The row of features as integers, with the real numbers that they stand for.
struct Features {
    node: ValueId,
    range: Range,
    /// Real distance of neighbouring integers, per feature.
    gain: Vec<f64>,
    offset: Vec<f64>,
}

impl Features {
    fn new(t: &mut Translation<'_, '_>, signal: &Signal, forest: &Forest) -> Result<Self, Fault> {
        let (&[count] | &[1, count]) = signal.shape.as_slice() else {
            return Err(Fault::because(format!(
                "its input is {:?}, one row of features is expected",
                signal.shape
            )));
        };
        if forest.features > count {
            return Err(Fault::because(format!(
                "it compares feature {}, its input has {count}",
                forest.features - 1
            )));
        }
        let axis = signal.shape.len() - 1;
        let affine = along(signal, axis);
        let (mut gain, offset) =
            affine.ok_or_else(|| Fault::because("its input has no scale per feature"))?;
        let x = t.builder.narrow(signal, Precision::Factor)?;
        gain.iter_mut().for_each(|gain| *gain *= x.step);
        if gain.iter().chain(&offset).any(|real| !real.is_finite()) {
            return Err(Fault::because("a scale of its input is not finite"));
        }
        Ok(Self {
            node: x.node,
            range: t.builder.node(x.node).range,
            gain,
            offset,
        })
    }

    /// The real number that an integer of a feature stands for, as the float operator reads it.
    fn real(&self, feature: usize, q: i64) -> f32 {
        (self.gain[feature] * q as f64 + self.offset[feature]) as f32
    }

    /// The last integer up to which a condition holds, if it holds for the first and fails from some integer on.
    fn last(&self, holds: impl Fn(i64) -> bool) -> i64 {
        let (mut low, mut high) = (self.range.least - 1, self.range.most);
        while low < high {
            let middle = (low + high + 1).div_euclid(2);
            if holds(middle) {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        low
    }

    /// The integers for which a branch's comparison holds.
    fn condition(&self, branch: &Branch, mode: Mode) -> Condition {
        let (feature, threshold) = (branch.feature as usize, branch.threshold);
        let real = |q: i64| self.real(feature, q);
        // With a negative gain the reals fall as the integers rise.
        let falls = self.gain[feature] < 0.0;
        let below = |strict: bool| match (falls, strict) {
            (false, false) => self.last(|q| real(q) <= threshold),
            (false, true) => self.last(|q| real(q) < threshold),
            (true, false) => self.last(|q| real(q) > threshold),
            (true, true) => self.last(|q| real(q) >= threshold),
        };
        let (least, most) = (self.range.least, self.range.most);
        let (above, upto) = match (mode, falls) {
            (Mode::LessOrEqual | Mode::Greater, false) => (least - 1, below(false)),
            (Mode::LessOrEqual | Mode::Greater, true) => (below(false), most),
            (Mode::Less | Mode::GreaterOrEqual, false) => (least - 1, below(true)),
            (Mode::Less | Mode::GreaterOrEqual, true) => (below(true), most),
            (Mode::Equal | Mode::NotEqual, false) => (below(true), below(false)),
            (Mode::Equal | Mode::NotEqual, true) => (below(false), below(true)),
        };
        // No number compares with NaN; no integer is one.
        let upto = if threshold.is_nan() { above } else { upto };
        let inside = match mode {
            Mode::LessOrEqual | Mode::Less | Mode::Equal => true,
            Mode::NotEqual => false,
            Mode::Greater | Mode::GreaterOrEqual => threshold.is_nan(),
        };
        Condition {
            feature: branch.feature,
            above,
            upto,
            inside,
        }
    }
}

/// That a feature is one of `above + 1 ..= upto`, or that it is not.
#[derive(Debug, Clone, Copy)]
struct Condition {
    feature: u32,
    above: i64,
    upto: i64,
    inside: bool,
}

impl Condition {
    /// The opposite.
    fn failed(self) -> Self {
        Self {
            inside: !self.inside,
            ..self
        }
    }

    /// The same as a run of integers wherever it is one.
    fn as_run(self, range: Range) -> Self {
        let run = |above, upto| Self {
            above,
            upto,
            inside: true,
            ..self
        };
        match self.inside {
            true => self,
            false if self.above >= self.upto => run(range.least - 1, range.most),
            false if self.above < range.least => run(self.upto, range.most),
            false if self.upto >= range.most => run(range.least - 1, self.above),
            false => self,
        }
    }
}

/// A leaf: the comparisons on its path, by position, and its votes.
struct Leaf {
    /// Comparisons that add one.
    hold: Vec<u32>,
    /// Comparisons that take one away.
    fail: Vec<u32>,
    /// What the sum is if the leaf is reached; it is never more.
    needed: usize,
    votes: Vec<(u32, f32)>,
}

impl Leaf {
    /// The sum of the votes for a target.
    fn vote(&self, target: u32) -> f64 {
        let own = self.votes.iter().filter(|(to, _)| *to == target);
        own.map(|(_, weight)| f64::from(*weight)).sum()
    }
}

/// The leaves that some rows reach and others do not.
#[derive(Default)]
struct Leaves {
    list: Vec<Leaf>,
    /// Feature and threshold of each comparison; each once.
    compared: Vec<(u32, i64)>,
    positions: HashMap<(u32, i64), u32>,
    /// The votes of the leaves that every row reaches, by target.
    always: BTreeMap<u32, f64>,
    /// Comparisons on all paths.
    walked: usize,
}

impl Leaves {
    fn of(forest: &Forest, features: &Features) -> Result<Self, Fault> {
        let mut leaves = Self::default();
        for root in &forest.roots {
            let mut path: Vec<Condition> = Vec::new();
            let mut open = vec![(*root, 0, None)];
            while let Some((at, depth, condition)) = open.pop() {
                path.truncate(depth);
                path.extend(condition);
                match forest.place(at) {
                    Place::Leaf(votes) => leaves.add(&path, votes, features.range)?,
                    Place::Branch(branch, mode) => {
                        let holds = features.condition(&branch, mode);
                        let depth = path.len();
                        open.push((branch.no, depth, Some(holds.failed())));
                        open.push((branch.yes, depth, Some(holds)));
                    }
                }
            }
        }
        Ok(leaves)
    }

    /// Adds the leaf at the end of a path, unless no row gets there.
    fn add(&mut self, path: &[Condition], votes: &[(u32, f32)], range: Range) -> Result<(), Fault> {
        self.walked += path.len();
        if self.walked > MAX_SIZE {
            return Err(Fault::because(format!(
                "the paths to its leaves have more than {MAX_SIZE} comparisons"
            )));
        }
        if votes.iter().any(|(_, weight)| !weight.is_finite()) {
            return Err(Fault::because("the weight of a vote is not finite"));
        }
        let mut runs: BTreeMap<u32, (i64, i64)> = BTreeMap::new();
        let mut gaps = Vec::new();
        for condition in path.iter().map(|condition| condition.as_run(range)) {
            if condition.inside {
                let run = runs.entry(condition.feature);
                let run = run.or_insert((range.least - 1, range.most));
                *run = (run.0.max(condition.above), run.1.min(condition.upto));
            } else {
                gaps.push(condition);
            }
        }
        if votes.is_empty() || runs.values().any(|(above, upto)| above >= upto) {
            return Ok(());
        }
        let mut leaf = Leaf {
            hold: Vec::new(),
            fail: Vec::new(),
            needed: 0,
            votes: votes.to_vec(),
        };
        for (feature, (above, upto)) in runs {
            if upto < range.most {
                leaf.hold.push(self.position(feature, upto));
                leaf.needed += 1;
            }
            if above >= range.least {
                leaf.fail.push(self.position(feature, above));
            }
        }
        for gap in gaps {
            leaf.hold.push(self.position(gap.feature, gap.above));
            leaf.fail.push(self.position(gap.feature, gap.upto));
        }
        if leaf.hold.is_empty() && leaf.fail.is_empty() {
            for (target, weight) in votes {
                *self.always.entry(*target).or_default() += f64::from(*weight);
            }
        } else {
            self.list.push(leaf);
        }
        Ok(())
    }

    /// The position of a comparison, which is kept once.
    fn position(&mut self, feature: u32, threshold: i64) -> u32 {
        let next = self.compared.len() as u32;
        let key = (feature, threshold);
        let position = *self.positions.entry(key).or_insert(next);
        if position == next {
            self.compared.push(key);
        }
        position
    }
}
