//! Views in their shorter form: most maps of a model are arithmetic.

use assay_zkml_verify::View;
use assay_zkml_verify::view::{Coordinate, NONE, Strided};

/// A listed map as a strided view if it is one, as it is otherwise.
pub(super) fn compressed(list: Vec<u32>, axes: &[u32], source_len: u32) -> View {
    plain(&list, axes, source_len).unwrap_or(View::Listed(list))
}

/// A view whose only positions without a source lie beyond its axes' extents.
fn plain(list: &[u32], axes: &[u32], source_len: u32) -> Option<View> {
    let offset = *list.first().filter(|s| **s != NONE)?;
    let mut digits: Vec<Vec<Digit>> = Vec::with_capacity(axes.len());
    let mut behind: u32 = axes.iter().sum();
    for log in axes {
        behind -= log;
        digits.push(split(list, 1 << behind, 1 << log)?);
    }
    let steps = digits.iter().flatten().map(|d| d.step).collect();
    let strided = Strided {
        axes: digits
            .iter()
            .map(|own| own.iter().map(|d| d.extent).collect())
            .collect(),
        coordinates: vec![Coordinate {
            offset: offset as i32,
            steps,
            extent: source_len,
            stride: 1,
        }],
    };
    confirmed(strided, list, axes, source_len)
}

/// One digit of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Digit {
    extent: u32,
    step: i32,
}

/// The digits of an axis, read where all other axes are at their start.
fn split(list: &[u32], stride: usize, len: usize) -> Option<Vec<Digit>> {
    let along: Vec<i64> = (0..len)
        .map(|i| list[i * stride])
        .take_while(|s| *s != NONE)
        .map(i64::from)
        .collect();
    let mut starts = along;
    let mut digits = Vec::new();
    while starts.len() > 1 {
        let step = starts[1] - starts[0];
        let regular = starts
            .windows(2)
            .take_while(|pair| pair[1] - pair[0] == step);
        let extent = regular.count() + 1;
        if !starts.len().is_multiple_of(extent) {
            return None;
        }
        digits.push(Digit {
            extent: extent as u32,
            step: i32::try_from(step).ok()?,
        });
        starts = starts.into_iter().step_by(extent).collect();
    }
    if digits.is_empty() {
        digits.push(Digit { extent: 1, step: 0 });
    }
    digits.reverse();
    Some(digits)
}

/// The strided view, if it gives exactly this list.
fn confirmed(strided: Strided, list: &[u32], axes: &[u32], source_len: u32) -> Option<View> {
    let view = View::Strided(strided);
    let same = view
        .expand(axes, source_len)
        .is_ok_and(|expanded| expanded == list);
    same.then_some(view)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_maps_become_strided_and_others_stay() {
        let transposed = vec![0, 4, 1, 5, 2, 6, NONE, NONE];
        let view = compressed(transposed.clone(), &[0, 3], 8);
        assert!(matches!(view, View::Strided(_)));
        assert_eq!(view.expand(&[0, 3], 8), Ok(transposed));
        let scattered = vec![3, 1, 2, NONE];
        assert_eq!(
            compressed(scattered.clone(), &[2], 4),
            View::Listed(scattered)
        );
        let nothing = vec![NONE; 4];
        assert_eq!(compressed(nothing.clone(), &[2], 4), View::Listed(nothing));
    }
}
