//! Certificates made on the spot: authorities, intermediates, and leaves with whatever names a test asks for.
use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use sha2::{Digest, Sha256};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

mod rewritten;

/// Who may sign certificates: a root, or an intermediate below one.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A root with this common name.
    #[must_use]
    pub fn root(name: &str) -> Self {
        Self(CertifiedIssuer::self_signed(authority(name), key()).expect("a root"))
    }

    /// An intermediate that `self` signed.
    #[must_use]
    pub fn intermediate(&self, name: &str) -> Self {
        Self(CertifiedIssuer::signed_by(authority(name), key(), &self.0).expect("an intermediate"))
    }

    /// A certificate with its key, signed by `self`.
    #[must_use]
    pub fn issue(&self, leaf: &Leaf) -> Identity {
        let key = key();
        let mut certificate = leaf.params().signed_by(&key, &self.0).expect("a certificate").der().clone();
        if leaf.joined {
            certificate = rewritten::with_one_part(&certificate, self.0.key()).into();
        }
        Identity { chain: vec![certificate], key }
    }

    /// Its own certificate.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        self.0.der()
    }

    /// Its own certificate as PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        pem(self.certificate())
    }

    /// An empty list of revoked certificates, as PEM.
    #[must_use]
    pub fn revoking_nothing(&self) -> String {
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2100, 1, 1),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.0).expect("a list").pem().expect("a list")
    }
}

/// What a certificate says of its holder.
#[derive(Clone, Debug, Default)]
pub struct Leaf {
    subject: Vec<(DnType, String)>,
    dns_names: Vec<String>,
    expired: bool,
    joined: bool,
}

impl Leaf {
    /// A subject of `parts`, from the least specific: RFC 2253 writes them the other way round.
    #[must_use]
    pub fn new(parts: &[(DnType, &str)]) -> Self {
        let subject = parts.iter().map(|(kind, value)| (kind.clone(), (*value).to_owned())).collect();
        Self { subject, ..Self::default() }
    }

    /// `CN=<name>` alone.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self::new(&[(DnType::CommonName, name)])
    }

    /// The same with these DNS names as subject alternative names.
    #[must_use]
    pub fn dns_names(mut self, names: &[&str]) -> Self {
        self.dns_names = names.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// The same, but long out of date.
    #[must_use]
    pub fn expired(self) -> Self {
        Self { expired: true, ..self }
    }

    /// The same, with all of the subject's parts in one multi-valued one: `CN=…+O=…`. Only for what an authority issues.
    #[must_use]
    pub fn joined(self) -> Self {
        Self { joined: true, ..self }
    }

    /// The same, signed with its own key.
    #[must_use]
    pub fn self_signed(&self) -> Identity {
        let key = key();
        let certificate = self.params().self_signed(&key).expect("a self-signed certificate");
        Identity { chain: vec![certificate.der().clone()], key }
    }

    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::new(self.dns_names.clone()).expect("DNS names");
        // Not added to the default, which has a common name already.
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in &self.subject {
            params.distinguished_name.push(kind.clone(), value.as_str());
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        if self.expired {
            params.not_after = date_time_ymd(2001, 1, 1);
        }
        params
    }
}

/// A certificate and its key: what a client or a server shows.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

impl Identity {
    /// The same, with the certificate of `intermediate` sent along.
    #[must_use]
    pub fn behind(mut self, intermediate: &Authority) -> Self {
        self.chain.push(intermediate.certificate().clone());
        self
    }

    /// The certificate, and those sent along, as PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.chain.iter().map(|certificate| pem(certificate)).collect()
    }

    /// The key as PEM.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// Writes both into `folder`, as `name.pem` and `name.key`.
    pub fn write(&self, folder: &Path, name: &str) -> Result<()> {
        write(folder, &format!("{name}.pem"), &self.pem())?;
        write(folder, &format!("{name}.key"), &self.key_pem())
    }

    /// The SHA-256 fingerprint of the certificate, in lower-case hex.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        hex::encode(Sha256::digest(&self.chain[0]))
    }

    /// What rustls wants of a client.
    pub(crate) fn parts(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).expect("a key");
        (self.chain.clone(), key)
    }
}

/// Writes a file that nobody else may read, as a key's must be.
pub fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    let path = folder.join(name);
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    Ok(fs::set_permissions(&path, Permissions::from_mode(0o600))?)
}

/// RFC 7468.
fn pem(certificate: &[u8]) -> String {
    let text = STANDARD.encode(certificate);
    let lines = text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line) + "\n");
    format!("-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\n", lines.collect::<String>())
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key")
}
