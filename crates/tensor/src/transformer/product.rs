//! Products cut among workers, whose pieces are put together where a whole row is needed.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::rows::gated;
use super::{Alone, Bytes, How, Kernel, Matrix, Workers};

/// Outputs that one worker computes at a time are a multiple of these: whole panels, whatever registers take of them.
const OUTPUTS: usize = 64;
/// Pieces of a product for each worker, so that one that is held up does not hold up all.
const PIECES: usize = 2;
/// Rows below which what happens between products takes less time than to have it done by others.
const ROWS: usize = 8;

/// Numbers for each row and output, a piece of outputs after the other: `[piece][row][output of the piece]`.
#[derive(Debug)]
pub(super) struct Product {
    rows: usize,
    outputs: usize,
    of_piece: usize,
    numbers: Vec<f32>,
}

impl Product {
    fn empty(rows: usize, outputs: usize, workers: &dyn Workers) -> Self {
        let pieces = match workers.at_once() {
            0 | 1 => 1,
            many => many.saturating_mul(PIECES),
        };
        Self {
            rows,
            outputs,
            of_piece: outputs.div_ceil(pieces).next_multiple_of(OUTPUTS),
            numbers: vec![0.0; rows * outputs],
        }
    }

    /// The pieces, to be computed.
    fn pieces_mut(&mut self) -> impl Iterator<Item = (Range<usize>, &mut [f32])> {
        let (of_piece, outputs) = (self.of_piece, self.outputs);
        let starts = (0..outputs).step_by(of_piece);
        let pieces = starts.map(move |start| start..(start + of_piece).min(outputs));
        pieces.zip(self.numbers.chunks_mut((of_piece * self.rows).max(1)))
    }

    /// A row's numbers of each piece, and where they belong.
    fn pieces(&self, row: usize) -> impl Iterator<Item = (usize, &[f32])> {
        let starts = (0..self.outputs).step_by(self.of_piece);
        let pieces = self.numbers.chunks(self.of_piece * self.rows);
        starts.zip(pieces).map(move |(start, piece)| {
            let outputs = piece.len() / self.rows;
            (start, &piece[row * outputs..][..outputs])
        })
    }

    /// Writes a row's numbers.
    pub(super) fn copy_row(&self, row: usize, into: &mut [f32]) {
        for (start, piece) in self.pieces(row) {
            into[start..][..piece.len()].copy_from_slice(piece);
        }
    }

    /// Adds a row's numbers.
    pub(super) fn add_row(&self, row: usize, into: &mut [f32]) {
        for (start, piece) in self.pieces(row) {
            add(&mut into[start..][..piece.len()], piece);
        }
    }

    /// The rows as bytes.
    pub(super) fn quantised(&self, how: How<'_>) -> Bytes {
        let workers = for_rows(how, self.rows);
        Bytes::made(self.rows, self.outputs, workers, &|row, into| {
            self.copy_row(row, into);
        })
    }

    /// The rows, cut into vectors of so many rows each.
    pub(super) fn into_rows(self, counts: &[usize], how: How<'_>) -> Vec<Vec<f32>> {
        if self.rows == 1 {
            let mut numbers = Some(self.numbers);
            let of = |count: &usize| if *count == 1 { numbers.take() } else { None };
            return counts
                .iter()
                .map(of)
                .map(Option::unwrap_or_default)
                .collect();
        }
        let empty = |count: &usize| vec![0.0; count * self.outputs];
        let mut found: Vec<Vec<f32>> = counts.iter().map(empty).collect();
        let rows = found
            .iter_mut()
            .flat_map(|run| run.chunks_exact_mut(self.outputs));
        let rows: Vec<_> = rows.map(Mutex::new).collect();
        for_rows(how, rows.len()).each(rows.len(), &|row| {
            self.copy_row(row, &mut locked(&rows[row]));
        });
        drop(rows);
        found
    }
}

/// Who works on so many rows, one by one.
pub(super) fn for_rows(how: How<'_>, rows: usize) -> &dyn Workers {
    if rows < ROWS { &Alone } else { how.workers }
}

pub(super) fn add(state: &mut [f32], more: &[f32]) {
    for (value, more) in state.iter_mut().zip(more) {
        *value += more;
    }
}

pub(super) fn locked<T>(part: &Mutex<T>) -> MutexGuard<'_, T> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A matrix, and what is added to its outputs: a number for each, or nothing.
pub(super) type Times<'a> = (&'a Matrix, &'a [f32]);

/// Some outputs of a product: `[row][output]`.
fn piece(of: Times<'_>, outputs: Range<usize>, by: &Bytes, kernel: Kernel, into: &mut [f32]) {
    let (matrix, bias) = of;
    matrix.products(outputs.clone(), by, kernel, into);
    if let Some(bias) = bias.get(outputs)
        && !bias.is_empty()
    {
        into.chunks_exact_mut(bias.len())
            .for_each(|row| add(row, bias));
    }
}

/// The products of several matrices with the same activations.
pub(super) fn products<const N: usize>(
    of: [Times<'_>; N],
    by: &Bytes,
    how: How<'_>,
) -> [Product; N] {
    let rows = by.rows();
    let mut found = of.map(|(matrix, _)| Product::empty(rows, matrix.rows(), how.workers));
    let pieces = found.iter_mut().zip(of).flat_map(|(product, times)| {
        let pieces = product.pieces_mut();
        pieces.map(move |(outputs, into)| (times, outputs, Mutex::new(into)))
    });
    let pieces: Vec<_> = pieces.collect();
    how.workers.each(pieces.len(), &|at| {
        let (times, outputs, into) = &pieces[at];
        piece(*times, outputs.clone(), by, how.kernel, &mut locked(into));
    });
    drop(pieces);
    found
}

/// What a gate lets through of another product.
pub(super) fn through([gate, up]: [Times<'_>; 2], by: &Bytes, how: How<'_>) -> Product {
    let mut found = Product::empty(by.rows(), gate.0.rows(), how.workers);
    let pieces = found.pieces_mut();
    let pieces: Vec<_> = pieces
        .map(|(outputs, into)| (outputs, Mutex::new(into)))
        .collect();
    how.workers.each(pieces.len(), &|at| {
        let (outputs, into) = &pieces[at];
        let mut into = locked(into);
        let mut other = vec![0.0; into.len()];
        piece(gate, outputs.clone(), by, how.kernel, &mut into);
        piece(up, outputs.clone(), by, how.kernel, &mut other);
        gated(&mut into, &other);
    });
    drop(pieces);
    found
}
