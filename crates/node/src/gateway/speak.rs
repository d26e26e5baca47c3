//! One answer of a language model, made by as many nodes as it takes: the nodes are asked here, what they say is checked
//! here, and [`assay_route::stream`] decides what follows from it.

mod call;
mod part;

use crate::{
    api::generate::{
        CheckFrame, CheckReport, CheckRequest, Ended, Frame, GenerateRequest, StepEntry, append,
        commit_prompt, parameters_digest,
    },
    api::request::{deadline_ns_of, nonce_of},
    clock::now_ns,
    gateway::{Gateway, directory::Chosen},
    problem::{Kind, Problem},
};
use alloy_primitives::B256;
use assay_receipt::{
    ChunkChain, Commitment, NodeAddress, Request, RevisionId, Role as Said, Rung, SignedProgress,
};
use assay_route::stream::{
    Action, Call, Cause, Choose, Chosen as Picked, Config, Conviction, Event, Failure, GiveUp,
    Mode, Need, Part as Share, Patience, Step, Stream,
};
use call::{Ask, Came, Inbox, call};
use part::{Asked, Part, claim_of, step_of};
use rand::Rng as _;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};

/// What of one call waits to be looked at.
const INBOX: usize = 256;
/// Nodes that one answer may take.
const MOST_NODES: u32 = 16;
/// How long a stream waits for a node where there is none.
const WAIT_FOR_NODE: Duration = Duration::from_secs(3);
/// How long a node that gives signs of life may take for a token: a busy one reads long prompts of others meanwhile, and where it
/// is replaced for that, the next one is busy with this stream besides. One that is silent is replaced much earlier.
const STEP_PATIENCE: Duration = Duration::from_secs(5);
/// Most tokens of an answer where nobody says.
const MOST_TOKENS: usize = 1 << 17;

/// What a client hears.
#[derive(Debug)]
pub(super) enum Heard {
    /// Tokens, which nobody takes back.
    Steps(Vec<StepEntry>),
    /// The answer is whole.
    Whole(Box<Whole>),
    /// There is no more.
    Failed(Box<Problem>),
}

/// A whole answer with what supports it.
#[derive(Debug)]
pub(super) struct Whole {
    /// The end as the node sent it that signed for all.
    pub(super) ended: Ended,
    /// The question as that node took it.
    pub(super) request: Request,
    /// Salt seed of its input commitment.
    pub(super) input: B256,
    /// Who made what, and who checked it.
    pub(super) shares: Vec<Share>,
    /// What nodes signed about earlier parts, with the questions as they took them and the salt seeds of their inputs.
    pub(super) parts: Vec<(SignedProgress, Request, B256)>,
    /// The question as checkers were asked, with the salt seed of its input, and what they signed.
    pub(super) checks: Option<(Request, B256, Vec<SignedProgress>)>,
    /// Nodes that were shown to have said something else than two others.
    pub(super) convictions: Vec<Conviction>,
    /// Tokens of the prompt.
    pub(super) prompt_tokens: u64,
    /// The longest time between two releases, and how many nodes made the answer.
    pub(super) gap: Duration,
}

/// What a call was made for.
#[derive(Debug)]
struct Begun {
    node: NodeAddress,
    /// The first token that the call is about.
    after: usize,
    /// Statements that the node was given with the tokens.
    given: Vec<SignedProgress>,
    /// What a check was asked.
    check: Option<Vec<Step>>,
}

/// A call that is under way, or was.
#[derive(Debug)]
struct Live {
    begun: Begun,
    task: JoinHandle<()>,
    pause: watch::Sender<bool>,
    part: Option<Part>,
    /// Whether the node has said all that it was asked for; the connection may end.
    is_done: bool,
}

