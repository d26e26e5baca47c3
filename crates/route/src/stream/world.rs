//! A world in which the true answer is known, and nodes die, stall, drip and lie under a seed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

use assay_receipt::NodeAddress;

use super::*;
use crate::seed::Draws;

mod unchecked;

mod checked;

/// What is wrong with a node. Positions are of the answer, times in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// Slow, but within what it may take.
    Drips,
    /// Its process ends: connections close, or nothing comes any more.
    Dies {
        at: u64,
        silent: bool,
    },
    /// After this many steps or checks of its own there are keep-alives only.
    Stalls {
        after: usize,
    },
    /// It leaves steps out.
    Skips,
    WrongToken {
        at: usize,
    },
    WrongScores {
        at: usize,
    },
    EndsEarly {
        at: usize,
    },
    Endless,
    /// It refuses what it is to go on after.
    Refuses {
        at: usize,
    },
    /// It checks without computing anything, so that it cannot know the digests.
    Lazy,
    /// It gives a wrong token at a position, five more, and then keep-alives only.
    LiesAndStalls {
        at: usize,
    },
    /// It lies as all the others of its kind do.
    Colludes {
        at: usize,
    },
}

impl Fault {
    fn lies(self) -> bool {
        use Fault::*;
        !matches!(self, None | Drips | Dies { .. } | Stalls { .. } | Skips)
    }
}

/// Steps that a node which stalls after a lie still gives.
const LAST_STEPS: usize = 5;

#[derive(Debug, Clone)]
struct World {
    seed: u64,
    mode: Mode,
    faults: Vec<Fault>,
    /// Whose each node is; its own where this is shorter.
    operators: Vec<usize>,
    length: usize,
    hedge_after: Option<Duration>,
    patience: Patience,
    /// Microseconds of the slowest prompt, and between the slowest two bursts of a node that does not drip.
    prefill: u64,
    pace: u64,
}

#[derive(Debug)]
struct Outcome {
    released: Vec<Step>,
    convicted: BTreeSet<usize>,
    end: Option<Result<Vec<Part>, GiveUp>>,
    cancelled: Vec<(usize, Cause)>,
    /// Microseconds between two releases at most, the time to the first included.
    gap: u64,
    asked: BTreeSet<usize>,
    most_pending: usize,
    paused: usize,
}

fn address(node: usize) -> NodeAddress {
    NodeAddress::from_bytes([u8::try_from(node + 1).unwrap(); 20])
}

fn index(node: NodeAddress) -> usize {
    usize::from(node.as_bytes()[0]) - 1
}

fn mixed(parts: [u64; 3]) -> u64 {
    parts
        .into_iter()
        .fold(7, |seed, part| Draws::new(seed ^ part).next())
}

fn scores(number: u64) -> [u8; 32] {
    [number.to_be_bytes(); 4].concat().try_into().unwrap()
}

impl World {
    fn new(seed: u64, mode: Mode, faults: Vec<Fault>, length: usize) -> Self {
        Self {
            seed,
            mode,
            faults,
            operators: Vec::new(),
            length,
            hedge_after: None,
            patience: Patience {
                first: Duration::from_secs(2),
                ..Patience::default()
            },
            prefill: 300_000,
            pace: 60_000,
        }
    }

    fn operator(&self, node: usize) -> usize {
        self.operators.get(node).copied().unwrap_or(node)
    }

    fn truth(&self, at: usize) -> Claim {
        if at >= self.length {
            return Claim::End;
        }
        let number = mixed([self.seed, at as u64, 1]);
        Claim::Step(Step {
            token: number as u32,
            scores: scores(number),
        })
    }

    fn whole_truth(&self) -> Vec<Step> {
        let step = |at| match self.truth(at) {
            Claim::Step(step) => step,
            Claim::End => unreachable!(),
        };
        (0..self.length).map(step).collect()
    }

    /// A step that nobody else makes.
    fn lie(&self, node: usize, at: usize) -> Claim {
        let number = mixed([self.seed, at as u64, 100 + node as u64]);
        Claim::Step(Step {
            token: number as u32,
            scores: scores(number),
        })
    }

    /// What a node says stands at a position.
    fn says(&self, node: usize, at: usize) -> Claim {
        let truth = self.truth(at);
        match (self.faults[node], truth) {
            (Fault::WrongToken { at: from }, _) if at >= from && at < self.length + 3 => {
                self.lie(node, at)
            }
            (Fault::WrongScores { at: from }, Claim::Step(step)) if at == from => {
                Claim::Step(Step {
                    scores: [node as u8; 32],
                    ..step
                })
            }
            (Fault::LiesAndStalls { at: from }, _) if at >= from => self.lie(node, at),
            (Fault::EndsEarly { at: from }, _) if at >= from => Claim::End,
            (Fault::Endless, Claim::End) => self.lie(node, at),
            (Fault::Colludes { at: from }, Claim::Step(_)) if at >= from => self.lie(99, at),
            _ => truth,
        }
    }

