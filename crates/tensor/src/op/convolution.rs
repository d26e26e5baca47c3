//! Convolution: each output is the sum over input channel, kernel row and kernel column in that order, one accumulator,
//! then the bias. Two output channels and sixteen positions are computed at once.

use super::window::{Placed, Window};
use super::{Args, Kernel, Spec, single, with_reals};
use crate::error::Fault;
use crate::gemm::{COLUMNS, one_row, two_rows};
use crate::lanes::Real;
use crate::limits::{Budget, work};
use crate::{Element, Shape, Tensor};

/// Conv in one or two dimensions, with groups.
pub(super) fn conv(spec: &Spec<'_>) -> Result<Kernel, Fault> {
    let weights = spec.adopt(1).cloned();
    let window = Window::new(
        spec,
        weights
            .as_ref()
            .map(|weights| weights.shape().len().saturating_sub(2)),
    )?;
    let groups = spec.int("group")?.unwrap_or(1);
    let groups = usize::try_from(groups)
        .ok()
        .filter(|g| *g > 0)
        .ok_or_else(|| Fault::because(format!("group {groups}")))?;
    if let Some(weights) = &weights {
        checked_kernel(&window, weights.shape(), groups)?;
    }
    single(move |args, budget| {
        let weights = weights.as_ref().map_or_else(|| args.tensor(1), Ok)?;
        checked_kernel(&window, weights.shape(), groups)?;
        let image = args.tensor(0)?;
        with_reals!(0, image, v => {
            let own = weights.as_slice().ok_or_else(|| super::wrong_type(1, image.dtype().name(), weights.dtype()))?;
            convolve(args, (image.shape(), v), (weights.shape(), own), (&window, groups), budget)
        })
    })
}

/// The weights must be M, C/groups and the kernel, and M a multiple of the groups.
fn checked_kernel(window: &Window, weights: &Shape, groups: usize) -> Result<(), Fault> {
    let kernel = weights.get(2..).unwrap_or(&[]);
    let named = window.kernel().is_none_or(|own| own == kernel);
    if named
        && (1..=2).contains(&kernel.len())
        && weights[0].is_multiple_of(groups)
        && weights.elements() > 0
    {
        return Ok(());
    }
    Err(Fault::because(format!(
        "weights of shape {weights} for {groups} groups and kernel_shape {:?}",
        window.kernel()
    )))
}

/// What one group of a convolution needs.
struct Group<'a, T> {
    placed: Placed,
    /// Width of a padded row.
    pitch: usize,
    /// Offsets into the padded channels of each weight of an output channel.
    taps: &'a [usize],
    /// Rows of `taps.len()` weights.
    weights: &'a [T],
    bias: Option<&'a [T]>,
}

/// The convolution of a batch of images.
fn convolve<T: Real + Element>(
    args: &Args<'_>,
    (shape, image): (&Shape, &[T]),
    (kernel, weights): (&Shape, &[T]),
    (window, groups): (&Window, usize),
    budget: &mut Budget<'_>,
) -> Result<Tensor, Fault> {
    let placed = window.place(shape, &kernel[2..])?;
    let (batch, channels, depth, outputs) = (shape[0], shape[1], kernel[1], kernel[0]);
    if channels != depth * groups {
        return Err(Fault::because(format!(
            "{channels} channels for weights {kernel} and {groups} groups"
        )));
    }
    let bias: Option<&[T]> = if args.optional(2).is_some() {
        Some(args.slice(2)?)
    } else {
        None
    };
    if bias.is_some_and(|b| b.len() != outputs) {
        return Err(Fault::because(format!(
            "the bias must have {outputs} values"
        )));
    }
    let (rows, columns) = (placed.rows, placed.columns);
    let mut dims = vec![batch, outputs];
    dims.extend((shape.len() == 4).then_some(rows.output));
    dims.push(columns.output);
    let out_shape = Shape::new(&dims)?;
    let inner = depth * rows.kernel * columns.kernel;
    budget.charge(work(&[out_shape.elements(), inner]))?;
    let mut out = budget.filled(out_shape.elements(), T::default())?;
    let (height, pitch) = (
        rows.input + rows.before + rows.after,
        columns.input + columns.before + columns.after,
    );
    let plane = Shape::new(&[channels, height, pitch])?.elements() / channels.max(1);
    // The slack lets sixteen lanes read past the last position; what they find there is not stored.
    let mut padded = budget.filled(channels * plane + COLUMNS, T::default())?;
    let taps = taps(&placed, depth, plane, pitch);
    let (per_group, positions) = (outputs / groups, rows.output * columns.output);
    if positions == 0 || batch == 0 {
        return Ok(Tensor::of(out_shape, out));
    }
    let size = rows.input * columns.input;
    for (image, out) in image
        .chunks(channels * size)
        .zip(out.chunks_mut(outputs * positions))
    {
        budget.charge(0)?; // a point at which the run can be cancelled
        pad(image, &placed, plane, pitch, &mut padded);
        for (index, out) in out.chunks_mut(per_group * positions).enumerate() {
            let first = index * per_group;
            let group = Group {
                placed,
                pitch,
                taps: &taps,
                weights: &weights[first * inner..(first + per_group) * inner],
                bias: bias.map(|b| &b[first..first + per_group]),
            };
            group.run(&padded[index * depth * plane..], out);
        }
    }
    Ok(Tensor::of(out_shape, out))
}

