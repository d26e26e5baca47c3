//! How fast the language engine is: a program that measures what it is told on its standard input, a line of JSON each, and
//! answers with one. `clients/serving/llama_bench.py` runs it in turns with llama.cpp.
//!
//! `cargo run -p assay-inference --example serving_speed -- REVISION THREADS`
//!
//! ```text
//! {"measure": "answers", "streams": 16, "prompt": 32, "answer": 256}
//!     {"decode": {"tokens", "wall_s", "cpu_s"}, "generate": {..}, "check": {..}}
//! {"measure": "prompts", "streams": 1, "prompt": 512}      {"prefill": {..}}
//! {"measure": "memory"}
//!     {"memory": {"bytes", "wall_s"}}
//! {"measure": "scores", "tokens": [..], "file": PATH}      {}, and 32-bit scores after each token in the file
//! ```
//!
//! `decode` counts from when every stream has its first token to when the first has its last. `generate` is the whole, with
//! the prompts. `check` is one pass over the same prompts and answers by an engine that has seen neither, each token chosen
//! again; both have `pass_s`, what forward passes took of the wall time. `memory` reads as many bytes as the weights have,
//! several times over, by as many threads: what the next token of one answer cannot take less than. Answers are of the best
//! tokens, each with the digest of its scores; CPU seconds are those of all threads.

use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use assay_inference::language::{
    Ask, Engine, EngineLimits, LanguageModel, Parameters, Prompt, Sampling, Sink, Step, Then, Usage,
};
use assay_inference::{Revision, RevisionLimits};
use assay_tensor::transformer::{Alone, Cache, How, Kernel, Run};
use serde::Deserialize;
use serde_json::{Value, json};

/// The allocator of the node.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Tokens that a sequence may have.
const CONTEXT: usize = 1024;
/// How often memory is read.
const READINGS: usize = 20;
/// How long threads of an engine that is no more may take to end.
const SETTLING: Duration = Duration::from_millis(50);
/// The token that would end an answer too early, and how much it is disliked.
const NEVER: (u32, f64) = (0, -100.0);

#[derive(Deserialize)]
#[serde(rename_all = "lowercase", tag = "measure", deny_unknown_fields)]
enum Wanted {
    Answers {
        streams: usize,
        prompt: usize,
        answer: u32,
    },
    Prompts {
        streams: usize,
        prompt: usize,
    },
    Memory {},
    Scores {
        tokens: Vec<u32>,
        file: String,
    },
}

/// A moment: on the wall, and CPU seconds of all threads until then.
#[derive(Clone, Copy)]
struct Moment {
    wall: Instant,
    cpu: f64,
}

impl Moment {
    fn now() -> Self {
        Self {
            cpu: cpu_seconds(),
            wall: Instant::now(),
        }
    }

    fn until(self, end: Self, tokens: usize) -> Value {
        json!({
            "tokens": tokens,
            "wall_s": (end.wall - self.wall).as_secs_f64(),
            "cpu_s": end.cpu - self.cpu,
        })
    }
}

/// What the kernel has counted for each thread of this process, nanoseconds.
fn cpu_seconds() -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").expect("Linux");
    let nanoseconds = threads.flatten().filter_map(|thread| {
        let line = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        line.split(' ').next()?.parse::<f64>().ok()
    });
    nanoseconds.sum::<f64>() / 1e9
}

/// What the sinks of one measurement have heard together.
#[derive(Clone, Copy)]
struct Heard {
    streams: usize,
    first: usize,
    tokens: usize,
    /// From when every stream has a token, and how many there were.
    began: Option<(Moment, usize)>,
    /// When the first stream had all.
    ended: Option<(Moment, usize)>,
}

struct Ear {
    stream: usize,
    steps: Vec<u32>,
    heard: Arc<Mutex<Heard>>,
    done: Sender<(usize, Vec<u32>)>,
}

impl Sink for Ear {
    fn step(&mut self, step: Step) -> bool {
        let mut heard = self.heard.lock().expect("no panic");
        heard.tokens += 1;
        if self.steps.is_empty() {
            heard.first += 1;
            if heard.first == heard.streams {
                heard.began = Some((Moment::now(), heard.tokens));
            }
        }
        if step.finish.is_some() && heard.ended.is_none() {
            heard.ended = Some((Moment::now(), heard.tokens));
        }
        self.steps.push(step.token);
        true
    }

    fn ended(&mut self, end: Result<Usage, assay_inference::language::Error>) {
        end.expect("an answer");
        let steps = std::mem::take(&mut self.steps);
        let _ = self.done.send((self.stream, steps));
    }

    fn is_gone(&self) -> bool {
        false
    }
}

struct Bench {
    model: LanguageModel,
    threads: usize,
    seed: u64,
    /// The engine of the measurement before: while its threads live, their CPU time counts.
    before: Option<Engine>,
}

