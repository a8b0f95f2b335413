//! From the options about sources and trust to what answers questions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::options::{KeyOptions, SourceOptions};
use super::{Environment, ToolError};
use crate::check::operators::Operators;
use crate::gather::cache::CacheClient;
use crate::gather::cache::answers::AskedCache;
use crate::gather::cache::url::{CacheUrl, Place};
use crate::gather::http::credentials::Netrc;
use crate::gather::http::proxy::Proxies;
use crate::gather::http::{HttpClient, HttpOptions, read_ca_file};
use crate::gather::named::files::check_directory;
use crate::gather::named::nix_conf::NixConf;
use crate::gather::store::local::LocalStore;
use crate::nix::signature::{CACHE_NIXOS_ORG_KEY, PublicKey, TrustedKeys};
use crate::nix::store_path::StoreDir;

/// The cache that is asked when none is named.
pub const DEFAULT_CACHE: &str = "https://cache.nixos.org";

/// Everything that answers questions, and whose answers count.
pub struct Sources {
    /// The caches, in the order they are asked.
    pub caches: Vec<AskedCache>,
    /// Asks them.
    pub client: CacheClient,
    /// Fetches anything else.
    pub http: HttpClient,
    /// Credentials for hosts.
    pub netrc: Netrc,
    /// Whose signatures count.
    pub keys: TrustedKeys,
    /// Who runs which caches and keys.
    pub operators: Operators,
    /// The local store, if it was asked for.
    pub local: Option<Arc<LocalStore>>,
}

impl Sources {
    /// Opens what the options name.
    ///
    /// # Errors
    /// An option that makes no sense, or a file that cannot be read.
    pub fn open(
        options: &SourceOptions,
        keys: &KeyOptions,
        environment: &Environment,
        store_dir: &StoreDir,
    ) -> Result<Self, ToolError> {
        let conf =
            options.nix_conf.as_deref().map(|file| nix_conf(file, environment)).transpose()?;
        let operators = operators(keys, environment)?;
        let mut trusted = trusted_keys(keys, environment)?;
        let mut caches = Vec::new();
        for text in &options.caches {
            let url = CacheUrl::parse(text).map_err(|error| ToolError::Usage(error.to_string()))?;
            caches.push(AskedCache { url, named: true });
        }
        if let Some(conf) = &conf {
            for text in conf.caches() {
                let url = CacheUrl::parse(&text).map_err(|error| {
                    ToolError::failed("use a substituter of the nix.conf", error)
                })?;
                caches.push(AskedCache { url, named: true });
            }
            for text in conf.keys() {
                let key = text.parse::<PublicKey>().and_then(|key| trusted.insert(key));
                key.map_err(|error| ToolError::failed("use a key of the nix.conf", error))?;
            }
        }
        if caches.is_empty() {
            for text in operators.all().iter().flat_map(|operator| &operator.caches) {
                let url =
                    CacheUrl::parse(text).map_err(|error| ToolError::Usage(error.to_string()))?;
                caches.push(AskedCache { url, named: true });
            }
        }
        if caches.is_empty() {
            let url = CacheUrl::parse(DEFAULT_CACHE)
                .map_err(|error| ToolError::failed("use the default cache", error))?;
            caches.push(AskedCache { url, named: false });
            let key = CACHE_NIXOS_ORG_KEY.parse::<PublicKey>().and_then(|key| trusted.insert(key));
            key.map_err(|error| ToolError::failed("use the default key", error))?;
        }
        for cache in &caches {
            if let Place::Directory(directory) = cache.url.place() {
                check_directory(directory).map_err(|error| {
                    ToolError::failed(format!("use the cache {}", cache.url), error)
                })?;
            }
        }
        let (conf_netrc, conf_ca) =
            conf.map_or((None, None), |conf| (conf.netrc_file, conf.ca_file));
        let netrc = options.netrc_file.clone().or(conf_netrc);
        let mut netrc = read_netrc(netrc.as_deref(), environment)?;
        if let Some(file) = &options.tokens_file {
            let doing = || format!("read the tokens in '{}'", file.display());
            let text = crate::gather::named::files::read_text(&environment.absolute(file))
                .map_err(|error| ToolError::failed(doing(), error))?;
            let added = netrc.add_tokens(text.as_bytes());
            added.map_err(|error| ToolError::failed(doing(), error))?;
        }
        let ca_file = options.ca_file.clone().or(conf_ca);
        let origins = caches.iter().filter_map(|cache| cache.url.origin()).collect();
        let http = http(options.offline, ca_file.as_deref(), origins, environment)?;
        let client = CacheClient::new(http.clone(), netrc.clone(), store_dir.clone());
        let local = options
            .local_store
            .as_ref()
            .map(|root| {
                let root = root.as_ref().map(|root| environment.absolute(root));
                LocalStore::open(root.as_deref(), store_dir)
                    .map(Arc::new)
                    .map_err(|error| ToolError::failed("open the local store", error))
            })
            .transpose()?;
        check_bare_keys(&operators, &trusted)?;
        check_shared_keys(&operators, &trusted)?;
        Ok(Self { caches, client, http, netrc, keys: trusted, operators, local })
    }
}

