//! The graph of models: who was made of whom, and how well that is known.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use assay_blob::BlobId;
use assay_receipt::{NodeAddress, RevisionId};
use serde::{Serialize, Serializer};

use super::{Attestor, Relation, SignedStep};
use crate::tensors::compare::Finding;

/// Most edges that are followed from one model.
const MAX_WALK: usize = 10_000;

/// How well an edge is known, from least to best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Somebody says so: a card, or a statement that somebody other than the publisher signed.
    Claimed,
    /// The publisher of the child signed it.
    Signed,
    /// It was computed here: the conversion was run again, or the tensors were compared.
    Verified,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Claimed => "claimed",
            Self::Signed => "signed",
            Self::Verified => "verified",
        })
    }
}

/// A relation that a model's card claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// The model whose card it is.
    pub child: RevisionId,
    /// What the card calls its base.
    pub parent: RevisionId,
    /// How it was made of it.
    pub relation: Relation,
}

/// What a conversion gave when it was run again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rerun {
    /// Path and digest of each file that came out.
    pub files: BTreeMap<String, BlobId>,
}

/// What was computed about an edge.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "by")]
pub enum Verification {
    /// The tensors were compared.
    Comparison {
        /// What was found.
        #[serde(flatten)]
        finding: Finding,
    },
    /// The conversion was run again.
    Rerun {
        /// Files that came out with the bytes that the child has.
        equal: usize,
        /// Files that came out otherwise, or that the child does not have.
        different: usize,
    },
}

impl Verification {
    /// Holds what came out of a run against the files of the child. Files of the child that a conversion does not make, such
    /// as its card, are left aside.
    pub fn of_rerun(rerun: &Rerun, child: &BTreeMap<String, BlobId>) -> Self {
        let same = |(path, digest): &(&String, &BlobId)| child.get(*path) == Some(*digest);
        let equal = rerun.files.iter().filter(same).count();
        Self::Rerun {
            equal,
            different: rerun.files.len().saturating_sub(equal),
        }
    }

    /// Whether it bears the relation out.
    pub const fn holds(&self) -> bool {
        match self {
            Self::Comparison { finding } => finding.holds,
            Self::Rerun { equal, different } => *equal > 0 && *different == 0,
        }
    }
}

/// One edge of the graph.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Edge {
    /// The model that was made.
    pub child: RevisionId,
    /// Of what it was made.
    pub parent: RevisionId,
    /// How.
    pub relation: Relation,
    /// How well that is known.
    pub standing: Standing,
    /// Who signed it, publisher or not.
    #[serde(serialize_with = "as_texts")]
    pub signers: BTreeSet<NodeAddress>,
    /// Everything that was computed about it, whether it bears the relation out or not.
    pub verifications: Vec<Verification>,
}

fn as_texts<S: Serializer>(signers: &BTreeSet<NodeAddress>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(signers.iter().map(NodeAddress::to_string))
}

type Key = (RevisionId, RevisionId, Relation);

/// Statements, claims and comparisons, joined.
///
/// The graph is what was put in, in any order: the same facts give the same graph.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lineage {
    edges: BTreeMap<Key, Edge>,
}

impl Lineage {
    fn edge(&mut self, key: Key) -> &mut Edge {
        let (child, parent, relation) = key;
        self.edges.entry(key).or_insert_with(|| Edge {
            child,
            parent,
            relation,
            standing: Standing::Claimed,
            signers: BTreeSet::new(),
            verifications: Vec::new(),
        })
    }

    /// Takes what a card claims. A model that is its own base is no edge.
    pub fn claim(&mut self, claim: Claim) {
        if claim.child != claim.parent {
            self.edge((claim.child, claim.parent, claim.relation));
        }
    }

