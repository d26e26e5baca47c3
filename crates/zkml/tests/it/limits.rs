//! Circuits and statements that break a rule are refused by name, before anything is allocated or computed for them.

use assay_zkml_verify::circuit::{
    Accumulator, Circuit, Domain, Input, MAX_BYTES, MAX_DOMAIN_LOG, MAX_ITEMS, MAX_SHIFT,
    MAX_STEPS, MAX_TABLE, MAX_WEIGHTS_LOG, Part, Source, Step, Table, Term,
};
use assay_zkml_verify::statement::MAX_BATCH_LOG;
use assay_zkml_verify::view::{NONE, Strided, View};
use assay_zkml_verify::{Error, Prepared, Row, Statement, commitment};

fn part(source: Source, len: usize) -> Part {
    Part {
        source,
        coefficient: 1,
        view: View::Listed((0..len as u32).collect()),
    }
}

fn linear(source: Source) -> Accumulator {
    Accumulator {
        domain: Domain {
            groups: 0,
            rows: 0,
            columns: 1,
        },
        terms: vec![Term::Linear {
            operand: vec![part(source, 2)],
            summed: 0,
        }],
        bias: None,
    }
}

/// Two numbers, looked up, multiplied with weights and with themselves.
fn small() -> Circuit {
    let (input, step) = (Source::Input(0), Source::Step(0));
    let domain = Domain {
        groups: 0,
        rows: 0,
        columns: 1,
    };
    let weights = Term::Weights {
        operand: vec![part(step, 2)],
        inner: 1,
        offset: 4,
    };
    let product = Term::Product {
        left: vec![part(step, 1)],
        right: vec![part(input, 2)],
        inner: 0,
    };
    Circuit {
        inputs: vec![Input {
            len: 2,
            least: -8,
            most: 7,
        }],
        tables: vec![Table {
            first: -8,
            values: (-8..8).collect(),
        }],
        steps: vec![Step {
            accumulator: linear(input),
            shift: 0,
            table: 0,
        }],
        outputs: vec![Accumulator {
            domain,
            terms: vec![weights, product],
            bias: Some(8),
        }],
        weights_log: 4,
    }
}

/// A view of `2^log` positions that says little: each reads the first element.
fn constant(axes: usize, log: u32) -> View {
    let mut axes = vec![vec![1]; axes - 1];
    axes.push(vec![1 << log]);
    View::Strided(Strided {
        axes,
        coordinates: Vec::new(),
    })
}

fn weights_term(circuit: &mut Circuit) -> (&mut Vec<Part>, &mut u32, &mut u32) {
    match &mut circuit.outputs[0].terms[0] {
        Term::Weights {
            operand,
            inner,
            offset,
        } => (operand, inner, offset),
        _ => panic!("the first term has weights"),
    }
}

type Change = (&'static str, &'static str, fn(&mut Circuit));

const COUNTS: [Change; 14] = [
    ("no input", "the number of inputs", |c| c.inputs.clear()),
    ("many inputs", "the number of inputs", |c| {
        c.inputs = vec![c.inputs[0].clone(); MAX_ITEMS + 1]
    }),
    ("no output", "the number of outputs", |c| c.outputs.clear()),
    ("many outputs", "the number of outputs", |c| {
        c.outputs = vec![c.outputs[0].clone(); MAX_ITEMS + 1]
    }),
    ("many steps", "the number of steps", |c| {
        c.steps = vec![c.steps[0].clone(); MAX_STEPS + 1]
    }),
    ("many tables", "the number of tables", |c| {
        c.tables = vec![c.tables[0].clone(); MAX_ITEMS + 1]
    }),
    ("many weights", "the number of weights", |c| {
        c.weights_log = MAX_WEIGHTS_LOG + 1
    }),
    ("an empty input", "input 0", |c| c.inputs[0].len = 0),
    ("a long input", "input 0", |c| {
        c.inputs[0].len = (1 << MAX_DOMAIN_LOG) + 1
    }),
    ("an input without a range", "input 0", |c| {
        c.inputs[0].least = 8
    }),
    ("an empty table", "table 0", |c| c.tables[0].values.clear()),
    ("a long table", "table 0", |c| {
        c.tables[0].values = vec![0; MAX_TABLE + 1]
    }),
    ("no such table", "step 0, its table", |c| {
        c.steps[0].table = 1
    }),
    ("many bits dropped", "step 0, its shift", |c| {
        c.steps[0].shift = MAX_SHIFT + 1
    }),
];

