//! Can this model have been made of that one? Decided from the numbers, with the figures that decided it.
//!
//! Three questions, each for two or three files: [`quantised_from`], [`fine_tuned_from`], [`merged_from`]. Tensors are paired
//! by name; those that are left are paired in the order of the file where both have the same number of one shape, so that a
//! renamed copy is still one. A finding says *how near* the numbers are. It cannot say which of two models was first, nor
//! that a model that is too far away was *not* made of the other: training can go anywhere.

use std::collections::BTreeMap;

use serde::Serialize;

use super::safetensors::Elements;
use super::{DType, Error, Source, Tensor, Weights, bf16_bits, f16_bits};

/// Elements that are compared at a time.
const CHUNK: u64 = 1 << 16;

/// A tensor of fewer elements says little about where a model comes from: scales and biases of strangers look alike.
pub const MIN_ELEMENTS: u64 = 256;

/// From this correlation on a tensor counts as taken from its parent. Independent tensors of [`MIN_ELEMENTS`] stay under 0.3.
pub const RELATED_CORRELATION: f64 = 0.9;

/// A quantiser rounds to half a step; the rest is the error of finding its scale again.
const MOST_STEPS: f64 = 0.75;

/// Root mean square of rounding is 0.289 steps.
const MOST_RMS_STEPS: f64 = 0.4;

/// What a merge may leave over, as a part of the distance between its parents.
const MOST_RESIDUAL: f64 = 0.05;

/// A parent of which less is in a merge has not been shown to be in it.
const LEAST_SHARE: f64 = 0.02;

/// What was found between models.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Whether the numbers bear the relation out.
    pub holds: bool,
    /// Why, in a sentence.
    pub reason: String,
    /// What was measured.
    pub figures: Figures,
}

/// Figures of a comparison. Parts are of the child's parameters in paired tensors, unless said otherwise.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// Parameters of the child.
    pub parameters: u64,
    /// Of them, those in tensors that have a counterpart in each parent.
    pub compared: u64,
    /// Tensors that were paired.
    pub tensors: usize,
    /// Of them, those that were paired by shape and order because their names differ.
    pub renamed: usize,
    /// Part in tensors that are equal, byte for byte.
    pub equal: f64,
    /// Part in tensors that meet the relation's criterion.
    pub meeting: f64,
    /// Correlation with the (first) parent, over tensors of two dimensions and more, each about its mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation: Option<f64>,
    /// Quantised: root mean square of the error, in steps of the quantiser.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rms_steps: Option<f64>,
    /// Merged: the part of each parent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<f64>,
    /// Merged: what no combination of the parents explains, as a part of their distance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub residual: Option<f64>,
}

