//! What `.gitattributes` files say about a path, as far as it changes the files
//! that an archive or a checkout gives.
//!
//! The file of a deeper directory counts more, and in one file a later line.
//! Reference: gitattributes(5). System and user files do not count here, for
//! they belong to a machine and not to a commit.

use std::collections::BTreeMap;

use super::wildmatch::matches;

/// Largest `.gitattributes` read, in bytes; git stops at 100 MiB, no known one
/// has a hundredth of this.
pub const MAX_FILE: u64 = 4 << 20;

/// Longest line that git still reads.
const MAX_LINE: usize = 2048;

/// The attributes asked for here; all others are passed over.
const KNOWN: [&str; 8] = [
    "export-ignore",
    "export-subst",
    "text",
    "crlf",
    "eol",
    "ident",
    "filter",
    "working-tree-encoding",
];

/// What a line says about an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Setting {
    Set,
    Unset,
    Value(Vec<u8>),
    Unspecified,
}

#[derive(Debug, Clone)]
struct Line {
    /// The pattern without a slash at its beginning or end.
    pattern: Vec<u8>,
    /// It is matched against the whole path below its directory.
    anchored: bool,
    /// It matches directories only.
    directory: bool,
    settings: Vec<(Vec<u8>, Setting)>,
}

/// A `.gitattributes` file and the directory that it lies in.
#[derive(Debug, Clone)]
struct File {
    /// The directory, with a slash at its end unless it is the root.
    directory: Vec<u8>,
    lines: Vec<Line>,
}

/// The files from the root down to some directory.
#[derive(Debug, Clone, Default)]
pub struct Attributes {
    files: Vec<File>,
    macros: BTreeMap<Vec<u8>, Vec<(Vec<u8>, Setting)>>,
}

/// What the attributes of one path do to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effects {
    /// Archives leave it out.
    pub export_ignore: bool,
    /// Archives replace `$Format:…$` in it.
    pub export_subst: bool,
    /// A checkout has other bytes than the commit, by this attribute.
    pub rewritten: Option<&'static str>,
    /// It is rewritten by Git LFS.
    pub lfs: bool,
}

impl Attributes {
    /// Nothing but git's own macro.
    #[must_use]
    pub fn new() -> Self {
        let off = |name: &str| (name.as_bytes().to_vec(), Setting::Unset);
        let macros = BTreeMap::from([(b"binary".to_vec(), vec![off("text")])]);
        Self { files: Vec::new(), macros }
    }

    /// Adds the file of `directory` (no slash at its end; empty for the root),
    /// which must lie in the directories of the files added before.
    pub fn push(&mut self, directory: &[u8], contents: &[u8]) {
        let mut directory = directory.to_vec();
        if !directory.is_empty() {
            directory.push(b'/');
        }
        let mut lines = Vec::new();
        for line in
            contents.strip_prefix(b"\xef\xbb\xbf").unwrap_or(contents).split(|&b| b == b'\n')
        {
            if line.len() > MAX_LINE {
                continue;
            }
            match read_line(line) {
                Some(Read::Line(line)) => lines.push(line),
                Some(Read::Macro(name, settings)) if directory.is_empty() => {
                    self.macros.insert(name, settings);
                }
                Some(Read::Macro(..)) | None => {}
            }
        }
        self.files.push(File { directory, lines });
    }

    /// Takes the file added last away again.
    pub fn pop(&mut self) {
        self.files.pop();
    }

    /// How many lines apply to what is asked next.
    #[must_use]
    pub fn lines(&self) -> usize {
        self.files.iter().map(|file| file.lines.len()).sum()
    }

