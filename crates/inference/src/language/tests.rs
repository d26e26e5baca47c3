//! The engine on a tiny model of random weights: the same answers whatever is computed beside them.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use assay_receipt::{ChunkChain, RequestId};
use assay_tensor::transformer::{Dimensions, Layer, Linear, Matrix, Model, Weights};
use proptest::prelude::*;

use super::generation::Rules;
use super::text::{Decoder, Stops, Tokenizer};
use super::{
    Ask, Engine, EngineLimits, Error, Finish, Generation, Sampling, Sink, Step, Then, Usage,
};

const VOCABULARY: usize = 64;
const CONTEXT: usize = 200;
const END: u32 = 63;

/// A model of two layers whose weights come from a fixed sequence.
pub(super) fn tiny_model() -> Model {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut numbers = |count: usize| -> Vec<f32> {
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    };
    let (width, gated, heads, shared, head) = (32, 48, 4, 2, 8);
    let mut linear = |rows: usize, inner: usize| Linear {
        matrix: Matrix::quantised(&numbers(rows * inner), rows, inner).unwrap(),
        bias: Vec::new(),
    };
    let layers = (0..2).map(|_| Layer {
        attention_norm: vec![1.0; width],
        query: linear(heads * head, width),
        keys: linear(shared * head, width),
        values: linear(shared * head, width),
        merge: linear(width, heads * head),
        gate_norm: vec![1.0; width],
        gate: linear(gated, width),
        up: linear(gated, width),
        down: linear(width, gated),
    });
    let layers = layers.collect();
    let weights = Weights {
        embeddings: linear(VOCABULARY, width).matrix,
        layers,
        norm: vec![0.3; width],
        head: None,
    };
    let sizes = Dimensions {
        vocabulary: VOCABULARY,
        width,
        heads,
        shared,
        head,
        gated,
        epsilon: 1e-5,
        context: CONTEXT,
        theta: 10_000.0,
    };
    Model::new(sizes, weights).unwrap()
}

/// A vocabulary of 63 letters and an end.
fn tokenizer() -> Arc<Tokenizer> {
    let letters = ('0'..='9').chain('a'..='z').chain('A'..='Z').chain(['.']);
    let vocabulary: serde_json::Map<String, serde_json::Value> = letters
        .enumerate()
        .map(|(token, letter)| (letter.to_string(), token.into()))
        .collect();
    let json = serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "added_tokens": [{"id": END, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true}],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false},
        "post_processor": null,
        "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": vocabulary, "merges": []},
    });
    Arc::new(Tokenizer::from_json(json.to_string().as_bytes()).unwrap())
}

/// What is asked, as a test writes it.
#[derive(Debug, Clone)]
struct Asked {
    prompt: Vec<u32>,
    seed: u64,
    limit: usize,
    temperature: f64,
}

impl Asked {
    fn generation(&self, tokenizer: &Arc<Tokenizer>) -> Generation {
        let rules = Rules {
            sampling: Sampling {
                temperature: self.temperature,
                ..Sampling::default()
            },
            seed: self.seed,
            limit: self.limit,
            ends: [END].into(),
            likely: Some(2),
        };
        let text = (Decoder::new(tokenizer.clone()), Stops::new(&[]).unwrap());
        Generation::new(rules, &self.prompt, None, text)
    }
}

#[derive(Debug)]
enum Heard {
    Step(Step),
    Ended(Result<Usage, Error>),
}

struct Ear(Sender<Heard>);

impl Sink for Ear {
    fn step(&mut self, step: Step) -> bool {
        self.0.send(Heard::Step(step)).is_ok()
    }

    fn ended(&mut self, end: Result<Usage, Error>) {
        let _ = self.0.send(Heard::Ended(end));
    }

    fn is_gone(&self) -> bool {
        false
    }
}

struct Bench {
    engine: Engine,
    tokenizer: Arc<Tokenizer>,
}

type Answer = (Vec<Step>, Result<Usage, Error>);

impl Bench {
    fn new(limits: EngineLimits) -> Self {
        let engine = Engine::start(Arc::new(tiny_model()), limits, Box::new(|| 0)).unwrap();
        Self {
            engine,
            tokenizer: tokenizer(),
        }
    }

    fn submit(
        &self,
        asked: &Asked,
        after: &[u32],
        from: usize,
        then: Then,
    ) -> Result<Receiver<Heard>, Error> {
        let (sender, receiver) = channel();
        self.engine.submit(Ask {
            prompt: asked.prompt.clone(),
            after: after.to_vec(),
            checked_from: from,
            then,
            generation: asked.generation(&self.tokenizer),
            sink: Box::new(Ear(sender)),
        })?;
        Ok(receiver)
    }

