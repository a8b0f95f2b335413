//! What rules speak about: the things a material tells of, each with typed
//! facts.
//!
//! A fact that a material does not state is [`Fact::Missing`], one of the
//! wrong type is [`Fact::Unusable`]; neither is ever replaced by a default,
//! so that no rule is met by what is not there.

use std::collections::BTreeMap;
use std::fmt;

/// What kind of thing a rule speaks about. The name of a kind is also the
/// variable of its CEL expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A component of a bill of materials.
    Component,
    /// An input of a lock file.
    Input,
    /// A store path that caches were asked about.
    Path,
    /// An output that was rebuilt.
    Output,
    /// A whole report.
    Report,
    /// A whole bill of materials.
    Sbom,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Component, Self::Input, Self::Path, Self::Output, Self::Report, Self::Sbom];

    /// The word for it in policies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Component => "component",
            Self::Input => "input",
            Self::Path => "path",
            Self::Output => "output",
            Self::Report => "report",
            Self::Sbom => "sbom",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The facts such a thing may have.
    #[must_use]
    pub const fn fields(self) -> &'static [Field] {
        use Field::*;
        match self {
            Self::Component => &[
                Id,
                Name,
                Version,
                Type,
                Purl,
                Cpe,
                Licence,
                Supplier,
                Paths,
                NarHash,
                Hashes,
                Sources,
                SourceHashes,
                Verdict,
                SignedBy,
                Vendored,
            ],
            Self::Input => &[
                Id,
                Name,
                Depth,
                Flake,
                Original,
                Locked,
                Type,
                Host,
                Owner,
                Repo,
                Ref,
                Rev,
                NarHash,
                LastModified,
                SignedBy,
                Verdict,
            ],
            Self::Path => {
                &[Id, Name, Path, Role, Verdict, Status, Versions, NarHash, Operators, SignedBy]
            }
            Self::Output => &[
                Id,
                Name,
                Path,
                Drv,
                Output,
                Role,
                System,
                Verdict,
                Status,
                FixedOutput,
                NarHash,
                Builds,
                Stable,
                SignedBy,
            ],
            Self::Report => {
                &[Id, Command, Verdict, Tool, Rules, Errors, Warnings, Notes, Unanswered, Subjects]
            }
            Self::Sbom => {
                &[Id, Name, Version, Format, Created, Components, Tools, Supplier, NarHash]
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The type of a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Type {
    /// Text.
    Text,
    /// A whole number.
    Number,
    /// Yes or no.
    Truth,
    /// A list of texts, never empty.
    Texts,
    /// A moment.
    Time,
}

impl Type {
    /// What it is called in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "a number",
            Self::Truth => "true or false",
            Self::Texts => "a list of texts",
            Self::Time => "a time",
        }
    }
}

macro_rules! fields {
    ($($variant:ident $name:literal $kind:ident $meaning:literal;)*) => {
        /// A fact by its name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Field {
            $(#[doc = $meaning] $variant,)*
        }

        impl Field {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in policies.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The type it has wherever it is known.
            #[must_use]
            pub const fn kind(self) -> Type {
                match self { $(Self::$variant => Type::$kind,)* }
            }

            /// What it means.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }
        }
    };
}

