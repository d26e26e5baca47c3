//! Where a role runs and what on: what its operator says, what the role then says of itself, and how a reader takes it.

use crate::registry::{FailureDomains, MAX_DATA_CENTRE_BYTES};
use assay_economy::failure::{Dimension, Evidence, NAME_BYTES_MAX, Place as Standing};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fs::File, sync::OnceLock};

/// What a role says of itself: by dimension, its own word. [`NONE`] where a dimension does not apply.
pub type Stated = BTreeMap<String, String>;
/// Where a member is, by dimension; what is absent is unknown.
pub type Standings = BTreeMap<Dimension, Standing>;

/// Says that a dimension does not apply: a machine without trusted hardware depends on no vendor of it.
pub const NONE: &str = "none";
/// Digits of the digest of an executable that are said, in hexadecimal: enough to tell builds apart.
const BUILD_DIGITS: usize = 32;

/// What an operator says of a machine and its software, the table `[domains]` of a role's configuration. What is left
/// out is unknown, and counts as shared with all whose place is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Place {
    /// Who answers for it, where no registry on chain says so.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub operator: String,
    /// Autonomous system of the hosting provider; 0 where unknown.
    #[serde(skip_serializing_if = "is_zero")]
    pub asn: u32,
    /// Name of the data centre, ASCII, at most [`MAX_DATA_CENTRE_BYTES`].
    #[serde(skip_serializing_if = "String::is_empty")]
    pub data_centre: String,
    /// ISO 3166-1 alpha-2 in capitals.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub country: String,
    /// Who made the trusted hardware; [`NONE`] where there is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tee_vendor: String,
    /// Level of the firmware of the trusted hardware; [`NONE`] where there is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub firmware_level: String,
    /// Name of the software's build, for whoever builds one program several times. If left out, the program's version
    /// and the digest of its file.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub software_build: String,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Place {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        *self == Self::default()
    }

    /// Checks what an operator wrote.
    ///
    /// # Errors
    /// What is wrong, and what to write.
    pub fn check(&self) -> Result<(), String> {
        if !self.country.is_empty() && !is_country(&self.country) {
            return Err("domains: country is two capital letters, such as DE".into());
        }
        if self.data_centre.len() > MAX_DATA_CENTRE_BYTES || !self.data_centre.is_ascii() {
            return Err(format!(
                "domains: data_centre is ASCII of at most {MAX_DATA_CENTRE_BYTES} bytes"
            ));
        }
        for (name, text) in self.texts() {
            let is_name = text.is_empty() || is_name(text) && text.trim() == text;
            if !is_name {
                return Err(format!(
                    "domains: {name} is a line of at most {NAME_BYTES_MAX} bytes without blanks at its ends"
                ));
            }
        }
        Ok(())
    }

    fn texts(&self) -> [(&'static str, &str); 6] {
        [
            ("country", &self.country),
            ("data_centre", &self.data_centre),
            ("firmware_level", &self.firmware_level),
            ("operator", &self.operator),
            ("software_build", &self.software_build),
            ("tee_vendor", &self.tee_vendor),
        ]
    }

    /// What of it goes into the registry on chain.
    #[must_use]
    pub fn registered(&self) -> FailureDomains {
        FailureDomains {
            asn: self.asn,
            country: self.country.clone(),
            data_centre: self.data_centre.clone(),
        }
    }

    /// What a role says of itself, the build of this very program included. Reads the program's file, once.
    #[must_use]
    pub fn stated(&self) -> Stated {
        let texts = self.texts().into_iter();
        let texts = texts.filter(|(_, text)| !text.is_empty());
        let mut stated: Stated = texts
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .collect();
        if self.asn != 0 {
            stated.insert("asn".into(), self.asn.to_string());
        }
        if self.software_build.is_empty()
            && let Some(build) = own_build()
        {
            stated.insert("software_build".into(), build.to_owned());
        }
        stated
    }
}

