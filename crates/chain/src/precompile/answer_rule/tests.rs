use super::*;
use assay_inference::{NamedTensors, Tensor, npy};
use assay_receipt::{Field, SaltSeed, commit};
use proptest::prelude::*;

/// Two inputs, three scores, of which the circuit has five in another order.
fn rule() -> Rule {
    let input = InputSpec {
        name: "x".into(),
        shape: vec![2],
        scale: vec![0.25, 0.5],
        offset: vec![1.0],
        range: Range {
            least: -128,
            most: 127,
        },
    };
    let output = OutputSpec {
        name: "y".into(),
        shape: vec![3],
        scale: 0.1,
        offset: vec![0.0, 0.5, -0.5],
        reading: Reading::Value,
    };
    Rule::new(&input, &output, &[4, 0, 2]).unwrap()
}

/// Two inferences: the second saturates.
fn rows() -> Vec<Row> {
    let row = |inputs: [i16; 2], outputs: [i32; 5]| Row {
        inputs: vec![inputs.to_vec()],
        outputs: vec![outputs.to_vec()],
    };
    vec![
        row([4, -3], [7, 0, -2_000_000, 0, 3]),
        row([127, -128], [1, 2, 3, 4, 5]),
    ]
}

fn tensor(shape: &[usize], values: Vec<f32>) -> Tensor {
    Tensor::new(shape, values).unwrap()
}

fn input() -> Tensor {
    tensor(&[2, 2], vec![2.0, -0.26, 1e30, -1e30])
}

fn output() -> Tensor {
    let values = [
        (3, 0.0),
        (7, 0.5),
        (-2_000_000, -0.5),
        (5, 0.0),
        (1, 0.5),
        (3, -0.5),
    ];
    let real = |(q, offset)| (f64::from(q) * 0.1 + offset) as f32;
    tensor(&[2, 3], values.map(real).to_vec())
}

fn opened(name: &str, tensor: &Tensor, seed: u8) -> (B256, B256, Bytes) {
    let bytes = npy::canonical_bytes(tensor).unwrap();
    let field = Field {
        name,
        bytes: &bytes,
    };
    let (commitment, opening) = commit(&[field], &SaltSeed::from_bytes([seed; 32])).unwrap();
    let salt = opening.disclose(name, &bytes).unwrap().salt;
    (B256::from(*commitment.as_bytes()), salt, bytes.into())
}

fn claimed(input: &Tensor, output: &Tensor) -> (Claim, Answer) {
    let (input, input_salt, input_bytes) = opened("x", input, 1);
    let (output, output_salt, output_bytes) = opened("y", output, 2);
    let claim = Claim {
        weights: Bytes::new(),
        network: B256::ZERO,
        revision: B256::ZERO,
        context: B256::ZERO,
        input,
        output,
    };
    let answer = Answer {
        circuit: Bytes::new(),
        rows: Bytes::new(),
        proof: Bytes::new(),
        rule: rule().encode().unwrap(),
        inputSalt: input_salt,
        input: input_bytes,
        outputSalt: output_salt,
        output: output_bytes,
    };
    (claim, answer)
}

fn check(input: &Tensor, output: &Tensor, rows: &[Row]) -> Result<(), Unbound> {
    let (claim, answer) = claimed(input, output);
    rule().check(&claim, &answer, rows)
}

#[test]
fn tensors_are_bound_to_the_integers_that_they_stand_for() {
    assert_eq!(check(&input(), &output(), &rows()), Ok(()));
    assert_eq!(Rule::decode(&rule().encode().unwrap()), Ok(rule()));
}

#[test]
fn other_integers_than_the_tensors_are_refused() {
    let changed = |change: &dyn Fn(&mut Vec<Row>)| {
        let mut rows = rows();
        change(&mut rows);
        check(&input(), &output(), &rows)
    };
    for refused in [
        changed(&|rows| rows[0].inputs[0][1] = -2),
        changed(&|rows| rows[1].inputs[0][0] = 126),
        changed(&|rows| rows[0].outputs[0][4] = 4),
        changed(&|rows| rows[1].outputs[0][2] = 2),
        changed(&|rows| rows.truncate(1)),
        changed(&|rows| rows.clear()),
        changed(&|rows| rows.push(rows[0].clone())),
        changed(&|rows| rows.swap(0, 1)),
        changed(&|rows| rows[0].inputs.push(vec![])),
        changed(&|rows| rows[0].inputs[0].push(0)),
        changed(&|rows| rows[0].outputs.push(vec![])),
        changed(&|rows| rows[0].outputs[0].truncate(3)),
    ] {
        assert!(matches!(refused, Err(Unbound::Rows(_))), "{refused:?}");
    }
    // Places that the output does not read are free; the proof binds them to nothing that is committed to.
    assert_eq!(changed(&|rows| rows[0].outputs[0][1] = 9), Ok(()));
}

#[test]
fn tensors_of_another_form_are_refused() {
    let nan = tensor(&[2, 2], vec![f32::NAN, 0.0, 0.0, 0.0]);
    let flat = tensor(&[4], vec![2.0, -0.26, 1e30, -1e30]);
    let wide = Tensor::new(&[2, 2], vec![2.0f64, -0.26, 1e30, -1e30]).unwrap();
    for input in [nan, flat, wide] {
        let refused = check(&input, &output(), &rows());
        assert!(matches!(refused, Err(Unbound::Rows(_))), "{refused:?}");
    }
}

