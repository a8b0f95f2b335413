//! From the text taken apart to a derivation that obeys every rule.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::aterm::{Term, TermOutput, Text};
use super::error::{Defect, DerivationError, printable, shown};
use super::{Derivation, Kind, OUT, OUT_ALONE, Output, OutputNames};
use crate::nix::content_address::Method;
use crate::nix::hash::{Hash, HashAlgorithm, HashError};
use crate::nix::store_path::{StoreDir, StorePath, check_name};

pub(super) fn parse(text: &[u8], store_dir: &StoreDir) -> Result<Derivation, DerivationError> {
    let term = Term::parse(text)?;
    let list = "outputs";
    ascending(list, term.outputs.iter().map(|output| &output.name))?;
    let mut outputs = BTreeMap::new();
    for output in &term.outputs {
        outputs.insert(output_name(&output.name)?, self::output(output, store_dir)?);
    }
    check_kinds(&term, &outputs)?;

    let list = "input derivations";
    ascending(list, term.input_drvs.iter().map(|input| &input.key))?;
    let mut input_drvs = BTreeMap::new();
    for input in &term.input_drvs {
        let path = path(&input.key, list, store_dir)?;
        let bad = |defect| Err(DerivationError::new(input.key.offset, defect));
        if !path.is_derivation() {
            return bad(Defect::NotDrv(path.to_string()));
        }
        if input.outputs.is_empty() {
            return bad(Defect::NoInputOutputs(path.to_string()));
        }
        ascending("outputs of an input derivation", &input.outputs)?;
        let names = match input.outputs.as_slice() {
            [only] if *only.bytes == *OUT.as_bytes() => OutputNames::clone(&OUT_ALONE),
            names => Arc::new(names.iter().map(output_name).collect::<Result<_, _>>()?),
        };
        input_drvs.insert(path, names);
    }

    let list = "input sources";
    ascending(list, &term.input_srcs)?;
    let input_srcs = term
        .input_srcs
        .iter()
        .map(|source| path(source, list, store_dir))
        .collect::<Result<BTreeSet<_>, _>>()?;

    ascending("environment variables", term.env.iter().map(|(name, _)| name))?;
    Ok(Derivation {
        outputs: outputs.into(),
        input_drvs,
        input_srcs,
        platform: term.platform.bytes.into_owned(),
        builder: term.builder.bytes.into_owned(),
        args: term.args.into_iter().map(|arg| arg.bytes.into_owned()).collect(),
        env: term
            .env
            .into_iter()
            .map(|(name, value)| (name.bytes.into_owned(), value.bytes.into_owned()))
            .collect(),
    })
}

/// Nix sorts by bytes and writes nothing twice.
fn ascending<'t, 'a: 't>(
    list: &'static str,
    items: impl IntoIterator<Item = &'t Text<'a>>,
) -> Result<(), DerivationError> {
    let mut previous: Option<&Text<'_>> = None;
    for item in items {
        if let Some(previous) = previous {
            let found = || shown(&item.bytes);
            match previous.bytes.cmp(&item.bytes) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => {
                    let defect = Defect::Doubled { list, found: found() };
                    return Err(DerivationError::new(item.offset, defect));
                }
                std::cmp::Ordering::Greater => {
                    let previous = shown(&previous.bytes);
                    let defect = Defect::Unsorted { list, found: found(), previous };
                    return Err(DerivationError::new(item.offset, defect));
                }
            }
        }
        previous = Some(item);
    }
    Ok(())
}

fn utf8<'t>(text: &'t Text<'_>, what: &'static str) -> Result<&'t str, DerivationError> {
    std::str::from_utf8(&text.bytes)
        .map_err(|_| DerivationError::new(text.offset, Defect::NotUtf8(what)))
}

fn path(
    text: &Text<'_>,
    list: &'static str,
    store_dir: &StoreDir,
) -> Result<StorePath, DerivationError> {
    store_dir.parse(utf8(text, "a store path")?).map_err(|source| {
        // The error holds the path: let it hold one that is fit to be shown.
        let source = store_dir.parse(&printable(&text.bytes)).err().unwrap_or(source);
        DerivationError::new(text.offset, Defect::Path { list, source })
    })
}