const ACCUMULATORS: [Change; 20] = [
    ("a large domain", "output 0, its domain", |c| {
        c.outputs[0].domain.groups = MAX_DOMAIN_LOG
    }),
    ("many terms", "output 0, its terms", |c| {
        c.outputs[0].terms = vec![c.outputs[0].terms[0].clone(); MAX_ITEMS + 1];
    }),
    ("weights not at a multiple", "output 0, its weights", |c| {
        *weights_term(c).2 = 2
    }),
    ("weights beyond the end", "output 0, its weights", |c| {
        *weights_term(c).2 = 16
    }),
    ("weights far beyond the end", "output 0, its weights", |c| {
        *weights_term(c).2 = u32::MAX - 3
    }),
    ("a bias beyond the end", "output 0, its weights", |c| {
        c.outputs[0].bias = Some(12)
    }),
    ("a bias not at a multiple", "output 0, its weights", |c| {
        c.outputs[0].bias = Some(7)
    }),
    ("an operand without a part", "output 0, an operand", |c| {
        weights_term(c).0.clear()
    }),
    ("an operand of many parts", "output 0, an operand", |c| {
        *weights_term(c).0 = vec![part(Source::Step(0), 2); MAX_ITEMS + 1];
    }),
    (
        "an operand of many positions",
        "output 0, an operand",
        |c| *weights_term(c).1 = 23,
    ),
    (
        "an operand of most positions",
        "output 0, an operand",
        |c| *weights_term(c).1 = u32::MAX,
    ),
    ("a step that reads itself", "step 0, an operand", |c| {
        c.steps[0].accumulator = linear(Source::Step(0))
    }),
    ("a step that reads the next", "step 0, an operand", |c| {
        c.steps.push(c.steps[0].clone());
        c.steps[0].accumulator = linear(Source::Step(1));
    }),
    ("an input that is not there", "step 0, an operand", |c| {
        c.steps[0].accumulator = linear(Source::Input(1))
    }),
    ("too few positions", "output 0, a view", |c| {
        weights_term(c).0[0] = part(Source::Step(0), 1)
    }),
    ("too many positions", "output 0, a view", |c| {
        weights_term(c).0[0] = part(Source::Step(0), 4)
    }),
    ("a source beyond the column", "output 0, a view", |c| {
        weights_term(c).0[0].view = View::Listed(vec![0, 2])
    }),
    ("the last number but one", "output 0, a view", |c| {
        weights_term(c).0[0].view = View::Listed(vec![0, NONE - 1]);
    }),
    ("digits that do not fit", "output 0, a view", |c| {
        weights_term(c).0[0].view = constant(3, 2)
    }),
    ("a great coefficient", "output 0, its accumulator", |c| {
        weights_term(c).0[0].coefficient = 1 << 24
    }),
];

/// What takes long to verify is refused, however few bytes say it.
const COSTS: [Change; 3] = [
    (
        "large domains of outputs",
        "output 7, its views, columns and domain",
        |c| {
            let mut large = linear(Source::Input(0));
            large.terms.clear();
            large.domain.groups = MAX_DOMAIN_LOG - 1;
            c.outputs = vec![large; 16];
        },
    ),
    (
        "large views",
        "output 0, its views, columns and domain",
        |c| {
            *weights_term(c).1 = MAX_DOMAIN_LOG;
            let wide = Part {
                view: constant(3, MAX_DOMAIN_LOG),
                ..part(Source::Input(0), 1)
            };
            *weights_term(c).0 = vec![wide; 16];
        },
    ),
    (
        "small views of large columns",
        "output 0, its views, columns and domain",
        |c| {
            c.inputs[0].len = 1 << MAX_DOMAIN_LOG;
            *weights_term(c).0 = vec![part(Source::Input(0), 2); 16];
        },
    ),
];