    /// Whether no file says anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.iter().all(|file| file.lines.is_empty())
    }

    /// What is said about a path; `None` if that takes too long to find out.
    #[must_use]
    pub fn of(&self, path: &[u8], is_directory: bool) -> Option<Effects> {
        let mut found: BTreeMap<&[u8], &Setting> = BTreeMap::new();
        for file in self.files.iter().rev() {
            let Some(below) = path.strip_prefix(file.directory.as_slice()) else { continue };
            for line in file.lines.iter().rev() {
                if line.matches(below, is_directory)? {
                    self.take(&line.settings, &mut found, 0);
                }
            }
        }
        let is_set = |name: &str| matches!(found.get(name.as_bytes()), Some(Setting::Set));
        let value = |name: &str| match found.get(name.as_bytes()) {
            Some(Setting::Value(value)) => Some(value.as_slice()),
            _ => None,
        };
        let lfs = value("filter") == Some(b"lfs");
        let rewritten = if value("filter").is_some() {
            Some("filter")
        } else if is_set("ident") {
            Some("ident")
        } else if value("working-tree-encoding").is_some() {
            Some("working-tree-encoding")
        } else if value("eol") == Some(b"crlf")
            && !matches!(found.get(&b"text"[..]), Some(Setting::Unset))
        {
            Some("eol")
        } else {
            None
        };
        Some(Effects {
            export_ignore: is_set("export-ignore"),
            export_subst: is_set("export-subst"),
            rewritten,
            lfs,
        })
    }

    /// Keeps what nothing of more weight has said; a macro that is set brings
    /// its own settings with it.
    fn take<'a>(
        &'a self,
        settings: &'a [(Vec<u8>, Setting)],
        found: &mut BTreeMap<&'a [u8], &'a Setting>,
        depth: u8,
    ) {
        for (name, setting) in settings.iter().rev() {
            if found.contains_key(name.as_slice()) {
                continue;
            }
            found.insert(name, setting);
            if depth < 8
                && *setting == Setting::Set
                && let Some(more) = self.macros.get(name)
            {
                self.take(more, found, depth + 1);
            }
        }
    }
}

impl Line {
    fn matches(&self, path: &[u8], is_directory: bool) -> Option<bool> {
        if self.directory && !is_directory {
            return Some(false);
        }
        if self.anchored {
            return matches(&self.pattern, path);
        }
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
        matches(&self.pattern, name)
    }
}

enum Read {
    Line(Line),
    Macro(Vec<u8>, Vec<(Vec<u8>, Setting)>),
}

fn read_line(line: &[u8]) -> Option<Read> {
    let line = line.trim_ascii();
    if line.is_empty() || line.starts_with(b"#") {
        return None;
    }
    if let Some(rest) = line.strip_prefix(b"[attr]") {
        let mut words = words(rest);
        let name = words.next()?.to_vec();
        return Some(Read::Macro(name, words.filter_map(setting).collect()));
    }
    let (pattern, rest) = match line.strip_prefix(b"\"") {
        Some(quoted) => unquote(quoted)?,
        None => {
            let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
            let (pattern, rest) = line.split_at_checked(end)?;
            (pattern.to_vec(), rest)
        }
    };
    // Attributes have no exceptions; git passes such lines over.
    if pattern.starts_with(b"!") {
        return None;
    }
    let (pattern, directory) = match pattern.strip_suffix(b"/") {
        Some(shorter) => (shorter, true),
        None => (pattern.as_slice(), false),
    };
    let anchored = pattern.contains(&b'/');
    let pattern = pattern.strip_prefix(b"/").unwrap_or(pattern).to_vec();
    let settings = words(rest).filter_map(setting).collect();
    Some(Read::Line(Line { pattern, anchored, directory, settings }))
}

fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

/// Keeps what is asked for here, and names that may be macros.
fn setting(word: &[u8]) -> Option<(Vec<u8>, Setting)> {
    let (name, setting) = match word.split_first()? {
        (b'-', name) => (name, Setting::Unset),
        (b'!', name) => (name, Setting::Unspecified),
        _ => match word.iter().position(|&byte| byte == b'=') {
            None => (word, Setting::Set),
            Some(at) => {
                let (name, value) = word.split_at_checked(at)?;
                (name, Setting::Value(value.get(1..)?.to_vec()))
            }
        },
    };
    let known = KNOWN.iter().any(|known| known.as_bytes() == name);
    (known || setting == Setting::Set).then(|| (name.to_vec(), setting))
}

