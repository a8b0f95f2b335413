//! Whom TLS servers must be certified by: what the system trusts, and
//! authorities that the user names.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

/// Largest file of certificate authorities; a whole system bundle has 250 KiB.
const MAX_CA_FILE: u64 = 16 << 20;

/// A file of certificate authorities in PEM, for
/// [`crate::gather::http::HttpOptions::ca_certificates`].
///
/// # Errors
/// When it cannot be read, is too long, or holds no certificate.
pub fn read_ca_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut pem = Vec::new();
    std::fs::File::open(path)?.take(MAX_CA_FILE).read_to_end(&mut pem)?;
    match certificates(&pem) {
        Ok(found) if !found.is_empty() => Ok(pem),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "no certificate found (expected PEM: -----BEGIN CERTIFICATE-----)",
        )),
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("certificate authorities: {error}"))
}

/// TLS 1.2 and 1.3, HTTP/2 before HTTP/1.1, and no client certificate.
fn configuration(verifier: Option<Arc<dyn ServerCertVerifier>>) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let mut config = match verifier {
        Some(verifier) => {
            builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
        }
        None => builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Trusts what the system trusts and the authorities in `own`, PEM.
pub(super) fn trusting(own: Option<&[u8]>) -> Result<ClientConfig, String> {
    let extra = own.map(certificates).transpose()?.unwrap_or_default();
    match Verifier::new_with_extra_roots(extra, provider()) {
        Ok(verifier) => configuration(Some(Arc::new(verifier))),
        // A system without certificate authorities can still use plain HTTP.
        Err(_) if own.is_none() => trusting_nobody(),
        Err(error) => Err(error.to_string()),
    }
}

/// Refuses every TLS server: for connections that use no TLS.
pub(super) fn trusting_nobody() -> Result<ClientConfig, String> {
    configuration(None)
}
