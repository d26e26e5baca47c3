//! Who is where, and what does a service need?

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Error;

/// Members of one network at most: several times what is known of any such network, and memory stays under 100 MB.
pub const MEMBERS_MAX: usize = 1 << 17;
/// Bytes of the name of a member or domain at most; a name is printed in a line.
pub const NAME_BYTES_MAX: usize = 256;
/// All weights of a service together at most, so that no sum over seven dimensions of scaled weights can wrap.
pub const WEIGHT_MAX: u64 = 1 << 48;

/// In what members can depend on the same thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// The party that answers for it.
    Operator,
    /// The hosting provider, by the number of its autonomous system.
    Asn,
    /// The building.
    DataCentre,
    /// The jurisdiction.
    Country,
    /// Who made the trusted hardware.
    TeeVendor,
    /// The level of firmware that the hardware runs.
    FirmwareLevel,
    /// The build of the node's software.
    SoftwareBuild,
}

impl Dimension {
    /// All, in the order in which answers list them.
    pub const ALL: [Self; 7] = [
        Self::Operator,
        Self::Asn,
        Self::DataCentre,
        Self::Country,
        Self::TeeVendor,
        Self::FirmwareLevel,
        Self::SoftwareBuild,
    ];

    /// What a domain of it is called in a sentence.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Asn => "ASN",
            Self::DataCentre => "data centre",
            Self::Country => "country",
            Self::TeeVendor => "TEE vendor",
            Self::FirmwareLevel => "firmware level",
            Self::SoftwareBuild => "software build",
        }
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// What supports that a member is in a domain, the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// The member or its operator says so.
    Declared,
    /// A ledger holds it: an account signed and answers for it with a bond. That two accounts are two parties is no more
    /// than declared.
    Registered,
    /// Others measured it.
    Measured,
    /// Trusted hardware vouches for it.
    Attested,
}

impl Evidence {
    /// In a sentence.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Declared => "declared",
            Self::Registered => "registered",
            Self::Measured => "measured",
            Self::Attested => "attested",
        }
    }
}

/// Where a member is in one dimension.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// It is in some domain, no one knows in which.
    #[default]
    Unknown,
    /// It is in none: a node without a TEE depends on no vendor of one.
    Inapplicable,
    /// In this one.
    Known {
        /// Name of the domain within its dimension; names are compared byte by byte.
        name: String,
        /// What supports it.
        evidence: Evidence,
    },
}

/// A machine that provides services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Unique in the network.
    pub name: String,
    /// Its places; a dimension that is missing is [`Place::Unknown`].
    #[serde(default)]
    pub places: BTreeMap<Dimension, Place>,
}

impl Member {
    /// A member of which nothing is known.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            places: BTreeMap::new(),
        }
    }

    /// The same, in the domain `name` of `dimension`.
    #[must_use]
    pub fn known(mut self, dimension: Dimension, name: impl Into<String>, by: Evidence) -> Self {
        let place = Place::Known {
            name: name.into(),
            evidence: by,
        };
        self.places.insert(dimension, place);
        self
    }

    /// The same, to which `dimension` does not apply.
    #[must_use]
    pub fn inapplicable(mut self, dimension: Dimension) -> Self {
        self.places.insert(dimension, Place::Inapplicable);
        self
    }

    fn check(&self) -> Result<(), Error> {
        check_name(&self.name)?;
        for place in self.places.values() {
            if let Place::Known { name, .. } = place {
                check_name(name)?;
            }
        }
        Ok(())
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(Error::Name {
            name: name.chars().take(64).collect(),
        });
    }
    Ok(())
}

/// When a service goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// With the quorum of consensus that bears f faulty votes of 3f + 1: n - (n - 1) / 3 of n.
    Quorum,
    /// With at least this weight: 1 for a model that any node can answer for, k for a file of which any k pieces
    /// suffice.
    AtLeast(u64),
}

impl Rule {
    /// The lost weight, of `total`, from which on the service stands still; 0 if it does so already.
    #[must_use]
    pub const fn limit(self, total: u64) -> u64 {
        let needed = match self {
            Self::Quorum => total.saturating_sub(total.saturating_sub(1) / 3),
            Self::AtLeast(weight) => weight,
        };
        if total == 0 || total < needed {
            return 0;
        }
        total.saturating_sub(needed).saturating_add(1)
    }
}

/// What one member contributes to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Its place in the network's members, from 0.
    pub member: u32,
    /// Votes, pieces, or 1.
    pub weight: u64,
}

/// What members provide together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// For the reader: `consensus`, the id of a model, `hub`, `relay`.
    pub name: String,
    /// When it goes on.
    pub rule: Rule,
    /// Who provides it; each member once.
    pub shares: Vec<Share>,
}

