//! SVMClassifier and SVMRegressor of `ai.onnx.ml`, on libsvm's model: one decision value per pair of classes.
//! Source: Chang and Lin, *LIBSVM: a library for support vector machines* (2011), sections 2 and 8; Wu, Lin and Weng,
//! *Probability estimates for multi-class classification by pairwise coupling* (2004), algorithm 2.

use super::scores::{Features, Labels, PostTransform, first_greatest};
use super::{Kernel, Spec, single};
use crate::elementary::{exp, exp_narrow, pow, tanh};
use crate::error::Fault;
use crate::lanes;
use crate::limits::{Budget, work};
use crate::{Shape, Tensor};

/// The similarity of two points.
#[derive(Debug, Clone, Copy)]
enum Similarity {
    Linear,
    Poly,
    Rbf,
    Sigmoid,
}

/// Support vectors and their kernel.
struct Machine {
    similarity: Similarity,
    gamma: f32,
    coef0: f32,
    degree: f32,
    /// Features of a vector.
    width: usize,
    vectors: Vec<f32>,
}

impl Machine {
    /// Reads kernel and vectors; `count` is the number of vectors, or of weight rows of a linear model.
    fn new(spec: &Spec<'_>, count: usize) -> Result<Self, Fault> {
        let similarity = match spec.text("kernel_type")?.unwrap_or("LINEAR") {
            "LINEAR" => Similarity::Linear,
            "POLY" => Similarity::Poly,
            "RBF" => Similarity::Rbf,
            "SIGMOID" => Similarity::Sigmoid,
            other => {
                return Err(Fault::because(format!(
                    "kernel_type `{other}` does not exist"
                )));
            }
        };
        let (gamma, coef0, degree) = match spec.floats("kernel_params")? {
            [] => (0.0, 0.0, 0.0),
            [gamma, coef0, degree] => (*gamma, *coef0, *degree),
            other => {
                return Err(Fault::because(format!(
                    "{} kernel_params, 3 are expected",
                    other.len()
                )));
            }
        };
        let vectors = spec.floats("support_vectors")?.to_vec();
        let width = vectors.len().checked_div(count).unwrap_or(0);
        if width == 0 || width.checked_mul(count) != Some(vectors.len()) {
            return Err(Fault::because(format!(
                "{} values for {count} support vectors",
                vectors.len()
            )));
        }
        Ok(Self {
            similarity,
            gamma,
            coef0,
            degree,
            width,
            vectors,
        })
    }

    /// The similarities of a row to every vector.
    fn similarities(&self, row: &[f32], out: &mut Vec<f32>) {
        out.clear();
        out.extend(
            self.vectors
                .chunks(self.width)
                .map(|vector| match self.similarity {
                    Similarity::Linear => lanes::dot(row, vector),
                    Similarity::Poly => {
                        let inner = self.gamma * lanes::dot(row, vector) + self.coef0;
                        pow(f64::from(inner), f64::from(self.degree)) as f32
                    }
                    Similarity::Rbf => {
                        let distance = lanes::sum_of_pairs(row, vector, |x, y| (x - y) * (x - y));
                        exp_narrow(f64::from(-self.gamma * distance)) as f32
                    }
                    Similarity::Sigmoid => {
                        tanh(f64::from(self.gamma * lanes::dot(row, vector) + self.coef0)) as f32
                    }
                }),
        );
    }

    /// Checks the rows and reserves the work of `each` further operations per vector.
    fn admit(
        &self,
        features: &Features<'_>,
        each: usize,
        budget: &mut Budget<'_>,
    ) -> Result<(), Fault> {
        features.expect_columns(self.width)?;
        budget.charge(work(&[
            features.rows,
            self.vectors.len() / self.width,
            self.width + 16 + each,
        ]))
    }
}

