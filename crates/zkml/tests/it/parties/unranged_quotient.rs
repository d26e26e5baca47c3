//! Splits an accumulator into another quotient and a remainder outside of its range: the equation holds as it stands.

use super::{Columns, NO_TABLE, model, refused, step};

/// The size of the base field.
const P: i64 = (1 << 31) - (1 << 24) + 1;

#[test]
fn remainders_stay_in_their_range() {
    let model = model(7);
    for index in 0..2 {
        let (table, shift) = step(model.prepared(), index);
        let look = |argument: i32| i32::from(table.value(i64::from(argument)).unwrap_or_default());
        for by in [1, -1, 2, -2] {
            for all in [false, true] {
                let lie = |at: usize, _: &[i64], columns: &mut Columns| {
                    let places = if all { columns.out.len() } else { 1 };
                    for place in (0..places).filter(|_| at == index) {
                        columns.argument[place] -= by;
                        columns.remainder[place] += by << shift;
                        columns.out[place] = look(columns.argument[place]);
                    }
                };
                refused("a remainder outside of its range", &NO_TABLE, lie);
            }
        }
    }
}

/// `argument 2^shift = accumulator` has a solution in the field for every accumulator; it is in no table.
#[test]
fn quotients_stay_in_their_table() {
    let model = model(7);
    let (_, shift) = step(model.prepared(), 1);
    let half = (1i64 << shift) >> 1;
    let lie = |index: usize, sums: &[i64], columns: &mut Columns| {
        if index == 1 {
            for (place, sum) in sums.iter().enumerate() {
                let target = (sum + half).rem_euclid(P);
                let multiple = (0..1i64 << shift).find(|k| (target + k * P) % (1 << shift) == 0);
                columns.argument[place] = ((target + multiple.unwrap() * P) >> shift) as i32;
                columns.remainder[place] = 0;
                columns.out[place] = 77;
            }
        }
    };
    refused("a quotient in the field", &NO_TABLE, lie);
}