    fn run(&self) -> Outcome {
        Run::new(self).run()
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone)]
enum Item {
    Arrives(Call),
    Makes(Call),
    Answers(Call),
    Lives(Call),
    Dies(usize),
    Delivers(usize),
}

struct Work {
    node: usize,
    /// Tokens given with the call.
    given: Vec<u32>,
    next: usize,
    made: usize,
    check: Option<(Vec<Step>, bool)>,
    /// When the node hears that it is no longer needed.
    ends_at: u64,
    last_delivery: u64,
}

struct Chooser<'a> {
    world: &'a World,
    draws: Draws,
    asked: BTreeSet<usize>,
}

impl Choose for Chooser<'_> {
    fn choose(&mut self, need: &Need<'_>) -> Option<Chosen> {
        let apart = need
            .apart_from
            .iter()
            .map(|node| self.world.operator(index(*node)));
        let apart: Vec<usize> = apart.collect();
        let free = |node: &usize| {
            !need.excluded.contains(&address(*node)) && !apart.contains(&self.world.operator(*node))
        };
        let free: Vec<usize> = (0..self.world.faults.len()).filter(free).collect();
        let node = *free.get(self.draws.below(free.len()))?;
        self.asked.insert(node);
        Some(Chosen {
            node: address(node),
            patience: self.world.patience,
        })
    }
}

struct Run<'a> {
    world: &'a World,
    stream: Stream,
    chooser: Chooser<'a>,
    draws: Draws,
    now: u64,
    queue: BinaryHeap<Reverse<(u64, usize, Item)>>,
    order: usize,
    messages: Vec<Event>,
    work: BTreeMap<Call, Work>,
    checks_of: BTreeMap<usize, usize>,
    last_release: u64,
    outcome: Outcome,
}

impl<'a> Run<'a> {
    fn new(world: &'a World) -> Self {
        let config = Config {
            mode: world.mode,
            most_tokens: world.length + 300,
            most_nodes: 4 * world.faults.len() as u32,
            hedge_after: world.hedge_after,
            wait_for_node: Duration::ZERO,
        };
        let mut run = Self {
            world,
            stream: Stream::new(config),
            chooser: Chooser {
                world,
                draws: Draws::new(world.seed ^ 1),
                asked: BTreeSet::new(),
            },
            draws: Draws::new(world.seed ^ 2),
            now: 0,
            queue: BinaryHeap::new(),
            order: 0,
            messages: Vec::new(),
            work: BTreeMap::new(),
            checks_of: BTreeMap::new(),
            last_release: 0,
            outcome: Outcome {
                released: Vec::new(),
                convicted: BTreeSet::new(),
                end: None,
                cancelled: Vec::new(),
                gap: 0,
                asked: BTreeSet::new(),
                most_pending: 0,
                paused: 0,
            },
        };
        for (node, fault) in world.faults.iter().enumerate() {
            if let Fault::Dies { at, .. } = fault {
                run.schedule(*at, Item::Dies(node));
            }
        }
        run
    }

    fn run(mut self) -> Outcome {
        self.handle(Event::Tick);
        while !self.stream.is_over() {
            let due = self.stream.deadline().map(|due| due.as_micros() as u64);
            let next = self.queue.peek().map(|Reverse((at, ..))| *at);
            assert!(
                self.now < 600_000_000,
                "seed {}: no end in ten minutes",
                self.world.seed
            );
            if let Some(due) = due.filter(|due| next.is_none_or(|next| *due <= next)) {
                self.now = self.now.max(due);
                self.handle(Event::Tick);
                let later = self.stream.deadline().map(|due| due.as_micros() as u64);
                assert!(
                    later.is_none_or(|later| later > self.now),
                    "a tick must move the deadline"
                );
                continue;
            }
            let Some(Reverse((at, _, item))) = self.queue.pop() else {
                panic!("seed {}: the stream waits for nothing", self.world.seed);
            };
            self.now = at;
            self.step(item);
        }
        self.outcome.asked = self.chooser.asked;
        self.outcome
    }

    fn schedule(&mut self, at: u64, item: Item) {
        self.order += 1;
        self.queue.push(Reverse((at, self.order, item)));
    }

