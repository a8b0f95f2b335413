//! `verify attest make`: statements about what reports say, signed.

use std::path::Path;

use super::args::{MakeArgs, PredicateName};
use crate::attest::bill::Bill;
use crate::attest::canonical;
use crate::attest::dsse::{Envelope, IN_TOTO};
use crate::attest::material::{Material, MaterialError};
use crate::attest::nix_signature::{CACHE_INFO, cache_info, file_name, signed};
use crate::attest::rebuild::{Rebuild, Reproduced};
use crate::attest::statement::Statement;
use crate::attest::summary::Summary;
use crate::command::deliver::show;
use crate::command::product::deliver;
use crate::command::{Environment, ToolError};
use crate::gather::named::input;
use crate::gather::named::keys;
use crate::nix::json::MAX_LEN;
use crate::nix::narinfo::MAX_NARINFO_LEN;
use crate::nix::signature::SecretKey;
use crate::report::Exit;
use crate::report::attest::{Made, made};
use crate::state::atomic;

/// Makes attestations.
///
/// # Errors
/// A report that cannot be attested, a key that cannot be used, and what
/// cannot be written. Nothing is written then but what was before it.
pub fn run(args: &MakeArgs, environment: &Environment) -> Result<Exit, ToolError> {
    let secrets = secret_keys(args, environment)?;
    let mut product = String::new();
    let mut statements = Vec::new();
    let mut rebuilds = Vec::new();
    for file in &args.reports {
        let name = show(file);
        let doing = || format!("attest '{name}'");
        let bytes = input::read(&environment.absolute(file), MAX_LEN)
            .map_err(|error| ToolError::failed(doing(), error))?;
        let (statement, rebuild) = statement(&bytes, args.predicate, &secrets)
            .map_err(|error| ToolError::failed(doing(), error))?;
        let payload = statement.to_payload().map_err(|error| ToolError::failed(doing(), error))?;
        let envelope = Envelope::sign(IN_TOTO, payload, &secrets)
            .map_err(|error| ToolError::failed(doing(), error))?;
        let line = envelope.to_line();
        if line.len() > MAX_LEN {
            return Err(ToolError::Usage(format!(
                "the attestation of '{name}' would be longer than the {} MiB that are read: rebuild fewer targets at a time",
                MAX_LEN >> 20
            )));
        }
        product.push_str(&line);
        statements.push(Made {
            file: name,
            predicate_type: statement.predicate_type.clone(),
            subjects: statement.subjects,
            keys: secrets.iter().map(|key| key.name().to_string()).collect(),
            signatures: rebuild.as_ref().map_or(0, |rebuild| rebuild.reproduced().count()),
        });
        rebuilds.extend(rebuild);
    }
    let nix_cache = args.nix_cache.as_deref();
    if let Some(directory) = nix_cache {
        let outputs: Vec<Reproduced<'_>> = rebuilds.iter().flat_map(Rebuild::reproduced).collect();
        sign_for_nix(&outputs, &secrets, directory, environment)?;
    }
    let report = made(statements, nix_cache.map(show).as_deref());
    deliver(&product.into_bytes(), report, &args.output, environment)
}

/// The keys to sign with, each once.
fn secret_keys(args: &MakeArgs, environment: &Environment) -> Result<Vec<SecretKey>, ToolError> {
    if args.key_name.is_some() && args.keys.len() > 1 {
        return Err(ToolError::Usage(
            "--key-name is about one key: sign with one --key at a time".to_owned(),
        ));
    }
    let mut secrets: Vec<SecretKey> = Vec::new();
    for file in &args.keys {
        let key = keys::secret_key(&environment.absolute(file), args.key_name.clone())
            .map_err(|error| ToolError::failed("use a key", error))?;
        let known = secrets.iter().find(|known| {
            known.public_key().bytes() == key.public_key().bytes() || known.name() == key.name()
        });
        if let Some(known) = known {
            return Err(ToolError::Usage(format!(
                "--key: '{}' and '{}' have the same name or are the same key",
                known.name(),
                key.name()
            )));
        }
        secrets.push(key);
    }
    Ok(secrets)
}

/// What is to be signed about a file; a rebuild also as it was read.
fn statement(
    bytes: &[u8],
    wanted: Option<PredicateName>,
    secrets: &[SecretKey],
) -> Result<(Statement, Option<Rebuild>), MaterialError> {
    let value = canonical::read_once(bytes)?;
    let is_bill = Bill::is_bill(&value);
    match wanted {
        Some(PredicateName::Sbom) => return Ok((Bill::of(value)?.statement(), None)),
        None if is_bill => return Ok((Bill::of(value)?.statement(), None)),
        _ => drop(value),
    }
    let material = Material::parse(bytes)?;
    let summary = match wanted {
        Some(PredicateName::Vsa) => true,
        Some(_) => false,
        None => material.command != "rebuild",
    };
    if summary {
        let name = secrets.first().map(SecretKey::name);
        let name = name.ok_or_else(|| MaterialError::Nothing("there is no key".to_owned()))?;
        return Ok((Summary::of(&material, name)?.statement()?, None));
    }
    let rebuild = Rebuild::of(&material)?;
    Ok((rebuild.statement()?, Some(rebuild)))
}

/// Writes Nix signatures over what reproduced, beside those that are there.
fn sign_for_nix(
    outputs: &[Reproduced<'_>],
    secrets: &[SecretKey],
    directory: &Path,
    environment: &Environment,
) -> Result<(), ToolError> {
    let Some(first) = outputs.first() else { return Ok(()) };
    let store_dir = &first.path.dir;
    if let Some(other) = outputs.iter().find(|one| one.path.dir != *store_dir) {
        return Err(ToolError::Usage(format!(
            "--nix-cache: a cache has the paths of one store, and the reports are about {store_dir} and {}",
            other.path.dir
        )));
    }
    let root = environment.absolute(directory);
    let failed = |doing: &str, path: &Path| format!("{doing} '{}'", show(path));
    atomic::make_directory(&root)
        .map_err(|error| ToolError::failed(failed("make the directory", directory), error))?;
    let there = |name: &str| -> Result<Option<Vec<u8>>, ToolError> {
        match input::read(&root.join(name), MAX_NARINFO_LEN) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ToolError::failed("add to the Nix signatures", error)),
        }
    };
    let write = |name: &str, text: &str| {
        let path = root.join(name);
        atomic::write_output(&path, text.as_bytes())
            .map_err(|error| ToolError::failed(failed("write", &path), error))
    };
    let info = cache_info(store_dir);
    match there(CACHE_INFO)? {
        None => write(CACHE_INFO, &info)?,
        Some(found) if found == info.as_bytes() => {}
        Some(_) => {
            return Err(ToolError::Usage(format!(
                "--nix-cache: '{}' is some other cache: name a directory for signatures alone",
                show(directory)
            )));
        }
    }
    for one in outputs {
        let name = file_name(&one.info);
        let text = signed(one, secrets, there(&name)?.as_deref())
            .map_err(|error| ToolError::failed(failed("sign", &root.join(&name)), error))?;
        write(&name, &text)?;
    }
    Ok(())
}
