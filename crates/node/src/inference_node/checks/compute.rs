//! Computing an answer again, and what follows from it for a member of a committee and for a juror.

use super::material::Material;
use crate::{
    abi::Dispute,
    checks::{self, Finding, Verdict},
    inference_node::language::{Heard, Speaker, ear},
};
use alloy_primitives::{B256, keccak256};
use assay_inference::language::{Ask, Error as LanguageError, STEP_BYTES, Step, Then};
use assay_receipt::{ChunkChain, Commitment, Receipt};
use std::time::Duration;

/// Between two attempts to get a turn of a busy engine.
const BUSY_PAUSE: Duration = Duration::from_millis(200);

/// What an answer is by this node's own computing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// The steps up to the first with another token.
    steps: Vec<[u8; STEP_BYTES]>,
    /// A digest of the scores of each that is in no step.
    works: Vec<B256>,
    /// What follows.
    then: After,
}

/// What follows the steps whose tokens are right.
#[derive(Debug, Clone, PartialEq, Eq)]
enum After {
    /// Nothing was asked for.
    Unasked,
    /// Another token.
    Other([u8; STEP_BYTES], B256),
    /// The answer is over, or there is no answer to this.
    Nothing,
}

/// Computes an answer again; `None` if the engine stops.
pub async fn compute(speaker: &Speaker, material: &Material, receipt: &Receipt) -> Option<Own> {
    loop {
        match attempt(speaker, material, receipt).await {
            Ok(own) => return Some(own),
            Err(LanguageError::Busy { .. }) => tokio::time::sleep(BUSY_PAUSE).await,
            Err(error) => {
                tracing::warn!(%error, "an answer cannot be computed again");
                return None;
            }
        }
    }
}

async fn attempt(
    speaker: &Speaker,
    material: &Material,
    receipt: &Receipt,
) -> Result<Own, LanguageError> {
    let mut own = Own {
        steps: Vec::new(),
        works: Vec::new(),
        then: After::Nothing,
    };
    let model = &speaker.model;
    let Ok(prompt) = model.tokens(&material.prompt) else {
        return Ok(own);
    };
    let generation = model.generation(
        &material.prompt,
        &prompt,
        &material.parameters,
        receipt.seed,
        None,
    );
    let Ok(generation) = generation else {
        return Ok(own);
    };
    let (sink, mut heard) = ear();
    speaker.engine.submit(Ask {
        prompt,
        after: material.tokens.clone(),
        checked_from: 0,
        then: Then::Stop,
        generation: generation.with_work(),
        sink,
    })?;
    loop {
        match heard.recv().await {
            Some(Heard::Step(step)) => {
                own.steps.push(Step::bytes_of(step.token, &step.digest));
                own.works.push(B256::from(step.work.unwrap_or_default()));
            }
            Some(Heard::Ended(Ok(_))) => {
                own.then = After::Unasked;
                return Ok(own);
            }
            Some(Heard::Ended(Err(LanguageError::Differs {
                right,
                digest,
                work,
                ..
            }))) => {
                let work = B256::from(work.unwrap_or_default());
                own.then = After::Other(Step::bytes_of(right, &digest), work);
                return Ok(own);
            }
            Some(Heard::Ended(Err(
                LanguageError::Over { .. }
                | LanguageError::NoToken(_)
                | LanguageError::Text(_)
                | LanguageError::Context { .. },
            ))) => return Ok(own),
            Some(Heard::Ended(Err(error))) => return Err(error),
            None => return Err(LanguageError::Stopped),
        }
    }
}

