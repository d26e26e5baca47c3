//! One streamed answer, made by as many nodes as it takes: a pure state machine, [`Event`]s in, [`Action`]s out.
//!
//! One node *makes* the answer. Where it dies, stalls or breaks the protocol, another is asked to go on after the tokens
//! that are confirmed, and reads those as its own: it refuses the first that it would not have made. Each call has a
//! number, so that what a replaced node still sends is told apart and ignored.
//!
//! In [`Mode::Unchecked`] a token is confirmed when it comes. In [`Mode::Checked`] it is when a node of another operator,
//! the *checker*, made the same step from the same beginning; only then it goes to the client. Where the two differ, a third
//! node *decides*: it is asked to go on after the last agreed token, and its step at the disputed position stands with one
//! of the two, who goes on, while the other is convicted. If it stands with neither, both are dropped without a conviction
//! and the third goes on with a new checker.
//!
//! What holds, and under which condition:
//! - Tokens are released once each, in order, and without gaps. Always.
//! - As long as no two nodes asked give the same wrong step at the same position, a checked stream releases a prefix of the
//!   true answer and convicts no honest node. Two nodes that lie together break it; that is why they are of two operators.
//! - If besides that at least two more nodes than there are liars are honest, reachable throughout and of operators of
//!   their own, and [`Config::most_nodes`] allows for all, a checked stream ends with the whole answer.
//! - In unchecked mode a lie goes out. It is noticed when two nodes that go on refuse the same token for the same other one.

use std::time::Duration;

use assay_receipt::NodeAddress;

mod check;
mod make;
mod terms;

pub use terms::{
    Action, Call, Cause, Choose, Chosen, Claim, Config, Conviction, Event, Failure, GiveUp, Mode,
    Need, Part, Patience, Role, Step,
};

/// A node that gives no sign of life for this long is replaced: three keep-alives of a quarter of a second missed.
pub const STALL: Duration = Duration::from_millis(800);

/// Where there is no node for a role, it is looked for again after this.
pub const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Steps in the largest window that a checker waits for; windows start at one and double.
pub const WINDOW_MOST: usize = 16;

/// A step waits no longer than this for its window to fill, so that a slow node's tokens do not come in bursts.
pub const WINDOW_WAIT: Duration = Duration::from_millis(150);

/// Most steps in one check.
pub const CHECK_MOST: usize = 64;

/// With this many steps unconfirmed the node that makes them is no longer read.
pub const PAUSE_AT: usize = 256;

/// With this few it is read again.
pub const RESUME_AT: usize = 64;

/// Most steps unconfirmed, those on their way when the node was paused included (37 kB).
pub const PENDING_MOST: usize = 1024;

/// One stream. Feed it every event, and [`Event::Tick`] at [`Stream::deadline`].
#[derive(Debug)]
pub struct Stream {
    config: Config,
    now: Duration,
    next_call: u32,
    asked: u32,
    /// Confirmed, and released.
    tokens: Vec<u32>,
    /// What the maker gave after them.
    pending: Vec<Step>,
    /// Since when the first of them waits.
    waiting_since: Duration,
    window: usize,
    maker: Option<Making>,
    rival: Option<Making>,
    hedged: bool,
    checker: Option<Checking>,
    dispute: Option<Dispute>,
    decider: Option<Making>,
    refusals: Vec<Refusal>,
    /// Nodes that are not asked again: they broke the protocol, lied, or may have.
    passed_over: Vec<NodeAddress>,
    /// Nodes that were silent, slow, gone or busy: asked again only where there is no other.
    away: Vec<NodeAddress>,
    /// Since when a role is empty for which there is no node.
    lacking: Option<Duration>,
    parts: Vec<Part>,
    over: bool,
}

