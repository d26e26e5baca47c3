//! Sums of products of integers, sixteen at once.
//!
//! Lanes are plain arrays: the compiler makes vector instructions of them where the machine has some, and the sums are the
//! same where it has none, because integer sums have no order. All sums fit, `validate` has seen to that.

use super::graph::Window;

/// Results computed together: two 256-bit registers.
pub(super) const LANES: usize = 16;

/// Sixteen results.
type Lanes = [i32; LANES];

/// A matrix in blocks of sixteen columns, row after row in each; zeros fill the last.
#[derive(Debug, Default)]
pub(super) struct Panels<T> {
    inner: usize,
    columns: usize,
    data: Vec<[T; LANES]>,
}

impl<T: Copy + Default + Into<i32>> Panels<T> {
    /// From a matrix stored row by row.
    pub(super) fn new(values: &[T], inner: usize, columns: usize) -> Self {
        let mut data = Vec::with_capacity(inner * columns.div_ceil(LANES));
        for first in (0..columns).step_by(LANES) {
            let width = LANES.min(columns - first);
            data.extend((0..inner).map(|k| {
                let mut row = [T::default(); LANES];
                row[..width].copy_from_slice(&values[k * columns + first..][..width]);
                row
            }));
        }
        Self {
            inner,
            columns,
            data,
        }
    }

    /// The products of rows of `inner` values with the matrix, each started from `start`.
    pub(super) fn multiply(&self, x: &[i32], start: &[i32]) -> Vec<i32> {
        let (inner, columns) = (self.inner, self.columns);
        let mut out = vec![0; x.len() / inner * columns];
        let blocks = x.chunks(ROWS * inner).zip(out.chunks_mut(ROWS * columns));
        for (x, out) in blocks {
            if x.len() == ROWS * inner {
                self.block::<ROWS>(x, start, out);
            } else {
                let rows = x.chunks(inner).zip(out.chunks_mut(columns));
                rows.for_each(|(x, out)| self.block::<1>(x, start, out));
            }
        }
        out
    }

    /// The same for exactly `R` rows.
    fn block<const R: usize>(&self, x: &[i32], start: &[i32], out: &mut [i32]) {
        let rows: [&[i32]; R] = std::array::from_fn(|r| &x[r * self.inner..][..self.inner]);
        let firsts = (0..self.columns).step_by(LANES);
        for (first, panel) in firsts.zip(self.data.chunks(self.inner)) {
            let width = LANES.min(self.columns - first);
            let mut sums: [Lanes; R] = [[0; LANES]; R];
            for (k, weights) in panel.iter().enumerate() {
                let weights: Lanes = weights.map(Into::into);
                for (sums, row) in sums.iter_mut().zip(&rows) {
                    let factor = row[k];
                    for (sum, weight) in sums.iter_mut().zip(&weights) {
                        *sum = sum.wrapping_add(factor.wrapping_mul(*weight));
                    }
                }
            }
            for (sums, out) in sums.iter().zip(out.chunks_mut(self.columns)) {
                let own = out[first..][..width].iter_mut().zip(sums);
                match start.get(first..first + width) {
                    Some(start) => own
                        .zip(start)
                        .for_each(|((out, sum), start)| *out = sum.wrapping_add(*start)),
                    None => own.for_each(|(out, sum)| *out = *sum),
                }
            }
        }
    }
}

/// Rows that share one pass over the weights.
const ROWS: usize = 4;

/// A convolution prepared for images of one size.
///
/// An image with its zeros around is split into one plane for each phase of the stride. What a tap of the kernel reads for
/// sixteen neighbouring outputs then lies in sixteen neighbouring places; they are laid side by side once for all filters.
/// Outputs are computed for whole rows of a plane; those beyond the result's width are dropped.
#[derive(Debug, Default)]
pub(super) struct Convolution {
    /// `[channels, height, width]` of the image.
    image: [usize; 3],
    /// Height and width of the result.
    result: [usize; 2],
    before: [usize; 2],
    stride: [usize; 2],
    /// Height and width of a plane.
    plane: [usize; 2],
    groups: usize,
    /// Where each tap of a group reads, from the group's first plane on.
    taps: Vec<usize>,
    /// One row of taps for each filter.
    weights: Vec<i32>,
}

impl Convolution {
    /// Lays out the planes and the taps.
    pub(super) fn new(
        window: &Window,
        image: [usize; 3],
        result: [usize; 2],
        weights: &[i8],
        groups: usize,
    ) -> Self {
        let Window {
            kernel,
            stride,
            before,
            dilation,
        } = *window;
        let reach = |axis: usize| (kernel[axis] - 1) * dilation[axis] / stride[axis];
        let plane = [result[0] + reach(0), result[1] + reach(1)];
        let size = plane[0] * plane[1];
        let mut taps = Vec::new();
        for channel in 0..image[0] / groups {
            for (y, x) in (0..kernel[0]).flat_map(|y| (0..kernel[1]).map(move |x| (y, x))) {
                let (y, x) = (y * dilation[0], x * dilation[1]);
                let phase = y % stride[0] * stride[1] + x % stride[1];
                let own = (channel * stride[0] * stride[1] + phase) * size;
                taps.push(own + y / stride[0] * plane[1] + x / stride[1]);
            }
        }
        Self {
            image,
            result,
            before,
            stride,
            plane,
            groups,
            taps,
            weights: weights.iter().map(|w| i32::from(*w)).collect(),
        }
    }

