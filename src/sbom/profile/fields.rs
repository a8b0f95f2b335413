//! What counts as a filled field, and how gaps are noted.

use std::collections::BTreeSet;
use std::str::FromStr as _;

use packageurl::PackageUrl;
use url::Url;

use super::{Gap, Lack, Need};
use crate::sbom::outline::{Hash, Licence, LicenceForm, Outline, Part, Party};

/// Words by which an author says that something is not known.
const UNKNOWN: [&str; 4] = ["NOASSERTION", "NONE", "UNKNOWN", "N/A"];

/// Properties of a component that name the fields of CISA's list that are not
/// known or are withheld; as proposed for the CycloneDX property taxonomy.
const STATED: [&str; 2] = ["cdx:cisa:unknown-information", "cdx:cisa:withheld-information"];

/// Gaps as they are found.
#[derive(Debug, Default)]
pub(super) struct Gaps(pub Vec<Gap>);

/// A field of a publication with its section.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub name: &'static str,
    pub section: &'static str,
}

/// The field of that name in a publication's list.
pub(super) fn field(fields: &[(&'static str, &'static str)], name: &'static str) -> Field {
    let found = fields.iter().find(|(one, _)| *one == name);
    Field { name, section: found.map_or("", |(_, section)| section) }
}

impl Gaps {
    pub fn note(
        &mut self,
        field: Field,
        need: Need,
        lack: Lack,
        pointer: &str,
        component: &str,
        message: impl Into<String>,
    ) {
        self.0.push(Gap {
            pointer: pointer.to_owned(),
            field: field.name,
            need,
            lack,
            section: field.section,
            component: component.to_owned(),
            message: message.into(),
        });
    }

    /// A field that is missing.
    pub fn missing(&mut self, field: Field, pointer: &str, of: &str, message: impl Into<String>) {
        self.note(field, Need::Must, Lack::Missing, pointer, of, message);
    }

    /// A field that says what does not count.
    pub fn unusable(&mut self, field: Field, pointer: &str, of: &str, message: impl Into<String>) {
        self.note(field, Need::Must, Lack::Unusable, pointer, of, message);
    }

    /// A field that should be there.
    pub fn wanted(&mut self, field: Field, pointer: &str, of: &str, message: impl Into<String>) {
        self.note(field, Need::Should, Lack::Missing, pointer, of, message);
    }
}

/// Whether a text says something: not blank, and no word for not known.
pub(super) fn says(text: &str) -> bool {
    !text.trim().is_empty() && !says_unknown(text)
}

/// Whether a text says that something is not known.
pub(super) fn says_unknown(text: &str) -> bool {
    UNKNOWN.iter().any(|word| text.trim().eq_ignore_ascii_case(word))
}

/// Whether a component says of a field of CISA's list that it is not known or
/// is withheld.
pub(super) fn stated_unknown(part: &Part, element: &str) -> bool {
    STATED
        .iter()
        .any(|name| part.property(name).any(|at| at.text.trim().eq_ignore_ascii_case(element)))
}

/// Whether a party has a name.
pub(super) fn has_name(party: &Party) -> bool {
    party.name.as_deref().is_some_and(says)
}

/// Whether a party can be reached: an address for mail, or a page.
pub(super) fn can_be_reached(party: &Party) -> bool {
    party.emails.iter().any(|mail| is_mail(mail)) || party.urls.iter().any(|url| is_page(url))
}

/// `name@domain`, both there, no blanks. Whether mail arrives is not asked.
pub(super) fn is_mail(text: &str) -> bool {
    text.split_once('@').is_some_and(|(name, domain)| {
        let whole = |part: &str| {
            !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || c == '@')
        };
        whole(name)
            && whole(domain)
            && domain.split('.').count() > 1
            && domain.split('.').all(|label| !label.is_empty())
    })
}

/// A page on the web.
pub(super) fn is_page(text: &str) -> bool {
    Url::parse(text)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some())
}

