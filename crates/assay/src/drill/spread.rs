//! Where the nodes of a drilled network say that they are: made-up domains, so that a set of a wanted size stops them.

use assay_economy::failure::{Dimension, Place as Standing};
use assay_node::{
    local::Site,
    place::{self, Place},
};
use std::collections::BTreeMap;

/// Data centres, each in one country and one autonomous system.
const CENTRES: u16 = 5;
/// Operators, each of a run of nodes.
const OPERATORS: u16 = 5;
/// Vendors of trusted hardware, each of a run of nodes.
const VENDORS: u16 = 3;
/// ISO 3166-1 leaves these codes to whoever needs some of their own.
const COUNTRIES: [&str; 3] = ["XA", "XB", "XC"];
/// The first number of autonomous systems that is for documents (RFC 5398).
const FIRST_ASN: u32 = 64_496;

/// A node's domains by dimension, as a person names them: `party-2` for an operator, whose account nobody knows before
/// the network is there.
pub type Labels = BTreeMap<Dimension, String>;

/// Sites of `nodes` nodes of which no fewer than `size` domains hold all: as many builds as that, and everything else
/// in more or in smaller parts.
pub fn sites(nodes: u16, size: u16) -> Vec<Site> {
    (0..nodes).map(|index| site(index, nodes, size)).collect()
}

fn site(index: u16, nodes: u16, size: u16) -> Site {
    let centre = index % CENTRES;
    // Two centres in each country but the last; the same of systems, shifted by one centre.
    let country = usize::from(centre / 2);
    let system = u32::from(centre.saturating_add(1) / 2);
    let run = |parts: u16| index.saturating_mul(parts) / nodes.max(1);
    let vendor = run(VENDORS);
    Site {
        operator: run(OPERATORS),
        domains: Place {
            operator: String::new(),
            asn: FIRST_ASN.saturating_add(system),
            data_centre: format!("centre-{centre}"),
            country: COUNTRIES.get(country).map_or("XX", |code| code).into(),
            tee_vendor: format!("vendor-{vendor}"),
            firmware_level: format!("vendor-{vendor} level 1"),
            software_build: format!("build-{}", index % size.max(1)),
        },
    }
}

/// The name of an operator of a local network.
pub fn party(operator: u16) -> String {
    format!("party-{operator}")
}

/// The domains of a site.
pub fn labels(site: &Site) -> Labels {
    let read = place::read(&site.domains.stated()).into_iter();
    let known = read.filter_map(|(dimension, standing)| match standing {
        Standing::Known { name, .. } => Some((dimension, name)),
        Standing::Unknown | Standing::Inapplicable => None,
    });
    known
        .chain([(Dimension::Operator, party(site.operator))])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_economy::failure::{Budget, Evidence, Exposure, Member, Network, Rule, Service};

    #[test]
    fn the_smallest_set_has_the_size_that_was_wished_for() {
        for nodes in 8..=40u16 {
            for size in 2..=3 {
                let sites = sites(nodes, size);
                let members = (0..).zip(&sites).map(|(index, site): (u32, _)| {
                    let labels = labels(site).into_iter();
                    labels.fold(
                        Member::new(index.to_string()),
                        |member, (dimension, name)| {
                            member.known(dimension, name, Evidence::Declared)
                        },
                    )
                });
                let network = Network::new(members.collect()).unwrap();
                let service = Service::of("m", Rule::AtLeast(1), 0..u32::from(nodes));
                let exposure = Exposure::new(&network, &service).unwrap();
                let now = exposure.concentration(Budget::default());
                let found = now.pessimistic.size;
                assert!(found.is_exact(), "{nodes} {size}");
                assert_eq!(found.at_most, usize::from(size), "{nodes} nodes");
                assert_eq!(now.pessimistic, now.optimistic, "nothing is unknown");
                let domains = exposure.domains(assay_economy::failure::Reading::Pessimistic);
                assert!((15..=25).contains(&domains.len()), "{}", domains.len());
            }
        }
    }
}
