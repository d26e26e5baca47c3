//! How good is a list of hits?

/// Figures of one list, or their means.
#[derive(Clone, Copy, Default, Debug)]
pub struct Figures {
    /// Discounted cumulative gain of the first ten, as a share of what is possible; gain 2^grade - 1.
    pub ndcg: f64,
    /// Of the models that serve well (grade 2 or 3), or fifty of them, how many are among the first fifty.
    pub recall: f64,
    /// One over the place of the first that serves well.
    pub mrr: f64,
}

fn gain(grade: u8) -> f64 {
    f64::from((1_u32 << grade) - 1)
}

fn discounted(grades: impl Iterator<Item = u8>) -> f64 {
    grades
        .take(10)
        .zip(2_u32..)
        .map(|(grade, place)| gain(grade) / f64::from(place).log2())
        .sum()
}

/// Figures of a list of grades in the order of the hits, given all grades.
pub fn figures(hits: &[u8], all: &[u8]) -> Figures {
    let mut best: Vec<u8> = all.to_vec();
    best.sort_unstable_by(|a, b| b.cmp(a));
    let ideal = discounted(best.into_iter());
    let good = all.iter().filter(|grade| **grade >= 2).count();
    let found = hits.iter().take(50).filter(|grade| **grade >= 2).count();
    let first = hits.iter().position(|grade| *grade >= 2);
    Figures {
        ndcg: if ideal > 0.0 {
            discounted(hits.iter().copied()) / ideal
        } else {
            0.0
        },
        recall: found as f64 / good.clamp(1, 50) as f64,
        mrr: first.map_or(0.0, |at| 1.0 / (at as f64 + 1.0)),
    }
}

/// The means of many.
pub fn mean(all: &[Figures]) -> Figures {
    let count = all.len().max(1) as f64;
    let sum = all.iter().fold(Figures::default(), |sum, one| Figures {
        ndcg: sum.ndcg + one.ndcg,
        recall: sum.recall + one.recall,
        mrr: sum.mrr + one.mrr,
    });
    Figures {
        ndcg: sum.ndcg / count,
        recall: sum.recall / count,
        mrr: sum.mrr / count,
    }
}
