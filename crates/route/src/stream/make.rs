//! The nodes that make the answer: asked, heard, lost, replaced.

use std::time::Duration;

use assay_receipt::NodeAddress;

use super::{
    Action, Call, Cause, Checking, Claim, Conviction, Failure, GiveUp, Making, Mode, PENDING_MOST,
    Refusal, Role, Step, Stream, Turn,
};

impl Stream {
    /// Asks a node to go on after the confirmed tokens.
    pub(super) fn ask(&mut self, role: Role, turn: &mut Turn<'_>) -> Option<Making> {
        let chosen = self.choose(role, turn)?;
        let (call, after) = (self.new_call(), self.tokens.len());
        turn.act(Action::Ask {
            call,
            node: chosen.node,
            after,
        });
        Some(Making {
            call,
            node: chosen.node,
            patience: chosen.patience,
            start: after,
            next: after,
            alive: turn.now,
            due: turn.now.saturating_add(chosen.patience.first),
            paused: false,
            ended: false,
        })
    }

    /// When a second node is asked beside one that has given nothing yet. Once a stream.
    pub(super) fn hedge_due(&self) -> Option<Duration> {
        let maker = self.maker.as_ref().filter(|maker| !maker.has_given())?;
        let asked = maker.due.saturating_sub(maker.patience.first);
        let after = self.config.hedge_after.filter(|_| !self.hedged)?;
        Some(asked.saturating_add(after))
    }

    pub(super) fn take_steps(
        &mut self,
        call: Call,
        from: usize,
        steps: Vec<Step>,
        turn: &mut Turn<'_>,
    ) {
        let making = [&mut self.maker, &mut self.rival, &mut self.decider];
        let making = making
            .into_iter()
            .flatten()
            .find(|making| making.call == call);
        let Some(making) = making else {
            return;
        };
        making.alive = turn.now;
        if steps.is_empty() {
            return;
        }
        let next = making.next.saturating_add(steps.len());
        if from != making.next || making.ended || next > self.config.most_tokens {
            return self.lose_making(call, Cause::Broken, turn);
        }
        making.next = next;
        making.due = turn.now.saturating_add(making.patience.step);
        if is(&self.decider, call) {
            self.decide(steps, turn);
        } else {
            self.prefer(call, turn);
            self.take_from_maker(steps, turn);
        }
    }

    fn take_from_maker(&mut self, steps: Vec<Step>, turn: &mut Turn<'_>) {
        if self.pending.is_empty() {
            self.waiting_since = turn.now;
        }
        if self.pending.len().saturating_add(steps.len()) > PENDING_MOST {
            return self.lose_maker(Some(Cause::Broken), turn);
        }
        self.pending.extend(steps);
        if let (Mode::Unchecked, Some(maker)) = (self.config.mode, &self.maker) {
            self.release(self.pending.len(), maker.node, None, turn);
        }
    }

    /// Of maker and rival, the first that gives something is the maker from then on.
    fn prefer(&mut self, call: Call, turn: &mut Turn<'_>) {
        if is(&self.rival, call) {
            std::mem::swap(&mut self.maker, &mut self.rival);
        }
        if let Some(slower) = self.rival.take() {
            turn.cancel(slower.call, slower.node, Cause::Outrun);
        }
    }

    pub(super) fn take_end(&mut self, call: Call, turn: &mut Turn<'_>) {
        let making = [&mut self.maker, &mut self.rival, &mut self.decider];
        let making = making
            .into_iter()
            .flatten()
            .find(|making| making.call == call);
        let Some(making) = making else {
            return;
        };
        making.ended = true;
        let node = making.node;
        if is(&self.decider, call) {
            return self.decide(Vec::new(), turn);
        }
        self.prefer(call, turn);
        if self.config.mode == Mode::Unchecked {
            self.finish(call, node, None, turn);
        }
    }

    /// A call came to nothing, and the caller knows why.
    pub(super) fn lose_call(&mut self, call: Call, why: Failure, turn: &mut Turn<'_>) {
        let before = self.passed_over.len();
        let ended = self.maker.as_ref().is_some_and(|maker| maker.ended);
        if is(&self.maker, call) && !ended {
            self.lose_maker(None, turn);
        } else if is(&self.rival, call) {
            self.lose_rival(None, turn);
        } else if is(&self.decider, call) {
            self.lose_decider(None, turn);
        } else if self.is_checking(call) {
            self.lose_checker(None, turn);
        }
        if why != Failure::Broken {
            self.away.extend(self.passed_over.drain(before..));
        }
    }

