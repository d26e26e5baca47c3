//! Single moments of a stream, event by event.

use super::*;

fn node(number: u8) -> NodeAddress {
    NodeAddress::from_bytes([number; 20])
}

fn step(number: u32) -> Step {
    Step {
        token: number,
        scores: [1; 32],
    }
}

fn wrong(number: u32) -> Step {
    Step {
        token: number,
        scores: [2; 32],
    }
}

fn steps(numbers: std::ops::Range<u32>) -> Vec<Step> {
    numbers.map(step).collect()
}

/// Gives the nodes 1, 2, 3 and so on, up to a last one, and takes down what was needed.
struct InOrder {
    next: u8,
    last: u8,
    needs: Vec<(Role, Vec<NodeAddress>, Vec<NodeAddress>)>,
}

impl Choose for InOrder {
    fn choose(&mut self, need: &Need<'_>) -> Option<Chosen> {
        let (excluded, apart) = (need.excluded.to_vec(), need.apart_from.to_vec());
        self.needs.push((need.role, excluded, apart));
        self.next += 1;
        (self.next <= self.last).then(|| Chosen {
            node: node(self.next),
            patience: Patience::default(),
        })
    }
}

struct Script {
    stream: Stream,
    nodes: InOrder,
    now: Duration,
}

impl Script {
    fn new(mode: Mode, nodes: u8) -> Self {
        let config = Config {
            mode,
            most_tokens: 500,
            most_nodes: 6,
            hedge_after: None,
            wait_for_node: Duration::ZERO,
        };
        Self {
            stream: Stream::new(config),
            nodes: InOrder {
                next: 0,
                last: nodes,
                needs: Vec::new(),
            },
            now: Duration::ZERO,
        }
    }

    fn at(&mut self, now_ms: u64, event: Event) -> Vec<Action> {
        self.now = Duration::from_millis(now_ms);
        self.stream.handle(self.now, event, &mut self.nodes)
    }

    fn now(&mut self, event: Event) -> Vec<Action> {
        self.stream.handle(self.now, event, &mut self.nodes)
    }

    fn gives(&mut self, call: u32, from: usize, steps: Vec<Step>) -> Vec<Action> {
        let call = Call(call);
        self.now(Event::Steps { call, from, steps })
    }
}

fn ask(call: u32, number: u8, after: usize) -> Action {
    Action::Ask {
        call: Call(call),
        node: node(number),
        after,
    }
}

fn check(call: u32, number: u8, from: usize, steps: Vec<Step>, ends: bool) -> Action {
    Action::Check {
        call: Call(call),
        node: node(number),
        from,
        steps,
        ends,
    }
}

fn cancel(call: u32, number: u8, cause: Cause) -> Action {
    Action::Cancel {
        call: Call(call),
        node: node(number),
        cause,
    }
}

fn release(from: usize, steps: Vec<Step>) -> Action {
    Action::Release { from, steps }
}

fn failed(call: u32) -> Event {
    Event::Failed {
        call: Call(call),
        why: Failure::Closed,
    }
}

fn checked(call: u32) -> Event {
    Event::Checked { call: Call(call) }
}

fn differs(call: u32, at: usize, claim: Step) -> Event {
    Event::CheckDiffers {
        call: Call(call),
        at,
        claim: Claim::Step(claim),
    }
}

/// Node 1 makes (call 0), node 2 checks (call 1) and has read the prompt.
fn warm(nodes: u8) -> Script {
    let mut script = Script::new(Mode::Checked, nodes);
    let begun = script.now(Event::Tick);
    assert_eq!(begun, [ask(0, 1, 0), check(1, 2, 0, vec![], false)]);
    assert_eq!(script.now(checked(1)), []);
    script
}

#[test]
fn an_answer_of_one_node_goes_straight_out() {
    let mut script = Script::new(Mode::Unchecked, 1);
    assert_eq!(script.now(Event::Tick), [ask(0, 1, 0)]);
    assert_eq!(script.now(Event::Began { call: Call(0) }), []);
    assert_eq!(script.gives(0, 0, steps(0..2)), [release(0, steps(0..2))]);
    assert_eq!(script.gives(0, 2, steps(2..3)), [release(2, steps(2..3))]);
    let parts = vec![Part {
        node: node(1),
        checker: None,
        from: 0,
        upto: 3,
    }];
    let finish = Action::Finish {
        call: Call(0),
        node: node(1),
        parts,
        end_checker: None,
    };
    assert_eq!(script.now(Event::Ended { call: Call(0) }), [finish]);
    assert!(script.stream.is_over() && script.stream.deadline().is_none());
    assert_eq!(script.gives(0, 3, steps(3..4)), []);
}