impl Figures {
    fn of<S: Source>(child: &Weights<S>, pairs: &[Pair<'_>]) -> Self {
        let compared = pairs.iter().map(|pair| pair.child.elements);
        Self {
            parameters: child.parameters(),
            compared: compared.fold(0, u64::saturating_add),
            tensors: pairs.len(),
            renamed: pairs.iter().filter(|pair| pair.renamed).count(),
            ..Self::default()
        }
    }

    /// The part of the compared parameters that `count` is.
    fn part(&self, count: u64) -> f64 {
        ratio(count as f64, self.compared as f64)
    }

    fn covers(&self, least: f64) -> bool {
        ratio(self.compared as f64, self.parameters as f64) >= least
    }
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

impl Finding {
    fn no(reason: &str, figures: Figures) -> Self {
        Self {
            holds: false,
            reason: reason.to_owned(),
            figures,
        }
    }

    fn yes(reason: String, figures: Figures) -> Self {
        Self {
            holds: true,
            reason,
            figures,
        }
    }
}

/// A tensor and its counterparts.
struct Pair<'a> {
    child: &'a Tensor,
    parent: &'a Tensor,
    renamed: bool,
}

/// Pairs tensors of one shape: by name, and then in order where that is not ambiguous.
fn pairs<'a>(child: &'a [Tensor], parent: &'a [Tensor]) -> Vec<Pair<'a>> {
    let by_name: BTreeMap<&str, &Tensor> = parent
        .iter()
        .map(|tensor| (tensor.name.as_str(), tensor))
        .collect();
    let mut found = Vec::new();
    let mut left: BTreeMap<&[u64], (Vec<&Tensor>, Vec<&Tensor>)> = BTreeMap::new();
    let mut named = std::collections::BTreeSet::new();
    for tensor in child {
        match by_name.get(tensor.name.as_str()) {
            Some(counterpart) if counterpart.shape == tensor.shape => {
                named.insert(tensor.name.as_str());
                found.push(Pair {
                    child: tensor,
                    parent: counterpart,
                    renamed: false,
                });
            }
            _ => left.entry(&tensor.shape).or_default().0.push(tensor),
        }
    }
    for tensor in parent.iter().filter(|t| !named.contains(t.name.as_str())) {
        left.entry(&tensor.shape).or_default().1.push(tensor);
    }
    for (ours, theirs) in left.into_values().filter(|(a, b)| a.len() == b.len()) {
        found.extend(ours.into_iter().zip(theirs).map(|(child, parent)| Pair {
            child,
            parent,
            renamed: true,
        }));
    }
    found
}

/// Calls `each` with the elements of both tensors, in pieces of at most [`CHUNK`] that do not cross a multiple of `within`.
fn in_pieces<A: Source, B: Source>(
    (one, first): (&Weights<A>, &Tensor),
    (other, second): (&Weights<B>, &Tensor),
    within: u64,
    mut each: impl FnMut(&Elements, &Elements),
) -> Result<(), Error> {
    let (mut ours, mut theirs) = (Elements::default(), Elements::default());
    let within = within.max(1);
    let mut start = 0u64;
    while start < first.elements {
        let to_bound = within.saturating_sub(start.checked_rem(within).unwrap_or(0));
        let count = to_bound
            .min(CHUNK)
            .min(first.elements.saturating_sub(start));
        let length = usize::try_from(count).unwrap_or(usize::MAX);
        one.read(first, start, length, &mut ours)?;
        other.read(second, start, length, &mut theirs)?;
        each(&ours, &theirs);
        start = start.saturating_add(count);
    }
    Ok(())
}

/// Sums over the elements of two tensors.
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    count: f64,
    x: f64,
    y: f64,
    xx: f64,
    yy: f64,
    xy: f64,
}

impl Moments {
    fn add(&mut self, x: f32, y: f32) {
        let (x, y) = (f64::from(x), f64::from(y));
        if x.is_finite() && y.is_finite() {
            self.count += 1.0;
            self.x += x;
            self.y += y;
            self.xx += x * x;
            self.yy += y * y;
            self.xy += x * y;
        }
    }

    /// Sums of squares and products about the means.
    fn about_means(&self) -> (f64, f64, f64) {
        let count = self.count.max(1.0);
        (
            (self.xx - self.x * self.x / count).max(0.0),
            (self.yy - self.y * self.y / count).max(0.0),
            self.xy - self.x * self.y / count,
        )
    }

    fn correlation(&self) -> f64 {
        let (xx, yy, xy) = self.about_means();
        ratio(xy, (xx * yy).sqrt())
    }
}

/// What one pair of tensors shows.
#[derive(Debug, Default)]
struct Comparison {
    equal: bool,
    moments: Moments,
    /// Elements within the rounding of the child's type.
    rounded: u64,
    /// Elements within a quantiser's step, and squares of the errors in steps.
    within: u64,
    squares: f64,
}

fn compare<A: Source, B: Source>(
    child: &Weights<A>,
    parent: &Weights<B>,
    pair: &Pair<'_>,
) -> Result<Comparison, Error> {
    let (ours, theirs) = (pair.child.dtype, pair.parent.dtype);
    let mut found = Comparison {
        equal: ours == theirs,
        ..Comparison::default()
    };
    let integers = ours.is_quantised() && theirs.is_float();
    let within = if integers {
        quantised_group(pair.child)
    } else {
        u64::MAX
    };
    in_pieces(
        (child, pair.child),
        (parent, pair.parent),
        within,
        |a, b| {
            found.equal = found.equal && a.bytes == b.bytes;
            for (x, y) in a.values.iter().zip(&b.values) {
                found.moments.add(*x, *y);
                found.rounded = found
                    .rounded
                    .saturating_add(is_rounded(ours, *x, *y).into());
            }
            if integers {
                let (within, squares) = in_steps(&a.values, &b.values);
                found.within = found.within.saturating_add(within);
                found.squares += squares;
            }
        },
    )?;
    Ok(found)
}

