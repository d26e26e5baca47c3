//! TreeEnsembleClassifier and TreeEnsembleRegressor of `ai.onnx.ml`.
//!
//! Trees are laid out again at load: branches in depth-first order, leaves as ranges of votes. A row walks every tree
//! from the first to the last; the votes of one target are added in that order in double precision and rounded once.

use std::collections::HashMap;

use super::scores::{Features, Labels, PostTransform, first_greatest, logistic};
use super::{Kernel, Spec, single};
use crate::error::Fault;
use crate::limits::{Budget, work};
use crate::{Shape, Tensor};

/// A branch: the comparison of one feature and where to go. The top bit of a target marks a leaf.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Branch {
    pub(crate) threshold: f32,
    pub(crate) feature: u32,
    /// If the comparison holds.
    pub(crate) yes: u32,
    /// If it does not.
    pub(crate) no: u32,
}

/// The mark of a leaf in a target.
const LEAF: u32 = 1 << 31;

/// How a branch compares the feature with its threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    LessOrEqual,
    Less,
    GreaterOrEqual,
    Greater,
    Equal,
    NotEqual,
}

impl Mode {
    /// `None` for a leaf.
    fn parse(name: &str) -> Result<Option<Self>, Fault> {
        Ok(Some(match name {
            "LEAF" => return Ok(None),
            "BRANCH_LEQ" => Self::LessOrEqual,
            "BRANCH_LT" => Self::Less,
            "BRANCH_GTE" => Self::GreaterOrEqual,
            "BRANCH_GT" => Self::Greater,
            "BRANCH_EQ" => Self::Equal,
            "BRANCH_NEQ" => Self::NotEqual,
            other => {
                return Err(Fault::because(format!(
                    "node mode `{other}` does not exist"
                )));
            }
        }))
    }

    fn holds(self, value: f32, threshold: f32) -> bool {
        match self {
            Self::LessOrEqual => value <= threshold,
            Self::Less => value < threshold,
            Self::GreaterOrEqual => value >= threshold,
            Self::Greater => value > threshold,
            Self::Equal => value == threshold,
            Self::NotEqual => value != threshold,
        }
    }
}

/// An ensemble ready to run.
#[derive(Debug)]
pub(crate) struct Forest {
    branches: Vec<Branch>,
    /// Mode of each branch and whether a missing value (NaN) goes to `yes`; empty if all are `<=` and none does.
    modes: Vec<(Mode, bool)>,
    pub(crate) roots: Vec<u32>,
    /// Where the votes of each leaf start; one more entry than leaves.
    leaves: Vec<u32>,
    /// Target and weight.
    votes: Vec<(u32, f32)>,
    /// One more than the greatest feature number.
    pub(crate) features: usize,
    /// The longest path, for the estimate of work.
    depth: usize,
}

/// The attribute names of one of the two operators.
struct Names {
    trees: &'static str,
    nodes: &'static str,
    targets: &'static str,
    weights: &'static str,
}

impl Forest {
    /// Reads and checks the node lists and the votes.
    fn new(spec: &Spec<'_>, names: &Names, targets: usize) -> Result<Self, Fault> {
        let table = Table::read(spec)?;
        let votes = table.votes(spec, names, targets)?;
        let mut forest = Self {
            branches: Vec::new(),
            modes: Vec::new(),
            roots: Vec::new(),
            leaves: vec![0],
            votes: Vec::new(),
            features: 0,
            depth: 0,
        };
        for root in table.roots()? {
            let target = forest.lay_out(&table, &votes, root)?;
            forest.roots.push(target);
        }
        let placed = forest.branches.len() + forest.leaves.len() - 1;
        if placed != table.order.len() {
            let lost = table.order.len() - placed;
            return Err(Fault::because(format!(
                "{lost} nodes cannot be reached from the root of their tree"
            )));
        }
        if forest
            .modes
            .iter()
            .all(|mode| *mode == (Mode::LessOrEqual, false))
        {
            forest.modes.clear();
        }
        Ok(forest)
    }