impl Own {
    /// What a member says that computed this.
    pub fn verdict(&self, material: &Material, receipt: &Receipt) -> Verdict {
        let theirs = material.steps();
        let mut pairs = self.steps.iter().zip(&theirs);
        let other = pairs.position(|(own, their)| own != their);
        // Where nobody told the digests, the end of the chain tells whether all are the same, and a dispute finds which not.
        let is_same =
            self.head(receipt, self.steps.len() as u64) == Some(checks::head_word(receipt.stream));
        let at = match other {
            None if material.digests.is_empty() && self.then == After::Unasked => 0,
            other => other.unwrap_or(self.steps.len()),
        };
        match &self.then {
            After::Unasked if other.is_none() && is_same => {
                Verdict::Agree(self.work(self.steps.len()))
            }
            _ => {
                let step = self.step(at).unwrap_or_default();
                let mut chain = ChunkChain::new(receipt.request);
                let before = self
                    .steps
                    .iter()
                    .take(at)
                    .try_for_each(|step| chain.push(step));
                // An answer has no more steps than a chain may have.
                let pushed = before.and_then(|()| chain.push(&step));
                let head = pushed.map_or(Commitment::ZERO, |()| chain.head());
                Verdict::Differs(at as u64, B256::from(*head.as_bytes()))
            }
        }
    }

    /// What a juror says that computed this.
    pub fn finding(&self, dispute: &Dispute, receipt: &Receipt) -> Finding {
        let low = usize::try_from(dispute.low).unwrap_or(usize::MAX);
        let work = self.work(low.saturating_add(1));
        let Some(step) = self.step(low) else {
            return Finding::Neither(work);
        };
        let head = self.head(receipt, dispute.low);
        let is_agreed = head.is_some_and(|head| head == dispute.lowHead);
        let shown = keccak256(&step);
        match is_agreed {
            true if shown == dispute.nodeStep => Finding::Node(work),
            true if shown == dispute.challengerStep => Finding::Challenger(work),
            _ => Finding::Neither(work),
        }
    }

    /// The head after so many steps; `None` for more than were computed.
    pub fn head(&self, receipt: &Receipt, steps: u64) -> Option<B256> {
        let count = usize::try_from(steps).ok()?;
        let mut chain = ChunkChain::new(receipt.request);
        for step in self.steps.get(..count)? {
            chain.push(step).ok()?;
        }
        Some(B256::from(*chain.head().as_bytes()))
    }

    /// The step at a place, no bytes where the answer is over before; `None` where it was not computed.
    pub fn step(&self, at: usize) -> Option<Vec<u8>> {
        match self.steps.get(at) {
            Some(step) => Some(step.to_vec()),
            None if at > self.steps.len() => None,
            None => match &self.then {
                After::Unasked => None,
                After::Other(step, _) => Some(step.to_vec()),
                After::Nothing => Some(Vec::new()),
            },
        }
    }

    /// What only who computed the first so many steps knows.
    fn work(&self, count: usize) -> B256 {
        let mut bytes: Vec<u8> = self.works.iter().take(count).flatten().copied().collect();
        if let After::Other(_, work) = &self.then
            && count > self.works.len()
        {
            bytes.extend_from_slice(work.as_slice());
        }
        keccak256(bytes)
    }

