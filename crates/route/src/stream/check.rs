//! The node that checks, and the node that decides between two that differ.

use std::time::Duration;

use assay_receipt::NodeAddress;

use super::{
    Action, CHECK_MOST, Call, Cause, Check, Checking, Claim, Conviction, Dispute, Mode, PAUSE_AT,
    RESUME_AT, Role, Step, Stream, Turn, WINDOW_MOST, WINDOW_WAIT,
};

impl Stream {
    /// Whether this is the call of a check under way.
    pub(super) fn is_checking(&self, call: Call) -> bool {
        let check = self.checker.as_ref().and_then(|checker| checker.check);
        check.is_some_and(|check| check.call == call)
    }

    /// Chooses a checker where there is none.
    pub(super) fn find_checker(&mut self, turn: &mut Turn<'_>) {
        if self.config.mode != Mode::Checked || self.checker.is_some() {
            return;
        }
        self.checker = self.choose(Role::Check, turn).map(|chosen| Checking {
            node: chosen.node,
            patience: chosen.patience,
            warm: false,
            check: None,
        });
    }

    /// When the pending steps go to the checker though their window is not full.
    pub(super) fn window_due(&self) -> Option<Duration> {
        let checker = self.checker.as_ref()?;
        let waits = checker.check.is_none() && self.dispute.is_none() && !self.pending.is_empty();
        waits.then(|| self.waiting_since.saturating_add(WINDOW_WAIT))
    }

    /// Sends a check: of all that waits where a window is full, waited long or is the last; of nothing where the checker
    /// has not read the prompt yet.
    pub(super) fn start_check(&mut self, turn: &mut Turn<'_>) {
        let idle = self
            .checker
            .as_ref()
            .filter(|checker| checker.check.is_none());
        let (Some(checker), Some(maker), None) = (idle, &self.maker, self.dispute) else {
            return;
        };
        let (warm, node, patience) = (checker.warm, checker.node, checker.patience);
        let full = self.pending.len() >= self.window;
        let waited = self.window_due().is_some_and(|due| due <= turn.now);
        if warm && !full && !waited && !maker.ended {
            return;
        }
        let count = self.pending.len().min(CHECK_MOST);
        let ends = maker.ended && count == self.pending.len();
        let call = self.new_call();
        let allowed = if warm { patience.check } else { patience.first };
        let check = Check {
            call,
            count,
            ends,
            alive: turn.now,
            due: turn.now.saturating_add(allowed),
        };
        if let Some(checker) = &mut self.checker {
            checker.check = Some(check);
        }
        turn.act(Action::Check {
            call,
            node,
            from: self.tokens.len(),
            steps: self.pending.iter().take(count).copied().collect(),
            ends,
        });
    }

    /// Stops reading a maker that is far ahead, and reads on where it no longer is.
    pub(super) fn pace(&mut self, turn: &mut Turn<'_>) {
        let waiting = self.pending.len();
        let Some(maker) = self.maker.as_mut().filter(|maker| !maker.ended) else {
            return;
        };
        let call = maker.call;
        if !maker.paused && waiting >= PAUSE_AT {
            maker.paused = true;
            turn.act(Action::Pause { call });
        } else if maker.paused && waiting <= RESUME_AT {
            maker.paused = false;
            maker.alive = turn.now;
            maker.due = turn.now.saturating_add(maker.patience.step);
            turn.act(Action::Resume { call });
        }
    }

    /// The checker made the same.
    pub(super) fn take_agreement(&mut self, call: Call, turn: &mut Turn<'_>) {
        let Some((check, checker)) = self.end_check(call) else {
            return;
        };
        let Some((maker, node)) = self.maker.as_ref().map(|maker| (maker.call, maker.node)) else {
            return;
        };
        if check.count > 0 {
            self.window = self.window.saturating_mul(2).min(WINDOW_MOST);
        }
        self.release(check.count, node, Some(checker), turn);
        if check.ends {
            self.finish(maker, node, Some(checker), turn);
        }
    }

    /// Takes note that a check was answered.
    fn end_check(&mut self, call: Call) -> Option<(Check, NodeAddress)> {
        let checker = self.checker.as_mut()?;
        let check = checker.check.take_if(|check| check.call == call)?;
        checker.warm = true;
        Some((check, checker.node))
    }