fields! {
    Id "id" Text "What it is called in reports.";
    Name "name" Text "Its name: of a package, an input, the name part of a store path.";
    Version "version" Text "Its version.";
    Type "type" Text "Its type, such as `library` or `github`.";
    Purl "purl" Text "Its package URL.";
    Cpe "cpe" Text "Its CPE.";
    Licence "licence" Text "Its licence as one SPDX expression.";
    Supplier "supplier" Text "Who supplies it.";
    Paths "paths" Texts "The store paths it stands for.";
    NarHash "nar_hash" Text "Its NarHash, as SRI.";
    Hashes "hashes" Texts "Its hashes, as `sha256:…`.";
    Sources "sources" Texts "The URLs its sources come from.";
    SourceHashes "source_hashes" Texts "The algorithms that fix its sources.";
    Verdict "verdict" Text "`pass`, `fail` or `inconclusive`; of a component what a rebuild found, such as `reproduced`.";
    SignedBy "signed_by" Texts "The trusted keys whose signatures hold for it.";
    Vendored "vendored" Truth "Whether it lies inside another component.";
    Depth "depth" Number "Steps from the root to it.";
    Flake "flake" Truth "Whether it is a flake.";
    Original "original" Text "What is asked for.";
    Locked "locked" Text "What it is locked to.";
    Host "host" Text "The host it comes from.";
    Owner "owner" Text "Who owns the repository.";
    Repo "repo" Text "The repository.";
    Ref "ref" Text "The branch or tag that is asked for.";
    Rev "rev" Text "The revision.";
    LastModified "last_modified" Time "When it was last changed.";
    Path "path" Text "The store path.";
    Role "role" Text "`target`, `closure` or `input`.";
    Status "status" Text "The command's own word, such as `reproduced`.";
    Versions "versions" Number "How many different contents are claimed.";
    Operators "operators" Texts "The operators that attest the one content that is trusted.";
    Drv "drv" Text "The derivation that makes it.";
    Output "output" Text "The name of the output.";
    System "system" Text "The system it was built for.";
    FixedOutput "fixed_output" Truth "Whether its hash was known before it was built.";
    Builds "builds" Number "How many builds were compared.";
    Stable "stable" Truth "Whether all builds gave the same.";
    Command "command" Text "The command that wrote it.";
    Tool "tool" Text "The version of the tool that wrote it.";
    Rules "rules" Texts "The rules of its findings; `none` if it has none.";
    Errors "errors" Number "Findings that are errors.";
    Warnings "warnings" Number "Findings that are warnings.";
    Notes "notes" Number "Findings that are notes.";
    Unanswered "unanswered" Number "Questions without an answer.";
    Subjects "subjects" Number "How many things were examined.";
    Format "format" Text "The format, such as `CycloneDX 1.7`.";
    Created "created" Time "When it was made.";
    Components "components" Number "How many components it has.";
    Tools "tools" Texts "What made it.";
}

impl Field {
    /// The field of that name that things of a kind may have.
    #[must_use]
    pub fn named(kind: Kind, name: &str) -> Option<Self> {
        kind.fields().iter().copied().find(|field| field.name() == name)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A known value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// Text.
    Text(String),
    /// A whole number.
    Number(i64),
    /// Yes or no.
    Truth(bool),
    /// A list of texts, never empty.
    Texts(Vec<String>),
    /// Seconds since 1970.
    Time(i64),
}

impl Value {
    /// Its type.
    #[must_use]
    pub const fn kind(&self) -> Type {
        match self {
            Self::Text(_) => Type::Text,
            Self::Number(_) => Type::Number,
            Self::Truth(_) => Type::Truth,
            Self::Texts(_) => Type::Texts,
            Self::Time(_) => Type::Time,
        }
    }
}

/// What a material says of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// It says this.
    Known(Value),
    /// It says nothing, or that nobody knows.
    Missing,
    /// It says something that cannot be used; why.
    Unusable(String),
}

/// Why a fact is not there to judge on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Unknown {
    /// Nothing is said.
    #[error("'{0}' is missing")]
    Missing(Field),
    /// What is said cannot be used.
    #[error("'{field}' cannot be used: {why}")]
    Unusable {
        /// The field.
        field: Field,
        /// Why not.
        why: String,
    },
    /// What a rule needs beside the facts is not there, or does not fit.
    #[error("{0}")]
    Other(String),
}

/// A thing that rules speak about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// What kind of thing.
    pub kind: Kind,
    /// What it is called in reports; unique in its material as far as it can be.
    pub id: String,
    /// Where the material speaks of it, as a JSON pointer.
    pub pointer: String,
    /// The facts that are stated, the id left out.
    facts: BTreeMap<Field, Fact>,
}

impl Subject {
    /// A thing of which nothing is known yet.
    #[must_use]
    pub fn new(kind: Kind, id: impl Into<String>, pointer: impl Into<String>) -> Self {
        let id = id.into();
        let facts = BTreeMap::from([(Field::Id, Fact::Known(Value::Text(id.clone())))]);
        Self { kind, id, pointer: pointer.into(), facts }
    }