    /// With another step than was computed, for drills: the middle one.
    pub fn falsified(mut self) -> Self {
        let middle = self.steps.len() / 2;
        if let Some(last) = self.steps.get_mut(middle).and_then(|step| step.last_mut()) {
            *last ^= 1;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        abi::{Ballot, Claim},
        inference_node::checks::material::{heads, tests::answered},
    };
    use alloy_primitives::Address;

    fn own(material: &Material, then: After) -> Own {
        let steps = material.steps();
        let works = (0..steps.len() as u64).map(|at| keccak256(at.to_be_bytes()));
        Own {
            works: works.collect(),
            steps,
            then,
        }
    }

    fn head_of(receipt: &Receipt, steps: &[Vec<u8>]) -> B256 {
        let mut chain = ChunkChain::new(receipt.request);
        steps.iter().for_each(|step| chain.push(step).unwrap());
        B256::from(*chain.head().as_bytes())
    }

    #[test]
    fn the_first_step_that_differs_is_named_with_the_head_after_it() {
        let (material, receipt) = answered(9);
        let honest = own(&material, After::Unasked);
        let Verdict::Agree(work) = honest.verdict(&material, &receipt) else {
            panic!("the same steps differ")
        };
        let mut lazy = honest.clone();
        lazy.works[3] = B256::ZERO;
        assert_ne!(lazy.verdict(&material, &receipt), Verdict::Agree(work));
        for at in [0, 4, 8] {
            let mut other = honest.clone();
            other.steps[at][20] ^= 1;
            let steps: Vec<Vec<u8>> = other.steps[..=at]
                .iter()
                .map(|step| step.to_vec())
                .collect();
            let expected = Verdict::Differs(at as u64, head_of(&receipt, &steps));
            assert_eq!(other.verdict(&material, &receipt), expected);
        }
    }

    #[test]
    fn another_token_and_an_early_end_differ_where_they_stand() {
        let (material, receipt) = answered(9);
        for (then, last) in [
            (
                After::Other([7; STEP_BYTES], B256::ZERO),
                vec![7; STEP_BYTES],
            ),
            (After::Nothing, Vec::new()),
        ] {
            let mut short = own(&material, then);
            short.steps.truncate(5);
            short.works.truncate(5);
            let mut steps: Vec<Vec<u8>> = short.steps.iter().map(|step| step.to_vec()).collect();
            steps.push(last.clone());
            let expected = Verdict::Differs(5, head_of(&receipt, &steps));
            assert_eq!(short.verdict(&material, &receipt), expected);
            assert_eq!(short.step(5), Some(last));
            assert_eq!(short.step(6), None);
        }
    }

    #[test]
    fn without_told_digests_the_end_of_the_chain_decides() {
        let (material, receipt) = answered(9);
        let honest = own(&material, After::Unasked);
        let opened = Material {
            digests: Vec::new(),
            ..material
        };
        assert!(matches!(
            honest.verdict(&opened, &receipt),
            Verdict::Agree(_)
        ));
        let mut other = honest;
        other.steps[6][20] ^= 1;
        let first = head_of(&receipt, &[other.steps[0].to_vec()]);
        assert_eq!(other.verdict(&opened, &receipt), Verdict::Differs(0, first));
    }

    #[test]
    fn a_juror_finds_whose_step_it_is() {
        let (material, receipt) = answered(9);
        let honest = own(&material, After::Unasked);
        let low_head = B256::from(*heads(&receipt, &material.steps())[4].as_bytes());
        let (right, wrong) = (keccak256(honest.steps[4]), keccak256([1; STEP_BYTES]));
        let dispute = |low_head, node, challenger| Dispute {
            phase: 6,
            outcome: 0,
            juries: 1,
            low: 4,
            high: 5,
            deadline: 0,
            drawnBy: 0,
            lowHead: low_head,
            highHead: B256::ZERO,
            middleHead: B256::ZERO,
            nodeStep: node,
            challengerStep: challenger,
            claim: Claim {
                node: Address::ZERO,
                challenger: Address::ZERO,
                revision: B256::ZERO,
                start: B256::ZERO,
                end: B256::ZERO,
                steps: 9,
                index: 4,
                head: B256::ZERO,
                cutoff: 0,
            },
            ballot: Ballot {
                deadline: 0,
                revealing: false,
                committed: 0,
                revealed: 0,
                number: 1,
                seats: Vec::new(),
            },
        };
        let finding = |low_head, node, challenger| {
            honest.finding(&dispute(low_head, node, challenger), &receipt)
        };
        assert!(matches!(finding(low_head, right, wrong), Finding::Node(_)));
        assert!(matches!(
            finding(low_head, wrong, right),
            Finding::Challenger(_)
        ));
        assert!(matches!(
            finding(low_head, wrong, wrong),
            Finding::Neither(_)
        ));
        assert!(matches!(
            finding(B256::ZERO, right, wrong),
            Finding::Neither(_)
        ));
        let falsified = honest.clone().falsified();
        let found = falsified.finding(&dispute(low_head, right, wrong), &receipt);
        assert!(
            matches!(found, Finding::Neither(_)),
            "its own middle step is another"
        );
        assert!(matches!(
            falsified.verdict(&material, &receipt),
            Verdict::Differs(4, _)
        ));
    }
}
