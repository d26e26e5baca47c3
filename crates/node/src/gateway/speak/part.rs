//! What one node has said of an answer so far, and whether it holds.

use crate::{
    api::generate::{
        Answer, Began, Difference, Ended, GenerateRequest, StepEntry, Steps, append, commit_prompt,
        parameters_digest,
    },
    api::request::{nonce_of, rung_of},
};
use assay_receipt::{ChunkChain, Domain, NodeAddress, RevisionId, Role, SignedProgress};
use assay_route::stream::{Claim, Step};

/// A node's part: what it bound itself to, and every step that it gave.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) node: NodeAddress,
    pub(super) began: Began,
    chain: ChunkChain,
    pub(super) steps: Vec<StepEntry>,
    progress: Vec<SignedProgress>,
    pub(super) ended: Option<Box<Ended>>,
}

/// The question that every node is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) question: &'a GenerateRequest,
    pub(super) revision: RevisionId,
    pub(super) domain: &'a Domain,
}

/// A step as streams compare it: two nodes that agree agree on token, scores and text.
pub(super) fn step_of(token: u32, digest: &[u8; 32], text: &str) -> Step {
    let mut hasher = blake3::Hasher::new();
    hasher.update(digest).update(text.as_bytes());
    Step {
        token,
        scores: *hasher.finalize().as_bytes(),
    }
}

/// The claim of a node that found a difference.
pub(super) fn claim_of(difference: &Difference) -> Claim {
    match &difference.right {
        Some((token, digest, text)) => Claim::Step(step_of(*token, &digest.0, text)),
        None => Claim::End,
    }
}

impl Part {
    /// Checks what a node bound itself to.
    ///
    /// # Errors
    /// What is not as it was asked.
    pub(super) fn begin(node: NodeAddress, began: Began, asked: Asked<'_>) -> Result<Self, String> {
        let (request, question) = (&began.request, asked.question);
        let wrong = |problem: crate::problem::Problem| problem.to_string();
        for (is_same, what) in [
            (request.network == asked.domain.network(), "network"),
            (request.revision == asked.revision, "revision"),
            (request.seed == question.seed, "seed"),
            (
                Some(request.nonce) == nonce_of(question.nonce.as_deref()).map_err(wrong)?,
                "nonce",
            ),
            (
                request.rung == rung_of(question.rung.as_deref()).map_err(wrong)?,
                "rung",
            ),
            (request.payer.is_zero(), "payer"),
            (
                request.parameters == parameters_digest(&question.parameters).map_err(wrong)?,
                "parameters",
            ),
            (
                request.input == commit_prompt(&question.prompt, &began.input).map_err(wrong)?,
                "prompt",
            ),
        ] {
            if !is_same {
                return Err(format!("it bound itself to another {what}"));
            }
        }
        Ok(Self {
            node,
            chain: ChunkChain::new(request.id()),
            began,
            steps: Vec::new(),
            progress: Vec::new(),
            ended: None,
        })
    }

    /// Takes steps, whose signature and chain have to hold.
    ///
    /// # Errors
    /// What does not hold.
    pub(super) fn take(&mut self, steps: Steps, domain: &Domain) -> Result<(), String> {
        if steps.from != self.chain.count() {
            return Err(format!(
                "steps from {} after {}",
                steps.from,
                self.chain.count()
            ));
        }
        let pairs = steps.steps.iter().map(|step| (&step.token, &step.digest));
        append(&mut self.chain, pairs).map_err(|problem| problem.to_string())?;
        let signed = steps.progress;
        signed.verify(domain).map_err(|error| error.to_string())?;
        let said = signed.progress;
        let is_its_own = signed.node == self.node
            && said.request == self.began.request.id()
            && said.role == Role::Made
            && said.from == 0
            && said.to == self.chain.count()
            && said.head == self.chain.head();
        if !is_its_own {
            return Err("what it signed is not what it sent".into());
        }
        self.progress.push(signed);
        self.steps.extend(steps.steps);
        Ok(())
    }

    /// Takes the end: the receipt has to be of this very answer.
    ///
    /// # Errors
    /// What does not hold.
    pub(super) fn end(
        &mut self,
        ended: Box<Ended>,
        parts: &[SignedProgress],
        domain: &Domain,
    ) -> Result<(), String> {
        let receipt = &ended.receipt.receipt;
        let verified = ended
            .receipt
            .verify(domain)
            .map_err(|error| error.to_string())?;
        receipt
            .check_answers(&self.began.request)
            .map_err(|error| error.to_string())?;
        let (text, tokens) = (self.text(), self.tokens());
        let answer = Answer {
            finish: ended.finish,
            parts,
            text: &text,
            tokens: &tokens,
        };
        let output = answer
            .commit(&ended.output)
            .map_err(|problem| problem.to_string())?;
        for (is_same, what) in [
            (verified.id() == ended.receipt_id, "receipt id"),
            (verified.node() == self.node, "node"),
            (receipt.engine == self.began.engine, "engine"),
            (receipt.stream == self.chain.head(), "stream"),
            (receipt.output == output, "output"),
            (
                receipt.usage.output_units == self.chain.count(),
                "number of tokens",
            ),
            (
                receipt.usage.input_units == ended.usage.input_units,
                "usage",
            ),
            (
                receipt.usage.output_units == ended.usage.output_units,
                "usage",
            ),
            (receipt.price == ended.usage.price_microcredits, "price"),
        ] {
            if !is_same {
                return Err(format!("its receipt is of another {what}"));
            }
        }
        self.ended = Some(ended);
        Ok(())
    }

    /// What it signed last about no more than the first `most` steps.
    pub(super) fn statement(&self, most: usize) -> Option<SignedProgress> {
        let within = |signed: &&SignedProgress| signed.progress.to <= most as u64;
        self.progress.iter().rev().find(within).copied()
    }

    pub(super) fn text(&self) -> String {
        self.steps.iter().map(|step| step.text.as_str()).collect()
    }

    pub(super) fn tokens(&self) -> Vec<u32> {
        self.steps.iter().map(|step| step.token).collect()
    }

    /// The steps from `from` on, as streams compare them.
    pub(super) fn compared(&self, from: usize) -> Vec<Step> {
        let steps = self.steps.iter().skip(from);
        steps
            .map(|step| step_of(step.token, &step.digest.0, &step.text))
            .collect()
    }
}