    fn lose_making(&mut self, call: Call, cause: Cause, turn: &mut Turn<'_>) {
        if is(&self.decider, call) {
            self.lose_decider(Some(cause), turn);
        } else if is(&self.rival, call) {
            self.lose_rival(Some(cause), turn);
        } else {
            self.lose_maker(Some(cause), turn);
        }
    }

    /// Passes over the maker. What it gave unconfirmed goes with it, and so does a check of that.
    ///
    /// A `cause` is given where the call has to be ended, and none where it has come to an end.
    pub(super) fn lose_maker(&mut self, cause: Option<Cause>, turn: &mut Turn<'_>) {
        let Some(lost) = self.maker.take() else {
            return;
        };
        self.pass_over(&lost, cause, turn);
        self.maker = self.rival.take();
        self.pending.clear();
        let moot = |checker: &mut Checking| {
            let check = checker
                .check
                .take_if(|check| check.count > 0 || check.ends)?;
            Some((check, checker.node))
        };
        if let Some((check, node)) = self.checker.as_mut().and_then(moot) {
            turn.cancel(check.call, node, Cause::Moot);
        }
    }

    pub(super) fn lose_rival(&mut self, cause: Option<Cause>, turn: &mut Turn<'_>) {
        if let Some(lost) = self.rival.take() {
            self.pass_over(&lost, cause, turn);
        }
    }

    pub(super) fn lose_decider(&mut self, cause: Option<Cause>, turn: &mut Turn<'_>) {
        if let Some(lost) = self.decider.take() {
            self.pass_over(&lost, cause, turn);
        }
    }

    fn pass_over(&mut self, lost: &Making, cause: Option<Cause>, turn: &mut Turn<'_>) {
        self.put_aside(lost.node, cause);
        if let Some(cause) = cause.filter(|_| !lost.ended) {
            turn.cancel(lost.call, lost.node, cause);
        }
    }

    /// Does without a node: for good, unless it was only silent or slow.
    pub(super) fn put_aside(&mut self, node: NodeAddress, cause: Option<Cause>) {
        match cause {
            Some(Cause::Silent | Cause::Slow) => self.away.push(node),
            _ => self.passed_over.push(node),
        }
    }

    /// A node that was to go on would not have made one of the tokens before.
    ///
    /// In checked mode two nodes made that token, and the one that refuses is convicted. In unchecked mode one did: a
    /// second refusal for the same other step convicts it, and the client, which has the token, is told.
    pub(super) fn take_refusal(
        &mut self,
        call: Call,
        at: usize,
        claim: Claim,
        turn: &mut Turn<'_>,
    ) {
        let making = [&self.maker, &self.rival, &self.decider];
        let making = making
            .into_iter()
            .flatten()
            .find(|making| making.call == call);
        let Some((node, fresh)) = making.map(|making| (making.node, !making.has_given())) else {
            return;
        };
        let token = self.tokens.get(at).copied();
        let differs = match claim {
            Claim::Step(step) => Some(step.token) != token,
            Claim::End => true,
        };
        let part = self.part_at(at).filter(|_| fresh && differs);
        let by = part.and_then(|part| Some([part.node, part.checker?]));
        if let Some(by) = by {
            turn.act(Action::Convict(Conviction { node, at, by }));
        }
        let cause = by.map_or(Cause::Broken, |_| Cause::Convicted);
        self.lose_making(call, cause, turn);
        if let (Mode::Unchecked, Some(part)) = (self.config.mode, part) {
            self.weigh_refusal(Refusal { node, at, claim }, part.node, turn);
        }
    }

    fn weigh_refusal(&mut self, refusal: Refusal, maker: NodeAddress, turn: &mut Turn<'_>) {
        let same = |other: &&Refusal| other.at == refusal.at && other.claim == refusal.claim;
        let Some(other) = self.refusals.iter().find(same).copied() else {
            return self.refusals.push(refusal);
        };
        turn.act(Action::Convict(Conviction {
            node: maker,
            at: refusal.at,
            by: [other.node, refusal.node],
        }));
        self.give_up(GiveUp::Wrong { at: refusal.at }, turn);
    }
}

/// Whether this is the call of the node in that role.
fn is(role: &Option<Making>, call: Call) -> bool {
    role.as_ref().is_some_and(|making| making.call == call)
}
