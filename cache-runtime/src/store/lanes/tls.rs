//! TLS with a rustls configuration of our own.
//!
//! Each configuration names its `CryptoProvider`. The process's default provider is left alone: it can be
//! installed once, and that is for the application to do.

use std::io;
use std::sync::{Arc, OnceLock};

use rustls::client::WantsClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::config::{Source, Tls};

/// A TLS client configuration, and the certificates that it was built from.
#[derive(Clone)]
pub(super) struct Client {
    pems: Pems,
    config: Arc<ClientConfig>,
}

/// The contents of the PEM sources: authorities, and the client's certificate and key.
#[derive(Clone, PartialEq, Eq)]
struct Pems {
    ca: Option<Arc<[u8]>>,
    client: Option<[Arc<[u8]>; 2]>,
}

impl Client {
    /// Checks the certificates. Reads no roots of the system, and passes where no provider is installed yet.
    pub(super) fn check(tls: &Tls) -> Result<(), String> {
        let pems = Pems::read(tls)?;
        let Some(provider) = provider() else { return Ok(()) };
        build_config(tls, &pems, &provider, || Ok(Arc::new(RootCertStore::empty()))).map(drop)
    }

    /// Reads the certificates' files, and the system's roots the first time. Blocks. Unchanged certificates keep
    /// the previous configuration, and with it the sessions that can be resumed.
    pub(super) fn current(tls: &Tls, previous: Option<&Self>) -> Result<Self, String> {
        let pems = Pems::read(tls)?;
        if let Some(previous) = previous.filter(|previous| previous.pems == pems) {
            return Ok(previous.clone());
        }
        let provider = provider().ok_or(
            "TLS has no provider of cryptography: turn on the feature `tls` of the crate \
             `cache-runtime`, or install a default provider of rustls",
        )?;
        let config = build_config(tls, &pems, &provider, system_roots)?;
        Ok(Self { pems, config: Arc::new(config) })
    }

    pub(super) async fn handshake(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        TlsConnector::from(self.config.clone()).connect(name, stream).await
    }
}

impl Pems {
    fn read(tls: &Tls) -> Result<Self, String> {
        let ca = tls.ca.as_ref().map(Source::certificates).transpose()?;
        let client = match &tls.client {
            Some([certificate, key]) => Some([certificate.certificates()?, key.certificates()?]),
            None => None,
        };
        Ok(Self { ca, client })
    }
}

/// ring with the feature `tls`, or else the provider that the application has installed.
#[cfg_attr(feature = "tls", expect(clippy::unnecessary_wraps))]
fn provider() -> Option<Arc<CryptoProvider>> {
    #[cfg(feature = "tls")]
    return Some(Arc::new(rustls::crypto::ring::default_provider()));
    #[cfg(not(feature = "tls"))]
    return CryptoProvider::get_default().cloned();
}

#[cfg_attr(not(feature = "tls-insecure"), expect(unused_variables))]
fn build_config(
    tls: &Tls,
    pems: &Pems,
    provider: &Arc<CryptoProvider>,
    system: impl FnOnce() -> Result<Arc<RootCertStore>, String>,
) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().map_err(|e| e.to_string())?;
    #[cfg(feature = "tls-insecure")]
    if tls.insecure {
        return with_client_auth(insecure::without_verification(builder, provider), pems);
    }
    let roots = pems.ca.as_deref().map_or_else(system, |ca| roots_from_pem(ca).map(Arc::new))?;
    with_client_auth(builder.with_root_certificates(roots), pems)
}

fn roots_from_pem(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let added = certificate
            .map_err(|e| e.to_string())
            .and_then(|certificate| roots.add(certificate).map_err(|error| error.to_string()));
        added.map_err(|error| format!("a certificate of an authority cannot be read: {error}"))?;
    }
    if roots.is_empty() {
        return Err("there is no certificate among those of the authorities".to_owned());
    }
    Ok(roots)
}

/// The system's roots, read once in a process. Certificates that cannot be read are left out.
fn system_roots() -> Result<Arc<RootCertStore>, String> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    if let Some(roots) = ROOTS.get() {
        return Ok(roots.clone());
    }
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (_, ignored) = roots.add_parsable_certificates(found.certs);
    let problem = found.errors.first().map(ToString::to_string).unwrap_or_default();
    if roots.is_empty() {
        return Err(format!(
            "the system has no authorities whose certificates could be used; name a file of them by \
             `REDIS_TLS_CA` ({problem})"
        ));
    }
    if ignored > 0 || !found.errors.is_empty() {
        tracing::warn!(
            problem,
            "some certificates of the system's authorities cannot be read: the others are used"
        );
    }
    Ok(ROOTS.get_or_init(|| Arc::new(roots)).clone())
}

fn with_client_auth(
    builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    pems: &Pems,
) -> Result<ClientConfig, String> {
    let Some([certificate, key]) = &pems.client else { return Ok(builder.with_no_client_auth()) };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
    let chain = chain.map_err(|error| format!("our certificate cannot be read: {error}"))?;
    let key = PrivateKeyDer::from_pem_slice(key);
    let key = key.map_err(|error| format!("the key of our certificate cannot be read: {error}"))?;
    let config = builder.with_client_auth_cert(chain, key);
    config.map_err(|error| format!("our certificate cannot be used: {error}"))
}

#[cfg(feature = "tls-insecure")]
mod insecure {
    use std::sync::Arc;

    use rustls::client::WantsClientCert;
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{
        ClientConfig, ConfigBuilder, DigitallySignedStruct, SignatureScheme, WantsVerifier,
    };

    /// A builder that accepts any certificate, for `ssl_cert_reqs=none`.
    pub(super) fn without_verification(
        builder: ConfigBuilder<ClientConfig, WantsVerifier>,
        provider: &CryptoProvider,
    ) -> ConfigBuilder<ClientConfig, WantsClientCert> {
        let without_verification =
            Arc::new(NoVerification(provider.signature_verification_algorithms));
        builder.dangerous().with_custom_certificate_verifier(without_verification)
    }

    #[derive(Debug)]
    struct NoVerification(WebPkiSupportedAlgorithms);

    impl ServerCertVerifier for NoVerification {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, rustls::Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.supported_schemes()
        }
    }
}