    /// Lays out one tree from its root; `Table::roots` has made sure that it is a tree.
    fn lay_out(
        &mut self,
        table: &Table<'_>,
        votes: &[Vec<(u32, f32)>],
        root: usize,
    ) -> Result<u32, Fault> {
        let mut first = LEAF;
        // Node, the branch and side that point to it, and its depth.
        let mut open = vec![(root, None, 0usize)];
        while let Some((node, parent, depth)) = open.pop() {
            self.depth = self.depth.max(depth);
            let target = match table.modes[node] {
                None => self.leaf(&votes[node])?,
                Some(mode) => {
                    let index = index(self.branches.len())?;
                    let feature = index_of(table.features[node], "feature")?;
                    self.features = self.features.max(feature as usize + 1);
                    self.branches.push(Branch {
                        threshold: table.values[node],
                        feature,
                        yes: 0,
                        no: 0,
                    });
                    self.modes
                        .push((mode, table.missing.get(node).is_some_and(|m| *m != 0)));
                    let (yes, no) = table.children[node];
                    open.push((no, Some((index, false)), depth + 1));
                    open.push((yes, Some((index, true)), depth + 1));
                    index
                }
            };
            match parent {
                None => first = target,
                Some((branch, true)) => self.branches[branch as usize].yes = target,
                Some((branch, false)) => self.branches[branch as usize].no = target,
            }
        }
        Ok(first)
    }

    /// Adds a leaf and returns its marked number.
    fn leaf(&mut self, votes: &[(u32, f32)]) -> Result<u32, Fault> {
        let leaf = index(self.leaves.len() - 1)?;
        self.votes.extend_from_slice(votes);
        self.leaves.push(index(self.votes.len())?);
        Ok(leaf | LEAF)
    }

    /// The leaf that a row reaches from a root.
    #[inline]
    fn walk(&self, root: u32, row: &[f32]) -> usize {
        let mut at = root;
        while at & LEAF == 0 {
            let branch = &self.branches[at as usize];
            at = if row[branch.feature as usize] <= branch.threshold {
                branch.yes
            } else {
                branch.no
            };
        }
        (at & !LEAF) as usize
    }

    /// The same for ensembles with other comparisons or missing values.
    fn walk_modes(&self, root: u32, row: &[f32]) -> usize {
        let mut at = root;
        while at & LEAF == 0 {
            let branch = &self.branches[at as usize];
            let (mode, missing) = self.modes[at as usize];
            let value = row[branch.feature as usize];
            let holds = mode.holds(value, branch.threshold) || (missing && value.is_nan());
            at = if holds { branch.yes } else { branch.no };
        }
        (at & !LEAF) as usize
    }

    /// What stands at a root or at a branch's target.
    pub(crate) fn place(&self, at: u32) -> Place<'_> {
        if at & LEAF != 0 {
            let leaf = (at & !LEAF) as usize;
            let votes = self.leaves[leaf] as usize..self.leaves[leaf + 1] as usize;
            return Place::Leaf(&self.votes[votes]);
        }
        let mode = self.modes.get(at as usize).map(|(mode, _)| *mode);
        Place::Branch(
            self.branches[at as usize],
            mode.unwrap_or(Mode::LessOrEqual),
        )
    }

    /// Adds the votes of every tree for one row.
    fn vote(&self, row: &[f32], sums: &mut [f64]) {
        for root in &self.roots {
            let leaf = if self.modes.is_empty() {
                self.walk(*root, row)
            } else {
                self.walk_modes(*root, row)
            };
            let votes = &self.votes[self.leaves[leaf] as usize..self.leaves[leaf + 1] as usize];
            for (target, weight) in votes {
                sums[*target as usize] += f64::from(*weight);
            }
        }
    }

    /// Checks the width of the rows and reserves the work.
    fn admit(&self, features: &Features<'_>, budget: &mut Budget<'_>) -> Result<(), Fault> {
        if features.columns < self.features {
            let (need, found) = (self.features, features.columns);
            return Err(Fault::because(format!(
                "rows of at least {need} features are expected, {found} were passed"
            )));
        }
        budget.charge(work(&[features.rows, self.roots.len(), self.depth + 1]))
    }
}

/// What a walk meets.
pub(crate) enum Place<'a> {
    /// A comparison.
    Branch(Branch, Mode),
    /// Its votes: target and weight.
    Leaf(&'a [(u32, f32)]),
}

/// A count as an unmarked number.
fn index(count: usize) -> Result<u32, Fault> {
    u32::try_from(count)
        .ok()
        .filter(|c| *c < LEAF)
        .ok_or_else(|| Fault::because("too many nodes or votes"))
}

