//! The geometry that convolutions and poolings share: one or two spatial dimensions, strides, dilations and pads.

use super::Spec;
use crate::Shape;
use crate::error::Fault;

/// How pads are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Auto {
    /// As written in `pads`.
    Given,
    /// So that the output is the input divided by the stride; an odd pad goes to the end.
    SameUpper,
    /// Likewise; an odd pad goes to the start.
    SameLower,
    /// None.
    Valid,
}

impl Auto {
    fn parse(name: &str) -> Result<Self, Fault> {
        match name {
            "NOTSET" => Ok(Self::Given),
            "SAME_UPPER" => Ok(Self::SameUpper),
            "SAME_LOWER" => Ok(Self::SameLower),
            "VALID" => Ok(Self::Valid),
            other => Err(Fault::because(format!("auto_pad `{other}` does not exist"))),
        }
    }
}

/// The attributes of a window.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    kernel: Option<Vec<usize>>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
    pads: Vec<usize>,
    /// Spatial dimensions; `None` if all lists are the defaults.
    rank: Option<usize>,
    auto: Auto,
    ceil: bool,
}

/// One spatial dimension of a placed window, or the unit dimension in front of a one-dimensional one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    /// Input size.
    pub(crate) input: usize,
    /// Kernel size.
    pub(crate) kernel: usize,
    /// Step between outputs.
    pub(crate) stride: usize,
    /// Step between the kernel's elements.
    pub(crate) dilation: usize,
    /// Pad before and behind.
    pub(crate) before: usize,
    pub(crate) after: usize,
    /// Output size.
    pub(crate) output: usize,
}

/// A window placed on an image.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placed {
    pub(crate) rows: Span,
    pub(crate) columns: Span,
}

impl Window {
    /// Reads the attributes. The number of spatial dimensions is the caller's or the longest list's; if no list says it,
    /// every attribute has its default and the weights of a run say it.
    pub(crate) fn new(spec: &Spec<'_>, rank: Option<usize>) -> Result<Self, Fault> {
        let length = |name| Ok::<_, Fault>(spec.ints(name)?.map(<[i64]>::len));
        let lists = [
            length("kernel_shape")?,
            length("strides")?,
            length("dilations")?,
            length("pads")?.map(|l| l / 2),
        ];
        let rank = rank.or(lists.into_iter().flatten().next());
        if rank.is_some_and(|rank| !(1..=2).contains(&rank)) {
            return Err(Fault::because(format!(
                "{} spatial dimensions, 1 or 2 are supported",
                rank.unwrap_or(0)
            )));
        }
        let own = match (spec.ints("kernel_shape")?, rank) {
            (Some(_), Some(rank)) => Some(spec.sizes("kernel_shape", rank, 1)?),
            _ => None,
        };
        let window = Self {
            kernel: own,
            strides: spec.sizes("strides", rank.unwrap_or(2), 1)?,
            dilations: spec.sizes("dilations", rank.unwrap_or(2), 1)?,
            pads: spec.sizes("pads", 2 * rank.unwrap_or(2), 0)?,
            rank,
            auto: Auto::parse(spec.text("auto_pad")?.unwrap_or("NOTSET"))?,
            ceil: spec.flag("ceil_mode", false)?,
        };
        if window.strides.contains(&0) || window.dilations.contains(&0) {
            return Err(Fault::because("strides and dilations must be at least 1"));
        }
        Ok(window)
    }

    /// The kernel that the attributes state.
    pub(crate) fn kernel(&self) -> Option<&[usize]> {
        self.kernel.as_deref()
    }

    /// Places the window on an input of shape N, C and the spatial dimensions.
    pub(crate) fn place(&self, shape: &Shape, kernel: &[usize]) -> Result<Placed, Fault> {
        let rank = self.rank.unwrap_or(kernel.len());
        if shape.len() != rank + 2 || kernel.len() != rank {
            return Err(Fault::because(format!(
                "input 0 must have {} dimensions, it is {shape}",
                rank + 2
            )));
        }
        let spans: Vec<Span> = (0..rank)
            .map(|axis| self.span(axis, shape[axis + 2], kernel[axis]))
            .collect::<Result<_, _>>()?;
        let unit = Span {
            input: 1,
            kernel: 1,
            stride: 1,
            dilation: 1,
            before: 0,
            after: 0,
            output: 1,
        };
        match spans[..] {
            [columns] => Ok(Placed {
                rows: unit,
                columns,
            }),
            [rows, columns] => Ok(Placed { rows, columns }),
            _ => Err(Fault::because("1 or 2 spatial dimensions are supported")),
        }
    }