impl Bench {
    /// Prompts that no engine has seen.
    fn prompts(&mut self, streams: usize, length: usize) -> Vec<Vec<u32>> {
        let vocabulary = self.model.weights().dimensions().vocabulary as u64;
        let mut next = || {
            self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005) | 1;
            u32::try_from((self.seed >> 33) % (vocabulary - 1) + 1).expect("a token")
        };
        let mut prompt = || (0..length).map(|_| next()).collect();
        (0..streams).map(|_| prompt()).collect()
    }

    fn engine(&self, streams: usize) -> Engine {
        let limits = EngineLimits {
            sequences: streams,
            threads: self.threads,
            ..EngineLimits::default()
        };
        let begin = Instant::now();
        let clock = move || u64::try_from(begin.elapsed().as_micros()).expect("less than an age");
        Engine::start(self.model.weights(), limits, Box::new(clock)).expect("a thread")
    }

    /// Asks an engine that has seen nothing; what there is of answers is checked.
    fn ask(
        &mut self,
        prompts: &[Vec<u32>],
        after: &[Vec<u32>],
        answer: u32,
    ) -> (Value, Heard, Vec<Vec<u32>>) {
        drop(self.before.take());
        std::thread::sleep(SETTLING);
        let engine = self.engine(prompts.len());
        let heard = Arc::new(Mutex::new(Heard {
            streams: prompts.len(),
            first: 0,
            tokens: 0,
            began: None,
            ended: None,
        }));
        let parameters = Parameters {
            sampling: Sampling {
                temperature: 0.0,
                logit_bias: vec![NEVER],
                ..Sampling::default()
            },
            max_tokens: Some(answer),
            ..Parameters::default()
        };
        let (done, ends) = channel();
        let begin = Moment::now();
        for (stream, prompt) in prompts.iter().enumerate() {
            let asked = Prompt::Tokens(prompt.clone());
            let generation = self
                .model
                .generation(&asked, prompt, &parameters, 0, None)
                .expect("a generation");
            let ask = Ask {
                prompt: prompt.clone(),
                after: after.get(stream).cloned().unwrap_or_default(),
                checked_from: 0,
                then: if after.is_empty() {
                    Then::GoOn
                } else {
                    Then::Stop
                },
                generation,
                sink: Box::new(Ear {
                    stream,
                    steps: Vec::new(),
                    heard: heard.clone(),
                    done: done.clone(),
                }),
            };
            engine.submit(ask).expect("room");
        }
        let mut answers: Vec<_> = ends.iter().take(prompts.len()).collect();
        let end = Moment::now();
        let busy = engine.load().busy_us as f64 / 1e6;
        self.before = Some(engine);
        answers.sort();
        let answers: Vec<_> = answers.into_iter().map(|(_, steps)| steps).collect();
        let tokens = answers.iter().map(Vec::len).sum();
        let heard = *heard.lock().expect("no panic");
        let mut figures = begin.until(end, tokens);
        figures["pass_s"] = json!(busy);
        (figures, heard, answers)
    }

    fn answers(&mut self, streams: usize, prompt: usize, answer: u32) -> Value {
        let prompts = self.prompts(streams, prompt);
        let (generate, heard, answers) = self.ask(&prompts, &[], answer);
        let ((began, before), (ended, after)) = heard.began.zip(heard.ended).expect("answers");
        let decode = began.until(ended, after - before);
        let (check, _, checked) = self.ask(&prompts, &answers, answer);
        assert_eq!(checked, answers, "a check confirms every token");
        json!({ "decode": decode, "generate": generate, "check": check })
    }

    fn prompts_only(&mut self, streams: usize, prompt: usize) -> Value {
        let prompts = self.prompts(streams, prompt);
        let (mut figures, _, _) = self.ask(&prompts, &[], 1);
        figures["tokens"] = json!(streams * prompt);
        json!({ "prefill": figures })
    }

    fn memory(&self) -> Value {
        let bytes = self.model.weights().memory();
        let words = vec![1u64; bytes / size_of::<u64>()];
        let of_thread = words.len().div_ceil(self.threads);
        let begin = Instant::now();
        for _ in 0..READINGS {
            std::thread::scope(|scope| {
                for part in words.chunks(of_thread) {
                    scope.spawn(move || {
                        let sum = part.iter().fold(0u64, |sum, word| sum.wrapping_add(*word));
                        std::hint::black_box(sum)
                    });
                }
            });
        }
        let wall = begin.elapsed().as_secs_f64();
        json!({ "memory": { "bytes": bytes * READINGS, "wall_s": wall } })
    }

    fn scores(&self, tokens: &[u32], file: &str) -> Value {
        let mut cache = Cache::default();
        let run = Run {
            cache: &mut cache,
            tokens,
            wanted: usize::MAX,
        };
        let how = How {
            kernel: Kernel::Widest,
            workers: &Alone,
        };
        let scores = self.model.weights().pass(&mut [run], how).expect("tokens");
        let bytes = scores.concat().into_iter().flat_map(f32::to_le_bytes);
        std::fs::write(file, bytes.collect::<Vec<_>>()).expect("a file that can be written");
        json!({})
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, threads] = arguments.as_slice() else {
        panic!("serving_speed REVISION THREADS");
    };
    let revision = Revision::open(Path::new(directory), &RevisionLimits::default());
    let revision = revision.expect("a revision");
    let mut bench = Bench {
        model: LanguageModel::load(&revision, CONTEXT).expect("a language model"),
        threads: threads.parse().expect("a number of threads"),
        seed: 0x9e37_79b9_7f4a_7c15,
        before: None,
    };
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("a line");
        let found = match serde_json::from_str(&line).expect("what is to be measured") {
            Wanted::Answers {
                streams,
                prompt,
                answer,
            } => bench.answers(streams, prompt, answer),
            Wanted::Prompts { streams, prompt } => bench.prompts_only(streams, prompt),
            Wanted::Memory {} => bench.memory(),
            Wanted::Scores { tokens, file } => bench.scores(&tokens, &file),
        };
        println!("{found}");
        std::io::stdout().flush().expect("a reader");
    }
}