/// A non-negative attribute value as an index.
fn index_of(value: i64, what: &str) -> Result<u32, Fault> {
    u32::try_from(value)
        .ok()
        .filter(|v| *v < LEAF)
        .ok_or_else(|| Fault::because(format!("{what} {value}")))
}

/// The node lists of the attributes, by position.
struct Table<'a> {
    ids: HashMap<(i64, i64), usize>,
    order: Vec<(i64, i64)>,
    features: &'a [i64],
    values: &'a [f32],
    modes: Vec<Option<Mode>>,
    /// Positions of the children; of no meaning for leaves.
    children: Vec<(usize, usize)>,
    missing: &'a [i64],
}

impl<'a> Table<'a> {
    fn read(spec: &Spec<'a>) -> Result<Self, Fault> {
        spec.ignore(&["nodes_hitrates"]); // statistics
        let list = |name| -> Result<&'a [i64], Fault> { Ok(spec.ints(name)?.unwrap_or(&[])) };
        let (trees, nodes) = (list("nodes_treeids")?, list("nodes_nodeids")?);
        let (features, values) = (list("nodes_featureids")?, spec.floats("nodes_values")?);
        let (yes, no) = (list("nodes_truenodeids")?, list("nodes_falsenodeids")?);
        let missing = list("nodes_missing_value_tracks_true")?;
        let modes: Vec<Option<Mode>> = spec
            .texts("nodes_modes")?
            .into_iter()
            .map(Mode::parse)
            .collect::<Result<_, _>>()?;
        let count = nodes.len();
        let lengths = [
            trees.len(),
            features.len(),
            values.len(),
            yes.len(),
            no.len(),
            modes.len(),
        ];
        if lengths.iter().any(|l| *l != count) || !(missing.is_empty() || missing.len() == count) {
            return Err(Fault::because(format!(
                "the node lists differ in length: {count} nodes, {lengths:?}"
            )));
        }
        let order: Vec<(i64, i64)> = trees.iter().copied().zip(nodes.iter().copied()).collect();
        let ids: HashMap<(i64, i64), usize> =
            order.iter().enumerate().map(|(at, id)| (*id, at)).collect();
        if ids.len() != count {
            return Err(Fault::because("two nodes of a tree have one number"));
        }
        let mut table = Self {
            ids,
            order,
            features,
            values,
            modes,
            children: Vec::with_capacity(count),
            missing,
        };
        for at in 0..count {
            let child = |node: i64| table.find(trees[at], node);
            let pair = if table.modes[at].is_none() {
                (at, at)
            } else {
                (child(yes[at])?, child(no[at])?)
            };
            table.children.push(pair);
        }
        Ok(table)
    }

    /// The position of a node.
    fn find(&self, tree: i64, node: i64) -> Result<usize, Fault> {
        let missing = || Fault::because(format!("node {node} of tree {tree} does not exist"));
        self.ids.get(&(tree, node)).copied().ok_or_else(missing)
    }

    /// One root per tree, in the order of the file. Each node has at most one parent and each tree one node without:
    /// so what a root reaches is a tree, and no walk can go round.
    fn roots(&self) -> Result<Vec<usize>, Fault> {
        let mut has_parent = vec![false; self.order.len()];
        for (at, (yes, no)) in self
            .children
            .iter()
            .enumerate()
            .filter(|(at, _)| self.modes[*at].is_some())
        {
            for child in [*yes, *no] {
                if std::mem::replace(&mut has_parent[child], true) {
                    let (tree, node) = self.order[child];
                    return Err(Fault::because(format!(
                        "node {node} of tree {tree} has two parents (one is at {at})"
                    )));
                }
            }
        }
        let mut roots = Vec::new();
        let mut rooted: HashMap<i64, ()> = HashMap::new();
        for (at, (tree, _)) in self
            .order
            .iter()
            .enumerate()
            .filter(|(at, _)| !has_parent[*at])
        {
            if rooted.insert(*tree, ()).is_some() {
                return Err(Fault::because(format!("tree {tree} has two roots")));
            }
            roots.push(at);
        }
        match self
            .order
            .iter()
            .find(|(tree, _)| !rooted.contains_key(tree))
        {
            Some((tree, _)) => Err(Fault::because(format!(
                "tree {tree} has no root: its nodes go round"
            ))),
            None => Ok(roots),
        }
    }