/// The keys that the options name.
///
/// # Errors
/// A key that is none, two different keys of one name, or an unreadable file.
pub fn trusted_keys(
    options: &KeyOptions,
    environment: &Environment,
) -> Result<TrustedKeys, ToolError> {
    let mut trusted = TrustedKeys::new();
    for text in &options.trusted_keys {
        let key = text.parse::<PublicKey>().and_then(|key| trusted.insert(key));
        key.map_err(|error| ToolError::Usage(format!("--trusted-key: {error}")))?;
    }
    if let Some(file) = &options.trusted_keys_file {
        let doing = || format!("read the trusted keys in '{}'", file.display());
        let text = crate::gather::named::files::read_text(&environment.absolute(file))
            .map_err(|error| ToolError::failed(doing(), error))?;
        let keys = TrustedKeys::parse(&text).and_then(|keys| trusted.merge(keys));
        keys.map_err(|error| ToolError::failed(doing(), error))?;
    }
    for key in operators(options, environment)?.public_keys() {
        trusted
            .insert(key.clone())
            .map_err(|error| ToolError::Usage(format!("--operators: {error}")))?;
    }
    Ok(trusted)
}

/// Who runs which caches and keys, and the keys that the options name.
///
/// # Errors
/// As [`trusted_keys`], and operators that share a key or have an unknown one.
pub fn operators_and_keys(
    options: &KeyOptions,
    environment: &Environment,
) -> Result<(Operators, TrustedKeys), ToolError> {
    let operators = operators(options, environment)?;
    let trusted = trusted_keys(options, environment)?;
    check_bare_keys(&operators, &trusted)?;
    check_shared_keys(&operators, &trusted)?;
    Ok((operators, trusted))
}

/// The file that says who runs which caches and keys.
fn operators(options: &KeyOptions, environment: &Environment) -> Result<Operators, ToolError> {
    let Some(file) = &options.operators else { return Ok(Operators::default()) };
    let doing = || format!("read the operators in '{}'", file.display());
    let text = crate::gather::named::files::read_text(&environment.absolute(file))
        .map_err(|error| ToolError::failed(doing(), error))?;
    let cache = |text: &str| match CacheUrl::parse(text) {
        Ok(url) => Ok(url.to_string()),
        Err(error) => Err(error.to_string()),
    };
    Operators::parse(&text, cache).map_err(|error| ToolError::failed(doing(), error))
}

/// A key that an operator only names has to be known, or its signatures would
/// silently count for nothing.
fn check_bare_keys(operators: &Operators, trusted: &TrustedKeys) -> Result<(), ToolError> {
    match operators.bare_keys().iter().find(|name| trusted.find(name).is_none()) {
        None => Ok(()),
        Some(name) => Err(ToolError::Usage(format!(
            "--operators names the key '{name}', which is not among the trusted keys: write it as NAME:BASE64, or add it with --trusted-key"
        ))),
    }
}

/// One key under two names is still one key: whoever holds it could speak for
/// two operators, and agreement would be counted twice.
fn check_shared_keys(operators: &Operators, trusted: &TrustedKeys) -> Result<(), ToolError> {
    let mut holders = BTreeMap::new();
    for operator in operators.all() {
        for name in &operator.keys {
            let Some(key) = trusted.find(name) else { continue };
            let (holder, other) = *holders.entry(key.bytes()).or_insert((operator, name));
            if holder.name != operator.name {
                return Err(ToolError::Usage(format!(
                    "--operators: the keys '{other}' of '{}' and '{name}' of '{}' are one and the same: a key can belong to one operator only",
                    holder.name, operator.name
                )));
            }
        }
    }
    Ok(())
}

fn nix_conf(file: &Path, environment: &Environment) -> Result<NixConf, ToolError> {
    NixConf::read(&environment.absolute(file))
        .map_err(|error| ToolError::failed(format!("read '{}'", file.display()), error))
}

/// The credentials of a netrc file; none if none is named.
pub(super) fn read_netrc(
    file: Option<&Path>,
    environment: &Environment,
) -> Result<Netrc, ToolError> {
    let Some(file) = file else { return Ok(Netrc::default()) };
    let doing = || format!("read the credentials in '{}'", file.display());
    let text = crate::gather::named::files::read_text(&environment.absolute(file))
        .map_err(|error| ToolError::failed(doing(), error))?;
    Netrc::parse(text.as_bytes()).map_err(|error| ToolError::failed(doing(), error))
}

/// A client that may ask the origins that the user named wherever they are.
pub(super) fn http(
    offline: bool,
    ca_file: Option<&Path>,
    named_origins: BTreeSet<String>,
    environment: &Environment,
) -> Result<HttpClient, ToolError> {
    let variable =
        |name: &str| environment.variable(name).map(|value| value.to_string_lossy().into_owned());
    let proxies = Proxies::parse(variable)
        .map_err(|error| ToolError::failed("use the proxy of the environment", error))?;
    let ca_certificates = ca_file
        .map(|file| {
            read_ca_file(&environment.absolute(file)).map_err(|error| {
                ToolError::failed(format!("read the certificates in '{}'", file.display()), error)
            })
        })
        .transpose()?;
    Ok(HttpClient::new(HttpOptions {
        offline,
        ca_certificates,
        proxies,
        named_origins,
        ..HttpOptions::default()
    }))
}
