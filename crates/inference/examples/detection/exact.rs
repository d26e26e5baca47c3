//! Honest answers and each cheat, checked again by the exact engine.

use std::sync::Arc;

use assay_inference::language::Engine;
use assay_tensor::transformer::Kernel;

use super::answers::{Answer, Found, Question, Subject, Turn, engine};
use super::floats::FloatModel;

/// Questions that are asked together.
const BATCH: usize = 500;
/// Sequences, tokens of prompts in a pass, and threads, of whoever makes and whoever checks.
const SHAPES: [[(usize, usize, usize); 2]; 3] = [
    [(16, 128, 2), (5, 48, 1)],
    [(7, 300, 1), (16, 128, 2)],
    [(32, 64, 2), (11, 500, 2)],
];

/// How many of what.
pub struct Scale {
    pub honest: usize,
    /// Of each cheat.
    pub cheats: usize,
    /// Honest answers whose scores are computed by each kernel.
    pub kernels: usize,
}

/// What was found of answers of one sort.
#[derive(Debug)]
pub struct Row {
    pub sort: &'static str,
    /// Whether the maker's scores cannot be those of the model by which it is checked.
    pub by_digest: bool,
    pub answers: usize,
    /// Answers whose tokens are not those of the honest answer.
    pub other: usize,
    pub found: Vec<Found>,
}

impl Row {
    pub fn by_tokens(&self) -> usize {
        self.found
            .iter()
            .filter(|found| found.tokens.is_some())
            .count()
    }

    pub fn by_steps(&self) -> usize {
        self.found
            .iter()
            .filter(|found| found.steps.is_some())
            .count()
    }
}

/// Honest answers; the last number is of those whose digests a kernel gave otherwise.
pub fn honest(subject: &Subject, turns: &[Turn], scale: &Scale) -> (Row, usize) {
    let questions = questions(turns, scale.honest);
    let mut found = Vec::new();
    let mut apart = 0;
    for (at, questions) in questions.chunks(BATCH).enumerate() {
        let [maker, checker] = SHAPES[at % SHAPES.len()].map(|(sequences, tokens, threads)| {
            engine(subject.model.weights(), sequences, tokens, threads)
        });
        let answers = subject.made(&maker, questions);
        found.extend(subject.checked(&checker, questions, &answers));
        let first = scale.kernels.saturating_sub(at * BATCH).min(answers.len());
        for (question, answer) in questions.iter().zip(&answers).take(first) {
            let differs =
                |kernel| subject.along(question, &answer.tokens, kernel) != answer.digests;
            apart += usize::from(
                [Kernel::Scalar, Kernel::Portable, Kernel::Widest]
                    .map(differs)
                    .contains(&true),
            );
        }
    }
    let row = Row {
        sort: "honest",
        by_digest: false,
        answers: questions.len(),
        other: 0,
        found,
    };
    (row, apart)
}

/// Every cheat in turn.
pub fn cheats(subject: &Subject, turns: &[Turn], scale: &Scale) -> Vec<Row> {
    let right = subject.model.weights();
    let floats = FloatModel::read(&subject.directory, *right.dimensions());
    assert_eq!(
        floats.exact(),
        *right,
        "the weights that cheats are made of"
    );
    let questions = questions(turns, scale.cheats);
    let own = engine(right.clone(), 16, 128, 2);
    let case = Case {
        subject,
        turns,
        honest: subject.made(&own, &questions),
        checker: engine(right, 16, 128, 2),
        questions,
    };
    let mut rows = Vec::new();
    for (sort, model) in [
        ("a smaller model: 3 of 4 layers", floats.smaller(2)),
        ("weights of 7 bits", floats.coarse(7)),
        ("weights of 6 bits", floats.coarse(6)),
        ("weights of 4 bits", floats.coarse(4)),
    ] {
        let other = engine(Arc::new(model.exact()), 16, 128, 2);
        rows.push(case.row(sort, true, subject.made(&other, &case.questions)));
    }
    rows.extend(case.other_prompts(&own));
    rows.extend(case.other_choices(&own));
    rows.extend(case.no_answers());
    rows
}