#[test]
fn a_silent_node_is_replaced_on_time_and_no_longer_heard() {
    let mut script = Script::new(Mode::Unchecked, 3);
    script.now(Event::Tick);
    script.gives(0, 0, steps(0..2));
    assert_eq!(script.stream.deadline(), Some(STALL));
    assert_eq!(script.at(799, Event::Tick), []);
    let replaced = [cancel(0, 1, Cause::Silent), ask(1, 2, 2)];
    assert_eq!(script.at(800, Event::Tick), replaced);
    for late in [
        Event::Alive { call: Call(0) },
        failed(0),
        Event::Ended { call: Call(0) },
    ] {
        assert_eq!(script.now(late), []);
    }
    assert_eq!(script.gives(0, 2, steps(2..9)), []);
    assert_eq!(script.gives(1, 2, steps(2..3)), [release(2, steps(2..3))]);
}

#[test]
fn keep_alives_let_a_prompt_take_its_time_and_no_longer() {
    let mut script = Script::new(Mode::Unchecked, 2);
    script.now(Event::Tick);
    for now in (250..10_000).step_by(250) {
        assert_eq!(
            script.at(now, Event::Alive { call: Call(0) }),
            [],
            "{now} ms"
        );
    }
    assert_eq!(
        script.at(10_000, Event::Alive { call: Call(0) }),
        [cancel(0, 1, Cause::Slow), ask(1, 2, 0)]
    );
}

#[test]
fn what_breaks_the_protocol_is_replaced() {
    let cases = [(1, steps(1..2)), (0, steps(0..501))];
    for (from, given) in cases {
        let mut script = Script::new(Mode::Unchecked, 2);
        script.now(Event::Tick);
        let replaced = [cancel(0, 1, Cause::Broken), ask(1, 2, 0)];
        assert_eq!(script.gives(0, from, given), replaced);
    }
    // A refusal of what nobody gave it.
    let mut script = Script::new(Mode::Unchecked, 2);
    script.now(Event::Tick);
    let refused = Event::Refused {
        call: Call(0),
        at: 0,
        claim: Claim::End,
    };
    assert_eq!(
        script.now(refused),
        [cancel(0, 1, Cause::Broken), ask(1, 2, 0)]
    );
}

#[test]
fn a_check_of_what_a_lost_node_made_confirms_nothing_of_the_next() {
    let mut script = warm(4);
    assert_eq!(
        script.gives(0, 0, steps(0..1)),
        [check(2, 2, 0, steps(0..1), false)]
    );
    let replaced = [cancel(2, 2, Cause::Moot), ask(3, 3, 0)];
    assert_eq!(script.now(failed(0)), replaced);
    let other = vec![wrong(9)];
    assert_eq!(
        script.gives(3, 0, other.clone()),
        [check(4, 2, 0, other, false)]
    );
    assert_eq!(script.now(checked(2)), []);
    assert_eq!(script.now(checked(4)), [release(0, vec![wrong(9)])]);
}

#[test]
fn windows_grow_and_a_slow_token_does_not_wait_for_one_to_fill() {
    let mut script = warm(2);
    let mut call = 1;
    let mut at = 0;
    for window in [1, 2, 4, 8, 16, 16] {
        let given = steps(at..at + window);
        let (filling, last) = given.split_at(given.len() - 1);
        assert_eq!(script.gives(0, at as usize, filling.to_vec()), []);
        let sent = script.gives(0, (at + window) as usize - 1, last.to_vec());
        call += 1;
        assert_eq!(sent, [check(call, 2, at as usize, given.clone(), false)]);
        assert_eq!(script.now(checked(call)), [release(at as usize, given)]);
        at += window;
    }
    assert_eq!(script.gives(0, at as usize, steps(at..at + 1)), []);
    let due = script.stream.deadline().unwrap();
    assert_eq!(due, WINDOW_WAIT);
    let waited = script.at(150, Event::Tick);
    assert_eq!(
        waited,
        [check(call + 1, 2, at as usize, steps(at..at + 1), false)]
    );
}

#[test]
fn the_third_decides_for_the_maker() {
    let mut script = warm(4);
    script.gives(0, 0, steps(0..1));
    assert_eq!(script.now(differs(2, 0, wrong(0))), [ask(3, 3, 0)]);
    let (role, _, apart) = script.nodes.needs.last().unwrap();
    assert_eq!(
        (*role, apart.as_slice()),
        (Role::Decide, &[node(1), node(2)][..])
    );
    script.gives(0, 1, steps(1..3));
    let decided = script.gives(3, 0, steps(0..1));
    let conviction = Conviction {
        node: node(2),
        at: 0,
        by: [node(1), node(3)],
    };
    assert_eq!(
        decided,
        [
            Action::Convict(conviction),
            cancel(3, 3, Cause::Moot),
            release(0, steps(0..1)),
            check(4, 3, 1, steps(1..3), false),
        ]
    );
}