    /// States a fact. A value of another type than the field's is unusable, an
    /// empty text or list says nothing.
    pub fn state(&mut self, field: Field, fact: Fact) {
        let fact = match fact {
            Fact::Known(Value::Texts(list)) if list.is_empty() => Fact::Missing,
            Fact::Known(Value::Text(text)) if text.is_empty() => Fact::Missing,
            Fact::Known(value) if value.kind() != field.kind() => Fact::Unusable(format!(
                "it is {} (expected {})",
                value.kind().name(),
                field.kind().name()
            )),
            fact => fact,
        };
        match fact {
            Fact::Missing => self.facts.remove(&field),
            fact => self.facts.insert(field, fact),
        };
    }

    /// States a text.
    pub fn text(&mut self, field: Field, text: impl Into<String>) {
        self.state(field, Fact::Known(Value::Text(text.into())));
    }

    /// The value of a field.
    ///
    /// # Errors
    /// It is not stated, or not usable.
    pub fn value(&self, field: Field) -> Result<&Value, Unknown> {
        match self.facts.get(&field) {
            Some(Fact::Known(value)) => Ok(value),
            Some(Fact::Missing) | None => Err(Unknown::Missing(field)),
            Some(Fact::Unusable(why)) => Err(Unknown::Unusable { field, why: why.clone() }),
        }
    }

    /// The text of a field.
    ///
    /// # Errors
    /// See [`Self::value`].
    pub fn as_text(&self, field: Field) -> Result<&str, Unknown> {
        match self.value(field)? {
            Value::Text(text) => Ok(text),
            other => Err(mistyped(field, other)),
        }
    }

    /// The texts of a field.
    ///
    /// # Errors
    /// See [`Self::value`].
    pub fn as_texts(&self, field: Field) -> Result<&[String], Unknown> {
        match self.value(field)? {
            Value::Texts(texts) => Ok(texts),
            other => Err(mistyped(field, other)),
        }
    }

    /// The number of a field.
    ///
    /// # Errors
    /// See [`Self::value`].
    pub fn as_number(&self, field: Field) -> Result<i64, Unknown> {
        match self.value(field)? {
            Value::Number(number) => Ok(*number),
            other => Err(mistyped(field, other)),
        }
    }

    /// The moment of a field, in seconds since 1970.
    ///
    /// # Errors
    /// See [`Self::value`].
    pub fn as_time(&self, field: Field) -> Result<i64, Unknown> {
        match self.value(field)? {
            Value::Time(seconds) => Ok(*seconds),
            other => Err(mistyped(field, other)),
        }
    }

    /// Whether a field is true.
    ///
    /// # Errors
    /// See [`Self::value`].
    pub fn is(&self, field: Field) -> Result<bool, Unknown> {
        match self.value(field)? {
            Value::Truth(truth) => Ok(*truth),
            other => Err(mistyped(field, other)),
        }
    }
}

fn mistyped(field: Field, value: &Value) -> Unknown {
    Unknown::Unusable { field, why: format!("it is {}", value.kind().name()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_stands_in_for_what_is_not_stated() {
        let mut subject = Subject::new(Kind::Component, "a", "/components/0");
        assert_eq!(subject.as_text(Field::Id), Ok("a"));
        assert_eq!(subject.as_text(Field::Licence), Err(Unknown::Missing(Field::Licence)));
        subject.text(Field::Licence, "");
        subject.state(Field::Paths, Fact::Known(Value::Texts(Vec::new())));
        assert_eq!(subject.as_text(Field::Licence), Err(Unknown::Missing(Field::Licence)));
        assert_eq!(subject.as_texts(Field::Paths), Err(Unknown::Missing(Field::Paths)));
        subject.state(Field::Licence, Fact::Known(Value::Number(3)));
        let error = subject.as_text(Field::Licence).unwrap_err().to_string();
        assert_eq!(error, "'licence' cannot be used: it is a number (expected text)");
    }

    #[test]
    fn field_names_are_told_apart() {
        for kind in Kind::ALL {
            let mut names: Vec<&str> = kind.fields().iter().map(|field| field.name()).collect();
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count, "{kind}");
            assert_eq!(Kind::named(kind.name()), Some(kind));
        }
        assert_eq!(Field::named(Kind::Component, "licence"), Some(Field::Licence));
        assert_eq!(Field::named(Kind::Input, "licence"), None);
    }
}