    /// Takes a signed step. `publishers` are the accounts that published the child; only what one of them signed is *signed*,
    /// what others signed is their claim. A key of Model Signing is the publisher's if `publishers_key` says so.
    pub fn step(
        &mut self,
        signed: &SignedStep,
        publishers: &BTreeSet<NodeAddress>,
        publishers_key: bool,
    ) {
        let step = signed.step();
        let (by_publisher, account) = match signed.attestor() {
            Attestor::Account(account) => (publishers.contains(account), Some(*account)),
            Attestor::Key(_) => (publishers_key, None),
        };
        for parent in &step.parents {
            let edge = self.edge((step.revision, parent.revision, step.relation));
            edge.signers.extend(account);
            if by_publisher {
                edge.standing = edge.standing.max(Standing::Signed);
            }
        }
    }

    /// Takes what was computed about one child and its parents: several for a merge. An edge that nobody claims comes about only
    /// if the computation bears it out.
    pub fn verification(
        &mut self,
        child: RevisionId,
        parents: &[RevisionId],
        relation: Relation,
        found: &Verification,
    ) {
        for parent in parents.iter().filter(|parent| **parent != child) {
            let key = (child, *parent, relation);
            if !found.holds() && !self.edges.contains_key(&key) {
                continue;
            }
            let edge = self.edge(key);
            if found.holds() {
                edge.standing = Standing::Verified;
            }
            if !edge.verifications.contains(found) {
                edge.verifications.push(found.clone());
            }
        }
    }

    /// Every edge, by child, parent and relation.
    pub fn edges(&self) -> impl Iterator<Item = &Edge> {
        self.edges.values()
    }

    /// Edges from a model to what it was made of.
    pub fn parents(&self, child: RevisionId) -> impl Iterator<Item = &Edge> {
        self.edges().filter(move |edge| edge.child == child)
    }

    /// Edges from a model to what was made of it.
    pub fn children(&self, parent: RevisionId) -> impl Iterator<Item = &Edge> {
        self.edges().filter(move |edge| edge.parent == parent)
    }

    /// Everything a model goes back to, nearest first, each once: with the number of steps, and the least standing on the best
    /// way there. Claims can run in circles; a walk does not.
    pub fn ancestors(&self, child: RevisionId) -> Vec<(RevisionId, usize, Standing)> {
        let mut found: Vec<(RevisionId, usize, Standing)> = Vec::new();
        let mut layer = BTreeMap::from([(child, Standing::Verified)]);
        let mut seen = BTreeSet::from([child]);
        let mut steps = 0usize;
        while !layer.is_empty() && found.len() < MAX_WALK {
            steps = steps.saturating_add(1);
            let mut next: BTreeMap<RevisionId, Standing> = BTreeMap::new();
            for (model, standing) in &layer {
                for edge in self
                    .parents(*model)
                    .filter(|edge| !seen.contains(&edge.parent))
                {
                    let reached = edge.standing.min(*standing);
                    let best = next.entry(edge.parent).or_insert(reached);
                    *best = reached.max(*best);
                }
            }
            seen.extend(next.keys());
            found.extend(
                next.iter()
                    .map(|(model, standing)| (*model, steps, *standing)),
            );
            layer = next;
        }
        found
    }

    /// The graph above a model as lines for people, parents under their child. `name` says what a revision is called.
    pub fn text(&self, model: RevisionId, name: &dyn Fn(RevisionId) -> String) -> String {
        let mut lines = vec![name(model)];
        self.lines(model, name, 1, &mut BTreeSet::from([model]), &mut lines);
        lines.join("\n")
    }

    fn lines(
        &self,
        model: RevisionId,
        name: &dyn Fn(RevisionId) -> String,
        depth: usize,
        seen: &mut BTreeSet<RevisionId>,
        lines: &mut Vec<String>,
    ) {
        /// A deeper one is no longer read by anybody.
        const DEEPEST: usize = 32;
        for edge in self.parents(model) {
            let indent = "  ".repeat(depth);
            let (words, parent) = (edge.relation.words(), name(edge.parent));
            lines.push(format!("{indent}{words} {parent}  [{}]", edge.standing));
            let known = !seen.insert(edge.parent);
            if !known && depth < DEEPEST && lines.len() < MAX_WALK {
                self.lines(edge.parent, name, depth.saturating_add(1), seen, lines);
            }
        }
    }
}

impl Serialize for Lineage {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.edges())
    }
}