    /// The checker made something else: what is agreed goes out, and a third node is to decide.
    pub(super) fn take_difference(
        &mut self,
        call: Call,
        at: usize,
        claim: Claim,
        turn: &mut Turn<'_>,
    ) {
        let Some((check, checker)) = self.end_check(call) else {
            return;
        };
        let Some(maker) = self.maker.as_ref().map(|maker| maker.node) else {
            return;
        };
        let agreed = at.checked_sub(self.tokens.len());
        let disputed = agreed.and_then(|agreed| match self.pending.get(agreed) {
            _ if agreed > check.count => None,
            Some(step) if agreed < check.count => Some((agreed, Claim::Step(*step))),
            None if check.ends => Some((agreed, Claim::End)),
            _ => None,
        });
        let Some((agreed, made)) = disputed.filter(|(_, made)| *made != claim) else {
            return self.lose_checker(Some(Cause::Broken), turn);
        };
        self.release(agreed, maker, Some(checker), turn);
        self.window = 1;
        self.dispute = Some(Dispute {
            maker,
            made,
            checker,
            checked: claim,
        });
    }

    /// Passes over the checker.
    pub(super) fn lose_checker(&mut self, cause: Option<Cause>, turn: &mut Turn<'_>) {
        let Some(lost) = self.checker.take() else {
            return;
        };
        self.put_aside(lost.node, cause);
        if let (Some(cause), Some(check)) = (cause, lost.check) {
            turn.cancel(check.call, lost.node, cause);
        }
    }

    /// The third node has spoken: `steps` from the disputed position on, none where it ended the answer there.
    pub(super) fn decide(&mut self, steps: Vec<Step>, turn: &mut Turn<'_>) {
        let (Some(dispute), Some(decider)) = (self.dispute.take(), &self.decider) else {
            return;
        };
        let (node, at) = (decider.node, self.tokens.len());
        let claim = steps.first().map_or(Claim::End, |step| Claim::Step(*step));
        if claim == dispute.made {
            let by = [dispute.maker, node];
            self.convict(dispute.checker, at, by, turn);
            self.lose_checker(None, turn);
            self.stand_with_maker(dispute, steps, turn);
        } else if claim == dispute.checked {
            let by = [dispute.checker, node];
            self.convict(dispute.maker, at, by, turn);
            self.lose_maker(Some(Cause::Convicted), turn);
            self.go_on_with_decider(steps, dispute.checker, turn);
        } else {
            self.lose_maker(Some(Cause::Undecided), turn);
            self.lose_checker(None, turn);
            self.maker = self.decider.take();
            self.pending = steps;
            self.waiting_since = turn.now;
        }
    }

    fn convict(&mut self, node: NodeAddress, at: usize, by: [NodeAddress; 2], turn: &mut Turn<'_>) {
        turn.act(Action::Convict(Conviction { node, at, by }));
    }

    /// The maker told the truth. It goes on, and the third node checks; if it is gone, the third goes on.
    fn stand_with_maker(&mut self, dispute: Dispute, steps: Vec<Step>, turn: &mut Turn<'_>) {
        let Some(maker) = self.maker.as_ref().map(|maker| maker.call) else {
            return self.go_on_with_decider(steps, dispute.maker, turn);
        };
        let Some(decider) = self.decider.take() else {
            return;
        };
        if !decider.ended {
            turn.cancel(decider.call, decider.node, Cause::Moot);
        }
        if dispute.made == Claim::End {
            return self.finish(maker, dispute.maker, Some(decider.node), turn);
        }
        self.release(1, dispute.maker, Some(decider.node), turn);
        self.checker = Some(Checking {
            node: decider.node,
            patience: decider.patience,
            warm: true,
            check: None,
        });
    }

    /// The third node goes on; its first step, or its end, is what `other` said.
    fn go_on_with_decider(&mut self, steps: Vec<Step>, other: NodeAddress, turn: &mut Turn<'_>) {
        let Some(decider) = self.decider.take() else {
            return;
        };
        let (call, node, ended) = (decider.call, decider.node, decider.ended);
        self.maker = Some(decider);
        self.pending = steps;
        if ended {
            return self.finish(call, node, Some(other), turn);
        }
        self.release(1, node, Some(other), turn);
    }
}
