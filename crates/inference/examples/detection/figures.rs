//! Rates with their uncertainty, and what sampling and committees make of them.

/// Members of a committee; `Servers.sol`.
pub const COMMITTEE: u32 = 3;

/// Of `of` tries `hits` were: between what the rate lies, with 95 % confidence.
///
/// Source: Wilson, Probable Inference, the Law of Succession, and Statistical Inference (1927).
pub fn wilson(hits: usize, of: usize) -> (f64, f64) {
    let (n, z) = (of as f64, 1.959_964);
    let rate = hits as f64 / n;
    let middle = rate + z * z / (2.0 * n);
    let half = z * (rate * (1.0 - rate) / n + z * z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z * z / n;
    (
        ((middle - half) / scale).max(0.0),
        ((middle + half) / scale).min(1.0),
    )
}

/// How likely a wrong answer is found: it is drawn with `rate`, and one of the members at least computes, each of whom is
/// honest with `honest` and finds it with `detection`.
pub fn found(rate: f64, honest: f64, detection: f64) -> f64 {
    let missed = (1.0 - honest * detection).powi(COMMITTEE as i32);
    rate * (1.0 - missed)
}

/// How likely a member that says that an answer is right without computing it is penalised, the answer being right: when the
/// other members, each honest with `honest`, are a majority of all with one and the same digest of their work.
pub fn lazy_penalised(honest: f64) -> f64 {
    let others = COMMITTEE - 1;
    let quorum = COMMITTEE / 2 + 1;
    let ways = |agreed: u32| {
        let of = (1..=agreed).fold(1.0, |ways, i| {
            ways * f64::from(others + 1 - i) / f64::from(i)
        });
        of * honest.powi(agreed as i32) * (1.0 - honest).powi((others - agreed) as i32)
    };
    (quorum..=others).map(ways).sum()
}

/// The same two by drawing committees `tries` times.
pub fn drawn(rate: f64, honest: f64, detection: f64, tries: u32) -> (f64, f64) {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut chance = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let (mut found, mut penalised) = (0u32, 0u32);
    for _ in 0..tries {
        let is_drawn = chance() < rate;
        let differing = (0..COMMITTEE)
            .filter(|_| chance() < honest && chance() < detection)
            .count();
        found += u32::from(is_drawn && differing > 0);
        let agreed = (1..COMMITTEE).filter(|_| chance() < honest).count();
        penalised += u32::from(agreed as u32 > COMMITTEE / 2);
    }
    (
        f64::from(found) / f64::from(tries),
        f64::from(penalised) / f64::from(tries),
    )
}