/// Output names end the names of store paths, so the same rules hold.
fn output_name(text: &Text<'_>) -> Result<String, DerivationError> {
    let name = utf8(text, "an output name")?;
    // What the dots of `.` and `..` mean only matters where a name begins.
    check_name(&format!("x-{name}"))
        .and_then(|()| if name.is_empty() { check_name(name) } else { Ok(()) })
        .map_err(|source| {
            let defect = Defect::OutputName { name: shown(&text.bytes), source };
            DerivationError::new(text.offset, defect)
        })?;
    Ok(name.to_owned())
}

fn output(output: &TermOutput<'_>, store_dir: &StoreDir) -> Result<Output, DerivationError> {
    let TermOutput { name, path, algorithm, hash } = output;
    let shown_name = || printable(&name.bytes);
    let output_path = || self::path(path, "outputs", store_dir);
    if algorithm.bytes.is_empty() {
        return if !hash.bytes.is_empty() {
            Err(DerivationError::new(hash.offset, Defect::HashWithoutAlgorithm(shown_name())))
        } else if path.bytes.is_empty() {
            Ok(Output::Deferred)
        } else {
            Ok(Output::InputAddressed { path: output_path()? })
        };
    }
    let (method, algorithm) = method(algorithm)?;
    match (&*hash.bytes, path.bytes.is_empty()) {
        (b"", true) => Ok(Output::FloatingCa { method, algorithm }),
        (b"impure", true) => Ok(Output::Impure { method, algorithm }),
        (b"" | b"impure", false) => {
            Err(DerivationError::new(path.offset, Defect::FloatingWithPath(shown_name())))
        }
        (_, true) => Err(DerivationError::new(path.offset, Defect::FixedWithoutPath(shown_name()))),
        (_, false) => {
            let text = utf8(hash, "an output hash")?;
            let bad = |defect| DerivationError::new(hash.offset, defect);
            if !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
                return Err(bad(Defect::HashNotBase16));
            }
            let value = Hash::parse(text, Some(algorithm)).map_err(|e| bad(Defect::Hash(e)))?;
            if value.base16() != text {
                return Err(bad(Defect::HashNotBase16));
            }
            Ok(Output::Fixed { path: output_path()?, method, hash: value })
        }
    }
}

fn method(text: &Text<'_>) -> Result<(Method, HashAlgorithm), DerivationError> {
    let written = utf8(text, "an output hash algorithm")?;
    let (method, name) = match written.split_once(':') {
        None => (Method::Flat, written),
        Some(("r", name)) => (Method::Recursive, name),
        Some((other, _)) => {
            let defect = Defect::UnsupportedMethod(printable(other.as_bytes()) + ":");
            return Err(DerivationError::new(text.offset, defect));
        }
    };
    let algorithm = HashAlgorithm::from_name(name).ok_or_else(|| {
        let error = HashError::Algorithm(printable(name.as_bytes()));
        DerivationError::new(text.offset, Defect::Hash(error))
    })?;
    Ok((method, algorithm))
}

fn check_kinds(term: &Term<'_>, outputs: &BTreeMap<String, Output>) -> Result<(), DerivationError> {
    let offset = |index: usize| term.outputs.get(index).map_or(0, |output| output.name.offset);
    let Some(first) = outputs.values().next() else {
        // Right behind `Derive([`.
        return Err(DerivationError::new(b"Derive([".len(), Defect::NoOutputs));
    };
    for (index, (name, output)) in outputs.iter().enumerate() {
        let bad = |defect| Err(DerivationError::new(offset(index), defect));
        if output.kind() != first.kind() {
            let (found, expected) = (output.kind(), first.kind());
            return bad(Defect::MixedKinds { name: name.clone(), found, expected });
        }
        if output.kind() == Kind::Fixed && (name != OUT || index > 0) {
            return bad(Defect::FixedNotOut(name.clone()));
        }
        if let (
            Output::FloatingCa { algorithm: found, .. },
            Output::FloatingCa { algorithm: expected, .. },
        ) = (output, first)
            && found != expected
        {
            return bad(Defect::MixedAlgorithms(name.clone()));
        }
    }
    Ok(())
}