    /// The votes of each node, by position.
    fn votes(
        &self,
        spec: &Spec<'_>,
        names: &Names,
        targets: usize,
    ) -> Result<Vec<Vec<(u32, f32)>>, Fault> {
        let list = |name| -> Result<&[i64], Fault> { Ok(spec.ints(name)?.unwrap_or(&[])) };
        let (trees, nodes, ids) = (list(names.trees)?, list(names.nodes)?, list(names.targets)?);
        let weights = spec.floats(names.weights)?;
        if [trees.len(), nodes.len(), ids.len()]
            .iter()
            .any(|l| *l != weights.len())
        {
            return Err(Fault::because("the lists of votes differ in length"));
        }
        let mut votes = vec![Vec::new(); self.order.len()];
        for (at, weight) in weights.iter().enumerate() {
            let node = self.find(trees[at], nodes[at])?;
            let target = index_of(ids[at], "target")
                .ok()
                .filter(|t| (*t as usize) < targets);
            let target = target.ok_or_else(|| {
                Fault::because(format!("a vote for target {} of {targets}", ids[at]))
            })?;
            votes[node].push((target, *weight));
        }
        Ok(votes)
    }
}

/// The base values: none, or one per target.
fn base(spec: &Spec<'_>, targets: usize) -> Result<Vec<f64>, Fault> {
    let values = spec.floats("base_values")?;
    match values.len() {
        0 => Ok(vec![0.0; targets]),
        n if n == targets => Ok(values.iter().map(|v| f64::from(*v)).collect()),
        n => Err(Fault::because(format!(
            "{n} base values for {targets} targets"
        ))),
    }
}

/// A TreeEnsembleRegressor: `sum / divisor + base`, then `post`.
pub(crate) struct Regressor {
    pub(crate) forest: Forest,
    /// One per target.
    pub(crate) base: Vec<f64>,
    pub(crate) divisor: f64,
    pub(crate) post: PostTransform,
}

impl Regressor {
    /// Reads and checks the attributes.
    pub(crate) fn read(spec: &Spec<'_>) -> Result<Self, Fault> {
        let targets = usize::try_from(spec.int("n_targets")?.unwrap_or(1))
            .ok()
            .filter(|t| (1..=MAX_TARGETS).contains(t));
        let targets = targets.ok_or_else(|| Fault::because("n_targets"))?;
        let names = Names {
            trees: "target_treeids",
            nodes: "target_nodeids",
            targets: "target_ids",
            weights: "target_weights",
        };
        let forest = Forest::new(spec, &names, targets)?;
        let (base, post) = (base(spec, targets)?, PostTransform::read(spec)?);
        let divisor = match spec.text("aggregate_function")?.unwrap_or("SUM") {
            "SUM" => 1.0,
            "AVERAGE" => forest.roots.len().max(1) as f64,
            other => {
                return Err(Fault::because(format!(
                    "aggregate_function `{other}` is not supported"
                )));
            }
        };
        Ok(Self {
            forest,
            base,
            divisor,
            post,
        })
    }
}

/// TreeEnsembleRegressor.
pub(super) fn regressor(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    let Regressor {
        forest,
        base,
        divisor,
        post,
    } = Regressor::read(spec)?;
    let targets = base.len();
    single(move |args, budget| {
        let features = Features::read(args, budget)?;
        forest.admit(&features, budget)?;
        let shape = Shape::new(&[features.rows, targets])?;
        let mut out: Vec<f32> = budget.filled(shape.elements(), 0.0)?;
        let mut sums = vec![0f64; targets];
        for (row, out) in features.iter().zip(out.chunks_mut(targets)) {
            budget.charge(0)?; // a point at which the run can be cancelled
            sums.fill(0.0);
            forest.vote(row, &mut sums);
            for (out, (sum, base)) in out.iter_mut().zip(sums.iter().zip(&base)) {
                *out = (sum / divisor + base) as f32;
            }
            post.apply(out);
        }
        Ok(Tensor::of(shape, out))
    })
}

/// More targets than any ensemble has; bounds the scratch of a run.
const MAX_TARGETS: usize = 1 << 16;

/// How two classes share the votes when all of them name one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binary {
    /// Every class has its own votes.
    No,
    /// The votes are the probability of the second class.
    Probability,
    /// The votes are the margin of the second class.
    Margin,
}

