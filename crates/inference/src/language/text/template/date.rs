//! The day that a template is told, as an argument and from no clock.

use minijinja::ErrorKind;

use crate::language::text::Error;

const MONTHS: [(&str, u8); 12] = [
    ("January", 31),
    ("February", 29),
    ("March", 31),
    ("April", 30),
    ("May", 31),
    ("June", 30),
    ("July", 31),
    ("August", 31),
    ("September", 30),
    ("October", 31),
    ("November", 30),
    ("December", 31),
];

const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// A day of the Gregorian calendar, from the year 1 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// Year, month from 1, day from 1.
    ///
    /// # Errors
    /// [`Error::Input`] for a day that does not exist.
    pub fn new(year: u16, month: u8, day: u8) -> Result<Self, Error> {
        let leap =
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days = match (month, leap) {
            (2, false) => 28,
            _ => {
                let at = usize::from(month).checked_sub(1);
                at.and_then(|at| MONTHS.get(at))
                    .map_or(0, |(_, days)| *days)
            }
        };
        if (1..=9999).contains(&year) && (1..=days).contains(&day) {
            return Ok(Self { year, month, day });
        }
        Err(Error::Input(format!(
            "there is no day {year}-{month}-{day}"
        )))
    }

    /// Reads `YYYY-MM-DD`.
    ///
    /// # Errors
    /// [`Error::Input`] for anything else.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Input("a date is written YYYY-MM-DD".into());
        let plain = text.len() == 10 && text.bytes().all(|c| c == b'-' || c.is_ascii_digit());
        let mut parts = text.split('-');
        let (Some(year), Some(month), Some(day), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong());
        };
        if !plain || (year.len(), month.len(), day.len()) != (4, 2, 2) {
            return Err(wrong());
        }
        let year = year.parse().map_err(|_| wrong())?;
        Self::new(
            year,
            month.parse().map_err(|_| wrong())?,
            day.parse().map_err(|_| wrong())?,
        )
    }

    fn month_name(self) -> &'static str {
        let at = usize::from(self.month).saturating_sub(1);
        MONTHS.get(at).map_or("", |(name, _)| *name)
    }

    /// By Sakamoto's method.
    fn day_name(self) -> &'static str {
        let offsets = [0u16, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4];
        let year = self.year.saturating_sub(u16::from(self.month < 3));
        let offset = offsets.get(usize::from(self.month).saturating_sub(1));
        // At most 9999 + 2499 + 24 + 6 + 31, and the hundredths are fewer than the fourths.
        let sum = [
            year / 4,
            year / 400,
            offset.copied().unwrap_or(0),
            u16::from(self.day),
        ];
        let sum = sum
            .into_iter()
            .fold(year, u16::saturating_add)
            .saturating_sub(year / 100);
        DAYS.get(usize::from(sum % 7)).copied().unwrap_or("")
    }

    /// The date in a format of `strftime`; none if the format asks for what is not known.
    fn format(self, format: &str) -> Option<String> {
        let mut out = String::new();
        let mut characters = format.chars();
        while let Some(character) = characters.next() {
            if character != '%' {
                out.push(character);
                continue;
            }
            let three = |name: &'static str| name.get(..3).unwrap_or(name).to_owned();
            out.push_str(&match characters.next()? {
                'Y' => format!("{:04}", self.year),
                'y' => format!("{:02}", self.year % 100),
                'm' => format!("{:02}", self.month),
                'd' => format!("{:02}", self.day),
                'e' => format!("{:2}", self.day),
                'B' => self.month_name().to_owned(),
                'b' | 'h' => three(self.month_name()),
                'A' => self.day_name().to_owned(),
                'a' => three(self.day_name()),
                'F' => format!("{:04}-{:02}-{:02}", self.year, self.month, self.day),
                '-' => match characters.next()? {
                    'd' => self.day.to_string(),
                    'm' => self.month.to_string(),
                    _ => return None,
                },
                '%' => "%".to_owned(),
                _ => return None,
            });
        }
        Some(out)
    }
}

/// `strftime_now(format)`.
pub(super) fn now(date: Option<Date>, format: &str) -> Result<String, minijinja::Error> {
    let wrong = |reason: String| minijinja::Error::new(ErrorKind::InvalidOperation, reason);
    let date = date.ok_or_else(|| {
        wrong("the template asks for today's date, and the request names none".into())
    })?;
    let text = date.format(format);
    text.ok_or_else(|| {
        wrong(format!(
            "strftime_now(`{format}`) asks for more than a date"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_asked() {
        let date = Date::new(2024, 7, 6).unwrap();
        assert_eq!(date.format("%d %b %Y").unwrap(), "06 Jul 2024");
        assert_eq!(
            date.format("%A, %-d %B %y (%a %h %e) %F %m 100%%").unwrap(),
            "Saturday, 6 July 24 (Sat Jul  6) 2024-07-06 07 100%"
        );
        for (year, month, day, name) in [
            (1, 1, 1, "Monday"),
            (1900, 2, 28, "Wednesday"),
            (2000, 2, 29, "Tuesday"),
            (2026, 11, 30, "Monday"),
            (9999, 12, 31, "Friday"),
            (1970, 1, 1, "Thursday"),
        ] {
            assert_eq!(
                Date::new(year, month, day).unwrap().format("%A").unwrap(),
                name
            );
        }
        for bad in ["%H", "%", "%-", "%-Y", "%Q", "%M:%S"] {
            assert_eq!(date.format(bad), None, "{bad}");
        }
    }

    #[test]
    fn days_that_do_not_exist_are_refused() {
        for (year, month, day) in [
            (0, 1, 1),
            (2023, 2, 29),
            (1900, 2, 29),
            (2024, 2, 30),
            (2024, 0, 1),
            (2024, 13, 1),
            (2024, 4, 31),
            (2024, 1, 0),
            (2024, 1, 32),
            (10000, 1, 1),
        ] {
            assert!(Date::new(year, month, day).is_err(), "{year}-{month}-{day}");
        }
        for bad in [
            "",
            "2024-1-01",
            "2024-01-1",
            "24-01-01",
            "2024/01/01",
            "2024-01-01 ",
            "+024-01-01",
            "2024-02-30",
            "2024-01-011",
            "-024-01-01",
            "----------",
        ] {
            assert!(Date::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Date::parse("2024-02-29"), Date::new(2024, 2, 29));
    }
}