/// An answer on its way.
struct Speaking {
    gateway: Arc<Gateway>,
    revision: RevisionId,
    question: GenerateRequest,
    stream: Stream,
    started: Instant,
    calls: HashMap<Call, Live>,
    /// The nodes that were chosen; each counts as in flight until the answer is over.
    chosen: HashMap<NodeAddress, Chosen>,
    inbox: (Inbox, mpsc::Receiver<(Call, Came)>),
    out: mpsc::Sender<Heard>,
    /// What is released, as it was released.
    released: Vec<StepEntry>,
    /// The question as checkers are asked it, and its chain over what is released.
    checking: (Request, B256),
    chain: ChunkChain,
    checks: Vec<SignedProgress>,
    convictions: Vec<Conviction>,
    /// Why nodes say that the question is to blame.
    refusals: Vec<Problem>,
    /// Whether each node that took no call was busy, and none away or broken.
    all_busy: bool,
    /// Why the answer ends here, whatever nodes say.
    failure: Option<Problem>,
    last_release: Option<Instant>,
    gap: Duration,
}

/// Chooses among the nodes of the directory.
struct Chooser<'a> {
    gateway: &'a Gateway,
    revision: RevisionId,
    chosen: &'a mut HashMap<NodeAddress, Chosen>,
}

impl Choose for Chooser<'_> {
    fn choose(&mut self, need: &Need<'_>) -> Option<Picked> {
        let directory = &self.gateway.directory;
        let chosen = directory.choose_apart(self.revision, need.excluded, need.apart_from)?;
        let node = chosen.node();
        self.chosen.insert(node, chosen);
        Some(Picked {
            node,
            patience: Patience {
                step: STEP_PATIENCE,
                ..Patience::default()
            },
        })
    }
}

impl Gateway {
    /// Has a question answered; what comes can be heard until the channel is closed. Who listens no more ends the answer.
    ///
    /// # Errors
    /// [`Problem`] for a question that cannot be asked.
    pub(super) fn speak(
        self: &Arc<Self>,
        revision: RevisionId,
        mut question: GenerateRequest,
        mode: Mode,
    ) -> Result<mpsc::Receiver<Heard>, Problem> {
        question.model = revision.to_string();
        let nonce = match nonce_of(question.nonce.as_deref())? {
            Some(nonce) => nonce,
            None => rand::random(),
        };
        question.nonce = Some(nonce.to_string());
        let mut salt = [0; 32];
        rand::rng().fill_bytes(&mut salt);
        let salt = B256::from(salt);
        let request = Request {
            network: self.domain.network(),
            revision,
            input: commit_prompt(&question.prompt, &salt)?,
            parameters: parameters_digest(&question.parameters)?,
            seed: question.seed,
            rung: Rung::Signed,
            deadline_ns: now_ns().saturating_add(deadline_ns_of(question.deadline_ms)?),
            nonce,
            payer: Commitment::ZERO,
        };
        let most = question.parameters.max_tokens;
        let config = Config {
            mode,
            most_tokens: most
                .and_then(|most| usize::try_from(most).ok())
                .unwrap_or(MOST_TOKENS),
            most_nodes: MOST_NODES,
            hedge_after: None,
            wait_for_node: WAIT_FOR_NODE,
        };
        let (out, heard) = mpsc::channel(INBOX);
        let speaking = Speaking {
            gateway: self.clone(),
            revision,
            question,
            stream: Stream::new(config),
            started: Instant::now(),
            calls: HashMap::new(),
            chosen: HashMap::new(),
            inbox: mpsc::channel(INBOX),
            out,
            released: Vec::new(),
            chain: ChunkChain::new(request.id()),
            checking: (request, salt),
            checks: Vec::new(),
            convictions: Vec::new(),
            refusals: Vec::new(),
            all_busy: true,
            failure: None,
            last_release: None,
            gap: Duration::ZERO,
        };
        tokio::spawn(speaking.run());
        Ok(heard)
    }
}