/// SVMRegressor.
pub(super) fn regressor(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    let coefficients = spec.floats("coefficients")?.to_vec();
    let supports = usize::try_from(spec.int("n_supports")?.unwrap_or(0)).unwrap_or(0);
    let rho = spec.floats("rho")?.first().copied().unwrap_or(0.0);
    let one_class = spec.flag("one_class", false)?;
    if PostTransform::read(spec)? != PostTransform::None {
        return Err(Fault::because("post_transform is not supported here"));
    }
    if supports == 0 || coefficients.len() != supports {
        return Err(Fault::because(format!(
            "{} coefficients for {supports} support vectors",
            coefficients.len()
        )));
    }
    let machine = Machine::new(spec, supports)?;
    single(move |args, budget| {
        let features = Features::read(args, budget)?;
        machine.admit(&features, 1, budget)?;
        let mut near = budget.vector(supports)?;
        let mut out = budget.vector(features.rows)?;
        for row in features.iter() {
            budget.charge(0)?; // a point at which the run can be cancelled
            machine.similarities(row, &mut near);
            let value = lanes::dot(&near, &coefficients) + rho;
            out.push(match one_class {
                true if value > 0.0 => 1.0,
                true => -1.0,
                false => value,
            });
        }
        Ok(Tensor::of(Shape::new(&[features.rows, 1])?, out))
    })
}

/// The decision functions of every pair of classes.
struct Pairs {
    machine: Machine,
    classes: usize,
    /// Where the vectors of each class start; one more entry than classes.
    starts: Vec<usize>,
    /// `classes - 1` rows of one coefficient per vector.
    coefficients: Vec<f32>,
    rho: Vec<f32>,
    /// Platt's sigmoid per pair; empty without probabilities.
    sigmoids: Vec<(f64, f64)>,
}

impl Pairs {
    fn new(spec: &Spec<'_>, classes: usize) -> Result<Self, Fault> {
        let per_class = spec.ints("vectors_per_class")?.unwrap_or(&[]);
        let mut starts = vec![0usize];
        for count in per_class {
            let next = usize::try_from(*count)
                .ok()
                .and_then(|c| c.checked_add(*starts.last().unwrap_or(&0)));
            starts.push(next.ok_or_else(|| Fault::because("vectors_per_class"))?);
        }
        let total = starts.last().copied().unwrap_or(0);
        let pairs = classes.checked_mul(classes.saturating_sub(1)).unwrap_or(0) / 2;
        let coefficients = spec.floats("coefficients")?.to_vec();
        let rho = spec.floats("rho")?.to_vec();
        let (a, b) = (spec.floats("prob_a")?, spec.floats("prob_b")?);
        let sigmoids: Vec<(f64, f64)> = a
            .iter()
            .zip(b)
            .map(|(a, b)| (f64::from(*a), f64::from(*b)))
            .collect();
        let fits = classes >= 2
            && per_class.len() == classes
            && total.checked_mul(classes - 1) == Some(coefficients.len())
            && rho.len() == pairs
            && a.len() == b.len()
            && (a.is_empty() || a.len() == pairs);
        if !fits {
            let (c, r) = (coefficients.len(), rho.len());
            return Err(Fault::because(format!(
                "{classes} classes, {total} vectors, {c} coefficients, {r} rho, {} prob_a do not fit (linear models without \
                 support vectors are not supported)",
                a.len()
            )));
        }
        Ok(Self {
            machine: Machine::new(spec, total)?,
            classes,
            starts,
            coefficients,
            rho,
            sigmoids,
        })
    }

    /// The decision value of every pair `i < j`, in that order: positive for `i`.
    fn decisions(&self, near: &[f32]) -> Vec<f32> {
        let total = near.len();
        let part = |class: usize, row: usize| {
            let (from, to) = (self.starts[class], self.starts[class + 1]);
            lanes::dot(
                &near[from..to],
                &self.coefficients[row * total + from..row * total + to],
            )
        };
        let mut out = Vec::with_capacity(self.rho.len());
        for i in 0..self.classes {
            for j in i + 1..self.classes {
                out.push(part(i, j - 1) + part(j, i) + self.rho[out.len()]);
            }
        }
        out
    }

    /// The class with most pairs won, the first of equals.
    fn winner(&self, decisions: &[f32]) -> usize {
        let mut votes = vec![0f32; self.classes];
        let mut next = decisions.iter();
        for i in 0..self.classes {
            for j in i + 1..self.classes {
                let won = if next.next().is_some_and(|d| *d > 0.0) {
                    i
                } else {
                    j
                };
                votes[won] += 1.0;
            }
        }
        first_greatest(&votes)
    }

