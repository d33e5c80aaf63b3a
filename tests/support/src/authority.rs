//! Certificates of a test's own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use redis::{ClientTlsConfig, TlsCertificates};
use tempfile::TempDir;
use time::OffsetDateTime;

/// An authority that nobody else knows, with a certificate for servers on the loopback interface and
/// one for clients, as PEM files.
#[derive(Debug)]
pub struct Authority {
    folder: TempDir,
}

impl Authority {
    /// A new authority.
    ///
    /// # Panics
    ///
    /// Where its files cannot be written.
    pub fn new() -> Self {
        Self::with(None)
    }

    /// A new authority, whose certificate for servers is valid for so long and no longer.
    ///
    /// # Panics
    ///
    /// As [`Authority::new`].
    pub fn expiring(within: Duration) -> Self {
        Self::with(Some(within))
    }

    fn with(expiry: Option<Duration>) -> Self {
        // Before anything of this process speaks TLS: several implementations may be built in.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut root = params(&[], "test authority");
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let root = CertifiedIssuer::self_signed(root, key()).expect("a certificate");
        write(&folder.path().join("ca.pem"), &root.pem());
        let mut server = params(&["127.0.0.1", "localhost"], "test server");
        // Servers of one deployment are each other's clients.
        server.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        if let Some(expiry) = expiry {
            server.not_after = OffsetDateTime::now_utc() + expiry;
        }
        let mut client = params(&[], "test client");
        client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        for (name, certificate) in [("server", server), ("client", client)] {
            let key = key();
            let signed = certificate.signed_by(&key, &root).expect("a certificate");
            write(&folder.path().join(format!("{name}.pem")), &signed.pem());
            write(&folder.path().join(format!("{name}.key")), &key.serialize_pem());
        }
        Self { folder }
    }

    /// The file with its own certificate, for `REDIS_TLS_CA`.
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The files of a server: its certificate and its key.
    pub fn server(&self) -> [PathBuf; 2] {
        ["server.pem", "server.key"].map(|name| self.folder.path().join(name))
    }

    /// The files of a client, for `REDIS_TLS_CERT` and `REDIS_TLS_KEY`.
    pub fn client(&self) -> [PathBuf; 2] {
        ["client.pem", "client.key"].map(|name| self.folder.path().join(name))
    }

    /// The options of a server that takes connections over TLS at `port` and at no other.
    pub(crate) fn options(&self, port: u16) -> Vec<String> {
        let [certificate, key] = self.server();
        let port = port.to_string();
        let files = [self.ca(), certificate, key].map(|file| file.display().to_string());
        let names = ["--tls-ca-cert-file", "--tls-cert-file", "--tls-key-file"];
        let files = names.into_iter().zip(&files).flat_map(|(name, file)| [name, file.as_str()]);
        ["--port", "0", "--tls-port", &port].into_iter().chain(files).map(str::to_owned).collect()
    }

    /// What the tests' own connections show and trust.
    pub(crate) fn certificates(&self) -> TlsCertificates {
        let [client_cert, client_key] = self.client().map(|file| read(&file));
        let client_tls = Some(ClientTlsConfig { client_cert, client_key });
        TlsCertificates { client_tls, root_cert: Some(read(&self.ca())) }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

fn params(names: &[&str], called: &str) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("well-formed names");
    params.distinguished_name.push(DnType::CommonName, called);
    params
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

fn write(file: &Path, text: &str) {
    std::fs::write(file, text).expect("a file can be written");
}

fn read(file: &Path) -> Vec<u8> {
    std::fs::read(file).expect("the file is there")
}
