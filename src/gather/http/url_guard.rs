//! Which addresses a request may reach.
//!
//! What the user named may be private. What came from elsewhere (a redirect, a
//! URL in a derivation) starts from the public network and may never lead
//! into a private one, where a request alone can do harm or tell secrets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// What kind of network an address belongs to. Special ranges after the IANA
/// registries (RFC 6890 and its updates).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressClass {
    /// Reachable from anywhere.
    Public,
    /// RFC 1918, unique local, or carrier-grade NAT: someone's own network.
    Private,
    /// Link-local, home of cloud metadata services.
    LinkLocal,
    /// This machine.
    Loopback,
    /// Unspecified, multicast, broadcast, documentation, reserved: never a
    /// server.
    Special,
}

impl AddressClass {
    /// A word for messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::LinkLocal => "link-local",
            Self::Loopback => "loopback",
            Self::Special => "special-purpose",
        }
    }
}

/// The class of an address. Addresses that embed an IPv4 address (mapped,
/// NAT64, 6to4) have the class of that one.
#[must_use]
pub fn classify(address: IpAddr) -> AddressClass {
    match address {
        IpAddr::V4(address) => classify_v4(address),
        IpAddr::V6(address) => classify_v6(address),
    }
}

fn classify_v4(address: Ipv4Addr) -> AddressClass {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        (127, _, _) => AddressClass::Loopback,
        (169, 254, _) => AddressClass::LinkLocal,
        (10, _, _) | (172, 16..=31, _) | (192, 168, _) | (100, 64..=127, _) => {
            AddressClass::Private
        }
        // "This network", protocol assignments, documentation, 6to4 relays,
        // benchmarks, multicast, reserved and broadcast.
        (0 | 224..=255, _, _)
        | (192, 0, 0 | 2)
        | (192, 88, 99)
        | (198, 18 | 19, _)
        | (198, 51, 100)
        | (203, 0, 113) => AddressClass::Special,
        _ => AddressClass::Public,
    }
}

fn classify_v6(address: Ipv6Addr) -> AddressClass {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 = |high: u16, low: u16| {
        let [w, x] = high.to_be_bytes();
        let [y, z] = low.to_be_bytes();
        classify_v4(Ipv4Addr::new(w, x, y, z))
    };
    match (a, b, c, d, e, f) {
        _ if address.is_loopback() => AddressClass::Loopback,
        _ if address.is_unspecified() => AddressClass::Special,
        // Mapped, and the NAT64 prefix.
        (0, 0, 0, 0, 0, 0xffff) | (0x64, 0xff9b, 0, 0, 0, 0) => v4(g, h),
        // 6to4.
        (0x2002, ..) => v4(b, c),
        (0xfe80..=0xfebf, ..) => AddressClass::LinkLocal,
        // Unique local, the old site-local, and the local-use NAT64 prefix.
        (0xfc00..=0xfdff | 0xfec0..=0xfeff, ..) | (0x64, 0xff9b, 1, ..) => AddressClass::Private,
        // Teredo, ORCHID and other assignments; documentation.
        (0x2001, 0..=0x1ff | 0xdb8, ..) | (0x3fff, 0..=0xfff, ..) => AddressClass::Special,
        (0x2000..=0x3fff, ..) => AddressClass::Public,
        _ => AddressClass::Special,
    }
}

/// From where a request comes, and so where it may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Zone {
    /// The user named this very URL: anywhere.
    Named,
    /// The last answer came from an address of this class.
    At(AddressClass),
}

impl Zone {
    /// Where a URL starts that nobody but its author vouches for.
    pub const FOREIGN: Self = Self::At(AddressClass::Public);

    /// All zones, so that each can have its own connections.
    pub const ALL: [Self; 6] = [
        Self::Named,
        Self::At(AddressClass::Public),
        Self::At(AddressClass::Private),
        Self::At(AddressClass::LinkLocal),
        Self::At(AddressClass::Loopback),
        Self::At(AddressClass::Special),
    ];

    /// Whether a request may go on to an address of that class: to the public
    /// network always, else only within the network it is in; this machine
    /// may also send it to its own network.
    #[must_use]
    pub fn allows(self, class: AddressClass) -> bool {
        match self {
            Self::Named => true,
            Self::At(current) => {
                class == AddressClass::Public
                    || (class == current && class != AddressClass::Special)
                    || (current == AddressClass::Loopback && class == AddressClass::Private)
            }
        }
    }
}

/// Why a URL is not requested.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GuardError {
    /// Another scheme than http and https.
    #[error("the scheme '{0}' is not requested (expected http or https)")]
    Scheme(String),
    /// No host.
    #[error("the URL names no host")]
    NoHost,
    /// The address is in a network the request may not enter.
    #[error(
        "{host} is at the {} address {address}, which a {} may not lead to",
        class.name(), origin(*zone)
    )]
    Address {
        /// The host asked for.
        host: String,
        /// Its address.
        address: IpAddr,
        /// The class of the address.
        class: AddressClass,
        /// Where the request came from.
        zone: Zone,
    },
}

fn origin(zone: Zone) -> &'static str {
    match zone {
        Zone::Named => "URL named by the user",
        Zone::At(AddressClass::Public) => "public URL or redirect",
        Zone::At(AddressClass::Private) => "redirect from a private network",
        Zone::At(AddressClass::LinkLocal) => "redirect from a link-local address",
        Zone::At(AddressClass::Loopback) => "redirect from this machine",
        Zone::At(AddressClass::Special) => "redirect from a special-purpose address",
    }
}