#[test]
fn the_third_decides_for_the_checker() {
    let mut script = warm(4);
    script.gives(0, 0, vec![wrong(0), wrong(1)]);
    assert_eq!(script.now(differs(2, 0, step(0))), [ask(3, 3, 0)]);
    let conviction = Conviction {
        node: node(1),
        at: 0,
        by: [node(2), node(3)],
    };
    assert_eq!(
        script.gives(3, 0, steps(0..2)),
        [
            Action::Convict(conviction),
            cancel(0, 1, Cause::Convicted),
            release(0, steps(0..1)),
            check(4, 2, 1, steps(1..2), false),
        ]
    );
}

#[test]
fn three_that_differ_convict_nobody() {
    let mut script = warm(4);
    script.gives(0, 0, vec![wrong(0)]);
    script.now(differs(2, 0, wrong(1)));
    let third = script.gives(3, 0, steps(0..1));
    let undecided = cancel(0, 1, Cause::Undecided);
    assert_eq!(third, [undecided, check(4, 4, 0, steps(0..1), false)]);
    let (_, excluded, _) = script.nodes.needs.last().unwrap();
    for dropped in [node(1), node(2), node(3)] {
        assert!(excluded.contains(&dropped));
    }
    assert_eq!(script.now(checked(4)), [release(0, steps(0..1))]);
}

#[test]
fn a_dispute_outlives_its_maker_and_a_first_decider() {
    let mut script = warm(5);
    script.gives(0, 0, steps(0..1));
    script.now(differs(2, 0, wrong(0)));
    assert_eq!(script.now(failed(0)), []);
    assert_eq!(script.now(failed(3)), [ask(4, 4, 0)]);
    let conviction = Conviction {
        node: node(2),
        at: 0,
        by: [node(1), node(4)],
    };
    let decided = script.gives(4, 0, steps(0..1));
    assert_eq!(
        decided[..2],
        [Action::Convict(conviction), release(0, steps(0..1))]
    );
    assert_eq!(decided[2..], [check(5, 5, 1, vec![], false)]);
}

#[test]
fn a_difference_that_cannot_be_costs_the_checker_its_role() {
    let impossible = [
        differs(2, 1, wrong(0)),
        differs(2, 7, wrong(0)),
        differs(2, 0, step(0)),
        Event::CheckDiffers {
            call: Call(2),
            at: 1,
            claim: Claim::End,
        },
    ];
    for event in impossible {
        let mut script = warm(3);
        script.gives(0, 0, steps(0..1));
        let next = [check(3, 3, 0, steps(0..1), false)];
        assert_eq!(script.now(event), next);
    }
}

#[test]
fn an_end_is_checked_like_a_token() {
    let mut script = warm(3);
    assert_eq!(
        script.now(Event::Ended { call: Call(0) }),
        [check(2, 2, 0, vec![], true)]
    );
    assert_eq!(script.now(differs(2, 0, step(0))), [ask(3, 3, 0)]);
    let conviction = Conviction {
        node: node(1),
        at: 0,
        by: [node(2), node(3)],
    };
    let decided = script.gives(3, 0, steps(0..1));
    assert_eq!(
        decided,
        [Action::Convict(conviction), release(0, steps(0..1))]
    );
}

#[test]
fn a_paused_node_is_not_silent() {
    let mut script = warm(2);
    let ahead = script.gives(0, 0, steps(0..300));
    assert_eq!(ahead[1], Action::Pause { call: Call(0) });
    assert_eq!(script.at(700, Event::Alive { call: Call(2) }), []);
    assert_eq!(script.at(799, checked(2)).len(), 2);
    for (now, call) in [(1500, 3), (2200, 4)] {
        script.at(now, checked(call));
    }
    let resumed = script.at(2900, checked(5));
    assert!(
        resumed.contains(&Action::Resume { call: Call(0) }),
        "{resumed:?}"
    );
}

#[test]
fn a_client_that_leaves_frees_every_node() {
    let mut script = warm(2);
    script.gives(0, 0, steps(0..1));
    let freed = [cancel(0, 1, Cause::Over), cancel(2, 2, Cause::Over)];
    assert_eq!(script.now(Event::ClientGone), freed);
    assert_eq!(script.now(Event::Tick), []);
}

