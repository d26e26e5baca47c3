//! The engine of one model: many answers at once on one thread, which computes a token for each of them in every pass.
//!
//! New questions join between passes (continuous batching); what they have in common with earlier ones is not computed again.
//! Neither changes an answer's bits.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use assay_tensor::transformer::{Cache, How, Kernel, Model, PAGE_TOKENS, Run, Workers};
use rayon::ThreadPool;
use rayon::prelude::*;

use super::prefixes::Prefixes;
use super::{Error, Generation, Step};

/// What an engine may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineLimits {
    /// Answers that are computed at once.
    pub sequences: usize,
    /// Questions that may wait beside those.
    pub waiting: usize,
    /// Tokens whose keys and values are held, of running answers and of finished ones.
    pub tokens: usize,
    /// Tokens of prompts that one pass reads: what others wait between two of their tokens.
    pub prompt_tokens: usize,
    /// Threads that compute.
    pub threads: usize,
}

impl Default for EngineLimits {
    fn default() -> Self {
        Self {
            sequences: 16,
            waiting: 64,
            tokens: 32 << 10,
            prompt_tokens: 128,
            threads: thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// What one question cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt: usize,
    /// Those of them that had been computed before.
    pub cached: usize,
    /// Tokens of the answer, with those that were given.
    pub answer: usize,
    /// Its part of the time of its passes, microseconds: by tokens.
    pub compute_us: u64,
}

/// Where an answer goes. Calls come from the engine's thread, which waits for them: they have to be short.
pub trait Sink: Send {
    /// The next token; false if nobody wants more.
    fn step(&mut self, step: Step) -> bool;

    /// The end; nothing follows.
    fn ended(&mut self, end: Result<Usage, Error>);

    /// Whether nobody waits any more.
    fn is_gone(&self) -> bool;
}

/// What is wanted after the tokens that are given of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The rest of the answer.
    GoOn,
    /// Nothing.
    Stop,
    /// Whether the answer is over after them.
    BeOver,
}

/// A question for an engine.
pub struct Ask {
    /// What the model reads.
    pub prompt: Vec<u32>,
    /// Tokens of the answer that are there already.
    pub after: Vec<u32>,
    /// From which of those on each is checked, and given out as a step: earlier ones are taken as they are.
    pub checked_from: usize,
    /// What is wanted after those.
    pub then: Then,
    /// How it is answered.
    pub generation: Generation,
    /// Where it goes.
    pub sink: Box<dyn Sink>,
}

impl std::fmt::Debug for Ask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ask")
            .field("prompt", &self.prompt.len())
            .field("after", &self.after.len())
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

/// Microseconds of a clock that never goes back, from whenever.
pub type Clock = Box<dyn Fn() -> u64 + Send>;

/// How much an engine has to do, and how fast it is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Load {
    /// Answers that are computed now.
    pub running: usize,
    /// Questions that wait.
    pub waiting: usize,
    /// Tokens that could still be held.
    pub free_tokens: usize,
    /// Tokens of prompts and of answers together that it has computed.
    pub computed: u64,
    /// Tokens that it did not have to compute, since it had before.
    pub reused: u64,
    /// Time that passes took, microseconds.
    pub busy_us: u64,
}

/// Numbers that the thread leaves for [`Engine::load`].
#[derive(Debug, Default)]
struct Counters {
    load: Mutex<Load>,
    queued: AtomicU64,
    stopping: AtomicBool,
}

/// A model with its thread.
#[derive(Debug)]
pub struct Engine {
    asks: Mutex<Option<Sender<Ask>>>,
    counters: Arc<Counters>,
    limits: EngineLimits,
    thread: Option<JoinHandle<()>>,
}

impl Engine {
    /// Starts the thread of a model; the clock says what answers cost.
    ///
    /// # Errors
    /// What the operating system says if there is no thread to be had.
    pub fn start(
        model: Arc<Model>,
        limits: EngineLimits,
        clock: Clock,
    ) -> Result<Self, std::io::Error> {
        let pool = match limits.threads {
            0 | 1 => None,
            threads => {
                let name = |at: usize| format!("language-{at}");
                let pool = rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .thread_name(name)
                    .build();
                Some(Arc::new(pool.map_err(std::io::Error::other)?))
            }
        };
        let counters = Arc::new(Counters::default());
        let (sender, asks) = channel();
        let work = Work {
            model,
            asks,
            limits,
            counters: counters.clone(),
            waiting: VecDeque::new(),
            running: Vec::new(),
            prefixes: Prefixes::default(),
            team: Team(pool),
            clock,
        };
        let thread = thread::Builder::new()
            .name("language".into())
            .spawn(move || match work.team.0.clone() {
                // On a thread of the pool, so that its work begins without waking one.
                Some(pool) => pool.install(|| work.run()),
                None => work.run(),
            })?;
        Ok(Self {
            asks: Mutex::new(Some(sender)),
            counters,
            limits,
            thread: Some(thread),
        })
    }