/// A pattern in the notation of C strings, after its first quote.
fn unquote(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut pattern = Vec::new();
    let mut rest = text;
    loop {
        let (&byte, after) = rest.split_first()?;
        rest = after;
        match byte {
            b'"' => return Some((pattern, rest)),
            b'\\' => {
                let (&escaped, after) = rest.split_first()?;
                rest = after;
                pattern.push(match escaped {
                    b'a' => 7,
                    b'b' => 8,
                    b't' => b'\t',
                    b'n' => b'\n',
                    b'v' => 11,
                    b'f' => 12,
                    b'r' => b'\r',
                    b'"' | b'\\' => escaped,
                    b'0'..=b'3' => {
                        let (digits, after) = rest.split_first_chunk::<2>()?;
                        rest = after;
                        let text = [&[escaped], digits.as_slice()].concat();
                        u8::from_str_radix(std::str::from_utf8(&text).ok()?, 8).ok()?
                    }
                    _ => return None,
                });
            }
            _ => pattern.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(contents: &str, path: &str, is_directory: bool) -> Effects {
        let mut attributes = Attributes::new();
        attributes.push(b"", contents.as_bytes());
        attributes.of(path.as_bytes(), is_directory).unwrap()
    }

    #[test]
    fn lines_apply_as_git_has_them() {
        for (contents, path, is_directory, ignored) in [
            ("docs export-ignore", "docs", true, true),
            ("docs export-ignore", "a/docs", true, true),
            ("/docs export-ignore", "a/docs", true, false),
            ("docs/ export-ignore", "docs", true, true),
            ("docs/ export-ignore", "docs", false, false),
            ("*.md export-ignore\nREADME.md -export-ignore", "README.md", false, false),
            ("*.md export-ignore\nREADME.md !export-ignore", "README.md", false, false),
            ("*.md export-ignore\nREADME.md -export-ignore", "x/OTHER.md", false, true),
            ("[attr]gone export-ignore\nx gone", "x", false, true),
            ("[attr]gone export-ignore\nx -gone", "x", false, false),
            ("\"with space\" export-ignore", "with space", false, true),
            ("# x export-ignore", "x", false, false),
            ("!x export-ignore", "x", false, false),
            ("a/**/b export-ignore", "a/x/y/b", false, true),
            ("x export-ignore=1", "x", false, false),
        ] {
            assert_eq!(
                of(contents, path, is_directory).export_ignore,
                ignored,
                "{contents} {path}"
            );
        }
    }

    #[test]
    fn deeper_files_count_more() {
        let mut attributes = Attributes::new();
        attributes.push(b"", b"*.c export-ignore\n");
        attributes.push(b"sub", b"kept.c -export-ignore\n");
        let ignored = |path: &str| attributes.of(path.as_bytes(), false).unwrap().export_ignore;
        assert!(ignored("kept.c") && ignored("sub/gone.c") && !ignored("sub/kept.c"));
        let mut attributes = attributes.clone();
        attributes.pop();
        assert!(attributes.of(b"sub/kept.c", false).unwrap().export_ignore);
    }

    #[test]
    fn what_rewrites_contents_is_named() {
        for (contents, wanted) in [
            ("* text=auto", None),
            ("* eol=lf", None),
            ("* text eol=crlf", Some("eol")),
            ("* binary eol=crlf", None),
            ("* filter=lfs diff=lfs -text", Some("filter")),
            ("* ident", Some("ident")),
            ("* working-tree-encoding=UTF-16", Some("working-tree-encoding")),
        ] {
            assert_eq!(of(contents, "f", false).rewritten, wanted, "{contents}");
        }
        assert!(of("*.bin filter=lfs", "a/b.bin", false).lfs);
        assert!(of("v export-subst", "v", false).export_subst);
    }
}