    fn draw(&mut self, from: u64, upto: u64) -> u64 {
        from + self.draws.next() % (upto - from + 1)
    }

    /// Sends a message of a call; those of one call arrive in order.
    fn deliver(&mut self, call: Call, event: Event) {
        let latency = self.draw(1_000, 30_000);
        let work = self.work.get_mut(&call).unwrap();
        let at = (self.now + latency).max(work.last_delivery);
        work.last_delivery = at;
        self.messages.push(event);
        let number = self.messages.len() - 1;
        self.schedule(at, Item::Delivers(number));
    }

    fn step(&mut self, item: Item) {
        match item {
            Item::Delivers(number) => self.handle(self.messages[number].clone()),
            Item::Dies(node) => {
                if let Fault::Dies { silent: false, .. } = self.world.faults[node] {
                    let calls = self.work.iter().filter(|(_, work)| work.node == node);
                    let calls: Vec<Call> = calls.map(|(call, _)| *call).collect();
                    for call in calls {
                        self.deliver(
                            call,
                            Event::Failed {
                                call,
                                why: Failure::Closed,
                            },
                        );
                    }
                }
            }
            Item::Arrives(call) => self.arrives(call),
            Item::Lives(call) if self.works(call) => {
                self.deliver(call, Event::Alive { call });
                self.schedule(self.now + 250_000, Item::Lives(call));
            }
            Item::Makes(call) if self.works(call) => self.makes(call),
            Item::Answers(call) if self.works(call) => self.answers(call),
            Item::Lives(_) | Item::Makes(_) | Item::Answers(_) => {}
        }
    }

    fn is_dead(&self, node: usize) -> bool {
        matches!(self.world.faults[node], Fault::Dies { at, .. } if at <= self.now)
    }

    fn works(&self, call: Call) -> bool {
        let work = &self.work[&call];
        !self.is_dead(work.node) && self.now < work.ends_at
    }

    fn arrives(&mut self, call: Call) {
        let (node, is_check) = (self.work[&call].node, self.work[&call].check.is_some());
        if self.is_dead(node) {
            if let Fault::Dies { silent: false, .. } = self.world.faults[node] {
                self.deliver(
                    call,
                    Event::Failed {
                        call,
                        why: Failure::Closed,
                    },
                );
            }
            return;
        }
        self.deliver(call, Event::Began { call });
        self.schedule(self.now + 250_000, Item::Lives(call));
        if is_check {
            let answered = self.checks_of.entry(node).or_default();
            *answered += 1;
            let time = if *answered == 1 {
                self.draw(10_000, self.world.prefill)
            } else {
                self.draw(5_000, 30_000)
            };
            return self.schedule(self.now + time, Item::Answers(call));
        }
        let time = self.draw(10_000, self.world.prefill);
        self.schedule(self.now + time, Item::Makes(call));
    }

    fn makes(&mut self, call: Call) {
        let burst = self.draw(1, 3);
        let (node, made) = (self.work[&call].node, self.work[&call].made);
        let fault = self.world.faults[node];
        if made == 0 && self.refuses(call) {
            return;
        }
        if matches!(fault, Fault::Stalls { after } | Fault::LiesAndStalls { at: after } if made >= after + LAST_STEPS * usize::from(fault.lies()))
        {
            return;
        }
        let from = self.work[&call].next;
        let mut steps = Vec::new();
        let mut ended = false;
        for at in from..from + burst as usize {
            match self.world.says(node, at) {
                Claim::Step(step) => steps.push(step),
                Claim::End => {
                    ended = true;
                    break;
                }
            }
        }
        let work = self.work.get_mut(&call).unwrap();
        work.next += steps.len();
        work.made += steps.len();
        let skipped = usize::from(fault == Fault::Skips && made > 3 && steps.len() > 1);
        let (from, steps) = (from + skipped, steps.split_off(skipped));
        if !steps.is_empty() {
            self.deliver(call, Event::Steps { call, from, steps });
        }
        if ended {
            self.work.get_mut(&call).unwrap().ends_at = self.now;
            return self.deliver(call, Event::Ended { call });
        }
        let pause = if fault == Fault::Drips {
            600_000
        } else {
            self.draw(self.world.pace / 12, self.world.pace)
        };
        self.schedule(self.now + pause, Item::Makes(call));
    }

