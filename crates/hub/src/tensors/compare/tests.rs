use super::*;
use crate::tensors::written;

/// A deterministic source of numbers that look like trained weights.
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f32 {
        let sum: f64 = (0..12).map(|_| self.next()).sum();
        (sum - 6.0) as f32
    }
}

type Model = Vec<(&'static str, Vec<u64>, Vec<f32>)>;

const SHAPES: [(&str, &[u64]); 5] = [
    ("embed.weight", &[64, 48]),
    ("layer.0.weight", &[96, 48]),
    ("layer.0.bias", &[96]),
    ("norm.weight", &[48]),
    ("head.weight", &[10, 96]),
];

fn model(seed: u64) -> Model {
    let mut draws = Draws(seed);
    let tensor = |(name, shape): &(&'static str, &[u64])| {
        let count = shape.iter().product::<u64>() as usize;
        let centre = if name.starts_with("norm") { 1.0 } else { 0.0 };
        let values = (0..count).map(|_| centre + 0.05 * draws.normal()).collect();
        (*name, shape.to_vec(), values)
    };
    SHAPES.iter().map(tensor).collect()
}

fn tuned(model: &Model, seed: u64, amount: f32) -> Model {
    let mut draws = Draws(seed);
    let mut model = model.clone();
    for (_, _, values) in &mut model {
        values
            .iter_mut()
            .for_each(|value| *value += amount * 0.05 * draws.normal());
    }
    model
}

fn mixed(one: &Model, other: &Model, share: f32) -> Model {
    let mut model = one.clone();
    for ((_, _, values), (_, _, others)) in model.iter_mut().zip(other) {
        let mix = |(a, b): (&mut f32, &f32)| *a = (1.0 - share) * *a + share * b;
        values.iter_mut().zip(others).for_each(mix);
    }
    model
}

fn saved(model: &Model, dtype: DType) -> Weights<Vec<u8>> {
    let tensors: Vec<_> = model
        .iter()
        .map(|(name, shape, values)| {
            let bytes: Vec<u8> = match dtype {
                DType::F16 => values
                    .iter()
                    .flat_map(|v| f16_bits(*v).to_le_bytes())
                    .collect(),
                DType::BF16 => values
                    .iter()
                    .flat_map(|v| bf16_bits(*v).to_le_bytes())
                    .collect(),
                _ => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            };
            (*name, dtype, shape.as_slice(), bytes)
        })
        .collect();
    Weights::open(written(&tensors)).unwrap()
}

/// Rows of 8-bit integers with a scale each; what is no matrix stays as it is.
fn integers(model: &Model, unsigned: bool) -> Weights<Vec<u8>> {
    let mut tensors = Vec::new();
    for (name, shape, values) in model {
        if shape.len() < 2 {
            let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            tensors.push((*name, DType::F32, shape.as_slice(), bytes));
            continue;
        }
        let row = shape[1..].iter().product::<u64>() as usize;
        let quantised = |row: &[f32]| -> Vec<u8> {
            let (low, high) = row
                .iter()
                .fold((0f32, 0f32), |(l, h), v| (l.min(*v), h.max(*v)));
            match unsigned {
                true => row
                    .iter()
                    .map(|v| ((v - low) * 255.0 / (high - low)).round() as u8)
                    .collect(),
                false => row
                    .iter()
                    .map(|v| (v * 127.0 / high.max(-low)).round() as i8 as u8)
                    .collect(),
            }
        };
        let dtype = if unsigned { DType::U8 } else { DType::I8 };
        let bytes = values.chunks(row).flat_map(quantised).collect();
        tensors.push((*name, dtype, shape.as_slice(), bytes));
    }
    Weights::open(written(&tensors)).unwrap()
}

#[test]
fn a_quantised_model_is_its_parent_within_rounding() {
    let base = model(1);
    let parent = saved(&base, DType::F32);
    for child in [
        saved(&base, DType::F16),
        saved(&base, DType::BF16),
        integers(&base, false),
        integers(&base, true),
    ] {
        let finding = quantised_from(&child, &parent).unwrap();
        assert!(finding.holds, "{finding:?}");
    }
    // From halves to integers.
    let mut halved = base.clone();
    for value in halved.iter_mut().flat_map(|(_, _, values)| values) {
        *value = f32::from_bits(u32::from(bf16_bits(*value)) << 16);
    }
    let halves = saved(&base, DType::BF16);
    assert!(
        quantised_from(&integers(&halved, false), &halves)
            .unwrap()
            .holds
    );
    let steps = quantised_from(&integers(&base, false), &parent)
        .unwrap()
        .figures
        .rms_steps;
    assert!(
        steps.is_some_and(|steps| (0.2..0.35).contains(&steps)),
        "{steps:?}"
    );
}

#[test]
fn what_is_further_than_rounding_was_not_quantised_from_it() {
    let base = model(1);
    let parent = saved(&base, DType::F32);
    let other = model(2);
    let near = tuned(&base, 3, 0.02);
    let mut one_tensor = base.clone();
    one_tensor[4] = other[4].clone();
    for model in [&other, &near, &one_tensor] {
        for child in [
            saved(model, DType::F16),
            saved(model, DType::BF16),
            integers(model, false),
            integers(model, true),
        ] {
            let finding = quantised_from(&child, &parent).unwrap();
            assert!(!finding.holds, "{finding:?}");
        }
    }
    // A copy is no quantisation, nor is the way back.
    assert!(!quantised_from(&parent, &parent).unwrap().holds);
    assert!(
        !quantised_from(&parent, &saved(&base, DType::F16))
            .unwrap()
            .holds
    );
    // Half of the parent is missing.
    let half: Model = base[..1].to_vec();
    assert!(
        !quantised_from(&saved(&half, DType::F16), &parent)
            .unwrap()
            .holds
    );
    // Integers that are all one number stand for nothing.
    let flat: Model = base
        .iter()
        .map(|(n, s, v)| (*n, s.clone(), vec![0.5; v.len()]))
        .collect();
    assert!(
        !quantised_from(&integers(&flat, false), &parent)
            .unwrap()
            .holds
    );
}

#[test]
fn a_fine_tune_follows_its_parent() {
    let base = model(1);
    let parent = saved(&base, DType::F32);
    let mut head = base.clone();
    head[4] = model(9)[4].clone();
    let mut grown = tuned(&base, 4, 0.05);
    grown[4] = ("head.weight", vec![20, 96], vec![0.1; 1920]);
    for model in [tuned(&base, 3, 0.1), tuned(&base, 5, 0.3), head, grown] {
        for child in [saved(&model, DType::F32), saved(&model, DType::F16)] {
            let finding = fine_tuned_from(&child, &parent).unwrap();
            assert!(finding.holds, "{finding:?}");
        }
    }
    // With other names, in the same order.
    let mut renamed = tuned(&base, 3, 0.1);
    for ((name, ..), other) in renamed.iter_mut().zip(["v", "w", "x", "y", "z"]) {
        *name = other;
    }
    let finding = fine_tuned_from(&saved(&renamed, DType::F32), &parent).unwrap();
    assert!(finding.holds && finding.figures.renamed == 5, "{finding:?}");
}

#[test]
fn strangers_and_copies_are_no_fine_tunes() {
    let base = model(1);
    let parent = saved(&base, DType::F32);
    for child in [model(2), model(3), tuned(&base, 4, 3.0)] {
        let finding = fine_tuned_from(&saved(&child, DType::F32), &parent).unwrap();
        assert!(!finding.holds, "{finding:?}");
    }
    assert!(!fine_tuned_from(&parent, &parent).unwrap().holds);
    // Scales and biases alone say nothing.
    let small: Model = base[2..4].to_vec();
    let weights = saved(&small, DType::F32);
    assert!(!fine_tuned_from(&weights, &parent).unwrap().holds);
    let nothing = saved(&Model::new(), DType::F32);
    assert!(!fine_tuned_from(&nothing, &parent).unwrap().holds);
    assert!(!fine_tuned_from(&parent, &nothing).unwrap().holds);
}

#[test]
fn a_merge_is_a_combination_of_its_parents() {
    let base = model(1);
    let (one, other) = (tuned(&base, 2, 0.2), tuned(&base, 3, 0.2));
    let parents = (saved(&one, DType::F32), saved(&other, DType::F32));
    for (share, dtype) in [
        (0.5, DType::F32),
        (0.5, DType::F16),
        (0.1, DType::F32),
        (0.7, DType::BF16),
    ] {
        let child = saved(&mixed(&one, &other, share), dtype);
        let finding = merged_from(&child, &parents.0, &parents.1).unwrap();
        assert!(finding.holds, "{share}: {finding:?}");
        let found = finding.figures.shares[1];
        assert!((found - f64::from(share)).abs() < 0.02, "{share}: {found}");
    }
    // Strangers are merged as well as siblings.
    let stranger = model(7);
    let child = saved(&mixed(&one, &stranger, 0.4), DType::F32);
    assert!(
        merged_from(&child, &parents.0, &saved(&stranger, DType::F32))
            .unwrap()
            .holds
    );
}

#[test]
fn siblings_and_parents_are_no_merges() {
    let base = model(1);
    let (one, other, third) = (
        tuned(&base, 2, 0.2),
        tuned(&base, 3, 0.2),
        tuned(&base, 4, 0.2),
    );
    let save = |model: &Model| saved(model, DType::F32);
    let check = |child: &Model| merged_from(&save(child), &save(&one), &save(&other)).unwrap();
    for child in [
        &third,
        &base,
        &model(9),
        &one,
        &other,
        &mixed(&third, &one, 0.5),
        &tuned(&mixed(&one, &other, 0.5), 8, 0.05),
    ] {
        let finding = check(child);
        assert!(!finding.holds, "{finding:?}");
    }
    // Parents that are as good as equal.
    let close = tuned(&one, 5, 0.001);
    let child = saved(&mixed(&one, &close, 0.5), DType::BF16);
    let finding = merged_from(&child, &save(&one), &save(&close)).unwrap();
    assert!(
        !finding.holds && finding.reason.contains("rounding"),
        "{finding:?}"
    );
}

#[test]
fn a_model_in_several_files_is_one_model() {
    let base = model(1);
    let child = tuned(&base, 2, 0.1);
    let parts = |model: &Model| {
        let files = [&model[..2], &model[2..]].map(|part| saved(&part.to_vec(), DType::F32));
        Weights::join(files.to_vec()).unwrap()
    };
    let whole = fine_tuned_from(&saved(&child, DType::F32), &saved(&base, DType::F32)).unwrap();
    assert!(whole.holds);
    assert_eq!(
        fine_tuned_from(&parts(&child), &parts(&base)).unwrap(),
        whole
    );
    assert_eq!(
        fine_tuned_from(&parts(&child), &saved(&base, DType::F32)).unwrap(),
        whole
    );
    // A name in two files is no model.
    let file = saved(&base, DType::F32);
    assert!(Weights::join(vec![file.clone(), file]).is_err());
    assert_eq!(Weights::<Vec<u8>>::join(vec![]).unwrap().parameters(), 0);
}