    /// Hands a question to the thread.
    ///
    /// # Errors
    /// [`Error::Busy`] where too many wait, [`Error::Stopped`]; the sink has heard nothing then.
    pub fn submit(&self, ask: Ask) -> Result<(), Error> {
        let limit = u64::try_from(self.limits.waiting).unwrap_or(u64::MAX);
        let queued = &self.counters.queued;
        let free = queued.fetch_update(Ordering::AcqRel, Ordering::Acquire, |waiting| {
            (waiting < limit).then(|| waiting.saturating_add(1))
        });
        if free.is_err() {
            return Err(Error::Busy {
                waiting: self.limits.waiting,
            });
        }
        let asks = self.asks.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = asks.as_ref().map(|asks| asks.send(ask).is_ok());
        match sent {
            Some(true) => Ok(()),
            _ => Err(Error::Stopped),
        }
    }

    /// What it has to do now.
    pub fn load(&self) -> Load {
        let load = *self
            .counters
            .load
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let waiting = self.counters.queued.load(Ordering::Acquire);
        Load {
            waiting: usize::try_from(waiting).unwrap_or(usize::MAX),
            ..load
        }
    }

    /// What it may use.
    pub fn limits(&self) -> &EngineLimits {
        &self.limits
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.counters.stopping.store(true, Ordering::Release);
        self.asks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = self.thread.take() {
            // A panic there was told already, by whoever waited for an answer.
            let _ = thread.join();
        }
    }
}

/// The threads of a pass.
struct Team(Option<Arc<ThreadPool>>);

impl Team {
    /// Does something with each, at once where there are threads.
    fn each_of<T: Send>(&self, all: &mut [T], work: &(dyn Fn(&mut T) + Sync)) {
        match &self.0 {
            Some(pool) if all.len() > 1 => pool.install(|| all.par_iter_mut().for_each(work)),
            _ => all.iter_mut().for_each(work),
        }
    }
}

impl Workers for Team {
    fn each(&self, parts: usize, work: &(dyn Fn(usize) + Sync)) {
        match &self.0 {
            Some(pool) if parts > 1 => pool.install(|| (0..parts).into_par_iter().for_each(work)),
            _ => (0..parts).for_each(work),
        }
    }

    fn at_once(&self) -> usize {
        self.0.as_ref().map_or(1, |pool| pool.current_num_threads())
    }
}

/// An answer that is computed.
struct Running {
    ask: Ask,
    cache: Cache,
    /// Prompt and answer as far as they are known.
    tokens: Vec<u32>,
    /// How many of the given tokens have been taken or confirmed.
    given: usize,
    usage: Usage,
    /// Whether its prompt was given to others.
    is_shared: bool,
}

/// What a running answer contributes to a pass.
struct Part {
    at: usize,
    tokens: Vec<u32>,
    wanted: usize,
}

struct Work {
    model: Arc<Model>,
    asks: Receiver<Ask>,
    limits: EngineLimits,
    counters: Arc<Counters>,
    waiting: VecDeque<Ask>,
    running: Vec<Running>,
    prefixes: Prefixes,
    team: Team,
    clock: Clock,
}

impl Work {
    fn run(mut self) {
        loop {
            if self.running.is_empty() && self.waiting.is_empty() {
                match self.asks.recv() {
                    Ok(ask) => self.waiting.push_back(ask),
                    Err(_) => return,
                }
            }
            self.waiting.extend(self.asks.try_iter());
            if self.counters.stopping.load(Ordering::Acquire) {
                return self.stop();
            }
            self.forget_gone();
            self.admit();
            self.told(0, 0, 0);
            self.pass();
        }
    }

    fn stop(&mut self) {
        for ask in self.waiting.iter_mut() {
            ask.sink.ended(Err(Error::Stopped));
        }
        for running in &mut self.running {
            running.ask.sink.ended(Err(Error::Stopped));
        }
    }

    fn forget_gone(&mut self) {
        let before = self.waiting.len();
        self.waiting.retain(|ask| !ask.sink.is_gone());
        self.left(before.saturating_sub(self.waiting.len()));
        let gone = self
            .running
            .extract_if(.., |running| running.ask.sink.is_gone());
        let gone: Vec<Running> = gone.collect();
        gone.into_iter().for_each(|running| self.keep(running));
    }

    /// So many questions wait no more.
    fn left(&self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.counters.queued.fetch_sub(count, Ordering::AcqRel);
    }

    /// Tokens that running answers hold at most.
    fn reserved(&self) -> usize {
        self.running
            .iter()
            .fold(0, |sum, running| sum.saturating_add(reserve(&running.ask)))
    }