    /// Whether the node refuses what it is to go on after, truly or not.
    fn refuses(&mut self, call: Call) -> bool {
        let work = &self.work[&call];
        let (node, given) = (work.node, work.given.clone());
        let same =
            |at: usize, claim: Claim| matches!(claim, Claim::Step(step) if step.token == given[at]);
        let at = match self.world.faults[node] {
            Fault::Refuses { at } if !given.is_empty() => Some(at.min(given.len() - 1)),
            Fault::Refuses { .. } => None,
            _ => (0..given.len()).find(|at| !same(*at, self.world.says(node, *at))),
        };
        let Some(at) = at else {
            return false;
        };
        let claim = match self.world.faults[node] {
            Fault::Refuses { .. } => self.world.lie(node, at),
            _ => self.world.says(node, at),
        };
        self.deliver(call, Event::Refused { call, at, claim });
        self.work.get_mut(&call).unwrap().ends_at = self.now;
        true
    }

    fn answers(&mut self, call: Call) {
        let work = &self.work[&call];
        let (node, from) = (work.node, work.given.len());
        let (steps, ends) = work.check.clone().unwrap();
        let fault = self.world.faults[node];
        if matches!(fault, Fault::Stalls { after } if self.checks_of[&node] > after) {
            return;
        }
        let given: Vec<Claim> = steps.iter().map(|step| Claim::Step(*step)).collect();
        let given = given.into_iter().chain(ends.then_some(Claim::End));
        let own = |at| {
            if fault == Fault::Lazy {
                self.world.lie(node, at)
            } else {
                self.world.says(node, at)
            }
        };
        let difference = given.zip(from..).find(|(claim, at)| own(*at) != *claim);
        let event = match difference {
            None => Event::Checked { call },
            Some((_, at)) => Event::CheckDiffers {
                call,
                at,
                claim: own(at),
            },
        };
        self.deliver(call, event);
        self.work.get_mut(&call).unwrap().ends_at = self.now;
    }

    fn handle(&mut self, event: Event) {
        let now = Duration::from_micros(self.now);
        let actions = self.stream.handle(now, event, &mut self.chooser);
        self.outcome.most_pending = self.outcome.most_pending.max(self.stream.pending.len());
        for action in actions {
            self.act(action);
        }
    }

    fn begin(
        &mut self,
        call: Call,
        node: NodeAddress,
        given: usize,
        check: Option<(Vec<Step>, bool)>,
    ) {
        let work = Work {
            node: index(node),
            given: self.stream.tokens()[..given].to_vec(),
            next: given,
            made: 0,
            check,
            ends_at: u64::MAX,
            last_delivery: 0,
        };
        assert!(
            self.work.insert(call, work).is_none(),
            "a call has a number of its own"
        );
        let latency = self.draw(1_000, 30_000);
        self.schedule(self.now + latency, Item::Arrives(call));
    }

    fn act(&mut self, action: Action) {
        let seed = self.world.seed;
        match action {
            Action::Ask { call, node, after } => self.begin(call, node, after, None),
            Action::Check {
                call,
                node,
                from,
                steps,
                ends,
            } => {
                self.begin(call, node, from, Some((steps, ends)));
            }
            Action::Release { from, steps } => {
                assert_eq!(
                    from,
                    self.outcome.released.len(),
                    "seed {seed}: lost or repeated"
                );
                self.outcome.released.extend(steps);
                self.outcome.gap = self.outcome.gap.max(self.now - self.last_release);
                self.last_release = self.now;
            }
            Action::Cancel { call, node, cause } => {
                self.outcome.cancelled.push((index(node), cause));
                let latency = self.draw(1_000, 30_000);
                let work = self.work.get_mut(&call).unwrap();
                work.ends_at = work.ends_at.min(self.now + latency);
            }
            Action::Convict(conviction) => {
                self.outcome.convicted.insert(index(conviction.node));
                assert_ne!(conviction.by[0], conviction.by[1]);
                assert!(!conviction.by.contains(&conviction.node));
            }
            // The world's connections hold what is not read, so that only the machine's own bound is tried.
            Action::Pause { .. } => self.outcome.paused += 1,
            Action::Resume { .. } => {}
            Action::Finish { parts, .. } => {
                self.check_parts(&parts);
                self.outcome.end = Some(Ok(parts));
            }
            Action::GiveUp(why) => self.outcome.end = Some(Err(why)),
        }
    }

    fn check_parts(&self, parts: &[Part]) {
        let mut upto = 0;
        for part in parts {
            assert!(part.from == upto && part.upto > upto, "{parts:?}");
            assert_eq!(part.checker.is_some(), self.world.mode == Mode::Checked);
            let operator = |node| self.world.operator(index(node));
            assert_ne!(part.checker.map(operator), Some(operator(part.node)));
            upto = part.upto;
        }
        assert_eq!(upto, self.outcome.released.len());
    }
}