    /// The result `[filters, height, width]` for one image.
    pub(super) fn run(&self, image: &[i32], bias: &[i32], out: &mut Vec<i32>) {
        let planes = self.planes(image);
        let per_group = bias.len() / self.groups;
        let size = self.plane[0] * self.plane[1] * self.stride[0] * self.stride[1];
        let group = self.image[0] / self.groups * size;
        let inner = self.taps.len();
        let length = self.result[0] * self.plane[1];
        let padded = length.next_multiple_of(LANES);
        let mut sums = vec![0; per_group * padded];
        let mut values = vec![[0; LANES]; inner];
        for (index, bias) in bias.chunks(per_group).enumerate() {
            let planes = &planes[index * group..];
            let weights = &self.weights[index * per_group * inner..][..per_group * inner];
            for first in (0..length).step_by(LANES) {
                let planes = &planes[first..];
                for (values, tap) in values.iter_mut().zip(&self.taps) {
                    values.copy_from_slice(&planes[*tap..][..LANES]);
                }
                filters(&values, weights, bias, &mut sums[first..], padded);
            }
            self.keep(&sums, padded, out);
        }
    }

    /// The phases of an image, zeros outside; a row and sixteen zeros more so that the last outputs' taps read within.
    fn planes(&self, image: &[i32]) -> Vec<i32> {
        let [channels, height, width] = self.image;
        let [rows, columns] = self.plane;
        let phases = self.stride[0] * self.stride[1];
        let mut planes = vec![0; (channels * phases * rows + 1) * columns + LANES];
        let lines = planes.chunks_mut(columns).take(channels * phases * rows);
        for (index, line) in lines.enumerate() {
            let (channel, phase, row) =
                (index / (phases * rows), index / rows % phases, index % rows);
            let y = row * self.stride[0] + phase / self.stride[1];
            let Some(y) = y.checked_sub(self.before[0]).filter(|y| *y < height) else {
                continue;
            };
            let from = &image[(channel * height + y) * width..][..width];
            let x = phase % self.stride[1];
            if self.stride[1] == 1 {
                let begin = self.before[1].min(columns);
                let end = (self.before[1] + width).min(columns);
                line[begin..end].copy_from_slice(&from[..end - begin]);
                continue;
            }
            for (column, place) in line.iter_mut().enumerate() {
                let at = (column * self.stride[1] + x).checked_sub(self.before[1]);
                *place = at.and_then(|at| from.get(at)).copied().unwrap_or(0);
            }
        }
        planes
    }

    /// Appends what lies within the result's width.
    fn keep(&self, sums: &[i32], padded: usize, out: &mut Vec<i32>) {
        for filter in sums.chunks(padded) {
            let lines = filter.chunks(self.plane[1]).take(self.result[0]);
            lines.for_each(|line| out.extend_from_slice(&line[..self.result[1]]));
        }
    }
}

/// Sixteen outputs of all filters of a group, the filters `padded` apart.
fn filters(values: &[Lanes], weights: &[i32], bias: &[i32], out: &mut [i32], padded: usize) {
    let blocks = weights.chunks(ROWS * values.len()).zip(bias.chunks(ROWS));
    for ((weights, bias), out) in blocks.zip(out.chunks_mut(ROWS * padded)) {
        match bias.len() {
            ROWS => some::<ROWS>(values, weights, bias, out, padded),
            3 => some::<3>(values, weights, bias, out, padded),
            2 => some::<2>(values, weights, bias, out, padded),
            _ => some::<1>(values, weights, bias, out, padded),
        }
    }
}

/// `sums += factor * values`, by index: with a chain of iterators in its place the compiler gives up the registers.
#[inline(always)]
fn accumulate(sums: &mut Lanes, factor: i32, values: &Lanes) {
    for lane in 0..LANES {
        sums[lane] = sums[lane].wrapping_add(factor.wrapping_mul(values[lane]));
    }
}

