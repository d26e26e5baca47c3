//! Which addresses are gone to. The endpoint of a node or a hub is what somebody wrote on the chain, so it may name a
//! service behind whoever asks that is none of theirs.

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};
use std::net::{IpAddr, SocketAddr};

/// Which endpoints and addresses are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Whether loopback and private addresses are asked too.
    pub private: bool,
}

impl Reach {
    /// Whether a node at `endpoint` is asked: it is `http(s)://host[:port]` and nothing more, and its host, where it is
    /// an address, one that may be asked.
    pub fn takes(self, endpoint: &str) -> bool {
        let Ok(url) = Url::parse(endpoint) else {
            return false;
        };
        let plain = matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none();
        let host = url.host_str().unwrap_or("");
        let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        plain && !host.is_empty() && address.is_none_or(|address| self.allows(address))
    }

    /// Whether the address may be asked.
    fn allows(self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let [first, second, ..] = v4.octets();
                // Shared addresses of carriers (RFC 6598) are private too.
                let shared = first == 100 && second & 0xc0 == 64;
                let private = v4.is_loopback() || v4.is_private() || shared;
                let never = v4.is_link_local() || v4.is_multicast() || v4.is_broadcast();
                // 0.0.0.0/8 is this host.
                !never && first != 0 && (self.private || !private)
            }
            IpAddr::V6(v6) => {
                let private = v6.is_loopback() || v6.is_unique_local();
                let never = v6.is_unicast_link_local() || v6.is_multicast() || v6.is_unspecified();
                !never && (self.private || !private)
            }
        }
    }
}

/// Names resolve to the addresses that may be asked, and to no others.
impl Resolve for Reach {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = *self;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> =
                found.filter(|address| reach.allows(address.ip())).collect();
            let allowed: Addrs = Box::new(allowed.into_iter());
            Ok(allowed)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: Reach = Reach { private: false };
    const LOCAL: Reach = Reach { private: true };

    #[test]
    fn an_endpoint_is_a_host_and_a_port() {
        for good in [
            "http://node.example",
            "https://node.example:8101/",
            "http://203.0.113.7:80",
            "http://[2001:db8::7]:8101",
        ] {
            assert!(PUBLIC.takes(good), "{good}");
        }
        for bad in [
            "",
            "node.example:80",
            "ftp://node.example",
            "http://node.example/path",
            "http://node.example/?x=",
            "http://node.example?x=",
            "http://node.example/#x",
            "http://user@node.example",
            "http://:secret@node.example",
            "http://169.254.169.254/x?y=",
        ] {
            assert!(!LOCAL.takes(bad), "{bad}");
        }
    }

    #[test]
    fn addresses_of_the_machine_and_its_network_are_asked_only_where_that_is_wanted() {
        for never in [
            "169.254.169.254",
            "2852039166",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "[fe80::1]",
            "[::]",
            "[ff02::1]",
            "[::ffff:169.254.169.254]",
        ] {
            assert!(!LOCAL.takes(&format!("http://{never}:80")), "{never}");
        }
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "[::1]",
            "[fd00::1]",
            "[::ffff:127.0.0.1]",
        ] {
            let endpoint = format!("http://{private}:80");
            assert!(LOCAL.takes(&endpoint), "{private}");
            assert!(!PUBLIC.takes(&endpoint), "{private}");
        }
    }

    #[tokio::test]
    async fn a_name_does_not_lead_where_an_address_may_not() {
        let resolve = async |reach: Reach| {
            let found = reach.resolve("localhost".parse().unwrap()).await;
            found.unwrap().count()
        };
        assert_eq!(resolve(PUBLIC).await, 0);
        assert!(resolve(LOCAL).await > 0);
    }
}