#[test]
fn without_nodes_it_gives_up_and_says_why() {
    let gives_up = |mut script: Script| {
        let mut actions = script.now(Event::Tick);
        for call in 0..6 {
            actions.extend(script.now(failed(call)));
        }
        actions.pop()
    };
    let no_maker = GiveUp::NoNode { role: Role::Make };
    assert_eq!(
        gives_up(Script::new(Mode::Unchecked, 3)),
        Some(Action::GiveUp(no_maker))
    );
    let no_checker = GiveUp::NoNode { role: Role::Check };
    assert_eq!(
        gives_up(Script::new(Mode::Checked, 1)),
        Some(Action::GiveUp(no_checker))
    );
    let too_many = GiveUp::TooMany { asked: 6 };
    assert_eq!(
        gives_up(Script::new(Mode::Unchecked, 9)),
        Some(Action::GiveUp(too_many))
    );
}

/// A node that there is only later.
#[derive(Default)]
struct Later {
    is_there: bool,
    asked: u32,
}

impl Choose for Later {
    fn choose(&mut self, _: &Need<'_>) -> Option<Chosen> {
        self.asked += 1;
        self.is_there.then(|| Chosen {
            node: node(1),
            patience: Patience::default(),
        })
    }
}

#[test]
fn a_node_that_comes_back_in_time_is_found() {
    let patient = || {
        let config = Script::new(Mode::Unchecked, 0).stream.config;
        let wait_for_node = Duration::from_secs(3);
        Stream::new(Config {
            wait_for_node,
            ..config
        })
    };
    let (mut stream, mut nodes) = (patient(), Later::default());
    let mut now = Duration::ZERO;
    for _ in 0..9 {
        assert_eq!(stream.handle(now, Event::Tick, &mut nodes), []);
        assert_eq!(stream.deadline(), Some(now + LOOK_AGAIN));
        now += LOOK_AGAIN;
    }
    assert_eq!(nodes.asked, 9);
    nodes.is_there = true;
    assert_eq!(stream.handle(now, Event::Tick, &mut nodes), [ask(0, 1, 0)]);
    let (mut stream, mut nodes) = (patient(), Later::default());
    assert_eq!(stream.handle(Duration::ZERO, Event::Tick, &mut nodes), []);
    let late = Duration::from_secs(3);
    let why = GiveUp::NoNode { role: Role::Make };
    let last = stream.handle(late, Event::Tick, &mut nodes);
    assert_eq!(last, [Action::GiveUp(why)]);
}

/// Has one node.
struct Single;

impl Choose for Single {
    fn choose(&mut self, need: &Need<'_>) -> Option<Chosen> {
        let is_free = !need.excluded.contains(&node(1));
        is_free.then(|| Chosen {
            node: node(1),
            patience: Patience::default(),
        })
    }
}

#[test]
fn a_node_that_was_away_is_asked_again_where_there_is_no_other() {
    let config = Script::new(Mode::Unchecked, 0).stream.config;
    let wait_for_node = Duration::from_secs(3);
    let lost = |event: Event| {
        let mut stream = Stream::new(Config {
            wait_for_node,
            ..config
        });
        stream.handle(Duration::ZERO, Event::Tick, &mut Single);
        stream.handle(Duration::ZERO, event, &mut Single);
        stream.handle(LOOK_AGAIN, Event::Tick, &mut Single)
    };
    let failed = |why| Event::Failed { call: Call(0), why };
    assert_eq!(lost(failed(Failure::Closed)), [ask(1, 1, 0)]);
    assert_eq!(lost(failed(Failure::Busy)), [ask(1, 1, 0)]);
    // Whoever breaks the protocol is not.
    assert_eq!(lost(failed(Failure::Broken)), []);
    let mut stream = Stream::new(Config {
        wait_for_node,
        ..config
    });
    stream.handle(Duration::ZERO, Event::Tick, &mut Single);
    stream.handle(STALL, Event::Tick, &mut Single);
    let again = stream.handle(STALL + LOOK_AGAIN, Event::Tick, &mut Single);
    assert_eq!(again, [ask(1, 1, 0)]);
}

/// Gives the same node again and again.
struct Stubborn;

impl Choose for Stubborn {
    fn choose(&mut self, _: &Need<'_>) -> Option<Chosen> {
        Some(Chosen {
            node: node(1),
            patience: Patience::default(),
        })
    }
}

#[test]
fn a_node_never_checks_itself_whoever_chooses() {
    let mut stream = Script::new(Mode::Checked, 1).stream;
    let actions = stream.handle(Duration::ZERO, Event::Tick, &mut Stubborn);
    let why = GiveUp::NoNode { role: Role::Check };
    assert_eq!(actions.last(), Some(&Action::GiveUp(why)));
}
