//! Hubs before a real chain of one validator: commits by delegation, handles, registrations, audits.

use crate::node_settles::{CHAIN_ID, Chain, key};
use alloy_primitives::{Address, B256, keccak256};
use assay_blob::BlobId;
use assay_node::{
    Error,
    delegation::{self, Circumstances, Grant, Scope, Terms, Token},
    hub_registry::{self, Audits, Finding, HubRegistration, HubStanding, Outcome, Question, Tally},
    log_pages::Page,
    registry,
    registry_events::{Happened, RefMove, RefMoves, RegistryEvent},
    repositories::{self, HANDLE_FEE, Head, MAIN, Move, Moved, Repository, Target},
    rpc_client::RpcClient,
    wallet::Wallet,
};
use assay_receipt::{NodeKey, RevisionId};
use std::{sync::Arc, time::SystemTime};
use tempfile::tempdir;

/// Pages of so few blocks that a short chain has several.
const SMALL_PAGE: u64 = 3;

fn now_ms() -> u64 {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

fn wallet(secret: u8) -> Wallet {
    Wallet::new(key(secret), CHAIN_ID)
}

fn target(number: u8) -> Target {
    Target {
        revision: RevisionId::from_bytes([number; 32]),
        commit: keccak256([number]),
    }
}

fn step(name: &str, from: Option<u8>, to: u8) -> Move {
    Move {
        repository: Repository::from_registered(name),
        reference: MAIN.into(),
        from: from.map(|number| head_at(target(number))),
        to: Some(target(to)),
    }
}

fn head_at(target: Target) -> Head {
    Head {
        revision: target.revision,
        commit: Some(target.commit),
    }
}

/// What `publisher` grants to the hub with the key `hub`.
fn grant(chain: &Chain, publisher: &NodeKey, hub: &NodeKey, terms: Option<Scope>) -> Grant {
    let hub = hub.address().to_address();
    let at = Circumstances {
        domain: delegation::domain(Some(&chain.network)),
        hub,
        now_ms: now_ms(),
    };
    let terms = Terms {
        hub,
        scope: terms.unwrap_or(Scope::Write),
        not_after_s: now_ms() / 1_000 + 3_600,
        issued_ms: now_ms(),
    };
    let token = Token::issue(&at.domain, publisher, &terms, [7; 32]);
    Token::from_text(&token.to_text())
        .unwrap()
        .verify(&at)
        .unwrap()
}

fn refusal(error: Error) -> String {
    match error {
        Error::Rpc(error) => error.to_string(),
        other => panic!("not refused before it was sent: {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_commits_for_its_publisher_until_that_is_revoked() {
    let folder = tempdir().unwrap();
    let chain = Chain::start(folder.path()).await;
    let rpc = &chain.rpc;
    let (publisher, hubs) = (key(1), [key(5), key(6)]);
    let [hub_a, hub_b] = [wallet(5), wallet(6)];
    let account = publisher.address().to_address();
    let granted: Vec<Grant> = hubs
        .iter()
        .map(|hub| grant(&chain, &publisher, hub, None))
        .collect();

    let first = step("digits", None, 1);
    let done = repositories::commit_for(rpc, &hub_a, &granted[0], &first)
        .await
        .unwrap();
    assert!(matches!(done, Moved::Final(_)));
    let head = async || {
        repositories::head(rpc, account, &first.repository, MAIN)
            .await
            .unwrap()
    };
    assert_eq!(head().await, Some(head_at(target(1))));
    let latest = registry::latest_revision(rpc, account, "digits")
        .await
        .unwrap();
    assert_eq!(latest, Some(target(1).revision));
    assert_eq!(
        registry::publisher_of(rpc, target(1).revision)
            .await
            .unwrap(),
        Some(account)
    );

    // Another hub that did not see it cannot overwrite it; the first cannot do it twice.
    let stale = Moved::Stale(Some(head_at(target(1))));
    let late = step("digits", None, 2);
    let lost = repositories::commit_for(rpc, &hub_b, &granted[1], &late)
        .await
        .unwrap();
    assert_eq!(lost, stale);
    let twice = repositories::commit_for(rpc, &hub_a, &granted[0], &first)
        .await
        .unwrap();
    assert_eq!(twice, stale);

    // The delegation is one hub's, to write, and ends with its revocation.
    let second = step("digits", Some(1), 2);
    let other = repositories::commit_for(rpc, &hub_b, &granted[0], &second).await;
    assert!(refusal(other.unwrap_err()).contains("OtherHub"));
    let reading = grant(&chain, &publisher, &hubs[0], Some(Scope::Read));
    let read_only = repositories::commit_for(rpc, &hub_a, &reading, &second).await;
    assert!(refusal(read_only.unwrap_err()).contains("NotWritable"));
    let before = granted[0].delegation().salt + 1;
    repositories::revoke_before(rpc, &chain.operator, before)
        .await
        .unwrap();
    assert_eq!(
        repositories::revoked_before(rpc, account).await.unwrap(),
        before
    );
    assert!(granted[0].check_revocation(before).is_err());
    let dead = repositories::commit_for(rpc, &hub_a, &granted[0], &second).await;
    assert!(refusal(dead.unwrap_err()).contains("Revoked"));
    let renewed = grant(&chain, &publisher, &hubs[0], None);
    repositories::commit_for(rpc, &hub_a, &renewed, &second)
        .await
        .unwrap();

    // The publisher moves it too, and takes it away.
    let gone = Move {
        to: None,
        ..step("digits", Some(2), 0)
    };
    repositories::commit(rpc, &chain.operator, &gone)
        .await
        .unwrap();
    assert_eq!(head().await, None);
    assert_eq!(
        registry::latest_revision(rpc, account, "digits")
            .await
            .unwrap(),
        None
    );
    assert!(registry::listings(rpc).await.unwrap().is_empty());
    assert!(
        registry::is_published(rpc, target(1).revision)
            .await
            .unwrap()
    );
    chain.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handle_is_found_both_ways_and_paid_for() {
    let folder = tempdir().unwrap();
    let chain = Chain::start(folder.path()).await;
    let rpc = &chain.rpc;
    let account = chain.operator.address();
    assert_eq!(repositories::owner_of(rpc, "alice").await.unwrap(), None);
    assert_eq!(repositories::handle_of(rpc, account).await.unwrap(), None);
    let before = registry::credits(rpc, account).await.unwrap();
    repositories::claim_handle(rpc, &chain.operator, "alice")
        .await
        .unwrap();
    assert_eq!(
        repositories::owner_of(rpc, "alice").await.unwrap(),
        Some(account)
    );
    assert_eq!(
        repositories::handle_of(rpc, account).await.unwrap(),
        Some("alice".into())
    );
    let paid = before - registry::credits(rpc, account).await.unwrap();
    assert_eq!(paid.to::<u64>(), HANDLE_FEE.0);
    for (secret, handle, why) in [
        (5, "alice", "HandleTaken"),
        (1, "bob", "HasHandle"),
        (5, "0xa11ce", "BadHandle"),
        (5, "Alice", "BadHandle"),
    ] {
        let refused = repositories::claim_handle(rpc, &wallet(secret), handle).await;
        assert!(refusal(refused.unwrap_err()).contains(why), "{handle}");
    }
    chain.end();
}

/// All that a follower has to say until it caught up, in pages that it can be stopped after.
async fn follow(mut moves: RefMoves, pages: usize) -> Page<RegistryEvent> {
    let mut all = Page {
        events: vec![],
        next: 0,
        caught_up: false,
    };
    for _ in 0..pages {
        let page = moves.page().await.unwrap();
        all.events.extend(page.events);
        (all.next, all.caught_up) = (page.next, page.caught_up);
        if all.caught_up {
            break;
        }
    }
    all
}

fn moved(event: &RegistryEvent) -> &RefMove {
    match &event.happened {
        Happened::RefMoved(moved) => moved,
        other => panic!("no move: {other:?}"),
    }
}

async fn some_moves(rpc: &RpcClient, publisher: &Wallet, numbers: std::ops::Range<u8>) {
    for number in numbers {
        let from = (number > 1).then(|| number - 1);
        repositories::commit(rpc, publisher, &step("datasets/d", from, number))
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_follower_resumes_without_loss_or_repetition() {
    let folder = tempdir().unwrap();
    let chain = Chain::start(folder.path()).await;
    let rpc = &chain.rpc;
    let account = chain.operator.address();
    registry::publish_model(rpc, &chain.operator, "m", target(9).revision)
        .await
        .unwrap();
    some_moves(rpc, &chain.operator, 1..4).await;
    let mut kept = Vec::new();
    let mut next = 0;
    // Each page by a follower of its own, as after a crash, while the chain goes on.
    for round in 0..200u8 {
        if round == 2 {
            some_moves(rpc, &chain.operator, 4..6).await;
            repositories::claim_handle(rpc, &chain.operator, "alice")
                .await
                .unwrap();
            repositories::revoke_before(rpc, &chain.operator, 5)
                .await
                .unwrap();
        }
        let page = follow(RefMoves::new(rpc.clone(), next).in_pages_of(SMALL_PAGE), 1).await;
        assert!(page.next <= next + SMALL_PAGE);
        kept.extend(page.events);
        next = page.next;
        if round > 2 && page.caught_up {
            break;
        }
    }
    let whole = follow(RefMoves::new(rpc.clone(), 0), 100).await;
    assert!(whole.caught_up);
    assert_eq!(kept, whole.events);

    let (moves, others) = kept.split_at(6);
    let said: Vec<(String, Option<B256>, Option<Head>)> = moves
        .iter()
        .map(moved)
        .map(|moved| (moved.repository.registered(), moved.parent, moved.head))
        .collect();
    let published = Head {
        revision: target(9).revision,
        commit: None,
    };
    let mut expected = vec![("m".into(), None, Some(published))];
    expected.extend((1..6u8).map(|number| {
        let parent = (number > 1).then(|| target(number - 1).commit);
        ("datasets/d".into(), parent, Some(head_at(target(number))))
    }));
    assert_eq!(said, expected);
    assert!(
        moves
            .iter()
            .map(moved)
            .all(|moved| moved.publisher == account && moved.sender == account)
    );
    let others: Vec<&Happened> = others.iter().map(|event| &event.happened).collect();
    let claimed = Happened::HandleClaimed {
        account,
        handle: "alice".into(),
    };
    let revoked = Happened::DelegationsRevoked {
        publisher: account,
        revoked_before: 5,
    };
    assert_eq!(others, [&claimed, &revoked]);
    chain.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn hubs_register_and_say_what_they_found_of_each_other() {
    let folder = tempdir().unwrap();
    let chain = Chain::start(folder.path()).await;
    let rpc = &chain.rpc;
    let [hub_a, hub_b]: [Arc<NodeKey>; 2] = [key(5), key(6)];
    let operators = [&chain.operator, &wallet(3)];
    let registration = |port: u16, policy: u8| HubRegistration {
        endpoint: format!("http://127.0.0.1:{port}"),
        policy: B256::repeat_byte(policy),
    };
    for (operator, hub, said) in [
        (operators[0], &hub_a, registration(1, 1)),
        (operators[0], &hub_a, registration(2, 1)),
        (operators[0], &hub_a, registration(2, 3)),
        (operators[1], &hub_b, registration(4, 4)),
    ] {
        let entered = hub_registry::register_hub(rpc, operator, hub, &chain.network, &said).await;
        entered.unwrap();
        let known = hub_registry::hub(rpc, hub.address()).await.unwrap();
        assert_eq!(
            (known.standing, known.registration),
            (HubStanding::Active, said)
        );
        assert_eq!(known.operator, operator.address());
    }
    let stolen = hub_registry::register_hub(
        rpc,
        operators[1],
        &hub_a,
        &chain.network,
        &registration(9, 1),
    )
    .await;
    assert!(refusal(stolen.unwrap_err()).contains("NotOperator"));
    let listed = hub_registry::hubs(rpc).await.unwrap();
    let keys: Vec<_> = listed.iter().map(|hub| hub.hub).collect();
    assert_eq!(keys, [hub_a.address(), hub_b.address()]);

    audit(&chain, &hub_a, &wallet(6)).await;

    hub_registry::retire_hub(rpc, operators[1], hub_b.address())
        .await
        .unwrap();
    let known = hub_registry::hub(rpc, hub_b.address()).await.unwrap();
    assert_eq!(known.standing, HubStanding::Retired);
    let back = hub_registry::register_hub(
        rpc,
        operators[1],
        &hub_b,
        &chain.network,
        &registration(4, 4),
    )
    .await;
    assert!(refusal(back.unwrap_err()).contains("AlreadyRegistered"));
    let nobody = hub_registry::hub(rpc, key(3).address()).await.unwrap();
    assert_eq!(
        (nobody.standing, nobody.operator),
        (HubStanding::Unregistered, Address::ZERO)
    );
    chain.end();
}

/// `auditor`, a hub, says twice that `hub` passed and once that it had wrong bytes.
async fn audit(chain: &Chain, hub: &NodeKey, auditor: &Wallet) {
    let rpc = &chain.rpc;
    let finding = |outcome| Finding {
        outcome,
        evidence: B256::repeat_byte(9),
    };
    let mut expected = Vec::new();
    for outcome in [Outcome::Passed, Outcome::WrongBytes, Outcome::Passed] {
        let (seed_block, hash) = hub_registry::seed_block(rpc).await.unwrap();
        let number = u8::try_from(expected.len()).unwrap();
        let question = Question {
            hub: hub.address(),
            blob: BlobId::from_bytes([number; 32]),
            size: 1 << 40,
            seed_block,
        };
        hub_registry::record_audit(rpc, auditor, &question, &finding(outcome))
            .await
            .unwrap();
        let again =
            hub_registry::record_audit(rpc, auditor, &question, &finding(Outcome::Refused)).await;
        assert!(refusal(again.unwrap_err()).contains("AlreadyRecorded"));
        let seed = hub_registry::seed(hash, auditor.address().into(), &question);
        expected.push((question, seed, outcome));
    }
    let question = Question {
        seed_block: u64::MAX,
        ..expected[0].0
    };
    let unknown =
        hub_registry::record_audit(rpc, auditor, &question, &finding(Outcome::Passed)).await;
    assert!(refusal(unknown.unwrap_err()).contains("SeedBlockUnknown"));
    let of_itself = Question {
        hub: auditor.address().into(),
        ..expected[0].0
    };
    let praise =
        hub_registry::record_audit(rpc, auditor, &of_itself, &finding(Outcome::Passed)).await;
    assert!(refusal(praise.unwrap_err()).contains("SelfAudit"));

    let page = Audits::new(rpc.clone(), Some(hub.address()), 0)
        .page()
        .await
        .unwrap();
    let said: Vec<(Question, B256, Outcome)> = page
        .events
        .iter()
        .map(|audit| (audit.question, audit.seed, audit.finding.outcome))
        .collect();
    assert_eq!(said, expected);
    assert!(
        page.events
            .iter()
            .all(|audit| audit.auditor.to_address() == auditor.address())
    );
    let of_auditor = Audits::new(rpc.clone(), Some(auditor.address().into()), 0);
    assert!(of_auditor.clone().page().await.unwrap().events.is_empty());
    let tally = hub_registry::tally(rpc, hub.address()).await.unwrap();
    assert_eq!(
        tally,
        Tally {
            passed: 2,
            wrong_bytes: 1,
            ..Tally::default()
        }
    );
}
