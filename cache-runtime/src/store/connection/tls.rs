//! Where a server is, for the client: with the certificates, where it is met over TLS.

use deadpool_redis::redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisResult};

use crate::config::{Address, Server};

/// The server's address, without a login.
pub(super) fn place(server: &Server) -> RedisResult<ConnectionInfo> {
    let (host, port) = match &server.address {
        Address::Unix(path) => return ConnectionAddr::Unix(path.into()).into_connection_info(),
        Address::Tcp(host, port) => (host, *port),
    };
    #[cfg(feature = "tls")]
    if let Some(tls) = &server.access.tls {
        return over_tls(host, port, tls);
    }
    ConnectionAddr::Tcp(host.clone(), port).into_connection_info()
}

#[cfg(feature = "tls")]
fn over_tls(host: &str, port: u16, tls: &crate::config::Tls) -> RedisResult<ConnectionInfo> {
    use deadpool_redis::redis::{Client, ClientTlsConfig, TlsCertificates};

    // Without one, the first connection would panic. Whoever has chosen another keeps it.
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let address = ConnectionAddr::TcpTls {
        host: host.to_owned(),
        port,
        insecure: tls.insecure,
        tls_params: None,
    };
    let client_tls = tls.client.as_ref().map(|[certificate, key]| ClientTlsConfig {
        client_cert: certificate.to_vec(),
        client_key: key.to_vec(),
    });
    let root_cert = tls.ca.as_ref().map(|ca| ca.to_vec());
    let certificates = TlsCertificates { client_tls, root_cert };
    let client = Client::build_with_tls(address, certificates)?;
    Ok(client.get_connection_info().clone())
}