/// A moment as RFC 3339 writes it, section 5.6.
/// <https://www.rfc-editor.org/rfc/rfc3339#section-5.6>
pub(super) fn is_moment(text: &str) -> bool {
    let Some((date, time)) = text.split_once(['T', 't']) else { return false };
    let number = |text: &str, digits: usize| -> Option<u32> {
        (text.len() == digits && text.bytes().all(|b| b.is_ascii_digit()))
            .then(|| text.parse().ok())?
    };
    let date: Vec<&str> = date.split('-').collect();
    let [year, month, day] = date.as_slice() else { return false };
    let (Some(year), Some(month), Some(day)) = (number(year, 4), number(month, 2), number(day, 2))
    else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return false,
    };
    let (clock, zone) = match time.find(['Z', 'z', '+', '-']) {
        Some(at) => time.split_at(at),
        None => return false,
    };
    let hours = |text: &str| {
        let parts: Vec<&str> = text.split(':').collect();
        match parts.as_slice() {
            [hour, minute] => {
                number(hour, 2).is_some_and(|n| n < 24) && number(minute, 2).is_some_and(|n| n < 60)
            }
            _ => false,
        }
    };
    let (whole, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let Some((minutes, second)) = whole.rsplit_once(':') else { return false };
    (1..=last).contains(&day)
        && hours(minutes)
        && number(second, 2).is_some_and(|n| n <= 60)
        && !fraction.is_empty()
        && fraction.bytes().all(|b| b.is_ascii_digit())
        && (zone.eq_ignore_ascii_case("Z") || zone.strip_prefix(['+', '-']).is_some_and(hours))
}

/// Whether a licence is an SPDX identifier or expression, `LicenseRef-` names
/// allowed.
pub(super) fn is_spdx(licence: &Licence) -> bool {
    match licence.form {
        LicenceForm::Name => false,
        LicenceForm::Identifier | LicenceForm::Expression => is_expression(&licence.text),
    }
}

/// Whether a text is an SPDX licence expression.
/// <https://spdx.github.io/spdx-spec/v2.3/SPDX-license-expressions/>
pub(super) fn is_expression(text: &str) -> bool {
    // The list that the parser reads has these two as identifiers.
    let no_licence = |word: &str| matches!(word, "NOASSERTION" | "NONE");
    !text.split([' ', '(', ')']).any(no_licence) && spdx::Expression::parse(text).is_ok()
}

/// Whether a text is a package URL.
pub(super) fn is_purl(text: &str) -> bool {
    PackageUrl::from_str(text).is_ok()
}

/// Hex digits that a hash of that name has; `None` for names not known.
fn digits(algorithm: &str) -> Option<usize> {
    let plain: String =
        algorithm.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    Some(match plain.as_str() {
        "md5" => 32,
        "sha1" => 40,
        "sha224" => 56,
        "sha256" | "sha3256" | "blake2b256" | "blake3" | "streebog256" => 64,
        "sha384" | "sha3384" | "blake2b384" => 96,
        "sha512" | "sha3512" | "blake2b512" | "streebog512" => 128,
        _ => return None,
    })
}

/// Whether a hash is as long as its algorithm makes it, in hex.
pub(super) fn is_whole(hash: &Hash) -> bool {
    hash.value.bytes().all(|b| b.is_ascii_hexdigit())
        && digits(&hash.algorithm).is_some_and(|digits| hash.value.len() == digits)
}

/// Whether an algorithm is one that may still be relied on.
pub(super) fn is_sound(algorithm: &str) -> bool {
    let plain: String = algorithm.chars().filter(char::is_ascii_alphanumeric).collect();
    !matches!(plain.to_lowercase().as_str(), "md5" | "sha1" | "md2" | "md4" | "md6" | "adler32")
        && digits(algorithm).is_some()
}

/// Whether it is SHA-512.
pub(super) fn is_sha512(algorithm: &str) -> bool {
    matches!(algorithm, "SHA-512" | "SHA512")
}

/// Who stands in the graph of dependencies, and whose own are listed.
pub(super) struct Graph<'a> {
    listed: BTreeSet<&'a str>,
    touched: BTreeSet<&'a str>,
}

impl<'a> Graph<'a> {
    pub fn new(outline: &'a Outline) -> Self {
        let mut graph = Self { listed: BTreeSet::new(), touched: BTreeSet::new() };
        for one in &outline.dependencies {
            graph.listed.insert(&one.of);
            if !one.on.is_empty() {
                graph.touched.insert(&one.of);
                graph.touched.extend(one.on.iter().map(String::as_str));
            }
        }
        for part in outline.parts.iter().filter(|part| !part.contains.is_empty()) {
            let below = part.contains.iter().filter_map(|at| outline.parts.get(*at));
            let names = below.chain([part]).filter_map(|one| one.reference.as_deref());
            graph.touched.extend(names);
        }
        graph
    }

    /// Whether what the part depends on is listed, be it nothing.
    pub fn lists(&self, part: &Part) -> bool {
        part.reference.as_deref().is_some_and(|name| self.listed.contains(name))
    }

    /// Whether the part stands in a relationship, or is said to need nothing.
    pub fn knows(&self, part: &Part) -> bool {
        self.lists(part)
            || part.reference.as_deref().is_some_and(|name| self.touched.contains(name))
    }
}
