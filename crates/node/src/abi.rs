//! The contracts that take settled receipts, as far as they are used here.

use alloy_primitives::{Address, B256};
use alloy_sol_types::sol;
use assay_chain::light::ReceiptProof;
use assay_receipt::SignedReceipt;

sol! {
    /// A receipt in words.
    struct Receipt {
        bytes32 request; uint128 nonce; bytes32 revision; bytes32 engine; bytes32 parameters; uint64 seed;
        bytes32 input; bytes32 output; bytes32 stream; uint64 inputUnits; uint64 outputUnits; uint64 computeUs;
        uint64 price; bytes32 payer; address node; uint64 requestNs; uint64 firstOutputNs; uint64 endNs;
        uint64 uncertaintyNs; uint8 rung; uint64 deadlineNs; uint64 sequence; bytes32 previous;
    }

    /// A settled receipt and where it settled.
    struct Place { Receipt receipt; bytes signature; uint32 index; uint32 count; bytes32[] path; }

    /// ABI of the contract `Proofs`, as far as it is used here.
    interface Proofs {
        struct Answer {
            bytes circuit; bytes rows; bytes proof; bytes rule;
            bytes32 inputSalt; bytes input; bytes32 outputSalt; bytes output;
        }
        struct Answers {
            bytes circuit; bytes rows; bytes proof; bytes rule;
            bytes32[] inputSalts; bytes inputs; bytes32[] outputSalts; bytes outputs;
        }
        function models(bytes32 revision) external view returns (bytes32 id, bytes weights, uint256 registeredAt, bytes32 ruleHash, uint256 renewedAt);
        function openings(bytes32 weightsHash) external view returns (uint64 budget, uint64 made);
        function registerModel(bytes32 revision, bytes circuit, bytes weights, bytes registration, bytes rule) external;
        function renewModel(bytes32 revision, bytes circuit, bytes weights, bytes roll) external;
        function proveAnswer(Place place, uint256 randomBlock, Answer answer) external;
        function proveAnswers(Place[] places, uint256 randomBlock, Answers answers) external;
        function contextOfAll(bytes32[] receiptIds, uint256 randomBlock) external view returns (bytes32);
        function contextOf(bytes32 receiptId, uint256 randomBlock) external view returns (bytes32);
        function answerProvenAt(bytes32 receiptId) external view returns (uint256);
    }

    /// ABI of the example consumer, as far as it is used here.
    interface Consumer {
        function act(Receipt receipt, bytes signature, uint32 index, uint32 count, bytes32[] path) external;
        function latestOutput() external view returns (bytes32);
    }

    /// One member of a committee and what it said.
    #[derive(Debug, PartialEq, Eq)]
    struct Seat { address node; uint8 state; uint8 verdict; bool excused; uint64 index; bytes32 word; }

    /// A vote: commitments first, then what was committed to.
    #[derive(Debug, PartialEq, Eq)]
    struct Ballot { uint64 deadline; bool revealing; uint8 committed; uint8 revealed; uint32 number; Seat[] seats; }

    /// Events of the contract `Settlement`, as far as they are used here.
    interface SettlementEvents {
        event BatchSettled(address indexed node, bytes32 indexed root, uint32 count);
    }

    /// What is known of the check of a receipt.
    #[derive(Debug, PartialEq, Eq)]
    struct Check {
        uint8 phase; uint8 result; uint8 rounds; bool opened; uint8 disputing; address node; uint64 cutoff;
        uint64 deadline; uint64 fee; uint64 escrow; address requester; Ballot ballot;
    }

    /// What a dispute is about.
    #[derive(Debug, PartialEq, Eq)]
    struct Claim {
        address node; address challenger; bytes32 revision; bytes32 start; bytes32 end; uint64 steps; uint64 index;
        bytes32 head; uint64 cutoff;
    }

    /// The dispute of a receipt.
    #[derive(Debug, PartialEq, Eq)]
    struct Dispute {
        uint8 phase; uint8 outcome; uint8 juries; uint64 low; uint64 high; uint64 deadline; uint64 drawnBy;
        bytes32 lowHead; bytes32 highHead; bytes32 middleHead; bytes32 nodeStep; bytes32 challengerStep; Claim claim;
        Ballot ballot;
    }

    /// ABI of the contract `Checks`, as far as it is used here.
    interface Checks {
        struct Said { uint8 verdict; uint64 index; bytes32 head; bytes32 work; bytes32 salt; }
        struct Disclosure { string name; bytes32 salt; uint32 index; uint32 size; bytes32[] path; }
        struct Field { Disclosure disclosure; bytes value; }
        struct Opening { Field[] input; Field[] parameters; Field[] output; }
        event Opened(bytes32 indexed receiptId);
        event CommitteeDrawn(bytes32 indexed receiptId, address indexed node, uint8 round, address[] members);
        event Concluded(bytes32 indexed receiptId, uint8 result, uint256 drawn, uint256 agreed);
        function join(bytes32 revision, address node) external;
        function serverCount(bytes32 revision) external view returns (uint256);
        function due(Place place) external view returns (bool);
        function request(Place place) external;
        function begin(Place place) external;
        function commit(bytes32 id, address member, bytes32 commitment) external;
        function reveal(bytes32 id, address member, Said said) external;
        function conclude(Receipt receipt) external;
        function open(Receipt receipt, Opening opening) external;
        function checkOf(bytes32 id) external view returns (Check);
        function replays(bytes32 id) external view returns (uint64 blockNumber, uint8 drawn, uint8 agreed);
        function refutedAt(bytes32 id) external view returns (uint256);
    }

    /// ABI of the contract `Disputes`, as far as it is used here.
    interface Disputes {
        struct Said { uint8 finding; bytes32 work; bytes32 salt; }
        event JuryDrawn(bytes32 indexed receiptId, address[] members);
        function post(bytes32 id, bytes32 head) external;
        function answer(bytes32 id, bool same) external;
        function showNodeStep(bytes32 id, bytes step) external;
        function showChallengerStep(bytes32 id, bytes step) external;
        function timeout(bytes32 id) external;
        function seat(bytes32 id) external;
        function commit(bytes32 id, address juror, bytes32 commitment) external;
        function reveal(bytes32 id, address juror, Said said) external;
        function resolve(bytes32 id) external;
        function disputeOf(bytes32 id) external view returns (Dispute);
    }
}