/// The host of an http(s) URL.
///
/// # Errors
/// Another scheme, or no host.
pub fn host_of(url: &Url) -> Result<Host<&str>, GuardError> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(GuardError::Scheme(url.scheme().to_owned()));
    }
    url.host().ok_or(GuardError::NoHost)
}

/// The addresses among `addresses` that a request from `zone` may use.
///
/// # Errors
/// When there is none: names the first that was refused.
pub fn allowed(
    zone: Zone,
    host: &str,
    addresses: impl IntoIterator<Item = IpAddr>,
    classify: impl Fn(IpAddr) -> AddressClass,
) -> Result<Vec<IpAddr>, GuardError> {
    let mut refused = None;
    let mut allowed = Vec::new();
    for address in addresses {
        let class = classify(address);
        if zone.allows(class) {
            allowed.push(address);
        } else if refused.is_none() {
            refused = Some(GuardError::Address { host: host.to_owned(), address, class, zone });
        }
    }
    match refused {
        Some(error) if allowed.is_empty() => Err(error),
        _ => Ok(allowed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_ranges_are_known() {
        for (text, class) in [
            ("1.1.1.1", AddressClass::Public),
            ("151.101.2.217", AddressClass::Public),
            ("172.15.0.1", AddressClass::Public),
            ("172.32.0.1", AddressClass::Public),
            ("100.63.0.1", AddressClass::Public),
            ("100.128.0.1", AddressClass::Public),
            ("2a04:4e42::729", AddressClass::Public),
            ("::ffff:1.1.1.1", AddressClass::Public),
            ("64:ff9b::1.1.1.1", AddressClass::Public),
            ("127.0.0.1", AddressClass::Loopback),
            ("127.255.255.254", AddressClass::Loopback),
            ("::1", AddressClass::Loopback),
            ("::ffff:127.0.0.1", AddressClass::Loopback),
            ("2002:7f00:1::", AddressClass::Loopback),
            ("169.254.169.254", AddressClass::LinkLocal),
            ("fe80::1", AddressClass::LinkLocal),
            ("64:ff9b::169.254.169.254", AddressClass::LinkLocal),
            ("10.0.0.1", AddressClass::Private),
            ("172.16.0.1", AddressClass::Private),
            ("172.31.255.255", AddressClass::Private),
            ("192.168.1.1", AddressClass::Private),
            ("100.64.0.1", AddressClass::Private),
            ("fd00::1", AddressClass::Private),
            ("fec0::1", AddressClass::Private),
            ("64:ff9b:1::1", AddressClass::Private),
            ("::ffff:10.0.0.1", AddressClass::Private),
            ("0.0.0.0", AddressClass::Special),
            ("::", AddressClass::Special),
            ("0.1.2.3", AddressClass::Special),
            ("224.0.0.1", AddressClass::Special),
            ("255.255.255.255", AddressClass::Special),
            ("203.0.113.5", AddressClass::Special),
            ("198.18.0.1", AddressClass::Special),
            ("ff02::1", AddressClass::Special),
            ("2001:db8::1", AddressClass::Special),
            ("::7f00:1", AddressClass::Special),
        ] {
            assert_eq!(classify(text.parse().unwrap()), class, "{text}");
        }
    }

    #[test]
    fn nothing_leads_from_the_public_network_inwards() {
        for class in [
            AddressClass::Private,
            AddressClass::LinkLocal,
            AddressClass::Loopback,
            AddressClass::Special,
        ] {
            assert!(!Zone::FOREIGN.allows(class), "{class:?}");
            assert!(Zone::Named.allows(class), "{class:?}");
            assert!(Zone::At(class).allows(AddressClass::Public), "{class:?}");
        }
        assert!(Zone::At(AddressClass::Private).allows(AddressClass::Private));
        assert!(!Zone::At(AddressClass::Private).allows(AddressClass::Loopback));
        assert!(!Zone::At(AddressClass::Private).allows(AddressClass::LinkLocal));
        assert!(!Zone::At(AddressClass::Loopback).allows(AddressClass::LinkLocal));
        assert!(Zone::At(AddressClass::Loopback).allows(AddressClass::Private));
    }

    #[test]
    fn mixed_answers_lose_their_private_part() {
        let addresses = ["127.0.0.1", "1.1.1.1", "10.0.0.1"].map(|text| text.parse().unwrap());
        let kept = allowed(Zone::FOREIGN, "h", addresses, classify).unwrap();
        assert_eq!(kept, ["1.1.1.1".parse::<IpAddr>().unwrap()]);
        let error = allowed(Zone::FOREIGN, "h", addresses[..1].to_vec(), classify).unwrap_err();
        assert_eq!(
            error.to_string(),
            "h is at the loopback address 127.0.0.1, which a public URL or redirect may not lead to"
        );
    }

    #[test]
    fn odd_spellings_of_addresses_are_seen_through() {
        for text in ["http://0x7f.1/", "http://2130706433/", "http://127.1/", "http://[::1]/"] {
            let url = Url::parse(text).unwrap();
            let address = match host_of(&url).unwrap() {
                Host::Ipv4(address) => IpAddr::V4(address),
                Host::Ipv6(address) => IpAddr::V6(address),
                Host::Domain(name) => panic!("{text} is the name {name}"),
            };
            assert_eq!(classify(address), AddressClass::Loopback, "{text}");
        }
        for text in ["file:///etc/passwd", "ftp://h/", "gopher://h/", "data:,x"] {
            assert!(matches!(host_of(&Url::parse(text).unwrap()), Err(GuardError::Scheme(_))));
        }
    }
}