impl Speaking {
    async fn run(mut self) {
        self.happened(Event::Tick).await;
        while !self.stream.is_over() {
            let deadline = self.stream.deadline();
            let rest = deadline.map(|deadline| deadline.saturating_sub(self.started.elapsed()));
            let rest = rest.unwrap_or(Duration::from_secs(1));
            let out = self.out.clone();
            let next = tokio::select! {
                () = out.closed() => Some(Event::ClientGone),
                came = timeout(rest, self.inbox.1.recv()) => match came {
                    Ok(Some((call, came))) => self.looked_at(call, came),
                    Ok(None) | Err(_) => Some(Event::Tick),
                },
            };
            if let Some(event) = next {
                self.happened(event).await;
            }
            if self.is_refused() {
                self.failure = self.refusals.first().cloned();
            }
            if let Some(problem) = self.failure.take().filter(|_| !self.stream.is_over()) {
                self.happened(Event::ClientGone).await;
                self.tell(Heard::Failed(problem.into())).await;
            }
        }
        for live in self.calls.values() {
            live.task.abort();
        }
    }

    /// Whether the question is to blame: two nodes say so, or one where no other serves the model.
    fn is_refused(&self) -> bool {
        match self.refusals.len() {
            // Once an answer has begun, the question is none to refuse.
            _ if !self.released.is_empty() => false,
            0 => false,
            1 => {
                let refusing: Vec<NodeAddress> = self.chosen.keys().copied().collect();
                !self.gateway.directory.has_other(self.revision, &refusing)
            }
            _ => true,
        }
    }

    async fn happened(&mut self, event: Event) {
        tracing::trace!(nonce = ?self.question.nonce, ?event, "something happened to a stream");
        let mut chooser = Chooser {
            gateway: &self.gateway,
            revision: self.revision,
            chosen: &mut self.chosen,
        };
        let actions = self
            .stream
            .handle(self.started.elapsed(), event, &mut chooser);
        for action in actions {
            self.act(action).await;
        }
    }

    /// What something that came means for the stream; `None` for nothing.
    fn looked_at(&mut self, call: Call, came: Came) -> Option<Event> {
        let live = self.calls.get_mut(&call)?;
        let node = live.begun.node;
        let looked = match came {
            Came::Closed(_) if live.is_done => return None,
            Came::Frame(frame) => return self.frame(call, *frame),
            Came::Check(frame) => return self.check_frame(call, *frame),
            Came::Refused(problem) => {
                tracing::debug!(node = %live.begun.node, %problem, "a node refuses a question");
                self.refusals.push(*problem);
                Failure::Busy
            }
            Came::Busy(reason) => {
                tracing::debug!(node = %live.begun.node, reason, "a node is busy");
                Failure::Busy
            }
            Came::Closed(reason) => {
                tracing::debug!(node = %live.begun.node, reason, "a call ended");
                self.all_busy = false;
                self.failed(node);
                Failure::Closed
            }
            Came::Broken(reason) => return Some(self.broken(call, &reason)),
        };
        Some(Event::Failed { call, why: looked })
    }

    fn broken(&mut self, call: Call, reason: &str) -> Event {
        self.all_busy = false;
        if let Some(live) = self.calls.get(&call) {
            tracing::warn!(node = %live.begun.node, reason, "a node answers what no node may");
            self.cheated(live.begun.node);
        }
        Event::Failed {
            call,
            why: Failure::Broken,
        }
    }

    fn failed(&self, node: NodeAddress) {
        if let Some(chosen) = self.chosen.get(&node) {
            chosen.failed();
        }
    }

    fn cheated(&self, node: NodeAddress) {
        self.gateway.metrics.bad_answers.inc();
        if let Some(chosen) = self.chosen.get(&node) {
            chosen.cheated();
        }
    }

