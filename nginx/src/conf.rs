//! What the directives mean: `secure_callbacks_policy NAME { … }` and `secure_callbacks NAME|off`.
#![forbid(unsafe_code)]

use std::rc::Rc;
use std::string::String;
use std::vec::Vec;

use core::ffi::c_void;
use core::fmt;

use ngx::http::{Merge, MergeConfigError};
use secure_callbacks::policy::{Line, line_of};
use secure_callbacks::problem::names;
use secure_callbacks::{PolicyConfig, PolicyError, Verifier};

use crate::host::conf::{AsksClients, Complained, Conf, Place, Words};
use crate::host::cycle::ErrorLog;
use crate::host::zone::Owner;
use crate::host::zone::counters::Counters;
use crate::policy::ActivePolicy;
use crate::replay::Tables;
use crate::secrets::MasterProcess;
use crate::shared_store::Link;
use crate::silence::{Location, Protected};
use crate::unasked::{Asked, Unasked};

/// The name that switches the checks off, and that no policy can have.
const OFF: &str = "off";

/// What is configured in `http`.
#[derive(Debug, Default)]
pub(crate) struct MainConf {
    pub(crate) policies: Vec<Rc<ActivePolicy>>,
    pub(crate) protected: Protected,
    pub(crate) unasked: Unasked,
}

/// What is configured for a location, or for what it inherits from.
#[derive(Debug, Default)]
pub(crate) struct LocationConf {
    setting: Option<Setting>,
    /// The policy in force, once the locations are merged.
    pub(crate) policy: Option<Rc<ActivePolicy>>,
}

/// `secure_callbacks NAME|off`, as it is written.
#[derive(Debug, Clone)]
struct Setting {
    name: String,
    place: Place,
}

impl MainConf {
    /// Reads a block.
    pub(crate) fn add_policy(&mut self, conf: Conf<'_>, tag: *mut c_void) -> Result<(), Complained> {
        let Words { place, words } = conf.words();
        let block = conf.block()?;
        let Some([_, name]) = words.as_deref() else {
            return Err(conf.complain(&place, format_args!("the policy's name is not UTF-8")));
        };
        if name == OFF {
            return Err(conf.complain(&place, format_args!("no policy can be named \"{OFF}\"")));
        }
        if self.policies.iter().any(|policy| policy.name() == name) {
            return Err(conf.complain(&place, format_args!("duplicate secure_callbacks_policy{}", Quoted(name))));
        }
        let lines = lines_of(conf, &block)?;
        let place_of = |field: &str| {
            let line = line_of(field, &lines).and_then(|line| block.get(line));
            line.map_or(&place, |line| &line.place)
        };
        let complain = |error: &PolicyError| {
            let place = place_of(&error.field);
            conf.complain(place, format_args!("secure_callbacks_policy{}: {error}", Quoted(name)))
        };
        let config = PolicyConfig::from_lines(name, &lines).map_err(|error| complain(&error))?;
        let policy =
            config.resolve(&MasterProcess { directory: conf.directory() }).map_err(|error| complain(&error))?;
        Link::check(&policy).map_err(|error| complain(&error))?;
        for warning in policy.warnings() {
            conf.warn(place_of(&warning.field()), format_args!("secure_callbacks_policy \"{name}\": {warning}"));
        }
        let owner = Owner { conf, place: &place, policy: name, tag };
        let (counters, tables) = (Counters::request(owner)?, Tables::request(owner, &policy)?);
        self.policies.push(Rc::new(ActivePolicy::new(Verifier::new(policy), counters, tables, place)));
        Ok(())
    }

    /// Warns of policies that protect nothing.
    pub(crate) fn warn_of_unused(&self, conf: Conf<'_>) {
        for policy in self.policies.iter().filter(|policy| !policy.is_used()) {
            let name = policy.name();
            conf.warn(policy.place(), format_args!("secure_callbacks_policy \"{name}\" is not used"));
        }
    }
}