/// A node that makes the answer.
#[derive(Debug)]
struct Making {
    call: Call,
    node: NodeAddress,
    patience: Patience,
    /// Tokens that it was given.
    start: usize,
    /// Position of its next step.
    next: usize,
    /// Its last sign of life.
    alive: Duration,
    /// When it has to have made its next step.
    due: Duration,
    paused: bool,
    ended: bool,
}

impl Making {
    fn has_given(&self) -> bool {
        self.next > self.start || self.ended
    }

    /// When it counts as failed, unless something comes.
    fn deadline(&self) -> Option<Duration> {
        let waits = !self.ended && !self.paused;
        waits.then(|| self.due.min(self.alive.saturating_add(STALL)))
    }
}

/// A node that checks.
#[derive(Debug)]
struct Checking {
    node: NodeAddress,
    patience: Patience,
    /// Whether it has answered, and so has read the prompt.
    warm: bool,
    check: Option<Check>,
}

/// A check under way.
#[derive(Debug, Clone, Copy)]
struct Check {
    call: Call,
    /// Steps in it, from the first unconfirmed one on.
    count: usize,
    ends: bool,
    alive: Duration,
    due: Duration,
}

impl Check {
    fn deadline(&self) -> Duration {
        self.due.min(self.alive.saturating_add(STALL))
    }
}

/// Two nodes that differ at the first unconfirmed position.
#[derive(Debug, Clone, Copy)]
struct Dispute {
    maker: NodeAddress,
    made: Claim,
    checker: NodeAddress,
    checked: Claim,
}

/// A node that refuses a token which is out already; in unchecked mode only.
#[derive(Debug, Clone, Copy)]
struct Refusal {
    node: NodeAddress,
    at: usize,
    claim: Claim,
}

/// What one event brings about.
struct Turn<'a> {
    now: Duration,
    choose: &'a mut dyn Choose,
    actions: Vec<Action>,
}

impl Turn<'_> {
    fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    fn cancel(&mut self, call: Call, node: NodeAddress, cause: Cause) {
        self.act(Action::Cancel { call, node, cause });
    }
}