/// The offset of every weight of one output channel, in the order of the sum.
fn taps(placed: &Placed, depth: usize, plane: usize, pitch: usize) -> Vec<usize> {
    let (rows, columns) = (placed.rows, placed.columns);
    let mut taps = Vec::with_capacity(depth * rows.kernel * columns.kernel);
    for channel in 0..depth {
        for y in 0..rows.kernel {
            taps.extend(
                (0..columns.kernel)
                    .map(|x| channel * plane + y * rows.dilation * pitch + x * columns.dilation),
            );
        }
    }
    taps
}

/// Copies an image into its zero margin.
fn pad<T: Copy>(image: &[T], placed: &Placed, plane: usize, pitch: usize, padded: &mut [T]) {
    let (rows, columns) = (placed.rows, placed.columns);
    let channels = image
        .chunks(rows.input * columns.input)
        .zip(padded.chunks_mut(plane));
    for (from, to) in channels {
        for (row, to) in from
            .chunks(columns.input)
            .zip(to.chunks_mut(pitch).skip(rows.before))
        {
            to[columns.before..columns.before + columns.input].copy_from_slice(row);
        }
    }
}

impl<T: Real> Group<'_, T> {
    /// All output channels of the group.
    fn run(&self, padded: &[T], out: &mut [T]) {
        let positions = self.placed.rows.output * self.placed.columns.output;
        let inner = self.taps.len();
        let mut panel = Vec::with_capacity(inner);
        for (start, lanes) in self.blocks() {
            panel.clear();
            self.fill(padded, start, lanes, &mut panel);
            for (pair, out) in self
                .weights
                .chunks(2 * inner)
                .zip(out.chunks_mut(2 * positions))
            {
                match pair
                    .split_at_checked(inner)
                    .filter(|(_, bottom)| !bottom.is_empty())
                {
                    Some((top, bottom)) => {
                        let tile = two_rows(top, bottom, &panel);
                        let (upper, lower) = out.split_at_mut(positions);
                        self.store(&tile[0], start, lanes, upper);
                        self.store(&tile[1], start, lanes, lower);
                    }
                    None => self.store(&one_row(pair, &panel), start, lanes, out),
                }
            }
        }
        if let Some(bias) = self.bias {
            for (channel, bias) in out.chunks_mut(positions).zip(bias) {
                channel.iter_mut().for_each(|v| *v = *v + *bias);
            }
        }
    }

    /// The blocks of lanes. With a column stride of 1 positions are numbered along padded rows, so that a block is one
    /// run of memory and only the few positions in the margins are wasted; otherwise along output rows.
    fn blocks(&self) -> impl Iterator<Item = (usize, usize)> + use<T> {
        let total = self.width() * (self.placed.rows.output - 1) + self.placed.columns.output;
        (0..total)
            .step_by(COLUMNS)
            .map(move |start| (start, COLUMNS.min(total - start)))
    }

    /// Positions per row of the numbering.
    fn width(&self) -> usize {
        if self.contiguous() {
            self.pitch
        } else {
            self.placed.columns.output
        }
    }

    /// True if a block of positions is to be one run of the padded image: possible with strides of 1, and not worth it
    /// for tiny images, whose margins would take half as many blocks again. The sums are the same either way.
    fn contiguous(&self) -> bool {
        let (rows, columns) = (self.placed.rows, self.placed.columns);
        let along_padding = (self.pitch * (rows.output - 1) + columns.output).div_ceil(COLUMNS);
        let along_output = (columns.output * rows.output).div_ceil(COLUMNS);
        columns.stride == 1 && rows.stride == 1 && 2 * along_padding < 3 * along_output
    }

    /// Gathers the inputs of one block: one line of lanes per weight.
    fn fill(&self, padded: &[T], start: usize, lanes: usize, panel: &mut Vec<[T; COLUMNS]>) {
        if self.contiguous() {
            panel.extend(self.taps.iter().map(|tap| {
                let from = padded.get(start + tap..).unwrap_or(&[]);
                from.first_chunk::<COLUMNS>().copied().unwrap_or_else(|| {
                    let mut line = [T::default(); COLUMNS];
                    line.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
                    line
                })
            }));
            return;
        }
        let (rows, columns) = (self.placed.rows, self.placed.columns);
        let mut origins = [0usize; COLUMNS];
        for (lane, origin) in origins.iter_mut().enumerate().take(lanes) {
            let (y, x) = (
                (start + lane) / columns.output,
                (start + lane) % columns.output,
            );
            *origin = y * rows.stride * self.pitch + x * columns.stride;
        }
        panel.extend(
            self.taps
                .iter()
                .map(|tap| origins.map(|origin| padded[origin + tap])),
        );
    }

    /// Writes the positions of a block that are outputs.
    fn store(&self, tile: &[T; COLUMNS], start: usize, lanes: usize, out: &mut [T]) {
        let (width, columns) = (self.width(), self.placed.columns.output);
        let (mut row, mut column) = (start / width, start % width);
        let mut lane = 0;
        while lane < lanes {
            let run = (width - column).min(lanes - lane);
            let kept = columns.saturating_sub(column).min(run);
            let to = row * columns + column;
            if kept > 0 {
                out[to..to + kept].copy_from_slice(&tile[lane..lane + kept]);
            }
            lane += run;
            (row, column) = (row + 1, 0);
        }
    }
}