/// Version of this program and the start of the BLAKE3 digest of its file; `None` where that cannot be read.
fn own_build() -> Option<&'static str> {
    static BUILD: OnceLock<Option<String>> = OnceLock::new();
    let read = || -> std::io::Result<String> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(File::open(std::env::current_exe()?)?)?;
        let digest = hasher.finalize().to_hex();
        let digits: String = digest.chars().take(BUILD_DIGITS).collect();
        Ok(format!("{} blake3:{digits}", env!("CARGO_PKG_VERSION")))
    };
    let build = BUILD.get_or_init(|| {
        let read = read();
        if let Err(error) = &read {
            tracing::warn!(%error, "the program's file cannot be read: its build stays unknown");
        }
        read.ok()
    });
    build.as_deref()
}

/// What a stranger says of itself, as far as it can be understood; each dimension in one spelling, because names of
/// domains are compared byte by byte. All of it is declared.
#[must_use]
pub fn read(stated: &Stated) -> Standings {
    let known = Dimension::ALL.into_iter().filter_map(|dimension| {
        let text = stated.get(key(dimension))?.trim();
        let standing = match text {
            NONE => Standing::Inapplicable,
            _ => declared(spelling(dimension, text)?),
        };
        Some((dimension, standing))
    });
    known.collect()
}

/// What a record of the node registry adds: the operator, who bonded for the node, and what that one declared there. It
/// counts above what the node says.
pub fn overlay(standings: &mut Standings, operator: String, domains: &FailureDomains) {
    standings.insert(Dimension::Operator, registered(operator));
    let asn = (domains.asn != 0).then(|| domains.asn.to_string());
    let texts = [
        (Dimension::Asn, asn.unwrap_or_default()),
        (Dimension::Country, domains.country.clone()),
        (Dimension::DataCentre, domains.data_centre.clone()),
    ];
    for (dimension, text) in texts {
        if let Some(name) = spelling(dimension, &text) {
            standings.insert(dimension, declared(name));
        }
    }
}

/// In the domain of this account, which answers for the member with a bond.
#[must_use]
pub fn registered(name: String) -> Standing {
    Standing::Known {
        name,
        evidence: Evidence::Registered,
    }
}

fn declared(name: String) -> Standing {
    Standing::Known {
        name,
        evidence: Evidence::Declared,
    }
}

/// What a dimension is called where roles speak of it; that of its JSON.
#[must_use]
pub const fn key(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Operator => "operator",
        Dimension::Asn => "asn",
        Dimension::DataCentre => "data_centre",
        Dimension::Country => "country",
        Dimension::TeeVendor => "tee_vendor",
        Dimension::FirmwareLevel => "firmware_level",
        Dimension::SoftwareBuild => "software_build",
    }
}

/// A domain's name in the one spelling that counts; `None` for what is no name of one.
#[must_use]
pub fn spelling(dimension: Dimension, text: &str) -> Option<String> {
    match dimension {
        Dimension::Asn => {
            let number: u32 = text.parse().ok()?;
            (number != 0).then(|| number.to_string())
        }
        Dimension::Country => {
            let upper = text.to_ascii_uppercase();
            is_country(&upper).then_some(upper)
        }
        Dimension::Operator => is_name(text).then(|| text.to_owned()),
        _ => is_name(text)
            .then(|| text.to_lowercase())
            .filter(|name| is_name(name)),
    }
}

fn is_country(text: &str) -> bool {
    matches!(text.as_bytes(), [b'A'..=b'Z', b'A'..=b'Z'])
}

fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_economy::failure::{Member, Network};
    use proptest::prelude::*;

    fn whole() -> Place {
        Place {
            operator: "anna".into(),
            asn: 64_496,
            data_centre: "FRA-1".into(),
            country: "DE".into(),
            tee_vendor: NONE.into(),
            firmware_level: "1.55".into(),
            software_build: "build-a".into(),
        }
    }

    fn stated(pairs: &[(&str, &str)]) -> Stated {
        let pairs = pairs.iter();
        pairs
            .map(|(key, text)| (key.to_string(), text.to_string()))
            .collect()
    }

    #[test]
    fn what_an_operator_writes_is_what_a_reader_takes() {
        let place = whole();
        place.check().unwrap();
        let read = read(&place.stated());
        assert_eq!(read.len(), 7);
        assert_eq!(read[&Dimension::TeeVendor], Standing::Inapplicable);
        assert_eq!(read[&Dimension::DataCentre], declared("fra-1".into()));
        assert_eq!(read[&Dimension::Asn], declared("64496".into()));
        let evidence = |standing: &Standing| match standing {
            Standing::Known { evidence, .. } => *evidence == Evidence::Declared,
            _ => true,
        };
        assert!(
            read.values().all(evidence),
            "a role's word is no more than that"
        );
    }

    #[test]
    fn who_says_nothing_says_only_which_program_it_is() {
        let stated = Place::default().stated();
        assert_eq!(stated.len(), 1);
        let build = &stated["software_build"];
        assert!(build.contains(" blake3:"), "{build}");
        assert_eq!(*build, Place::default().stated()["software_build"]);
    }

    #[test]
    fn mistakes_of_operators_are_refused() {
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        for (name, text) in [
            ("country", "de"),
            ("country", "DEU"),
            ("data_centre", "ä"),
            ("data_centre", &"x".repeat(MAX_DATA_CENTRE_BYTES + 1)),
            ("operator", "a\nb"),
            ("operator", " a"),
            ("tee_vendor", &long),
            ("firmware_level", "\t"),
            ("software_build", &long),
        ] {
            let mut place = whole();
            let field = match name {
                "country" => &mut place.country,
                "data_centre" => &mut place.data_centre,
                "operator" => &mut place.operator,
                "tee_vendor" => &mut place.tee_vendor,
                "firmware_level" => &mut place.firmware_level,
                _ => &mut place.software_build,
            };
            *field = text.to_owned();
            let complaint = place.check().unwrap_err();
            assert!(complaint.contains(name), "{complaint}");
        }
    }

    #[test]
    fn what_is_no_name_of_a_domain_is_unknown() {
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        for (dimension, text) in [
            ("asn", "0"),
            ("asn", "-1"),
            ("asn", "AS64496"),
            ("asn", "4294967296"),
            ("country", "Germany"),
            ("country", "D1"),
            ("operator", ""),
            ("data_centre", "a\u{0}"),
            ("tee_vendor", &long),
            ("planet", "earth"),
        ] {
            let read = read(&stated(&[(dimension, text)]));
            assert!(read.is_empty(), "{dimension} {text:?}: {read:?}");
        }
    }

    #[test]
    fn one_domain_has_one_spelling() {
        for (dimension, one, other) in [
            ("asn", "64496", " 0064496 "),
            ("country", "DE", "de"),
            ("data_centre", "FRA1", "fra1"),
            ("tee_vendor", "Vendor", "VENDOR"),
        ] {
            let (one, other) = (stated(&[(dimension, one)]), stated(&[(dimension, other)]));
            assert_eq!(read(&one), read(&other));
            assert_eq!(read(&one).len(), 1);
        }
    }

    #[test]
    fn the_registry_counts_above_what_a_node_says() {
        let said = [("operator", "a saint"), ("country", "FR"), ("asn", "64500")];
        let mut standings = read(&stated(&said));
        let domains = FailureDomains {
            country: "DE".into(),
            ..FailureDomains::default()
        };
        overlay(&mut standings, "0xab".into(), &domains);
        assert_eq!(standings[&Dimension::Operator], registered("0xab".into()));
        assert_eq!(standings[&Dimension::Country], declared("DE".into()));
        assert_eq!(standings[&Dimension::Asn], declared("64500".into()));
    }

    proptest! {
        #[test]
        fn whatever_a_stranger_says_a_network_can_be_made_of_it(
            pairs in prop::collection::btree_map(
                prop::sample::select(Dimension::ALL.map(key).to_vec()),
                ".{0,300}",
                0..8,
            )
        ) {
            let pairs: Vec<(&str, &str)> = pairs.iter().map(|(k, t)| (*k, t.as_str())).collect();
            let mut member = Member::new("m");
            member.places = read(&stated(&pairs));
            prop_assert!(Network::new(vec![member]).is_ok());
        }
    }
}