impl Stream {
    /// A stream that has not begun; the first [`Event::Tick`] asks the first nodes.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            now: Duration::ZERO,
            next_call: 0,
            asked: 0,
            tokens: Vec::new(),
            pending: Vec::new(),
            waiting_since: Duration::ZERO,
            window: 1,
            maker: None,
            rival: None,
            hedged: false,
            checker: None,
            dispute: None,
            decider: None,
            refusals: Vec::new(),
            passed_over: Vec::new(),
            away: Vec::new(),
            lacking: None,
            parts: Vec::new(),
            over: false,
        }
    }

    /// The tokens that are confirmed and released, in order.
    #[must_use]
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Whether it has finished, was given up, or has lost its client.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Takes in what happened at `now`, and says what is to be done, in order.
    pub fn handle(&mut self, now: Duration, event: Event, choose: &mut dyn Choose) -> Vec<Action> {
        if self.over {
            return Vec::new();
        }
        self.now = self.now.max(now);
        let mut turn = Turn {
            now: self.now,
            choose,
            actions: Vec::new(),
        };
        self.take_in(event, &mut turn);
        self.expire(&mut turn);
        self.go_on(&mut turn);
        turn.actions
    }

    /// When the next [`Event::Tick`] is due, if nothing happens before.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        if self.over {
            return None;
        }
        let making = [&self.maker, &self.rival, &self.decider];
        let making = making.into_iter().flatten().filter_map(Making::deadline);
        let check = self.checker.as_ref().and_then(|checker| checker.check);
        let check = check.as_ref().map(Check::deadline);
        making
            .chain(check)
            .chain(self.hedge_due())
            .chain(self.window_due())
            .chain(self.lacking.map(|_| self.now.saturating_add(LOOK_AGAIN)))
            .min()
    }

    fn take_in(&mut self, event: Event, turn: &mut Turn<'_>) {
        match event {
            Event::Began { call } | Event::Alive { call } => self.keep_alive(call, turn.now),
            Event::Steps { call, from, steps } => self.take_steps(call, from, steps, turn),
            Event::Ended { call } => self.take_end(call, turn),
            Event::Failed { call, why } => self.lose_call(call, why, turn),
            Event::Refused { call, at, claim } => self.take_refusal(call, at, claim, turn),
            Event::Checked { call } => self.take_agreement(call, turn),
            Event::CheckDiffers { call, at, claim } => self.take_difference(call, at, claim, turn),
            Event::Tick => {}
            Event::ClientGone => self.stop(turn),
        }
    }

    fn keep_alive(&mut self, call: Call, now: Duration) {
        let making = [&mut self.maker, &mut self.rival, &mut self.decider];
        for making in making.into_iter().flatten() {
            if making.call == call {
                making.alive = now;
            }
        }
        let check = self
            .checker
            .as_mut()
            .and_then(|checker| checker.check.as_mut());
        if let Some(check) = check.filter(|check| check.call == call) {
            check.alive = now;
        }
    }

    /// Ends the calls that took too long.
    fn expire(&mut self, turn: &mut Turn<'_>) {
        let late = |making: &Option<Making>| {
            let making = making.as_ref()?;
            let silent = making.alive.saturating_add(STALL) <= turn.now;
            let cause = if silent { Cause::Silent } else { Cause::Slow };
            (making.deadline()? <= turn.now).then_some(cause)
        };
        let (maker, rival, decider) = (late(&self.maker), late(&self.rival), late(&self.decider));
        if let Some(cause) = rival {
            self.lose_rival(Some(cause), turn);
        }
        if let Some(cause) = maker {
            self.lose_maker(Some(cause), turn);
        }
        if let Some(cause) = decider {
            self.lose_decider(Some(cause), turn);
        }
        let check = self.checker.as_ref().and_then(|checker| checker.check);
        if let Some(check) = check.filter(|check| check.deadline() <= turn.now) {
            let silent = check.alive.saturating_add(STALL) <= turn.now;
            let cause = if silent { Cause::Silent } else { Cause::Slow };
            self.lose_checker(Some(cause), turn);
        }
    }

    /// Fills every role that is empty and needed, and sends the checks that are due.
    fn go_on(&mut self, turn: &mut Turn<'_>) {
        if !self.over && self.maker.is_none() && self.dispute.is_none() {
            self.maker = self.ask(Role::Make, turn);
        }
        if !self.over && self.maker.is_some() && self.dispute.is_none() {
            self.find_checker(turn);
        }
        if !self.over && self.dispute.is_some() && self.decider.is_none() {
            self.decider = self.ask(Role::Decide, turn);
        }
        if !self.over && self.hedge_due().is_some_and(|due| due <= turn.now) {
            self.hedged = true;
            self.rival = self.ask(Role::Hedge, turn);
        }
        if !self.over {
            self.start_check(turn);
            self.pace(turn);
        }
    }

    /// Chooses a node for a role. Gives up where there is none, unless it can be done without.
    fn choose(&mut self, role: Role, turn: &mut Turn<'_>) -> Option<Chosen> {
        let needed = role != Role::Hedge;
        if self.asked >= self.config.most_nodes {
            let asked = self.asked;
            if needed {
                self.give_up(GiveUp::TooMany { asked }, turn);
            }
            return None;
        }
        let waited = self.lacking.is_some_and(|since| since < turn.now);
        let away = self.away.iter().filter(|_| !waited);
        let excluded: Vec<_> = self
            .passed_over
            .iter()
            .chain(away)
            .copied()
            .chain(self.active())
            .collect();
        let need = Need {
            role,
            after: self.tokens.len(),
            excluded: &excluded,
            apart_from: &self.apart_from(role),
        };
        let chosen = turn.choose.choose(&need);
        let chosen = chosen.filter(|chosen| !excluded.contains(&chosen.node));
        if chosen.is_some() {
            self.asked = self.asked.saturating_add(1);
            self.lacking = None;
        } else if needed {
            let since = *self.lacking.get_or_insert(turn.now);
            if turn.now >= since.saturating_add(self.config.wait_for_node) {
                self.give_up(GiveUp::NoNode { role }, turn);
            }
        }
        chosen
    }

    /// The nodes that have a role now.
    fn active(&self) -> impl Iterator<Item = NodeAddress> {
        let making = [&self.maker, &self.rival, &self.decider];
        let making = making.into_iter().flatten().map(|making| making.node);
        let disputing = self.dispute.map(|dispute| [dispute.maker, dispute.checker]);
        making
            .chain(self.checker.as_ref().map(|checker| checker.node))
            .chain(disputing.into_iter().flatten())
    }

    /// The nodes whose word a node in this role is to add to.
    fn apart_from(&self, role: Role) -> Vec<NodeAddress> {
        let makers = || {
            [&self.maker, &self.rival]
                .into_iter()
                .flatten()
                .map(|making| making.node)
        };
        match (role, self.dispute) {
            (Role::Decide, Some(dispute)) => vec![dispute.maker, dispute.checker],
            (Role::Check, _) => makers().collect(),
            (Role::Make | Role::Hedge | Role::Decide, _) => {
                let checker = self.checker.as_ref().map(|checker| checker.node);
                let refusing = self.refusals.iter().map(|refusal| refusal.node);
                let refused = self
                    .refusals
                    .iter()
                    .filter_map(|refusal| self.part_at(refusal.at));
                let refused = refused.map(|part| part.node);
                checker.into_iter().chain(refusing).chain(refused).collect()
            }
        }
    }

    /// The part in which a position lies.
    fn part_at(&self, at: usize) -> Option<Part> {
        let within = |part: &&Part| part.from <= at && at < part.upto;
        self.parts.iter().find(within).copied()
    }

    fn new_call(&mut self) -> Call {
        let call = Call(self.next_call);
        self.next_call = self.next_call.saturating_add(1);
        call
    }

    /// Confirms the first `count` pending steps, which `node` made, and releases them.
    fn release(
        &mut self,
        count: usize,
        node: NodeAddress,
        checker: Option<NodeAddress>,
        turn: &mut Turn<'_>,
    ) {
        let steps: Vec<Step> = self
            .pending
            .drain(..count.min(self.pending.len()))
            .collect();
        self.waiting_since = turn.now;
        if steps.is_empty() {
            return;
        }
        let from = self.tokens.len();
        self.tokens.extend(steps.iter().map(|step| step.token));
        let upto = self.tokens.len();
        match self.parts.last_mut() {
            Some(part) if part.node == node && part.checker == checker => part.upto = upto,
            _ => self.parts.push(Part {
                node,
                checker,
                from,
                upto,
            }),
        }
        turn.act(Action::Release { from, steps });
    }

    fn finish(
        &mut self,
        call: Call,
        node: NodeAddress,
        end_checker: Option<NodeAddress>,
        turn: &mut Turn<'_>,
    ) {
        self.stop(turn);
        turn.act(Action::Finish {
            call,
            node,
            parts: std::mem::take(&mut self.parts),
            end_checker,
        });
    }

    fn give_up(&mut self, why: GiveUp, turn: &mut Turn<'_>) {
        self.stop(turn);
        turn.act(Action::GiveUp(why));
    }

    /// Ends every call.
    fn stop(&mut self, turn: &mut Turn<'_>) {
        self.over = true;
        let making = [self.maker.take(), self.rival.take(), self.decider.take()];
        for making in making.into_iter().flatten().filter(|making| !making.ended) {
            turn.cancel(making.call, making.node, Cause::Over);
        }
        let check = self.checker.take();
        if let Some((node, check)) = check.and_then(|checker| Some((checker.node, checker.check?)))
        {
            turn.cancel(check.call, node, Cause::Over);
        }
        self.pending.clear();
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;