/// Elements that are taken to share one scale: a row, or everything where rows are too short to tell.
fn quantised_group(tensor: &Tensor) -> u64 {
    const SHORT: u64 = 32;
    let row = tensor.row();
    if tensor.shape.len() >= 2 && row >= SHORT {
        return row;
    }
    u64::MAX
}

/// Whether `stored` is `original` in the type `dtype`, up to one step for another way of rounding.
fn is_rounded(dtype: DType, stored: f32, original: f32) -> bool {
    let near = |one: u16, other: u16| {
        // Both zeros are one number; otherwise neighbours have neighbouring bits.
        one.abs_diff(other) <= 1 || (one | other) & 0x7fff == 0
    };
    match dtype {
        DType::F16 => near(f16_bits(stored), f16_bits(original)),
        DType::BF16 => near(bf16_bits(stored), bf16_bits(original)),
        _ => stored.to_bits() == original.to_bits() || stored == original,
    }
}

/// Fits `original = scale * stored + shift`, and counts elements within [`MOST_STEPS`] of `scale`, with squared errors in steps.
fn in_steps(stored: &[f32], original: &[f32]) -> (u64, f64) {
    let mut moments = Moments::default();
    for (q, w) in stored.iter().zip(original) {
        moments.add(*q, *w);
    }
    let (qq, ww, qw) = moments.about_means();
    let scale = ratio(qw, qq);
    let count = moments.count.max(1.0);
    let shift = moments.y / count - scale * moments.x / count;
    if scale <= 0.0 {
        // Integers that do not vary stand for numbers that do not vary, and for nothing else.
        let all = stored.len() as u64;
        return if ww <= f64::EPSILON * moments.yy {
            (all, 0.0)
        } else {
            (0, all as f64)
        };
    }
    let (mut within, mut squares) = (0u64, 0.0);
    for (q, w) in stored.iter().zip(original) {
        let steps = (f64::from(*w) - shift) / scale - f64::from(*q);
        if steps.abs() <= MOST_STEPS {
            within = within.saturating_add(1);
        }
        // One far outlier that the quantiser cut off does not spoil the mean.
        squares += steps.abs().min(2.0).powi(2);
    }
    (within, squares)
}

/// Whether `child` is `parent` in a shorter number format: halves by rounding, integers of 8 bits by a scale for each row.
///
/// # Errors
/// [`Error::Source`].
pub fn quantised_from<A: Source, B: Source>(
    child: &Weights<A>,
    parent: &Weights<B>,
) -> Result<Finding, Error> {
    let pairs = pairs(child.tensors(), parent.tensors());
    let mut figures = Figures::of(child, &pairs);
    let (mut equal, mut meeting, mut shorter) = (0u64, 0u64, 0u64);
    let (mut quantised, mut squares) = (0u64, 0.0);
    for pair in &pairs {
        let found = compare(child, parent, pair)?;
        let count = pair.child.elements;
        let most = |part: u64| part as f64 >= 0.995 * count as f64;
        let meets = if pair.child.dtype.is_quantised() && pair.parent.dtype.is_float() {
            quantised = quantised.saturating_add(count);
            squares += found.squares;
            most(found.within) && (found.squares / count.max(1) as f64).sqrt() <= MOST_RMS_STEPS
        } else {
            found.equal || (pair.child.dtype.is_float() && most(found.rounded))
        };
        if found.equal {
            equal = equal.saturating_add(count);
        }
        if meets {
            meeting = meeting.saturating_add(count);
        }
        if pair.child.dtype.bytes() < pair.parent.dtype.bytes() {
            shorter = shorter.saturating_add(count);
        }
    }
    figures.equal = figures.part(equal);
    figures.meeting = figures.part(meeting);
    if quantised > 0 {
        figures.rms_steps = Some((squares / quantised as f64).sqrt());
    }
    let parents = parent.parameters();
    let whole = ratio(figures.compared as f64, parents as f64) >= 0.98;
    Ok(if !whole {
        Finding::no(
            "too little of the parent has a counterpart of its shape",
            figures,
        )
    } else if ratio(shorter as f64, figures.compared as f64) < 0.5 {
        Finding::no("most numbers are not shorter than the parent's", figures)
    } else if figures.meeting < 0.999 {
        Finding::no(
            "numbers differ from the parent's by more than rounding",
            figures,
        )
    } else {
        Finding::yes(
            "every number is the parent's within the rounding of its format".into(),
            figures,
        )
    })
}

