//! The headers in which OpenAI says how much a key has left: `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`.

/// What is left of one budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// How many are allowed when nothing is used.
    pub limit: u64,
    /// How many are left now.
    pub remaining: u64,
    /// Milliseconds from now until all of them are there again.
    pub reset_ms: u64,
}

/// The budgets of a key; an absent one is not limited, and has no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RateLimits {
    /// Requests.
    pub requests: Option<Window>,
    /// Tokens, of prompts and answers together.
    pub tokens: Option<Window>,
}

/// Names of the headers of one budget: limit, remaining, reset.
const REQUESTS: [&str; 3] = [
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
];
const TOKENS: [&str; 3] = [
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
];

impl RateLimits {
    /// The headers, names in lower case.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let budgets = [(REQUESTS, self.requests), (TOKENS, self.tokens)];
        let named = budgets
            .into_iter()
            .filter_map(|(names, window)| Some((names, window?)));
        let each = named.flat_map(|(names, window)| {
            let values = [
                window.limit.to_string(),
                window.remaining.to_string(),
                duration(window.reset_ms),
            ];
            names.into_iter().zip(values)
        });
        each.collect()
    }
}

/// A duration as OpenAI writes it: `120ms`, `1.5s`, `6m0s`, `1h0m2.25s`.
fn duration(milliseconds: u64) -> String {
    if milliseconds < 1_000 {
        return format!("{milliseconds}ms");
    }
    let (seconds, rest) = (milliseconds / 1_000, milliseconds % 1_000);
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    let (hours, minutes) = (minutes / 60, minutes % 60);
    let fraction = format!(".{rest:03}");
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    match (hours, minutes) {
        (0, 0) => format!("{seconds}{fraction}s"),
        (0, _) => format!("{minutes}m{seconds}{fraction}s"),
        _ => format!("{hours}h{minutes}m{seconds}{fraction}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_openai_writes_them() {
        for (milliseconds, text) in [
            (0, "0ms"),
            (120, "120ms"),
            (999, "999ms"),
            (1_000, "1s"),
            (1_500, "1.5s"),
            (59_999, "59.999s"),
            (360_000, "6m0s"),
            (3_602_250, "1h0m2.25s"),
            (u64::MAX, "5124095576030h25m51.615s"),
        ] {
            assert_eq!(duration(milliseconds), text);
        }
    }

    #[test]
    fn only_what_is_limited_has_headers() {
        assert!(RateLimits::default().headers().is_empty());
        let limits = RateLimits {
            tokens: Some(Window {
                limit: 10,
                remaining: 3,
                reset_ms: 1,
            }),
            ..RateLimits::default()
        };
        let headers = limits.headers();
        assert_eq!(
            headers,
            [
                ("x-ratelimit-limit-tokens", "10".to_string()),
                ("x-ratelimit-remaining-tokens", "3".to_string()),
                ("x-ratelimit-reset-tokens", "1ms".to_string()),
            ]
        );
    }
}