struct Case<'a> {
    subject: &'a Subject,
    turns: &'a [Turn],
    questions: Vec<Question>,
    /// What the honest answer would be.
    honest: Vec<Answer>,
    checker: Engine,
}

impl Case<'_> {
    fn row(&self, sort: &'static str, by_digest: bool, answers: Vec<Answer>) -> Row {
        let pairs = answers.iter().zip(&self.honest);
        Row {
            sort,
            by_digest,
            answers: answers.len(),
            other: pairs
                .filter(|(answer, honest)| answer.tokens != honest.tokens)
                .count(),
            found: self
                .subject
                .checked(&self.checker, &self.questions, &answers),
        }
    }

    /// Answers to other questions, claimed for these.
    fn asked(
        &self,
        sort: &'static str,
        by_digest: bool,
        own: &Engine,
        change: &dyn Fn(usize, &mut Question),
    ) -> Row {
        let mut questions = self.questions.clone();
        questions
            .iter_mut()
            .enumerate()
            .for_each(|(at, question)| change(at, question));
        self.row(sort, by_digest, self.subject.made(own, &questions))
    }

    fn other_prompts(&self, own: &Engine) -> Vec<Row> {
        let turn = |at: usize| &self.turns[at % self.turns.len()];
        let system = |at: usize, question: &mut Question| {
            question.prompt = self.subject.under_another_system(turn(at));
        };
        let cut = |_: usize, question: &mut Question| {
            question.prompt.drain(..question.prompt.len() / 2);
        };
        let first = |_: usize, question: &mut Question| {
            question.prompt.remove(0);
        };
        vec![
            self.asked("another system prompt", true, own, &system),
            self.asked(
                "truncated context: the older half is not read",
                true,
                own,
                &cut,
            ),
            self.asked(
                "truncated context: the first token is not read",
                true,
                own,
                &first,
            ),
        ]
    }

    fn other_choices(&self, own: &Engine) -> Vec<Row> {
        let seed = |_: usize, question: &mut Question| question.seed ^= 1 << 40;
        let cooler = |_: usize, question: &mut Question| question.temperature *= 0.7;
        let greedy = |_: usize, question: &mut Question| question.temperature = 0.0;
        vec![
            self.asked(
                "another seed, or an earlier answer to the same question",
                false,
                own,
                &seed,
            ),
            self.asked(
                "a temperature of 0.7 times that asked for",
                false,
                own,
                &cooler,
            ),
            self.asked("the likeliest token always", false, own, &greedy),
        ]
    }

    fn no_answers(&self) -> Vec<Row> {
        let turn = |at: usize| &self.turns[(at + 1) % self.turns.len()];
        let said = |at: usize| Answer::invented(&turn(at).said, at as u64);
        let invented: Vec<_> = (0..self.questions.len()).map(said).collect();
        let mut cached = self.honest.clone();
        cached.rotate_left(1);
        let along = self
            .questions
            .iter()
            .zip(&invented)
            .map(|(question, answer)| Answer {
                tokens: answer.tokens.clone(),
                digests: self.subject.along(question, &answer.tokens, Kernel::Widest),
            });
        let along = along.collect();
        vec![
            self.row("a stored answer to another question", true, cached),
            self.row("an invented answer, invented digests", true, invented),
            self.row(
                "an invented answer, digests by the right model along it",
                false,
                along,
            ),
        ]
    }
}

/// Questions over all turns in order, and again with other seeds and temperatures; the temperatures are ones at which seeds matter.
fn questions(turns: &[Turn], count: usize) -> Vec<Question> {
    let question = |at: usize| Question {
        prompt: turns[at % turns.len()].prompt.clone(),
        temperature: [1.0, 0.7, 1.5, 1.2][(at + at / turns.len()) % 4],
        seed: at as u64,
    };
    (0..count).map(question).collect()
}
