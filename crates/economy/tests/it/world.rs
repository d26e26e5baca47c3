//! Networks for the tests, and the slow way to look at them.

use assay_economy::failure::{
    Dimension, Domain, Evidence, Exposure, Member, Network, Reading, Rule, Service, Share,
};

/// Numbers that look random and repeat (SplitMix64, Steele and others 2014).
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

const LEVELS: [Evidence; 3] = [Evidence::Declared, Evidence::Measured, Evidence::Attested];

/// Up to ten members in few domains, some places unknown or inapplicable.
pub fn small(numbers: &mut Numbers) -> (Network, Service) {
    let members = 1 + numbers.below(10);
    let dimensions = 1 + numbers.below(4) as usize;
    let names = 1 + numbers.below(4);
    let gaps = numbers.below(6);
    let members = (0..members).map(|number| member(numbers, number, dimensions, names, gaps));
    let members: Vec<Member> = members.collect();
    let weighted = numbers.below(2) == 0;
    let shares = (0u32..).take(members.len()).map(|member| Share {
        member,
        weight: if weighted { 1 + numbers.below(5) } else { 1 },
    });
    let shares: Vec<Share> = shares.collect();
    let total: u64 = shares.iter().map(|share| share.weight).sum();
    let rule = match numbers.below(3) {
        0 => Rule::Quorum,
        1 => Rule::AtLeast(1),
        _ => Rule::AtLeast(1 + numbers.below(total)),
    };
    let service = Service {
        name: "service".into(),
        rule,
        shares,
    };
    (Network::new(members).unwrap(), service)
}

fn member(n: &mut Numbers, number: u64, dimensions: usize, names: u64, gaps: u64) -> Member {
    let mut member = Member::new(format!("m{number}"));
    for (slot, dimension) in Dimension::ALL.into_iter().enumerate() {
        if slot >= dimensions {
            member = member.inapplicable(dimension);
        } else if n.below(10) >= gaps {
            let level = LEVELS[n.below(3) as usize];
            member = member.known(dimension, format!("d{}", n.below(names)), level);
        } else if n.below(3) == 0 {
            member = member.inapplicable(dimension);
        }
    }
    member
}

/// Members that each domain takes, as bits of the service's shares.
pub fn taken(exposure: &Exposure, domains: &[Domain]) -> Vec<u32> {
    let bits = |domain: &Domain| {
        let fallen = exposure.fallen(std::slice::from_ref(domain)).unwrap();
        fallen.iter().fold(0u32, |bits, member| bits | 1 << member)
    };
    domains.iter().map(bits).collect()
}

/// The smallest sets of domains that stop a service, found by looking at all, as bits of `domains`.
pub fn by_looking_at_all(exposure: &Exposure, service: &Service, reading: Reading) -> Vec<u32> {
    let domains = exposure.domains(reading);
    let taken = taken(exposure, &domains);
    assert!(domains.len() < 26, "too many to look at all of them");
    let mut smallest = Vec::new();
    let mut size = u32::MAX;
    for set in 0u32..1 << domains.len() {
        if set.count_ones() > size {
            continue;
        }
        let bits = (0..domains.len()).filter(|domain| set >> domain & 1 == 1);
        let lost = bits.fold(0u32, |lost, domain| lost | taken[domain]);
        let shares = service.shares.iter();
        let weight: u64 = shares
            .filter(|share| lost >> share.member & 1 == 1)
            .map(|share| share.weight)
            .sum();
        if weight < exposure.limit() {
            continue;
        }
        if set.count_ones() < size {
            (size, smallest) = (set.count_ones(), Vec::new());
        }
        smallest.push(set);
    }
    smallest
}

/// A member in domains of the first dimensions, declared; of the others nothing applies.
pub fn placed(name: &str, domains: &[&str]) -> Member {
    let mut member = Member::new(name);
    for (slot, dimension) in Dimension::ALL.into_iter().enumerate() {
        member = match domains.get(slot) {
            Some(&"?") => member,
            Some(&"-") | None => member.inapplicable(dimension),
            Some(domain) => member.known(dimension, *domain, Evidence::Declared),
        };
    }
    member
}

/// A service that all members provide alike.
pub fn service_of_all(network: &Network, rule: Rule) -> Service {
    Service::of("service", rule, (0u32..).take(network.members().len()))
}
