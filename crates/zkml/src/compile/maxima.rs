//! Maxima by tournament: `max(a, b) = b + ramp(a - b)`, one step for all pairs of a round.

use assay_tensor::quant::ValueId;
use assay_zkml_verify::circuit;

use super::terms::flat;
use super::{Compiler, Form, FormPart, Outcome};

impl Compiler<'_> {
    /// The maximum over the last axis, of `elements` results.
    pub(super) fn maximum(&mut self, x: ValueId, elements: usize) -> Outcome<Form> {
        let range = self.at(x)?.0.range;
        let form = self.form(x)?;
        let each = form.len() / elements.max(1);
        let spread = range.most.max(0) - range.least.min(0);
        let ramp = ramp(spread)?;
        let mut players: Vec<Form> = (0..each).map(|i| form.every(each, i)).collect();
        while players.len() > 1 {
            let odd = (players.len() % 2 == 1).then(|| players.pop()).flatten();
            let pairs: Vec<(Form, Form)> = pairs(players);
            let differences = pairs
                .iter()
                .map(|(a, b)| a.clone().plus(b.clone().scaled(-1)));
            let (accumulator, place) =
                flat(&Form::joined(differences.collect()), self.column_logs())?;
            let ramped = self.step(accumulator, 0, ramp.clone(), &place)?;
            let winners = pairs.into_iter().enumerate();
            players = winners
                .map(|(i, (_, b))| b.plus(ramped.run(i * elements, elements)))
                .collect();
            players.extend(odd);
        }
        players
            .pop()
            .ok_or_else(|| "it is a maximum of nothing".into())
    }
}

/// `max(0, d)` for differences of values that span `spread`.
fn ramp(spread: i64) -> Outcome<circuit::Table> {
    let most = i16::try_from(spread).map_err(|_| "its argument's range exceeds 15 bits")?;
    Ok(circuit::Table {
        first: -i32::from(most),
        values: (-most..=most).map(|d| d.max(0)).collect(),
    })
}

fn pairs(players: Vec<Form>) -> Vec<(Form, Form)> {
    let mut pairs = Vec::with_capacity(players.len() / 2);
    let mut players = players.into_iter();
    while let (Some(a), Some(b)) = (players.next(), players.next()) {
        pairs.push((a, b));
    }
    pairs
}

impl Form {
    /// Every `step`-th element, from the `first` on.
    fn every(&self, step: usize, first: usize) -> Self {
        self.select(|map| map.iter().skip(first).step_by(step).copied().collect())
    }

    /// A run of elements.
    fn run(&self, begin: usize, len: usize) -> Self {
        self.select(|map| map[begin..begin + len].to_vec())
    }

    fn select(&self, choose: impl Fn(&[u32]) -> Vec<u32>) -> Self {
        let parts = self.parts.iter().map(|part| FormPart {
            map: choose(&part.map),
            ..*part
        });
        Self {
            parts: parts.collect(),
        }
        .merged()
    }
}