/// A name that somebody wrote, quoted, with a blank before it; nothing if it might be a secret in the wrong place.
struct Quoted<'n>(&'n str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if names::is_shown(self.0) { write!(f, " \"{}\"", self.0) } else { Ok(()) }
    }
}

fn lines_of(conf: Conf<'_>, block: &[Words]) -> Result<Vec<Line>, Complained> {
    let line = |words: &Words| match words.words.as_deref() {
        Some([name, values @ ..]) => Ok(Line { name: name.clone(), values: values.to_vec() }),
        _ => Err(conf.complain(&words.place, format_args!("not UTF-8"))),
    };
    block.iter().map(line).collect()
}

impl LocationConf {
    /// Reads `secure_callbacks`.
    pub(crate) fn set(&mut self, conf: Conf<'_>) -> Result<(), Complained> {
        let Words { place, words } = conf.words();
        let Some([_, name]) = words.as_deref() else {
            return Err(conf.complain(&place, format_args!("the policy's name is not UTF-8")));
        };
        if self.setting.is_some() {
            return Err(conf.complain(&place, format_args!("\"secure_callbacks\" directive is duplicate")));
        }
        self.setting = Some(Setting { name: name.clone(), place });
        Ok(())
    }

    /// Whether it has a setting of its own.
    pub(crate) fn is_set(&self) -> bool {
        self.setting.is_some()
    }

    /// Finds the policy, once the setting is merged.
    pub(crate) fn find_policy(&mut self, main: &MainConf, conf: Conf<'_>) -> Result<(), Complained> {
        let Some(Setting { name, place }) = self.setting.as_ref().filter(|setting| setting.name != OFF) else {
            return Ok(());
        };
        let Some(policy) = main.policies.iter().find(|policy| policy.name() == name) else {
            let known: Vec<_> = main.policies.iter().map(|policy| policy.name()).collect();
            let unknown = format_args!("unknown secure_callbacks_policy{}", Quoted(name));
            return Err(match names::close(name, &known) {
                Some(close) => conf.complain(place, format_args!("{unknown}, did you mean \"{close}\"?")),
                None => conf.complain(place, unknown),
            });
        };
        policy.mark_used();
        self.policy = Some(Rc::clone(policy));
        Ok(())
    }

    /// The location as one that is protected, if it is.
    pub(crate) fn protected(&self, name: &str, log: ErrorLog) -> Option<Location> {
        let Setting { name: policy, place } = self.setting.as_ref().filter(|_| self.policy.is_some())?;
        Some(Location { name: name.into(), policy: policy.clone(), place: place.clone(), log })
    }

    /// The location, or the server if it has no name, as one whose policy asks for a client certificate, if it does.
    pub(crate) fn asked(&self, name: &str, asking: AsksClients) -> Option<Asked> {
        let policy = self.policy.as_ref().filter(|policy| policy.verifier().policy().asks_for_certificate())?;
        let Setting { place, .. } = self.setting.as_ref()?;
        Some(Asked { name: name.into(), policy: policy.name().into(), place: place.clone(), asking })
    }

    /// Warns that another module's consent lets a request past the checks.
    pub(crate) fn warn_of_satisfy_any(&self, conf: Conf<'_>, location: &str) {
        if let Some(Setting { name, place }) = self.setting.as_ref().filter(|_| self.policy.is_some()) {
            let of = if location.is_empty() { "the server" } else { location };
            let why = "an \"allow\" that matches lets requests past the checks";
            conf.warn(place, format_args!("\"satisfy any\" in {of}, which policy \"{name}\" protects: {why}"));
        }
    }
}

impl Merge for LocationConf {
    /// Takes over what the level above has, unless this one has its own.
    fn merge(&mut self, above: &Self) -> Result<(), MergeConfigError> {
        if self.setting.is_none() {
            self.setting.clone_from(&above.setting);
        }
        Ok(())
    }
}