    fn answer(&self, asked: &Asked) -> Answer {
        heard(self.submit(asked, &[], 0, Then::GoOn).unwrap())
    }
}

fn heard(receiver: Receiver<Heard>) -> Answer {
    let mut steps = Vec::new();
    loop {
        match receiver.recv().unwrap() {
            Heard::Step(step) => steps.push(step),
            Heard::Ended(end) => return (steps, end),
        }
    }
}

fn one_thread() -> EngineLimits {
    EngineLimits {
        threads: 1,
        ..EngineLimits::default()
    }
}

fn tokens(steps: &[Step]) -> Vec<u32> {
    steps.iter().map(|step| step.token).collect()
}

fn asked() -> impl Strategy<Value = Asked> {
    let prompt = prop::collection::vec(0..END, 1..40);
    let temperature = prop_oneof![Just(0.0), Just(0.7), Just(1.0)];
    (prompt, any::<u64>(), 1usize..40, temperature).prop_map(
        |(prompt, seed, limit, temperature)| Asked {
            prompt,
            seed,
            limit,
            temperature,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn an_answer_is_the_same_whatever_is_beside_it(
        all in prop::collection::vec(asked(), 1..8), sequences in 1usize..6, prompt_tokens in 1usize..50,
        threads in 1usize..4, tokens in 60usize..2_000,
    ) {
        let alone = Bench::new(one_thread());
        let expected: Vec<Answer> = all.iter().map(|asked| alone.answer(asked)).collect();
        let limits = EngineLimits { sequences, prompt_tokens, threads, tokens, waiting: 64 };
        let together = Bench::new(limits);
        // Twice: the second time prompts are there already.
        for _ in 0..2 {
            let receivers: Vec<_> =
                all.iter().map(|asked| together.submit(asked, &[], 0, Then::GoOn).unwrap()).collect();
            for (receiver, (steps, end)) in receivers.into_iter().zip(&expected) {
                let found = heard(receiver);
                prop_assert_eq!(&found.0, steps);
                prop_assert_eq!(found.1.unwrap().answer, end.as_ref().unwrap().answer);
            }
        }
    }

    #[test]
    fn an_answer_goes_on_from_any_of_its_tokens(asked in asked(), cut in 0usize..40, from in 0usize..40) {
        let bench = Bench::new(one_thread());
        let (steps, _) = bench.answer(&asked);
        let cut = cut.min(steps.len() - 1);
        let from = from.min(cut);
        let given = tokens(&steps[..cut]);
        let (rest, end) = heard(bench.submit(&asked, &given, from, Then::GoOn).unwrap());
        // Steps that are checked are given out with their digests; their text is that of the undisturbed answer.
        prop_assert_eq!(&rest, &steps[from..]);
        prop_assert_eq!(end.unwrap().answer, steps.len());
        let (checked, end) = heard(bench.submit(&asked, &given, from, Then::Stop).unwrap());
        prop_assert_eq!(&checked, &steps[from..cut]);
        prop_assert!(end.is_ok());
    }

    #[test]
    fn a_wrong_token_is_found_where_it_stands(asked in asked(), at in 0usize..40, other in 0..END) {
        let bench = Bench::new(one_thread());
        let (steps, _) = bench.answer(&asked);
        let at = at.min(steps.len() - 1);
        let mut given = tokens(&steps);
        prop_assume!(given[at] != other);
        given[at] = other;
        for then in [Then::GoOn, Then::Stop, Then::BeOver] {
            let (right, end) = heard(bench.submit(&asked, &given, 0, then).unwrap());
            prop_assert_eq!(&right, &steps[..at]);
            let Err(Error::Differs { at: found, given, right, digest, text, .. }) = end else {
                return Err(TestCaseError::fail(format!("{end:?}")));
            };
            prop_assert_eq!((found, given, right), (at, other, steps[at].token));
            prop_assert_eq!((digest, &text), (steps[at].digest, &steps[at].text));
        }
    }
}

fn sample() -> Asked {
    Asked {
        prompt: (0..30).collect(),
        seed: 9,
        limit: 25,
        temperature: 1.0,
    }
}

#[test]
fn whether_an_answer_is_over_is_checked_too() {
    let bench = Bench::new(one_thread());
    let (steps, _) = bench.answer(&sample());
    assert_eq!(steps.last().unwrap().finish, Some(Finish::Length));
    let given = tokens(&steps);
    let over = heard(bench.submit(&sample(), &given, 0, Then::BeOver).unwrap());
    assert_eq!(over.0, steps);
    assert!(over.1.is_ok());
    // Whoever has seen all tokens already asks for nothing else.
    for then in [Then::GoOn, Then::Stop, Then::BeOver] {
        let (none, end) = heard(bench.submit(&sample(), &given, given.len(), then).unwrap());
        assert!(none.is_empty());
        assert_eq!(end.map(|usage| usage.answer), Ok(given.len()));
    }
    let (_, early) = heard(
        bench
            .submit(&sample(), &given[..10], 3, Then::BeOver)
            .unwrap(),
    );
    let next = &steps[10];
    let expected = Error::GoesOn {
        at: 10,
        right: next.token,
        digest: next.digest,
        text: next.text.clone(),
    };
    assert_eq!(early, Err(expected));
    let longer: Vec<u32> = given.iter().copied().chain([1]).collect();
    for then in [Then::GoOn, Then::Stop, Then::BeOver] {
        let (_, end) = heard(bench.submit(&sample(), &longer, 0, then).unwrap());
        assert_eq!(end, Err(Error::Over { at: 25, given: 26 }));
    }
    // A check of nothing reads the prompt.
    let (none, end) = heard(bench.submit(&sample(), &[], 0, Then::Stop).unwrap());
    assert!(none.is_empty() && end.is_ok());
}

#[test]
fn what_was_computed_before_is_not_computed_again() {
    let bench = Bench::new(one_thread());
    let first = bench.answer(&sample());
    assert_eq!(first.1.as_ref().unwrap().cached, 0);
    let again = bench.answer(&sample());
    assert_eq!(again.0, first.0);
    assert_eq!(
        again.1.unwrap().cached,
        16,
        "whole pages of the prompt but its last token"
    );
    assert!(bench.engine.load().reused >= 16);
}

#[test]
fn too_many_questions_are_refused_and_no_place_is_lost() {
    let limits = EngineLimits {
        sequences: 1,
        waiting: 2,
        threads: 1,
        ..EngineLimits::default()
    };
    let bench = Bench::new(limits);
    let long = Asked {
        limit: 150,
        ..sample()
    };
    let mut taken = Vec::new();
    let mut refused = 0;
    for _ in 0..20 {
        match bench.submit(&long, &[], 0, Then::GoOn) {
            Ok(receiver) => taken.push(receiver),
            Err(error) => {
                assert_eq!(error, Error::Busy { waiting: 2 });
                refused += 1;
            }
        }
    }
    assert!(refused > 0 && taken.len() >= 2, "{refused} of 20");
    for receiver in taken {
        assert!(heard(receiver).1.is_ok());
    }
    assert_eq!(bench.engine.load().waiting, 0);
    assert!(bench.answer(&sample()).1.is_ok());
}

#[test]
fn whoever_listens_no_more_frees_the_place() {
    let limits = EngineLimits {
        sequences: 1,
        threads: 1,
        ..EngineLimits::default()
    };
    let bench = Bench::new(limits);
    let long = Asked {
        limit: 160,
        ..sample()
    };
    drop(bench.submit(&long, &[], 0, Then::GoOn).unwrap());
    let computed = bench.answer(&sample()).1.unwrap();
    assert_eq!(computed.answer, 25);
    assert!(
        bench.engine.load().computed < 120,
        "{:?}",
        bench.engine.load()
    );
}

#[test]
fn an_engine_that_stops_says_so() {
    let bench = Bench::new(one_thread());
    let long = Asked {
        limit: 160,
        ..sample()
    };
    let receivers: Vec<_> = (0..30)
        .map(|_| bench.submit(&long, &[], 0, Then::GoOn).unwrap())
        .collect();
    drop(bench.engine);
    let stopped = receivers.into_iter().map(heard);
    let ends: Vec<_> = stopped.map(|(_, end)| end).collect();
    assert!(ends.contains(&Err(Error::Stopped)));
}

#[test]
fn a_stream_commits_to_every_bit_of_the_scores() {
    let bench = Bench::new(one_thread());
    let (steps, _) = bench.answer(&sample());
    let head = |steps: &[Step]| {
        let mut chain = ChunkChain::new(RequestId::from_bytes([1; 32]));
        steps
            .iter()
            .for_each(|step| step.append(&mut chain).unwrap());
        chain.head()
    };
    let mut other = steps.clone();
    other[3].digest[31] ^= 1;
    assert_ne!(head(&steps), head(&other));
    other = steps.clone();
    other[3].token ^= 1;
    assert_ne!(head(&steps), head(&other));
    let text: String = steps.iter().map(|step| step.text.as_str()).collect();
    assert_eq!(text.chars().count(), steps.len());
}
