//! Who comes to the proxies over TLS: every certificate that a suite asks for, made once for the whole run.
use crate::cases::Holder;
use crate::certificates::{Authority, Identity, Leaf};
use crate::send::tls::{Client, SERVER_NAME, Version};
use anyhow::Result;
use rcgen::DnType;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// The name that callbacks come from.
pub const SENDER: &str = "callbacks.opentok.com";

/// A name and a company, as the sender has them: for whoever issues it a certificate.
#[must_use]
pub fn sender() -> Leaf {
    company().dns_names(&[SENDER])
}

/// This name and nothing else.
#[must_use]
pub fn named(name: &str) -> Leaf {
    Leaf::named(name).dns_names(&[name])
}

fn company() -> Leaf {
    Leaf::new(&[(DnType::OrganizationName, "TokBox"), (DnType::CommonName, SENDER)])
}

/// The subject of [`Who::Sender`], as RFC 2253 writes it.
pub const SENDER_SUBJECT: &str = "CN=callbacks.opentok.com,O=TokBox";

/// The subject of [`Who::Escaped`]: everything that RFC 2253 escapes, and UTF-8.
pub const ESCAPED_SUBJECT: &str =
    r#"CN=callbacks.opentok.com,OU=Z\C3\BCrich \+ \"Web\"\; \<hooks\>\\,O=TokBox\, Inc.,C=US"#;

/// The same subject as a person may write it: no hex, quotes around a value, blanks behind commas, other capitals.
pub const ESCAPED_SUBJECT_OTHERWISE: &str =
    r#"cn=callbacks.opentok.com, ou=Zürich \+ \"Web\"\; \<hooks\>\\, o="TokBox, Inc.", c=US"#;

/// The subject of [`Who::Joined`].
pub const JOINED_SUBJECT: &str = "CN=callbacks.opentok.com+O=TokBox";

/// The subject of [`Who::Extended`].
pub const EXTENDED_SUBJECT: &str =
    "CN=callbacks.opentok.com,O=TokBox,serialNumber=5157550,businessCategory=Private Organization,jurisdictionC=US";

/// The same as Envoy writes it: BoringSSL has no short name for the last one, and so writes number and encoding.
pub const EXTENDED_SUBJECT_IN_ENVOY: &str = "CN=callbacks.opentok.com,O=TokBox,serialNumber=5157550,\
    businessCategory=Private Organization,1.3.6.1.4.1.311.60.2.1.3=#0C025553";

/// Who shows a certificate in the demo, with and without containers.
pub struct Cast {
    /// The sender of callbacks.
    pub sender: Identity,
    /// Somebody else with a certificate from the same authority.
    pub other_name: Identity,
    /// Somebody with the sender's names in a certificate from another authority.
    pub stranger: Identity,
}

impl Cast {
    /// With certificates of `authority`, and the stranger's of `another`.
    #[must_use]
    pub fn new(authority: &Authority, another: &Authority) -> Self {
        Self {
            sender: authority.issue(&sender()),
            other_name: authority.issue(&named("callbacks.example")),
            stranger: another.issue(&sender()),
        }
    }

    /// The certificate of a holder.
    #[must_use]
    pub fn identity(&self, holder: Holder) -> Option<&Identity> {
        match holder {
            Holder::Sender => Some(&self.sender),
            Holder::OtherName => Some(&self.other_name),
            Holder::Stranger => Some(&self.stranger),
            Holder::Nobody => None,
        }
    }
}

/// A client and its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// No certificate.
    Nobody,
    /// The sender of callbacks: right authority, right name.
    Sender,
    /// The same names from the same authority, with another key.
    Twin,
    /// The name is the second of its DNS names.
    SecondName,
    /// The name is the subject's common name and no DNS name.
    CommonNameOnly,
    /// A name beside the sender's: `other.opentok.com`.
    Sibling,
    /// A name below the sender's: `a.callbacks.opentok.com`.
    TwoLabels,
    /// The domain itself: `opentok.com`.
    Domain,
    /// The sender's name in capitals.
    Capitals,
    /// The right authority, but a name from elsewhere.
    OtherName,
    /// The subject is [`ESCAPED_SUBJECT`].
    Escaped,
    /// Common name and organization are one multi-valued part.
    Joined,
    /// The attributes of an extended-validation certificate, which not every library has short names for.
    Extended,
    /// Issued by the intermediate, which is sent along.
    Behind,
    /// Issued by the intermediate, which is not sent.
    BehindUnsent,
    /// All right, but for the date.
    Expired,
    /// The sender's names, from an authority that nobody trusts.
    Stranger,
    /// The sender's names, from an authority that calls itself as the trusted one does.
    Impostor,
    /// The sender's names, signed by itself.
    LookAlike,
}

