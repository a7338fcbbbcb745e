//! A private certificate authority, and the certificates that it signs.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, anyhow};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, SerialNumber, date_time_ymd,
};
use ring::rand as secure_random;

/// An authority that signs certificates from the same moment on.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    now: SystemTime,
    /// Its own certificate.
    pub(super) own: Issued,
}

/// A certificate and its key, in PEM.
pub(super) struct Issued {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// The identity in the certificate of the client.
pub(super) const CLIENT: &str = "spiffe://ticker/client";

/// Names in the certificate of the server, besides those that the user gives.
const SERVER_NAMES: [&str; 2] = ["localhost", "ticker"];

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Lifetime of the certificate of the authority.
const AUTHORITY_LIFETIME: Duration = Duration::from_secs(10 * 365 * DAY.as_secs());

/// Lifetime of the certificates of servers and clients: 397 days, because Apple's platforms and browsers accept little more.
pub(super) const LIFETIME: Duration = Duration::from_secs(397 * DAY.as_secs());

/// How far the clocks of other machines may be behind.
const CLOCK_SKEW: Duration = Duration::from_secs(60 * 60);

impl Authority {
    /// Makes an authority with a new key.
    pub(super) fn new() -> anyhow::Result<Self> {
        let now = SystemTime::now();
        let mut params = params("ticker private CA", now, AUTHORITY_LIFETIME)?;
        // It signs no other authority.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = new_key()?;
        let certificate = params.self_signed(&key).context("cannot sign the certificate of the CA")?;
        let own = Issued { certificate: certificate.pem(), key: key.serialize_pem() };
        Ok(Self { issuer: Issuer::new(params, key), now, own })
    }

