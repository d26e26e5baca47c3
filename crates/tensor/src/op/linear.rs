//! LinearClassifier and LinearRegressor of `ai.onnx.ml`: scores are sums over the features in order, then the intercept.

use super::scores::{Features, Labels, PostTransform, first_greatest, logistic};
use super::{Kernel, Spec, single};
use crate::error::Fault;
use crate::gemm::Panels;
use crate::limits::{Budget, work};
use crate::{Shape, Tensor};

/// Coefficients of `targets` rows of features, packed, and intercepts.
struct Weights {
    panels: Panels<f32>,
    intercepts: Vec<f32>,
}

impl Weights {
    /// Packs the coefficients of a number of targets.
    fn new(spec: &Spec<'_>, targets: usize) -> Result<Self, Fault> {
        let coefficients = spec.floats("coefficients")?;
        let intercepts = spec.floats("intercepts")?.to_vec();
        let features = coefficients.len().checked_div(targets).unwrap_or(0);
        let whole = features > 0 && features.checked_mul(targets) == Some(coefficients.len());
        if !whole || !(intercepts.is_empty() || intercepts.len() == targets) {
            let (c, i) = (coefficients.len(), intercepts.len());
            return Err(Fault::because(format!(
                "{c} coefficients and {i} intercepts for {targets} targets"
            )));
        }
        Ok(Self {
            panels: Panels::from_columns(coefficients, features, targets),
            intercepts,
        })
    }

    /// The scores of all rows.
    fn scores(&self, features: &Features<'_>, budget: &mut Budget<'_>) -> Result<Vec<f32>, Fault> {
        features.expect_columns(self.panels.inner())?;
        budget.charge(work(&[
            features.rows,
            self.panels.inner(),
            self.panels.columns(),
        ]))?;
        let mut scores = self.panels.multiply(&features.values, budget)?;
        if !self.intercepts.is_empty() {
            for row in scores.chunks_mut(self.intercepts.len()) {
                row.iter_mut()
                    .zip(&self.intercepts)
                    .for_each(|(s, i)| *s += i);
            }
        }
        Ok(scores)
    }
}

/// LinearRegressor.
pub(super) fn regressor(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    let targets = usize::try_from(spec.int("targets")?.unwrap_or(1)).unwrap_or(0);
    let weights = Weights::new(spec, targets)?;
    let post = PostTransform::read(spec)?;
    single(move |args, budget| {
        let features = Features::read(args, budget)?;
        let mut scores = weights.scores(&features, budget)?;
        scores.chunks_mut(targets).for_each(|row| post.apply(row));
        Ok(Tensor::of(Shape::new(&[features.rows, targets])?, scores))
    })
}

/// LinearClassifier: label of the first greatest score, and the scores. Two labels may share one row of coefficients,
/// the score of the second; then it must be logistic, because the specification does not say what the other is.
pub(super) fn classifier(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    spec.ignore(&["multi_class"]); // a hint about training
    let labels = Labels::read(spec, "classlabels_ints", "classlabels_strings")?;
    let post = PostTransform::read(spec)?;
    let one_row = labels.len() == 2 && spec.floats("intercepts")?.len() == 1;
    if one_row && post != PostTransform::Logistic {
        return Err(Fault::because(
            "two labels with one row of coefficients need post_transform LOGISTIC",
        ));
    }
    let weights = Weights::new(spec, if one_row { 1 } else { labels.len() })?;
    Ok(Box::new(move |args, budget| {
        let features = Features::read(args, budget)?;
        let mut scores = weights.scores(&features, budget)?;
        let mut classes = budget.vector(features.rows)?;
        if one_row {
            classes.extend(scores.iter().map(|s| usize::from(*s > 0.0)));
            scores = scores
                .iter()
                .flat_map(|s| [logistic(-s), logistic(*s)])
                .collect();
        } else {
            for row in scores.chunks_mut(labels.len()) {
                classes.push(first_greatest(row));
                post.apply(row);
            }
        }
        let shape = Shape::new(&[features.rows, labels.len()])?;
        Ok(vec![
            labels.tensor(&classes, budget)?,
            Tensor::of(shape, scores),
        ])
    }))
}