#[test]
fn circuits_keep_their_rules() {
    assert!(Prepared::new(small()).is_ok());
    let bare = Circuit {
        steps: Vec::new(),
        tables: Vec::new(),
        outputs: vec![linear(Source::Input(0))],
        ..small()
    };
    assert!(Prepared::new(bare).is_ok());
    for (name, expected, change) in COUNTS.into_iter().chain(ACCUMULATORS).chain(COSTS) {
        let mut circuit = small();
        change(&mut circuit);
        match Prepared::new(circuit) {
            Err(Error::Circuit { place, .. }) => assert_eq!(place, expected, "{name}"),
            other => panic!("{name}: {:?}", other.map(|prepared| prepared.positions())),
        }
    }
}

#[test]
fn statements_fit_their_circuit() {
    let prepared = Prepared::new(small()).unwrap();
    let row = Row {
        inputs: vec![vec![-8, 7]],
        outputs: vec![vec![1, 2]],
    };
    let statement = |rows: Vec<Row>| Statement {
        network: [0; 32],
        revision: [0; 32],
        context: [0; 32],
        rows,
    };
    let admitted = |rows: Vec<Row>| statement(rows).check(&prepared).is_ok();
    assert!(admitted(vec![row.clone(); 1 << MAX_BATCH_LOG]));
    assert!(!admitted(vec![row.clone(); (1 << MAX_BATCH_LOG) + 1]));
    assert!(!admitted(Vec::new()));
    let with = |inputs: Vec<Vec<i16>>, outputs: Vec<Vec<i32>>| {
        let other = Row { inputs, outputs };
        let first = admitted(vec![other.clone(), row.clone()]);
        assert_eq!(first, admitted(vec![row.clone(), other]));
        first
    };
    assert!(with(vec![vec![0, 0]], vec![vec![1, 0]]));
    for inputs in [
        vec![],
        vec![vec![0]],
        vec![vec![0; 3]],
        vec![vec![0; 2]; 2],
        vec![vec![-9, 0]],
        vec![vec![0, 8]],
    ] {
        assert!(!with(inputs.clone(), vec![vec![1, 0]]), "{inputs:?}");
    }
    for outputs in [
        vec![],
        vec![vec![]],
        vec![vec![1]],
        vec![vec![0; 3]],
        vec![vec![0; 2]; 2],
        vec![vec![1 << 30, 0]],
        vec![vec![0, i32::MIN]],
    ] {
        assert!(!with(vec![vec![0, 0]], outputs.clone()), "{outputs:?}");
    }
}

#[test]
fn encodings_have_a_limit_and_an_end() {
    let encoded = small().encode();
    assert_eq!(Circuit::decode(&encoded), Ok(small()));
    let mut longer = encoded.clone();
    longer.push(0);
    let malformed = |bytes: &[u8], reason: &str| match Circuit::decode(bytes) {
        Err(Error::Malformed { reason: found, .. }) => assert!(found.contains(reason), "{found}"),
        other => panic!("{other:?}"),
    };
    malformed(&longer, "bytes follow its end");
    malformed(&vec![0; MAX_BYTES + 1], "at most");
    let mut padded = encoded;
    padded[0] |= 0x80;
    padded.insert(1, 0);
    malformed(&padded, "not the shortest");
}

#[test]
fn vectors_of_other_sizes_are_not_committed_to() {
    for (log, admitted) in [
        (0, false),
        (9, false),
        (10, true),
        (26, true),
        (27, false),
        (u32::MAX, false),
    ] {
        assert_eq!(commitment::scheme("vector", log).is_ok(), admitted, "{log}");
    }
}