/// Whether `child` has most of its weights from `parent`: equal, or strongly correlated, tensor by tensor.
///
/// # Errors
/// [`Error::Source`].
pub fn fine_tuned_from<A: Source, B: Source>(
    child: &Weights<A>,
    parent: &Weights<B>,
) -> Result<Finding, Error> {
    let pairs = pairs(child.tensors(), parent.tensors());
    let mut figures = Figures::of(child, &pairs);
    let (mut equal, mut related, mut telling) = (0u64, 0u64, 0u64);
    let mut pooled = (0.0, 0.0, 0.0);
    for pair in &pairs {
        let found = compare(child, parent, pair)?;
        let count = pair.child.elements;
        if found.equal {
            equal = equal.saturating_add(count);
        }
        if pair.child.shape.len() < 2 || count < MIN_ELEMENTS {
            continue;
        }
        telling = telling.saturating_add(count);
        let correlation = found.moments.correlation();
        let (xx, yy, xy) = found.moments.about_means();
        // Each tensor counts by its size, whatever the scale of its numbers.
        let size = ratio(count as f64, (xx * yy).sqrt());
        pooled = (
            pooled.0 + xy * size,
            pooled.1 + count as f64,
            pooled.2 + 1.0,
        );
        if correlation >= RELATED_CORRELATION {
            related = related.saturating_add(count);
        }
    }
    figures.equal = figures.part(equal);
    figures.meeting = ratio(related as f64, telling as f64);
    figures.correlation = (pooled.2 > 0.0).then(|| ratio(pooled.0, pooled.1));
    Ok(if telling == 0 {
        Finding::no("no tensor is large enough to tell", figures)
    } else if equal == figures.parameters && equal == parent.parameters() {
        Finding::no(
            "every number is the parent's: it is a copy, not a fine-tune",
            figures,
        )
    } else if !figures.covers(0.5) {
        Finding::no(
            "less than half of it has a counterpart of its shape in the parent",
            figures,
        )
    } else if figures.meeting < 0.5 {
        Finding::no("most of its tensors are not like the parent's", figures)
    } else {
        let percent = figures.meeting * 100.0;
        let reason =
            format!("{percent:.1} % of its weights are in tensors that follow the parent's");
        Finding::yes(reason, figures)
    })
}

/// Sums for `child - one = x * one + y * (other - one)`.
#[derive(Debug, Clone, Copy, Default)]
struct Combination {
    ee: f64,
    ep: f64,
    ed: f64,
    pp: f64,
    pd: f64,
    dd: f64,
    cc: f64,
}

impl Combination {
    fn add(&mut self, c: f32, p: f32, q: f32) {
        let (c, p, q) = (f64::from(c), f64::from(p), f64::from(q));
        let (e, d) = (c - p, q - p);
        if e.is_finite() && d.is_finite() {
            self.ee += e * e;
            self.ep += e * p;
            self.ed += e * d;
            self.pp += p * p;
            self.pd += p * d;
            self.dd += d * d;
            self.cc += c * c;
        }
    }

