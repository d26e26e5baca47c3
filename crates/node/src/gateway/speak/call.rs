//! One call to one node: its lines as they come, until it ends or is not wanted any more.

use crate::{
    api::generate::{CHECK_PATH, CheckFrame, CheckRequest, Frame, GENERATE_PATH, GenerateRequest},
    gateway::ask::{Asker, blames_question, describe, sends_elsewhere},
    problem::Problem,
};
use assay_route::stream::Call;
use reqwest::Response;
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::{mpsc::Sender, watch};

/// Longest line of a node that is read, bytes: tokens with twenty likelihoods each.
const MAX_LINE: usize = 1 << 20;
/// Longest problem document that is read, bytes.
const MAX_PROBLEM: usize = 64 << 10;

/// What came of a call.
#[derive(Debug)]
pub(super) enum Came {
    /// A line of an answer.
    Frame(Box<Frame>),
    /// A line of a check.
    Check(Box<CheckFrame>),
    /// The question is to blame, says the node.
    Refused(Box<Problem>),
    /// The node takes nothing now.
    Busy(String),
    /// The connection could not be made, or ended too early.
    Closed(String),
    /// The node sent what cannot be read.
    Broken(String),
}

/// Where what comes goes, with the number of its call.
pub(super) type Inbox = Sender<(Call, Came)>;

/// A call to be made.
#[derive(Debug)]
pub(super) enum Ask {
    Generate(Box<GenerateRequest>),
    Check(Box<CheckRequest>),
}

/// Makes a call. While `paused` is true nothing is read.
pub(super) async fn call(
    asker: Asker,
    endpoint: String,
    (number, ask): (Call, Ask),
    inbox: Inbox,
    paused: watch::Receiver<bool>,
) {
    let last = match &ask {
        Ask::Generate(question) => {
            let url = format!("{endpoint}{GENERATE_PATH}");
            let to = |frame| Came::Frame(Box::new(frame));
            lines(&asker, &url, question, (number, &inbox, paused), to).await
        }
        Ask::Check(question) => {
            let url = format!("{endpoint}{CHECK_PATH}");
            let to = |frame| Came::Check(Box::new(frame));
            lines(&asker, &url, question, (number, &inbox, paused), to).await
        }
    };
    // If the stream is over, nobody has to know.
    let _ = inbox.send((number, last)).await;
}

/// Sends a question and reads lines; gives how it ended. A call that ended well ends with its connection, too, which is no
/// news by then.
async fn lines<T: DeserializeOwned>(
    asker: &Asker,
    url: &str,
    question: &impl Serialize,
    (number, inbox, mut paused): (Call, &Inbox, watch::Receiver<bool>),
    to: impl Fn(T) -> Came,
) -> Came {
    let mut sent = asker.post(url, question).await;
    // A kept connection that ended meanwhile says nothing of the node; nothing was signed for yet.
    if sent
        .as_ref()
        .is_err_and(|error| error.is_request() && !error.is_connect())
    {
        sent = asker.post(url, question).await;
    }
    let mut response = match sent {
        Ok(response) if response.status().is_success() => response,
        Ok(response) => return refusal(response).await,
        Err(error) => return Came::Closed(describe(&error)),
    };
    let mut line: Vec<u8> = Vec::new();
    loop {
        if paused.wait_for(|paused| !paused).await.is_err() {
            return Came::Closed("it is not wanted any more".into());
        }
        let piece = match response.chunk().await {
            Ok(None) => return Came::Closed("the connection ended".into()),
            Err(error) => return Came::Closed(describe(&error)),
            Ok(Some(piece)) => piece,
        };
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(part);
            if line.len() > MAX_LINE {
                return Came::Broken(format!("a line of more than {MAX_LINE} bytes"));
            }
            if line.last() != Some(&b'\n') {
                continue;
            }
            let read = serde_json::from_slice(&line);
            line.clear();
            let came = match read {
                Ok(frame) => to(frame),
                Err(error) => return Came::Broken(error.to_string()),
            };
            if inbox.send((number, came)).await.is_err() {
                return Came::Closed("it is not wanted any more".into());
            }
        }
    }
}

async fn refusal(mut response: Response) -> Came {
    let status = response.status();
    let mut body = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        body.extend_from_slice(&piece);
        if body.len() > MAX_PROBLEM {
            return Came::Broken("a problem of more bytes than any has".into());
        }
    }
    match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) => of_problem(problem),
        Err(_) => Came::Broken(format!("status {status} without a problem document")),
    }
}

/// What a problem that a node gives is to a stream.
pub(super) fn of_problem(problem: Problem) -> Came {
    if blames_question(&problem) {
        Came::Refused(problem.into())
    } else if sends_elsewhere(&problem) {
        Came::Busy(problem.to_string())
    } else {
        Came::Broken(problem.to_string())
    }
}