#[test]
fn what_does_not_open_the_commitments_is_refused() {
    let (claim, answer) = claimed(&input(), &output());
    let case = |change: &dyn Fn(&mut Claim, &mut Answer)| {
        let (mut claim, mut answer) = (claim.clone(), answer.clone());
        change(&mut claim, &mut answer);
        rule().check(&claim, &answer, &rows())
    };
    for refused in [
        case(&|claim, _| claim.input = B256::ZERO),
        case(&|claim, _| claim.output = B256::ZERO),
        case(&|claim, _| std::mem::swap(&mut claim.input, &mut claim.output)),
        case(&|_, answer| answer.inputSalt = B256::ZERO),
        case(&|_, answer| answer.outputSalt = answer.inputSalt),
        case(&|_, answer| answer.input = answer.output.clone()),
        case(&|_, answer| answer.output = Bytes::new()),
    ] {
        assert!(matches!(refused, Err(Unbound::Opening(_))), "{refused:?}");
    }
    let mut other = rule();
    other.input.name = "z".into();
    let refused = other.check(&claim, &answer, &rows());
    assert!(matches!(refused, Err(Unbound::Opening(_))), "{refused:?}");
}

/// Rules that break one of the rules for them each.
fn bad_rules() -> Vec<Bytes> {
    let good = EncodedRule::abi_decode(&rule().encode().unwrap()).unwrap();
    let case = |change: &dyn Fn(&mut EncodedRule)| {
        let mut rule = good.clone();
        change(&mut rule);
        Bytes::from(rule.abi_encode())
    };
    let nan = f64::NAN.to_bits();
    vec![
        case(&|rule| rule.inputScale = vec![0]),
        case(&|rule| rule.inputScale = vec![nan]),
        case(&|rule| rule.inputScale = vec![(-1f64).to_bits()]),
        case(&|rule| rule.inputScale = vec![f64::INFINITY.to_bits()]),
        case(&|rule| rule.inputScale = vec![]),
        case(&|rule| rule.inputOffset = vec![nan]),
        case(&|rule| rule.inputOffset = vec![0; 3]),
        case(&|rule| (rule.least, rule.most) = (1, 0)),
        case(&|rule| rule.inputShape = vec![0]),
        case(&|rule| rule.inputShape = vec![u32::MAX; 8]),
        case(&|rule| rule.inputShape = vec![1; 9]),
        case(&|rule| rule.outputShape = vec![2]),
        case(&|rule| rule.outputScale = nan),
        case(&|rule| rule.outputOffset = vec![f64::INFINITY.to_bits()]),
        case(&|rule| rule.places = vec![0]),
        Bytes::new(),
        vec![0; 64].into(),
        rule().encode().unwrap().slice(..600),
        [&rule().encode().unwrap()[..], &[0; 32]].concat().into(),
    ]
}

/// `vectors/answer-rule/rule.json` is what rules are registered as; with UPDATE_SNAPSHOTS=1 it is written anew.
#[test]
fn the_encoding_is_the_frozen_one() {
    let case = |bytes: Bytes| serde_json::json!({ "bytes": bytes });
    let refused = |bytes: Bytes| {
        let reason = format!("{:?}", Rule::decode(&bytes).unwrap_err());
        serde_json::json!({ "bytes": bytes, "reason": reason })
    };
    let reject: Vec<_> = bad_rules().into_iter().map(refused).collect();
    let made = serde_json::json!({
        "format": 1,
        "type": "Rule",
        "accept": [case(rule().encode().unwrap())],
        "reject": reject,
    });
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../vectors/answer-rule/rule.json"
    );
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(path, format!("{made:#}\n")).unwrap();
    }
    let frozen: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(frozen, made);
}

#[test]
fn a_rule_is_refused_where_it_could_be_read_in_two_ways_or_in_none() {
    for bytes in bad_rules() {
        let refused = Rule::decode(&bytes);
        assert!(matches!(refused, Err(Unbound::Rule(_))), "{refused:?}");
    }
    assert!(Rule::decode(&vec![0; MAX_RULE_BYTES + 1]).is_err());
    let mut softmax = rule().output;
    softmax.reading = Reading::Softmax;
    assert!(Rule::new(&rule().input, &softmax, &[0, 1, 2]).is_err());
}

proptest! {
    #[test]
    fn the_header_is_that_of_canonical_bytes(shape in prop::collection::vec(1usize..5, 1..7), wide in 1usize..5000) {
        for shape in [shape, vec![wide]] {
            let tensor = tensor(&shape, vec![0.0; shape.iter().product()]);
            let whole = NamedTensors::new(vec![("x".into(), tensor)]);
            let bytes = npy::canonical_fields(&whole).unwrap().remove(0).1;
            prop_assert!(bytes.starts_with(&header(&shape).unwrap()));
            prop_assert_eq!(bytes.len() % 4, 0);
            prop_assert_eq!(floats(&bytes, &shape).unwrap().len(), shape.iter().product::<usize>());
        }
    }

    #[test]
    fn any_bytes_as_a_rule_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..700), at in 0usize..600) {
        let _ = Rule::decode(&bytes);
        let mut near = rule().encode().unwrap().to_vec();
        let place = at % near.len();
        near[place] ^= bytes.first().copied().unwrap_or(1) | 1;
        if let Ok(read) = Rule::decode(&near) {
            prop_assert_eq!(read.encode().unwrap(), Bytes::from(near));
        }
    }
}