/// Sixteen outputs of `R` filters; a function of its own, so that all sums stay in registers.
#[inline(never)]
fn some<const R: usize>(
    values: &[Lanes],
    weights: &[i32],
    bias: &[i32],
    out: &mut [i32],
    padded: usize,
) {
    let inner = values.len();
    let rows: [&[i32]; R] = std::array::from_fn(|r| &weights[r * inner..][..inner]);
    let mut sums: [Lanes; R] = std::array::from_fn(|r| [bias[r]; LANES]);
    for k in 0..inner {
        for r in 0..R {
            accumulate(&mut sums[r], rows[r][k], &values[k]);
        }
    }
    for (sums, out) in sums.iter().zip(out.chunks_mut(padded)) {
        out[..LANES].copy_from_slice(sums);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of a range from a seed.
    fn numbers(seed: usize, count: usize, most: i64) -> Vec<i32> {
        let number = |i: usize| {
            let mixed = ((i + 1) * 2_654_435_761 + seed * 97_531) >> 7;
            (mixed as i64 % (2 * most + 1) - most) as i32
        };
        (0..count).map(number).collect()
    }

    fn weights(seed: usize, count: usize) -> Vec<i8> {
        numbers(seed, count, 127).iter().map(|w| *w as i8).collect()
    }

    #[test]
    fn products_are_those_of_the_definition_for_every_size() {
        for (seed, (rows, inner, columns)) in (1..10)
            .flat_map(|r| [1, 2, 7, 33].map(|k| (r, k)))
            .flat_map(|(r, k)| [1, 5, 15, 16, 17, 40].map(|c| (r, k, c)))
            .enumerate()
        {
            let (x, w) = (
                numbers(seed, rows * inner, 32767),
                weights(seed, inner * columns),
            );
            let start = numbers(seed + 1, columns, 1 << 20);
            let wanted: Vec<i32> = (0..rows * columns)
                .map(|i| {
                    let (row, column) = (i / columns, i % columns);
                    let product =
                        |k: usize| x[row * inner + k] * i32::from(w[k * columns + column]);
                    start[column] + (0..inner).map(product).sum::<i32>()
                })
                .collect();
            let panels = Panels::new(&w, inner, columns);
            assert_eq!(
                panels.multiply(&x, &start),
                wanted,
                "{rows} {inner} {columns}"
            );
        }
    }

    /// One output, tap after tap.
    fn tap_by_tap(
        (image, [channels, height, width]): (&[i32], [usize; 3]),
        window: &Window,
        (weights, inner): (&[i8], usize),
        first: usize,
        [y, x]: [usize; 2],
    ) -> i32 {
        let [_, kernel] = window.kernel;
        let area = window.kernel[0] * kernel;
        let mut sum = 0;
        for (k, weight) in weights.iter().enumerate().take(inner) {
            let place = |axis: usize, at: usize, tap: usize| {
                (at * window.stride[axis] + tap * window.dilation[axis])
                    .checked_sub(window.before[axis])
            };
            let (ky, kx) = (k % area / kernel, k % kernel);
            let (Some(y), Some(x)) = (place(0, y, ky), place(1, x, kx)) else {
                continue;
            };
            if y < height && x < width && first + k / area < channels {
                let at = ((first + k / area) * height + y) * width + x;
                sum += image[at] * i32::from(*weight);
            }
        }
        sum
    }

    #[test]
    fn convolutions_are_those_of_the_definition_for_every_window() {
        for seed in 0..600 {
            let pick = |salt: usize, from: usize, to: usize| {
                from + (seed * 7919 + salt * 104_729 + seed * seed * salt) / 13 % (to - from + 1)
            };
            let groups = pick(1, 1, 3);
            let image = [groups * pick(2, 1, 3), pick(3, 1, 9), pick(4, 1, 23)];
            let filters = groups * pick(5, 1, 6);
            let window = Window {
                kernel: [pick(6, 1, 3), pick(7, 1, 4)],
                stride: [pick(8, 1, 3), pick(9, 1, 3)],
                before: [pick(10, 0, 2), pick(11, 0, 2)],
                dilation: [pick(12, 1, 2), pick(13, 1, 3)],
            };
            let result = [0, 1].map(|axis| {
                let room = image[axis + 1] + window.before[axis] - 1;
                pick(14 + axis, 1, room / window.stride[axis] + 1)
            });
            let inner = image[0] / groups * window.kernel[0] * window.kernel[1];
            let values = numbers(seed, image.iter().product(), 32767);
            let (w, bias) = (
                weights(seed, filters * inner),
                numbers(seed, filters, 1 << 20),
            );
            let mut wanted = Vec::new();
            for (filter, (bias, weights)) in bias.iter().zip(w.chunks(inner)).enumerate() {
                let first = filter / (filters / groups) * (image[0] / groups);
                for at in 0..result[0] * result[1] {
                    let place = [at / result[1], at % result[1]];
                    let sum = tap_by_tap((&values, image), &window, (weights, inner), first, place);
                    wanted.push(bias + sum);
                }
            }
            let mut found = Vec::new();
            Convolution::new(&window, image, result, &w, groups).run(&values, &bias, &mut found);
            assert_eq!(found, wanted, "{image:?} {window:?} {result:?} {groups}");
        }
    }
}