impl Service {
    /// A service to which each of `members` contributes a weight of 1.
    pub fn of(name: impl Into<String>, rule: Rule, members: impl IntoIterator<Item = u32>) -> Self {
        let shares = members
            .into_iter()
            .map(|member| Share { member, weight: 1 });
        Self {
            name: name.into(),
            rule,
            shares: shares.collect(),
        }
    }
}

/// The code of a place that is unknown.
pub(super) const UNKNOWN: u32 = u32::MAX;
/// The code of a dimension that does not apply.
pub(super) const INAPPLICABLE: u32 = u32::MAX - 1;

/// Codes of places by dimension: indices into the network's names, or one of the two above.
pub(super) type Places = [u32; Dimension::ALL.len()];

/// Members and where they are.
#[derive(Clone, Debug)]
pub struct Network {
    members: Vec<Member>,
    places: Vec<Places>,
    /// Names of the domains of each dimension, in order.
    names: Vec<Vec<String>>,
}

impl Network {
    /// Reads a description; members keep their order.
    ///
    /// # Errors
    /// [`Error::TooManyMembers`], [`Error::MemberTwice`] and [`Error::Name`].
    pub fn new(members: Vec<Member>) -> Result<Self, Error> {
        if members.len() > MEMBERS_MAX {
            return Err(Error::TooManyMembers {
                members: members.len(),
            });
        }
        let mut seen = BTreeSet::new();
        for member in &members {
            member.check()?;
            if !seen.insert(member.name.as_str()) {
                return Err(Error::MemberTwice {
                    name: member.name.clone(),
                });
            }
        }
        let mut places = vec![[UNKNOWN; Dimension::ALL.len()]; members.len()];
        let names = Dimension::ALL
            .iter()
            .enumerate()
            .map(|(slot, dimension)| encode(&members, *dimension, slot, &mut places));
        Ok(Self {
            names: names.collect(),
            members,
            places,
        })
    }

    /// The members, as given.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    pub(super) fn member(&self, index: u32) -> Option<&Member> {
        self.members.get(index as usize)
    }

    pub(super) fn places(&self, index: u32) -> Option<&Places> {
        self.places.get(index as usize)
    }

    pub(super) fn names(&self, dimension: Dimension) -> &[String] {
        self.names
            .get(dimension as usize)
            .map_or(&[], Vec::as_slice)
    }

    /// What supports that a member is where it is; `None` if that is unknown.
    pub(super) fn evidence(&self, index: u32, dimension: Dimension) -> Option<Evidence> {
        match self.member(index)?.places.get(&dimension)? {
            Place::Known { evidence, .. } => Some(*evidence),
            Place::Unknown | Place::Inapplicable => None,
        }
    }

    /// Codes of a member that is not one of the network's; a name that the network does not have gets the code behind
    /// its last.
    pub(super) fn encode(&self, member: &Member) -> Result<Places, Error> {
        member.check()?;
        let mut places = [UNKNOWN; Dimension::ALL.len()];
        for (code, dimension) in places.iter_mut().zip(Dimension::ALL) {
            *code = match member.places.get(&dimension) {
                None | Some(Place::Unknown) => UNKNOWN,
                Some(Place::Inapplicable) => INAPPLICABLE,
                Some(Place::Known { name, .. }) => {
                    let names = self.names(dimension);
                    let found = names.binary_search(name);
                    u32::try_from(found.unwrap_or(names.len())).unwrap_or(UNKNOWN)
                }
            };
        }
        Ok(places)
    }
}

/// Fills one slot of all `places`, and returns the names that the codes stand for, in order.
fn encode(
    members: &[Member],
    dimension: Dimension,
    slot: usize,
    places: &mut [Places],
) -> Vec<String> {
    let mut codes: BTreeMap<&str, u32> = BTreeMap::new();
    for member in members {
        if let Some(Place::Known { name, .. }) = member.places.get(&dimension) {
            codes.entry(name).or_default();
        }
    }
    for (code, number) in codes.values_mut().zip(0..) {
        *code = number;
    }
    for (member, places) in members.iter().zip(places) {
        let code = match member.places.get(&dimension) {
            Some(Place::Known { name, .. }) => codes.get(name.as_str()).copied(),
            Some(Place::Inapplicable) => Some(INAPPLICABLE),
            Some(Place::Unknown) | None => None,
        };
        if let Some(place) = places.get_mut(slot) {
            *place = code.unwrap_or(UNKNOWN);
        }
    }
    codes.into_keys().map(str::to_owned).collect()
}
