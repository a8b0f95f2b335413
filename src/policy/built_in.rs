//! The policies that come with the program, as they lie in `policies/`.

/// The one that counts where none is named.
pub const DEFAULT: &str = "baseline";

/// All of them: name and text.
pub const ALL: [(&str, &str); 5] = [
    ("baseline", include_str!("../../policies/baseline.toml")),
    ("strict", include_str!("../../policies/strict.toml")),
    ("reproducible", include_str!("../../policies/reproducible.toml")),
    ("bsi", include_str!("../../policies/bsi.toml")),
    ("cisa", include_str!("../../policies/cisa.toml")),
];

/// The text of the one of that name.
#[must_use]
pub fn text(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(one, _)| *one == name).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::super::Policy;
    use super::*;

    #[test]
    fn all_can_be_read_and_are_called_as_they_say() {
        for (name, text) in ALL {
            let policy = Policy::parse(name, text.as_bytes()).unwrap();
            assert_eq!(policy.name, name);
            assert!(policy.waivers.is_empty(), "{name}");
        }
    }
}