    /// One dimension; every size is below 2^47 and every attribute below 2^20, so that nothing overflows.
    fn span(&self, axis: usize, input: usize, kernel: usize) -> Result<Span, Fault> {
        let (stride, dilation) = (self.strides[axis], self.dilations[axis]);
        let too_small = || {
            Fault::because(format!(
                "a window of {kernel} does not fit a dimension of {input}"
            ))
        };
        let reach = kernel
            .checked_sub(1)
            .ok_or_else(too_small)?
            .checked_mul(dilation)
            .ok_or_else(too_small)?
            + 1;
        let (before, after) = match self.auto {
            Auto::Given => (self.pads[axis], self.pads[axis + self.pads.len() / 2]),
            Auto::Valid => (0, 0),
            Auto::SameUpper | Auto::SameLower => {
                let wanted = (input.div_ceil(stride).saturating_sub(1)) * stride + reach;
                let total = wanted.saturating_sub(input);
                let half = total / 2;
                if self.auto == Auto::SameUpper {
                    (half, total - half)
                } else {
                    (total - half, half)
                }
            }
        };
        let free = (input + before + after)
            .checked_sub(reach)
            .ok_or_else(too_small)?;
        let mut output = if self.ceil {
            free.div_ceil(stride)
        } else {
            free / stride
        } + 1;
        // With ceil_mode a last window that starts behind the input and its front pad does not count.
        if self.ceil && (output - 1) * stride >= input + before {
            output -= 1;
        }
        Ok(Span {
            input,
            kernel,
            stride,
            dilation,
            before,
            after,
            output,
        })
    }
}

impl Span {
    /// The outputs whose element `tap` of the window lies inside the input, as a range, and the first such input index.
    pub(crate) fn inside(&self, tap: usize) -> (usize, usize, usize) {
        let shift = tap * self.dilation;
        let first = self.before.saturating_sub(shift).div_ceil(self.stride);
        // Outputs o with o*stride + shift - before <= input - 1.
        let last = (self.input + self.before)
            .checked_sub(shift + 1)
            .map_or(0, |room| room / self.stride + 1);
        let last = last.min(self.output).max(first);
        (
            first,
            last,
            (first * self.stride + shift).saturating_sub(self.before),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(stride: usize, pads: [usize; 2], auto: Auto, ceil: bool) -> Window {
        Window {
            kernel: None,
            strides: vec![stride],
            dilations: vec![1],
            pads: pads.to_vec(),
            rank: Some(1),
            auto,
            ceil,
        }
    }

    #[test]
    fn output_sizes_follow_the_specification() {
        let output = |w: Window, input, kernel| w.span(0, input, kernel).map(|s| s.output).ok();
        assert_eq!(output(window(1, [1, 1], Auto::Given, false), 8, 3), Some(8));
        assert_eq!(output(window(2, [1, 1], Auto::Given, false), 8, 3), Some(4));
        assert_eq!(output(window(2, [0, 0], Auto::Given, true), 7, 2), Some(4));
        assert_eq!(output(window(2, [0, 0], Auto::Given, false), 7, 2), Some(3));
        assert_eq!(
            output(window(2, [0, 0], Auto::SameUpper, false), 7, 3),
            Some(4)
        );
        assert_eq!(output(window(1, [0, 0], Auto::Valid, false), 2, 3), None);
        assert_eq!(output(window(1, [0, 0], Auto::Given, false), 2, 0), None);
    }

    #[test]
    fn taps_stay_inside_the_input() {
        for (stride, pads, input, kernel) in [
            (1, [1, 1], 5, 3),
            (2, [2, 0], 6, 3),
            (3, [0, 2], 4, 4),
            (1, [4, 4], 1, 3),
        ] {
            let span = window(stride, pads, Auto::Given, false)
                .span(0, input, kernel)
                .unwrap();
            for tap in 0..kernel {
                let expected: Vec<usize> = (0..span.output)
                    .filter_map(|o| {
                        (o * stride + tap)
                            .checked_sub(pads[0])
                            .filter(|i| *i < input)
                    })
                    .collect();
                let (first, last, start) = span.inside(tap);
                let found: Vec<usize> = (first..last)
                    .map(|o| start + (o - first) * stride)
                    .collect();
                assert_eq!(found, expected, "{stride} {pads:?} {input} {kernel} {tap}");
            }
        }
    }
}
