//! How many files and connections a process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises what this process may have open to what the system lets it have: the usual soft limit, 1,024, is for programs that
/// watch files by a bitmap, and half as many streams would fill it. Gives the limit, `None` for none; where the system
/// refuses, it stays as it was.
pub fn raise() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit of open files stays as it is");
        }
    }
    getrlimit(Resource::Nofile).current
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_limit_is_raised_to_the_highest() {
        let before = getrlimit(Resource::Nofile);
        // One below: other tests of this process have files open meanwhile.
        let low = Rlimit {
            current: Some(before.maximum.unwrap_or(1 << 20) - 1),
            maximum: before.maximum,
        };
        setrlimit(Resource::Nofile, low).unwrap();
        assert_eq!(raise(), before.maximum);
        assert_eq!(raise(), before.maximum, "twice is once");
    }
}