/// A settled receipt and where it settled.
#[derive(Debug, Clone, Copy)]
pub struct Settled<'a> {
    /// The receipt.
    pub signed: &'a SignedReceipt,
    /// Its place.
    pub place: &'a ReceiptProof,
}

/// Its place in words.
pub(crate) fn place(settled: &Settled<'_>) -> Place {
    let path = &settled.place.batch.path;
    Place {
        receipt: words(settled.signed),
        signature: settled.signed.signature.as_bytes().to_vec().into(),
        index: path.index,
        count: path.size,
        path: path.siblings.clone(),
    }
}

/// A receipt in words.
pub(crate) fn words(signed: &SignedReceipt) -> Receipt {
    let receipt = &signed.receipt;
    let word = |bytes: &[u8; 32]| B256::from(*bytes);
    Receipt {
        request: word(receipt.request.as_bytes()),
        nonce: receipt.nonce,
        revision: word(receipt.revision.as_bytes()),
        engine: word(receipt.engine.as_bytes()),
        parameters: word(receipt.parameters.as_bytes()),
        seed: receipt.seed,
        input: word(receipt.input.as_bytes()),
        output: word(receipt.output.as_bytes()),
        stream: word(receipt.stream.as_bytes()),
        inputUnits: receipt.usage.input_units,
        outputUnits: receipt.usage.output_units,
        computeUs: receipt.usage.compute_us,
        price: receipt.price.0,
        payer: word(receipt.payer.as_bytes()),
        node: Address::from(receipt.node),
        requestNs: receipt.times.request_ns,
        firstOutputNs: receipt.times.first_output_ns,
        endNs: receipt.times.end_ns,
        uncertaintyNs: receipt.times.uncertainty_ns,
        rung: receipt.rung.number(),
        deadlineNs: receipt.deadline_ns,
        sequence: receipt.sequence,
        previous: word(receipt.previous.as_bytes()),
    }
}