    /// Lets questions in that there is room for, in the order in which they came.
    fn admit(&mut self) {
        while self.running.len() < self.limits.sequences {
            let Some(ask) = self.waiting.front() else {
                return;
            };
            let held = self.reserved().saturating_add(reserve(ask));
            // One alone always fits: it is no longer than the model's context, which is checked before.
            if held > self.limits.tokens && !self.running.is_empty() {
                return;
            }
            self.prefixes
                .shrink(self.limits.tokens.saturating_sub(held));
            let Some(ask) = self.waiting.pop_front() else {
                return;
            };
            self.left(1);
            if let Some(running) = self.begun(ask) {
                self.running.push(running);
            }
        }
    }

    /// Takes what is given of an answer and not checked, and what was computed before.
    fn begun(&mut self, mut ask: Ask) -> Option<Running> {
        let taken = ask.checked_from.min(ask.after.len());
        let mut given = ask.after.iter().take(taken).copied();
        if let Err(error) = given.try_for_each(|token| ask.generation.take(token)) {
            ask.sink.ended(Err(error));
            return None;
        }
        if taken == ask.after.len() && ask.generation.finish().is_some() {
            // Nothing is left to compute: the answer ends with the last of its tokens.
            let usage = Usage {
                prompt: ask.prompt.len(),
                answer: taken,
                ..Usage::default()
            };
            ask.sink.ended(Ok(usage));
            return None;
        }
        let mut tokens = ask.prompt.clone();
        tokens.extend_from_slice(&ask.after);
        // The token before the first one that is looked at has to be computed, for its scores.
        let most = ask.prompt.len().saturating_add(taken).saturating_sub(1);
        let cache = self.prefixes.longest(&tokens, most);
        let usage = Usage {
            prompt: ask.prompt.len(),
            cached: cache.length().min(ask.prompt.len()),
            ..Usage::default()
        };
        self.told(0, cache.length(), 0);
        Some(Running {
            ask,
            cache,
            tokens,
            given: taken,
            usage,
            is_shared: false,
        })
    }

    /// What the next pass computes: a token of each answer that is being written, and parts of what is being read.
    fn parts(&self) -> Vec<Part> {
        let mut budget = self.limits.prompt_tokens.max(1);
        let mut parts = Vec::new();
        for (at, running) in self.running.iter().enumerate() {
            let rest = running.rest();
            let count = match rest.len() {
                1 => 1,
                more => more.min(budget),
            };
            if rest.len() > 1 {
                budget = budget.saturating_sub(count);
            }
            let tokens = rest.get(..count).unwrap_or(&[]).to_vec();
            if !tokens.is_empty() {
                let wanted = running.wanted(tokens.len());
                parts.push(Part { at, tokens, wanted });
            }
        }
        parts
    }

    fn pass(&mut self) {
        let parts = self.parts();
        if parts.is_empty() {
            return;
        }
        let started = (self.clock)();
        let mut of_part = parts.iter().peekable();
        let mut runs = Vec::with_capacity(parts.len());
        for (at, running) in self.running.iter_mut().enumerate() {
            if let Some(part) = of_part.next_if(|part| part.at == at) {
                let (cache, tokens) = (&mut running.cache, part.tokens.as_slice());
                runs.push(Run {
                    cache,
                    tokens,
                    wanted: part.wanted,
                });
            }
        }
        let how = How {
            kernel: Kernel::Widest,
            workers: &self.team,
        };
        let scores = self.model.pass(&mut runs, how);
        drop(runs);
        let took = (self.clock)().saturating_sub(started);
        let computed = parts
            .iter()
            .fold(0usize, |sum, part| sum.saturating_add(part.tokens.len()));
        self.told(computed, 0, took);
        match scores {
            Ok(scores) => self.passed(&parts, scores, took, computed),
            // What is asked was checked before: no one question is to blame.
            Err(error) => {
                for running in self.running.drain(..) {
                    let mut sink = running.ask.sink;
                    sink.ended(Err(error.clone().into()));
                }
            }
        }
    }

    fn passed(&mut self, parts: &[Part], scores: Vec<Vec<f32>>, took: u64, computed: usize) {
        let vocabulary = self.model.dimensions().vocabulary;
        let mut of_part = parts.iter().zip(&scores).peekable();
        let mut heard = Vec::with_capacity(parts.len());
        for (at, running) in self.running.iter_mut().enumerate() {
            if let Some((part, scores)) = of_part.next_if(|(part, _)| part.at == at) {
                running.charge(part.tokens.len(), computed, took);
                heard.push((running, scores, false));
            }
        }
        self.team.each_of(&mut heard, &|(running, scores, over)| {
            *over = running.heard(scores, vocabulary);
        });
        let over: Vec<bool> = heard.into_iter().map(|(_, _, over)| over).collect();
        for (part, over) in parts.iter().zip(over).rev() {
            if over {
                let running = self.running.remove(part.at);
                self.keep(running);
            } else {
                self.share(part.at);
            }
        }
    }