    fn frame(&mut self, call: Call, frame: Frame) -> Option<Event> {
        let domain = self.gateway.domain;
        let live = self.calls.get_mut(&call)?;
        let asked = Asked {
            question: &self.question,
            revision: self.revision,
            domain: &domain,
        };
        live.is_done |= matches!(
            frame,
            Frame::Ended(_) | Frame::Differs(_) | Frame::Failed(_)
        );
        let outcome = match (frame, &mut live.part) {
            (Frame::Began(began), None) => {
                Part::begin(live.begun.node, *began, asked).map(|part| {
                    live.part = Some(part);
                    Event::Began { call }
                })
            }
            (Frame::Alive, _) => Ok(Event::Alive { call }),
            (Frame::Steps(steps), Some(part)) => {
                let from = part.steps.len();
                part.take(steps, &domain).and_then(|()| {
                    let repeated = part
                        .steps
                        .iter()
                        .zip(&self.released)
                        .take(live.begun.after)
                        .skip(from);
                    match repeated
                        .clone()
                        .all(|(step, released)| step.token == released.token)
                    {
                        false => Err("it repeats other tokens than it was given".into()),
                        true => {
                            let from = from.max(live.begun.after);
                            let steps = part.compared(from);
                            Ok(Event::Steps { call, from, steps })
                        }
                    }
                })
            }
            (Frame::Ended(ended), Some(part)) => {
                let given = live.begun.given.clone();
                part.end(ended, &given, &domain)
                    .map(|()| Event::Ended { call })
            }
            (Frame::Differs(difference), Some(_)) => Ok(Event::Refused {
                call,
                at: usize::try_from(difference.at).unwrap_or(usize::MAX),
                claim: claim_of(&difference),
            }),
            (Frame::Failed(problem), _) => return self.looked_at(call, call::of_problem(problem)),
            (Frame::Began(_), Some(_)) => Err("it begins twice".into()),
            (_, None) => Err("it does not say what it answers".into()),
        };
        Some(outcome.unwrap_or_else(|reason| self.broken(call, &reason)))
    }

    fn check_frame(&mut self, call: Call, frame: CheckFrame) -> Option<Event> {
        if let Some(live) = self.calls.get_mut(&call) {
            live.is_done |= !matches!(frame, CheckFrame::Alive);
        }
        let report = match frame {
            CheckFrame::Alive => return Some(Event::Alive { call }),
            CheckFrame::Failed(problem) => return self.looked_at(call, call::of_problem(problem)),
            CheckFrame::Report(report) => report,
        };
        Some(match self.compared(call, &report) {
            Ok(event) => event,
            Err(reason) => self.broken(call, &reason),
        })
    }

    /// Compares what a checker made with what it was asked to check.
    fn compared(&mut self, call: Call, report: &CheckReport) -> Result<Event, String> {
        let live = self.calls.get(&call).ok_or("no such call")?;
        let asked = live.begun.check.as_ref().ok_or("no check was asked for")?;
        let from = live.begun.after;
        if report.steps.len() > asked.len()
            || (report.differs.is_none() && report.steps.len() < asked.len())
        {
            return Err("it checked other tokens than it was asked".into());
        }
        let pairs = asked.iter().zip(&report.steps);
        for (offset, (step, (digest, text))) in pairs.clone().enumerate() {
            let own = step_of(step.token, &digest.0, text);
            if own != *step {
                let at = from.saturating_add(offset);
                return Ok(Event::CheckDiffers {
                    call,
                    at,
                    claim: assay_route::stream::Claim::Step(own),
                });
            }
        }
        if let Some(signed) = &report.progress {
            self.check_signed(
                live,
                from,
                signed,
                pairs.map(|(step, (digest, _))| (&step.token, digest)),
            )?;
            self.checks.push(*signed);
        }
        Ok(match &report.differs {
            Some(difference) => Event::CheckDiffers {
                call,
                at: usize::try_from(difference.at).unwrap_or(usize::MAX),
                claim: claim_of(difference),
            },
            None => Event::Checked { call },
        })
    }