    /// Makes a certificate for a server on this machine that clients also reach under other names.
    pub(super) fn server(&self, names: Vec<SanType>) -> anyhow::Result<Issued> {
        self.issue("ticker server", server_names(names)?, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// Makes a certificate for a client.
    pub(super) fn client(&self) -> anyhow::Result<Issued> {
        let names = vec![SanType::URI(CLIENT.try_into()?)];
        self.issue("ticker client", names, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(
        &self,
        subject: &str,
        names: Vec<SanType>,
        purpose: ExtendedKeyUsagePurpose,
    ) -> anyhow::Result<Issued> {
        let mut params = params(subject, self.now, LIFETIME)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.subject_alt_names = names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![purpose];
        params.use_authority_key_identifier_extension = true;
        let key = new_key()?;
        let certificate = params.signed_by(&key, &self.issuer);
        let certificate = certificate.with_context(|| format!("cannot sign the certificate {subject:?}"))?;
        Ok(Issued { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

fn new_key() -> anyhow::Result<KeyPair> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).context("cannot make a key")
}

/// What all certificates have in common.
fn params(subject: &str, now: SystemTime, lifetime: Duration) -> anyhow::Result<CertificateParams> {
    let since_epoch = now.duration_since(UNIX_EPOCH).context("the clock of this machine is before 1970")?;
    let begin = date_time_ymd(1970, 1, 1) + since_epoch.saturating_sub(CLOCK_SKEW);
    let mut params = CertificateParams::default();
    params.not_before = begin;
    params.not_after = begin + lifetime;
    params.serial_number = Some(serial_number()?);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, subject);
    Ok(params)
}

/// A number that no other certificate has. It is positive, and no zeros are at its beginning. (RFC 5280, section 4.1.2.2)
fn serial_number() -> anyhow::Result<SerialNumber> {
    let random = secure_random::generate::<[u8; 16]>(&secure_random::SystemRandom::new());
    let mut bytes = random.map_err(|_| anyhow!("there is no randomness for a serial number"))?.expose();
    bytes[0] = bytes[0] & 0x3f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

/// The names of the server, each once.
fn server_names(others: Vec<SanType>) -> anyhow::Result<Vec<SanType>> {
    let addresses = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
    let mut names = Vec::new();
    for name in SERVER_NAMES {
        names.push(SanType::DnsName(name.try_into()?));
    }
    names.extend(addresses.map(SanType::IpAddress));
    for name in others {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Parses a name of a server: an IP address, or a DNS name whose first label may be `*`.
pub(super) fn parse_name(text: &str) -> Result<SanType, String> {
    /// Longest DNS name, in bytes. (RFC 1035, section 2.3.4)
    const LONGEST: usize = 253;
    if let Ok(address) = text.parse() {
        return Ok(SanType::IpAddress(address));
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let is_name = text.len() <= LONGEST && text.strip_prefix("*.").unwrap_or(text).split('.').all(is_label);
    let name = is_name.then(|| text.to_ascii_lowercase().try_into().ok()).flatten();
    name.map(SanType::DnsName).ok_or_else(|| {
        "expected a DNS name or an IP address without scheme and port, such as ticker.example.com, \
         *.example.com, 10.0.0.7 or 2001:db8::7"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc};

    use rustls::{
        ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection,
        crypto::ring::default_provider,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
        server::WebPkiClientVerifier,
    };

    use super::*;

    fn roots(authority: &Authority) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&authority.own)).unwrap();
        Arc::new(roots)
    }

    fn certificate(issued: &Issued) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap()
    }

    fn key(issued: &Issued) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap()
    }

    /// Mutual TLS in memory, between a server that has `server` and a client that has `client` and asks for `name`. Both
    /// trust the authority alone.
    fn handshake(
        authority: &Authority,
        server: &Issued,
        client: &Issued,
        name: &str,
    ) -> Result<(), rustls::Error> {
        let provider = Arc::new(default_provider());
        let roots = roots(authority);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone());
        let config = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(vec![certificate(server)], key(server))?;
        let mut server = ServerConnection::new(Arc::new(config))?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate(client)], key(client))?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut client = ClientConnection::new(Arc::new(config), name)?;
        while client.is_handshaking() || server.is_handshaking() {
            let mut bytes = Vec::new();
            client.write_tls(&mut bytes).unwrap();
            server.read_tls(&mut io::Cursor::new(bytes)).unwrap();
            server.process_new_packets()?;
            let mut bytes = Vec::new();
            server.write_tls(&mut bytes).unwrap();
            client.read_tls(&mut io::Cursor::new(bytes)).unwrap();
            client.process_new_packets()?;
        }
        Ok(())
    }

    #[test]
    fn server_and_client_accept_each_other_by_every_name_of_the_server() {
        let authority = Authority::new().unwrap();
        let names = ["ticker.example.com", "*.svc.cluster.local", "10.0.0.7"];
        let server = authority.server(names.map(|name| parse_name(name).unwrap()).into()).unwrap();
        let client = authority.client().unwrap();
        for name in [
            "localhost",
            "ticker",
            "127.0.0.1",
            "::1",
            "ticker.example.com",
            "a.svc.cluster.local",
            "10.0.0.7",
        ] {
            assert_eq!(handshake(&authority, &server, &client, name), Ok(()), "{name}");
        }
        assert!(handshake(&authority, &server, &client, "example.com").is_err());
    }

    #[test]
    fn a_certificate_has_one_purpose_and_one_authority() {
        let [authority, other] = [(); 2].map(|()| Authority::new().unwrap());
        let (server, client) = (authority.server(Vec::new()).unwrap(), authority.client().unwrap());
        assert!(handshake(&authority, &client, &client, "localhost").is_err(), "a client is no server");
        assert!(handshake(&authority, &server, &server, "localhost").is_err(), "a server is no client");
        let stranger = other.client().unwrap();
        assert!(handshake(&authority, &server, &stranger, "localhost").is_err());
        assert!(handshake(&other, &server, &stranger, "localhost").is_err());
    }

    #[test]
    fn a_name_is_a_dns_name_or_an_address_and_each_is_there_once() {
        let parsed = |text: &str| parse_name(text).unwrap();
        assert_eq!(parsed("Ticker.Example.com"), SanType::DnsName("ticker.example.com".try_into().unwrap()));
        assert_eq!(parsed("2001:db8::7"), SanType::IpAddress("2001:db8::7".parse().unwrap()));
        for text in ["", ".", "a..b", "a.", "-a", "a*", "*", "*.*.a", "https://a", "a:50051", "[::1]", "ä.de"]
        {
            assert!(parse_name(text).unwrap_err().contains("without scheme and port"), "{text:?}");
        }
        let names = server_names(vec![parsed("localhost"), parsed("::1"), parsed("a"), parsed("a")]).unwrap();
        assert_eq!(names.len(), 5);
    }

    #[test]
    fn serial_numbers_are_random_positive_and_of_one_length() {
        let [one, other] = [(); 2].map(|()| serial_number().unwrap().to_bytes());
        assert_ne!(one, other);
        assert!([one, other].iter().all(|bytes| bytes.len() == 16 && (0x40..0x80).contains(&bytes[0])));
    }
}