/// TreeEnsembleClassifier. Two classes whose votes all name one class follow onnxruntime, which the specification leaves
/// open: non-negative votes are a probability (the second class above one half), others a margin (above zero); votes for
/// the first class stand for the second and make both scores, votes for the second leave the first score 0.
pub(crate) struct Classifier {
    labels: Labels,
    pub(crate) forest: Forest,
    pub(crate) binary: Binary,
    /// The votes of a binary ensemble name the second class.
    pub(crate) second: bool,
    /// One per class; of a binary ensemble the first counts.
    pub(crate) offsets: Vec<f64>,
    pub(crate) post: PostTransform,
}

impl Classifier {
    /// Reads and checks the attributes.
    pub(crate) fn read(spec: &Spec<'_>) -> Result<Self, Fault> {
        let labels = Labels::read(spec, "classlabels_int64s", "classlabels_strings")?;
        let classes = Some(labels.len())
            .filter(|c| *c <= MAX_TARGETS)
            .ok_or_else(|| Fault::because("too many classes"))?;
        let names = Names {
            trees: "class_treeids",
            nodes: "class_nodeids",
            targets: "class_ids",
            weights: "class_weights",
        };
        let forest = Forest::new(spec, &names, classes)?;
        let one_class = forest.votes.windows(2).all(|pair| pair[0].0 == pair[1].0);
        let binary = match (
            classes == 2 && one_class,
            forest.votes.iter().all(|(_, w)| *w >= 0.0),
        ) {
            (false, _) => Binary::No,
            (true, true) => Binary::Probability,
            (true, false) => Binary::Margin,
        };
        let offsets = match (binary, spec.floats("base_values")?) {
            (Binary::Probability | Binary::Margin, [one]) => vec![f64::from(*one); 2],
            _ => base(spec, classes)?,
        };
        let post = PostTransform::read(spec)?;
        let second =
            binary != Binary::No && forest.votes.first().is_some_and(|(class, _)| *class == 1);
        if second && !spec.floats("base_values")?.is_empty() {
            return Err(Fault::because(
                "base values with votes for the second of two classes only: their meaning is not specified",
            ));
        }
        Ok(Self {
            labels,
            forest,
            binary,
            second,
            offsets,
            post,
        })
    }
}

/// TreeEnsembleClassifier.
pub(super) fn classifier(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    let Classifier {
        labels,
        forest,
        binary,
        second,
        offsets,
        post,
    } = Classifier::read(spec)?;
    let classes = labels.len();
    Ok(Box::new(move |args, budget| {
        let features = Features::read(args, budget)?;
        forest.admit(&features, budget)?;
        let shape = Shape::new(&[features.rows, classes])?;
        let mut out: Vec<f32> = budget.filled(shape.elements(), 0.0)?;
        let mut chosen = budget.vector(features.rows)?;
        let mut sums = vec![0f64; classes];
        for (row, out) in features.iter().zip(out.chunks_mut(classes)) {
            budget.charge(0)?; // a point at which the run can be cancelled
            sums.fill(0.0);
            forest.vote(row, &mut sums);
            for (out, (sum, base)) in out.iter_mut().zip(sums.iter().zip(&offsets)) {
                *out = (sum + base) as f32;
            }
            chosen.push(match binary {
                Binary::No => {
                    let class = first_greatest(out);
                    post.apply(out);
                    class
                }
                _ if second => {
                    let class = usize::from(binary.is_second(out[1]));
                    post.apply(out);
                    class
                }
                _ => two_classes(binary, post, out),
            });
        }
        Ok(vec![
            labels.tensor(&chosen, budget)?,
            Tensor::of(shape, out),
        ])
    }))
}

impl Binary {
    /// Whether a score of the second class makes it the answer.
    fn is_second(self, score: f32) -> bool {
        score > if self == Self::Probability { 0.5 } else { 0.0 }
    }
}

/// Both scores and the class from the one score that the votes gave, which stands first.
fn two_classes(binary: Binary, post: PostTransform, out: &mut [f32]) -> usize {
    let score = out[0];
    let pair = match (binary, post) {
        (Binary::Probability, _) => [1.0 - score, score],
        (_, PostTransform::Logistic) => [logistic(-score), logistic(score)],
        _ => [-score, score],
    };
    out.copy_from_slice(&pair);
    usize::from(binary.is_second(score))
}