    /// Whether a checker signed for exactly what it made.
    fn check_signed<'a>(
        &self,
        live: &Live,
        from: usize,
        signed: &SignedProgress,
        steps: impl Iterator<Item = (&'a u32, &'a B256)>,
    ) -> Result<(), String> {
        signed
            .verify(&self.gateway.domain)
            .map_err(|error| error.to_string())?;
        // Nothing is released while a check of it is under way, so that the chain ends where the check begins.
        let mut chain = self.chain.clone();
        if chain.count() != from as u64 {
            return Err("it answers too late".into());
        }
        append(&mut chain, steps).map_err(|problem| problem.to_string())?;
        let said = signed.progress;
        let is_its_own = signed.node == live.begun.node
            && said.request == self.checking.0.id()
            && said.role == Said::Checked
            && said.from == from as u64
            && said.to == chain.count()
            && said.head == chain.head();
        match is_its_own {
            true => Ok(()),
            false => Err("what it signed is not what it checked".into()),
        }
    }

    async fn act(&mut self, action: Action) {
        tracing::trace!(nonce = ?self.question.nonce, ?action, "a stream goes on");
        match action {
            Action::Ask { call, node, after } => self.ask(call, node, after),
            Action::Check {
                call,
                node,
                from,
                steps,
                ends,
            } => self.check(call, node, from, steps, ends),
            Action::Release { from, steps } => self.release(from, &steps).await,
            Action::Pause { call } => self.pause(call, true),
            Action::Resume { call } => self.pause(call, false),
            Action::Cancel { call, cause, .. } => self.cancel(call, cause),
            Action::Convict(conviction) => {
                tracing::warn!(?conviction, "a node was shown to have lied");
                self.cheated(conviction.node);
                self.convictions.push(conviction);
            }
            Action::Finish { call, parts, .. } => self.finish(call, parts).await,
            Action::GiveUp(why) => {
                let problem = self.refusals.pop().unwrap_or_else(|| self.nobody(why));
                self.tell(Heard::Failed(problem.into())).await;
            }
        }
    }

    /// Why no node finished the answer.
    fn nobody(&self, why: GiveUp) -> Problem {
        let is_missing = matches!(why, GiveUp::NoNode { .. });
        let kind = match (is_missing, self.all_busy, self.calls.is_empty()) {
            (true, true, false) => {
                let detail = "every node that serves this model is busy";
                return Problem::new(Kind::RateLimited, detail).retry_after(1);
            }
            (true, _, _) => Kind::Unavailable,
            _ => Kind::BadGateway,
        };
        Problem::new(kind, why.to_string()).retry_after(1)
    }

    async fn tell(&mut self, heard: Heard) {
        // The loop sees that nobody listens.
        let _ = self.out.send(heard).await;
    }

    fn pause(&mut self, call: Call, paused: bool) {
        if let Some(live) = self.calls.get(&call) {
            live.pause.send_replace(paused);
        }
    }

    /// What nodes signed that made what is released, latest last, each for as much as it made.
    fn statements(&self) -> Vec<SignedProgress> {
        let mut parts: Vec<SignedProgress> = self
            .calls
            .values()
            .filter_map(|live| live.part.as_ref()?.statement(self.released.len()))
            .collect();
        parts.sort_by_key(|signed| signed.progress.to);
        parts
    }

    /// Makes a call.
    fn begin(&mut self, (number, ask): (Call, Ask), begun: Begun) {
        let Some(chosen) = self.chosen.get(&begun.node) else {
            return;
        };
        let (pause, paused) = watch::channel(false);
        let endpoint = chosen.endpoint().to_owned();
        let asker = self.gateway.asker.clone();
        let inbox = self.inbox.0.clone();
        let task = tokio::spawn(call(asker, endpoint, (number, ask), inbox, paused));
        let live = Live {
            begun,
            task,
            pause,
            part: None,
            is_done: false,
        };
        self.calls.insert(number, live);
    }

    fn ask(&mut self, call: Call, node: NodeAddress, after: usize) {
        let given = self.statements();
        let mut question = self.question.clone();
        question.after = self
            .released
            .iter()
            .take(after)
            .map(|step| step.token)
            .collect();
        question.parts = given.clone();
        if after > 0 {
            self.gateway.metrics.failovers.inc();
        }
        let begun = Begun {
            node,
            after,
            given,
            check: None,
        };
        self.begin((call, Ask::Generate(Box::new(question))), begun);
    }

    fn check(&mut self, call: Call, node: NodeAddress, from: usize, steps: Vec<Step>, ends: bool) {
        let before = self.released.iter().take(from).map(|step| step.token);
        let request = CheckRequest {
            request: self.checking.0.clone(),
            input: self.checking.1,
            prompt: self.question.prompt.clone(),
            parameters: self.question.parameters.clone(),
            tokens: before.chain(steps.iter().map(|step| step.token)).collect(),
            from: from as u64,
            ends,
            head: (from > 0).then(|| self.chain.head()),
        };
        let begun = Begun {
            node,
            after: from,
            given: Vec::new(),
            check: Some(steps),
        };
        self.begin((call, Ask::Check(Box::new(request))), begun);
    }

    async fn release(&mut self, from: usize, steps: &[Step]) {
        let makers = self.calls.values().filter_map(|live| live.part.as_ref());
        let entry = |at: usize, step: &Step| {
            let of = |part: &Part| {
                let entry = part.steps.get(at)?;
                (step_of(entry.token, &entry.digest.0, &entry.text) == *step).then(|| entry.clone())
            };
            makers.clone().find_map(of)
        };
        let entries: Vec<StepEntry> = steps
            .iter()
            .enumerate()
            .filter_map(|(offset, step)| entry(from.saturating_add(offset), step))
            .collect();
        let pairs = entries.iter().map(|entry| (&entry.token, &entry.digest));
        if append(&mut self.chain, pairs).is_err() || entries.len() != steps.len() {
            // It cannot be: what is released was taken from a part before.
            self.failure = Some(Problem::new(Kind::Internal, "tokens are lost"));
            return;
        }
        let now = Instant::now();
        if let Some(last) = self.last_release.replace(now) {
            self.gap = self.gap.max(now.saturating_duration_since(last));
        }
        self.released.extend(entries.iter().cloned());
        self.tell(Heard::Steps(entries)).await;
    }

    fn cancel(&mut self, call: Call, cause: Cause) {
        let Some(live) = self.calls.get(&call) else {
            return;
        };
        live.task.abort();
        self.all_busy &= matches!(cause, Cause::Outrun | Cause::Moot | Cause::Over);
        match cause {
            Cause::Silent => self.failed(live.begun.node),
            Cause::Broken => self.cheated(live.begun.node),
            Cause::Slow
            | Cause::Convicted
            | Cause::Undecided
            | Cause::Outrun
            | Cause::Moot
            | Cause::Over => {}
        }
    }

    async fn finish(&mut self, call: Call, shares: Vec<Share>) {
        let part = self.calls.get_mut(&call);
        let Some((part, given)) =
            part.and_then(|live| Some((live.part.take()?, live.begun.given.clone())))
        else {
            return self
                .tell(Heard::Failed(
                    Problem::new(Kind::Internal, "the end is lost").into(),
                ))
                .await;
        };
        let Some(ended) = part.ended else { return };
        let of = |signed: &SignedProgress| {
            let parts = self.calls.values().filter_map(|live| live.part.as_ref());
            let its = parts
                .map(|part| &part.began)
                .find(|began| began.request.id() == signed.progress.request);
            its.map(|began| (*signed, began.request.clone(), began.input))
        };
        let parts = given.iter().filter_map(of).collect();
        let checks = std::mem::take(&mut self.checks);
        let (request, salt) = self.checking.clone();
        self.gateway
            .recent
            .insert(ended.receipt_id, ended.receipt.clone());
        let whole = Whole {
            ended: *ended,
            request: part.began.request,
            input: part.began.input,
            prompt_tokens: part.began.prompt_tokens,
            shares,
            parts,
            checks: (!checks.is_empty()).then_some((request, salt, checks)),
            convictions: std::mem::take(&mut self.convictions),
            gap: self.gap,
        };
        self.tell(Heard::Whole(Box::new(whole))).await;
    }
}