    /// Keeps a prompt as soon as it is read: others may ask with the same one.
    fn share(&mut self, at: usize) {
        let Some(running) = self.running.get_mut(at) else {
            return;
        };
        let prompt = running.ask.prompt.len();
        if running.is_shared || running.cache.length() < prompt {
            return;
        }
        running.is_shared = true;
        self.prefixes
            .keep(running.ask.prompt.clone(), running.cache.beginning(prompt));
    }

    /// Keeps what was computed of a sequence.
    fn keep(&mut self, mut running: Running) {
        running.tokens.truncate(running.cache.length());
        self.prefixes.keep(running.tokens, running.cache);
        let room = self.limits.tokens.saturating_sub(self.reserved());
        self.prefixes.shrink(room);
    }

    fn told(&self, computed: usize, reused: usize, took: u64) {
        let mut load = self
            .counters
            .load
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        load.running = self.running.len();
        load.free_tokens = self.limits.tokens.saturating_sub(self.reserved());
        load.computed = load.computed.saturating_add(computed as u64);
        load.reused = load.reused.saturating_add(reused as u64);
        load.busy_us = load.busy_us.saturating_add(took);
    }
}

/// Tokens that an answer may hold in the end, in whole pages.
fn reserve(ask: &Ask) -> usize {
    let answer = match ask.then {
        Then::GoOn => ask.generation.limit(),
        Then::Stop | Then::BeOver => ask.after.len(),
    };
    let tokens = ask.prompt.len().saturating_add(answer);
    tokens
        .checked_next_multiple_of(PAGE_TOKENS)
        .unwrap_or(usize::MAX)
}

impl Running {
    /// Tokens that are known and not computed. One that ends an answer is not computed; the last one always is.
    fn rest(&self) -> &[u32] {
        self.tokens.get(self.cache.length()..).unwrap_or(&[])
    }

    /// Counts its part of a pass.
    fn charge(&mut self, tokens: usize, of: usize, took: u64) {
        let share = u128::from(took).saturating_mul(tokens as u128);
        let share = share.checked_div(of as u128).unwrap_or(0);
        let share = u64::try_from(share).unwrap_or(u64::MAX);
        self.usage.compute_us = self.usage.compute_us.saturating_add(share);
    }

    /// After how many of the next `count` tokens scores are looked at.
    fn wanted(&self, count: usize) -> usize {
        let end = self.cache.length().saturating_add(count);
        // Scores after this many tokens are the first that matter.
        let first = self.ask.prompt.len().saturating_add(self.given);
        end.saturating_add(1).saturating_sub(first).min(count)
    }

    /// Goes on by the scores of a pass, `[wanted token][vocabulary]`; true if the answer is over.
    fn heard(&mut self, scores: &[f32], vocabulary: usize) -> bool {
        for scores in scores.chunks_exact(vocabulary.max(1)) {
            let generation = &mut self.ask.generation;
            let step = match self.ask.after.get(self.given) {
                Some(given) => {
                    self.given = self.given.saturating_add(1);
                    generation.confirm(*given, scores)
                }
                None => match self.ask.then {
                    Then::GoOn => generation
                        .next(scores)
                        .inspect(|step| self.tokens.push(step.token)),
                    Then::Stop => return self.end(None),
                    Then::BeOver => {
                        let at = self.given;
                        let next = generation.next(scores);
                        return self.end(Some(match next {
                            Ok(Step {
                                token,
                                digest,
                                text,
                                ..
                            }) => Error::GoesOn {
                                at,
                                right: token,
                                digest,
                                text,
                            },
                            Err(error) => error,
                        }));
                    }
                },
            };
            let step = match step {
                Ok(step) => step,
                Err(error) => return self.end(Some(error)),
            };
            let finish = step.finish;
            self.usage.answer = self.usage.answer.saturating_add(1);
            if !self.ask.sink.step(step) {
                return self.end(Some(Error::Stopped));
            }
            let is_given = self.given >= self.ask.after.len();
            if finish.is_some() && !is_given {
                let (at, given) = (self.given, self.ask.after.len());
                return self.end(Some(Error::Over { at, given }));
            }
            if finish.is_some() || (is_given && self.ask.then == Then::Stop) {
                return self.end(None);
            }
        }
        false
    }

    fn end(&mut self, error: Option<Error>) -> bool {
        // Tokens that were taken unseen count, too.
        let mut usage = self.usage;
        let taken = self.ask.checked_from.min(self.ask.after.len());
        usage.answer = usage.answer.saturating_add(taken);
        self.ask.sink.ended(match error {
            Some(error) => Err(error),
            None => Ok(usage),
        });
        true
    }
}