    /// Probabilities of all classes by pairwise coupling.
    fn probabilities(&self, decisions: &[f32]) -> Vec<f64> {
        /// libsvm's bounds, which keep the coupling away from 0 and 1.
        const LEAST: f64 = 1e-7;
        let k = self.classes;
        let mut r = vec![0f64; k * k];
        let mut next = decisions.iter().zip(&self.sigmoids);
        for i in 0..k {
            for j in i + 1..k {
                let Some((decision, (a, b))) = next.next() else {
                    continue;
                };
                let power = f64::from(*decision) * a + b;
                let p = if power >= 0.0 {
                    exp(-power) / (1.0 + exp(-power))
                } else {
                    1.0 / (1.0 + exp(power))
                };
                let p = lanes::lesser(lanes::greater(p, LEAST), 1.0 - LEAST);
                r[i * k + j] = p;
                r[j * k + i] = 1.0 - p;
            }
        }
        coupled(&r, k)
    }
}

/// Wu, Lin and Weng's algorithm 2 with libsvm's stopping rule.
fn coupled(r: &[f64], k: usize) -> Vec<f64> {
    /// libsvm's bound; the iteration converges in a few dozen steps.
    const STEPS: usize = 100;
    let tolerance = 0.005 / k as f64;
    let mut q = vec![0f64; k * k];
    for t in 0..k {
        for j in (0..k).filter(|j| *j != t) {
            q[t * k + t] += r[j * k + t] * r[j * k + t];
            q[t * k + j] = -r[j * k + t] * r[t * k + j];
        }
    }
    let mut p = vec![1.0 / k as f64; k];
    let mut qp = vec![0f64; k];
    for _ in 0..STEPS.max(k) {
        let mut pqp = 0.0;
        for t in 0..k {
            qp[t] = (0..k).fold(0.0, |sum, j| sum + q[t * k + j] * p[j]);
            pqp += p[t] * qp[t];
        }
        let error = qp
            .iter()
            .fold(0.0, |worst, x| lanes::greater((x - pqp).abs(), worst));
        if error < tolerance {
            break;
        }
        for t in 0..k {
            let difference = (pqp - qp[t]) / q[t * k + t];
            p[t] += difference;
            let scale = 1.0 + difference;
            pqp = (pqp + difference * (difference * q[t * k + t] + 2.0 * qp[t])) / scale / scale;
            for j in 0..k {
                qp[j] = (qp[j] + difference * q[t * k + j]) / scale;
                p[j] /= scale;
            }
        }
    }
    p
}

/// SVMClassifier: the label by votes; probabilities where the model has them, the decision values otherwise.
pub(super) fn classifier(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    /// Pairs grow with the square of the classes; no real model has as many.
    const MAX_CLASSES: usize = 1024;
    let labels = Labels::read(spec, "classlabels_ints", "classlabels_strings")?;
    if labels.len() > MAX_CLASSES || PostTransform::read(spec)? != PostTransform::None {
        return Err(Fault::because(
            "at most 1024 classes and no post_transform are supported",
        ));
    }
    let pairs = Pairs::new(spec, labels.len())?;
    if pairs.sigmoids.is_empty() && labels.len() == 2 {
        return Err(Fault::because(
            "two classes without probabilities: export with probability=True",
        ));
    }
    Ok(Box::new(move |args, budget| {
        let features = Features::read(args, budget)?;
        pairs.machine.admit(&features, pairs.classes, budget)?;
        let width = if pairs.sigmoids.is_empty() {
            pairs.rho.len()
        } else {
            pairs.classes
        };
        let shape = Shape::new(&[features.rows, width])?;
        let mut out = budget.vector(shape.elements())?;
        let mut classes = budget.vector(features.rows)?;
        let mut near = Vec::new();
        for row in features.iter() {
            budget.charge(0)?; // a point at which the run can be cancelled
            pairs.machine.similarities(row, &mut near);
            let decisions = pairs.decisions(&near);
            classes.push(pairs.winner(&decisions));
            if pairs.sigmoids.is_empty() {
                out.extend(decisions);
            } else {
                out.extend(pairs.probabilities(&decisions).iter().map(|p| *p as f32));
            }
        }
        Ok(vec![
            labels.tensor(&classes, budget)?,
            Tensor::of(shape, out),
        ])
    }))
}