/// All of them, and the authorities that they come from.
pub struct People {
    /// What clients' certificates come from, and the server's.
    pub root: Authority,
    /// What some of them come from.
    pub intermediate: Authority,
    /// The server's.
    pub server: Identity,
    identities: BTreeMap<Who, Identity>,
}

impl People {
    /// The ones of this run.
    #[must_use]
    pub fn get() -> &'static Self {
        static PEOPLE: OnceLock<People> = OnceLock::new();
        PEOPLE.get_or_init(Self::make)
    }

    /// The certificate of `who`.
    #[must_use]
    pub fn identity(&self, who: Who) -> Option<&Identity> {
        self.identities.get(&who)
    }

    /// The fingerprint of the certificate of `who`, as OpenSSL prints it: capitals and colons.
    #[must_use]
    pub fn fingerprint(&self, who: Who) -> String {
        let digits = self.identities[&who].fingerprint().to_uppercase();
        let pairs: Vec<_> = digits.as_bytes().chunks(2).map(String::from_utf8_lossy).collect();
        pairs.join(":")
    }

    /// A client that shows the certificate of `who`.
    pub fn client(&self, who: Who, version: Version) -> Result<Client> {
        Client::new(&self.root, self.identity(who), version)
    }

    fn make() -> Self {
        let root = Authority::root("Callback Root");
        let intermediate = root.intermediate("Callback Intermediate");
        let stranger = Authority::root("Another Root");
        let impostor = Authority::root("Callback Root");
        let sender = sender();
        let escaped = Leaf::new(&[
            (DnType::CountryName, "US"),
            (DnType::OrganizationName, "TokBox, Inc."),
            (DnType::OrganizationalUnitName, "Zürich + \"Web\"; <hooks>\\"),
            (DnType::CommonName, SENDER),
        ]);
        let extended = Leaf::new(&[
            (DnType::CustomDnType(vec![1, 3, 6, 1, 4, 1, 311, 60, 2, 1, 3]), "US"),
            (DnType::CustomDnType(vec![2, 5, 4, 15]), "Private Organization"),
            (DnType::CustomDnType(vec![2, 5, 4, 5]), "5157550"),
            (DnType::OrganizationName, "TokBox"),
            (DnType::CommonName, SENDER),
        ]);
        let identities = BTreeMap::from([
            (Who::Sender, root.issue(&sender)),
            (Who::Twin, root.issue(&sender)),
            (Who::SecondName, root.issue(&Leaf::named("first.example").dns_names(&["first.example", SENDER]))),
            (Who::CommonNameOnly, root.issue(&company())),
            (Who::Sibling, root.issue(&named("other.opentok.com"))),
            (Who::TwoLabels, root.issue(&named("a.callbacks.opentok.com"))),
            (Who::Domain, root.issue(&named("opentok.com"))),
            (Who::Capitals, root.issue(&named("CALLBACKS.OpenTok.com"))),
            (Who::OtherName, root.issue(&named("other.example"))),
            (Who::Escaped, root.issue(&escaped)),
            (Who::Joined, root.issue(&sender.clone().joined())),
            (Who::Extended, root.issue(&extended)),
            (Who::Behind, intermediate.issue(&sender).behind(&intermediate)),
            (Who::BehindUnsent, intermediate.issue(&sender)),
            (Who::Expired, root.issue(&sender.clone().expired())),
            (Who::Stranger, stranger.issue(&sender)),
            (Who::Impostor, impostor.issue(&sender)),
            (Who::LookAlike, sender.self_signed()),
        ]);
        let server = root.issue(&named(SERVER_NAME));
        Self { root, intermediate, server, identities }
    }
}