    /// Shares of both parents, and the square of what is left over.
    fn solve(&self) -> (f64, f64, f64) {
        let determinant = self.pp * self.dd - self.pd * self.pd;
        // Parents that are multiples of each other: only their difference is looked at.
        let (x, y) = if determinant > 1e-12 * self.pp * self.dd {
            (
                (self.ep * self.dd - self.ed * self.pd) / determinant,
                (self.ed * self.pp - self.ep * self.pd) / determinant,
            )
        } else {
            (0.0, ratio(self.ed, self.dd))
        };
        let left = self.ee - x * self.ep - y * self.ed;
        (1.0 + x - y, y, left.max(0.0))
    }
}

/// Whether each tensor of `child` is a linear combination of those of two parents.
///
/// Two fine-tunes of one base are near to each other and to a third one: what counts is what is left over against their
/// *distance*. Where rounding alone is as large as that distance the answer is no, and the reason says so.
///
/// # Errors
/// [`Error::Source`].
pub fn merged_from<A: Source, B: Source, C: Source>(
    child: &Weights<A>,
    one: &Weights<B>,
    other: &Weights<C>,
) -> Result<Finding, Error> {
    let first = pairs(child.tensors(), one.tensors());
    let second: BTreeMap<&str, Pair<'_>> = pairs(child.tensors(), other.tensors())
        .into_iter()
        .map(|pair| (pair.child.name.as_str(), pair))
        .collect();
    let both = |pair: &Pair<'_>| second.contains_key(pair.child.name.as_str());
    let first: Vec<Pair<'_>> = first.into_iter().filter(both).collect();
    let mut figures = Figures::of(child, &first);
    let (mut meeting, mut shares) = (0u64, [0.0; 2]);
    let (mut left, mut distance, mut noise) = (0.0, 0.0, 0.0);
    for pair in &first {
        let Some(twin) = second.get(pair.child.name.as_str()) else {
            continue;
        };
        let sums = combination(child, (one, pair), (other, twin))?;
        let (share_one, share_other, residual) = sums.solve();
        // Rounding is even over half a step to both sides: a third of its square.
        let rounding = sums.cc * pair.child.dtype.half_ulp().powi(2) / 3.0;
        let allowed = sums.dd * MOST_RESIDUAL.powi(2) + 3.0 * rounding;
        if residual <= allowed {
            meeting = meeting.saturating_add(pair.child.elements);
        }
        shares = [
            shares[0] + share_one * sums.dd,
            shares[1] + share_other * sums.dd,
        ];
        (left, distance, noise) = (left + residual, distance + sums.dd, noise + rounding);
    }
    let shares = shares.map(|share| ratio(share, distance));
    figures.meeting = figures.part(meeting);
    figures.shares = shares.to_vec();
    figures.residual = Some(ratio(left, distance).sqrt());
    Ok(if !figures.covers(0.95) {
        Finding::no(
            "too little of it has a counterpart of its shape in both parents",
            figures,
        )
    } else if distance <= 10.0 * noise {
        Finding::no(
            "the parents differ by hardly more than rounding: it cannot be told",
            figures,
        )
    } else if figures.meeting < 0.95 {
        Finding::no("no combination of the parents explains it", figures)
    } else if shares.iter().any(|share| *share < LEAST_SHARE) {
        Finding::no("one of the parents has no part in it", figures)
    } else {
        let [a, b] = shares;
        Finding::yes(
            format!("it is {a:.3} of the first and {b:.3} of the second parent"),
            figures,
        )
    })
}

fn combination<A: Source, B: Source, C: Source>(
    child: &Weights<A>,
    (one, pair): (&Weights<B>, &Pair<'_>),
    (other, twin): (&Weights<C>, &Pair<'_>),
) -> Result<Combination, Error> {
    let mut sums = Combination::default();
    let mut third = Elements::default();
    let (mut start, mut failed) = (0u64, None);
    in_pieces((child, pair.child), (one, pair.parent), u64::MAX, |a, b| {
        if failed.is_none() {
            failed = other
                .read(twin.parent, start, a.values.len(), &mut third)
                .err();
        }
        start = start.saturating_add(a.values.len() as u64);
        for ((c, p), q) in a.values.iter().zip(&b.values).zip(&third.values) {
            sums.add(*c, *p, *q);
        }
    })?;
    failed.map_or(Ok(sums), Err)
}

#[cfg(test)]
mod tests;
