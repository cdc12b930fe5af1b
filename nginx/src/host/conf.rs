//! Nginx's configuration while it is read (`ngx_conf_t`).

use core::ffi::{c_char, c_void};
use core::fmt;
use core::marker::PhantomData;
use core::ptr::NonNull;
use std::borrow::ToOwned;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::string::String;
use std::vec::Vec;

use ngx::core::{NGX_CONF_ERROR, NGX_CONF_OK, NgxStr, Pool};
use ngx::ffi::{
    NGX_LOG_EMERG, NGX_LOG_WARN, ngx_command_t, ngx_conf_include, ngx_conf_parse, ngx_conf_t, ngx_http_ssl_srv_conf_t,
    ngx_str_t,
};
use ngx::http::{HttpModuleServerConf, NgxHttpSslModule};
use ngx::ngx_log_error;

/// Something in the configuration is wrong, and the log says what and where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Complained;

/// A place in the configuration, as nginx's own messages name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    file: String,
    line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// One directive, or one line of a block: its words and its place.
#[derive(Debug, Clone)]
pub(crate) struct Words {
    pub(crate) place: Place,
    /// `None`: a word is not UTF-8.
    pub(crate) words: Option<Vec<String>>,
}

/// The configuration at the directive that is being read.
#[derive(Clone, Copy)]
pub(crate) struct Conf<'c>(NonNull<ngx_conf_t>, PhantomData<&'c ngx_conf_t>);

impl<'c> Conf<'c> {
    /// # Safety
    /// `cf` is null or nginx's, and valid for as long as `'c`.
    pub(crate) unsafe fn from_raw(cf: *mut ngx_conf_t) -> Option<Self> {
        NonNull::new(cf).map(|cf| Self(cf, PhantomData))
    }

    pub(crate) fn as_ptr(self) -> *mut ngx_conf_t {
        self.0.as_ptr()
    }

    /// The configuration as nginx has it, for one step that reads nothing further.
    pub(crate) fn view(&self) -> &ngx_conf_t {
        // SAFETY: as `from_raw` asks.
        unsafe { self.0.as_ref() }
    }

    /// The pool that lives as long as this configuration.
    pub(crate) fn pool(self) -> Pool {
        // SAFETY: a configuration has a pool.
        unsafe { Pool::from_ngx_pool(self.view().pool) }
    }

    /// The directory that nginx takes the paths in a configuration to be relative to: that of its main file.
    pub(crate) fn directory(&self) -> &Path {
        // SAFETY: a configuration is part of a cycle, which has this.
        let prefix = unsafe { NgxStr::from_ngx_str((*self.view().cycle).conf_prefix) };
        Path::new(OsStr::from_bytes(prefix.as_bytes()))
    }

    /// The words of the directive, its name first, and where it stands.
    pub(crate) fn words(self) -> Words {
        // SAFETY: while a directive is read, `args` holds its words.
        let words: &[ngx_str_t] = unsafe { self.view().args.as_ref().map(|args| args.as_slice()).unwrap_or_default() };
        let read = |word: &ngx_str_t| word.to_str().ok().map(ToOwned::to_owned);
        Words { place: self.place(), words: words.iter().map(read).collect() }
    }

    fn place(self) -> Place {
        // SAFETY: while a file is read, it is named here; otherwise the pointer is null.
        match unsafe { self.view().conf_file.as_ref() } {
            Some(file) => {
                // SAFETY: the name is nginx's.
                let name = unsafe { NgxStr::from_ngx_str(file.file.name) };
                Place { file: name.to_string_lossy().into_owned(), line: file.line }
            }
            None => Place { file: "command line".into(), line: 0 },
        }
    }

    /// Says what is wrong, as nginx says it. (`ngx_conf_log_error!` names the place that reading has come to; what is
    /// wrong may stand before it.)
    pub(crate) fn complain(self, place: &Place, problem: fmt::Arguments<'_>) -> Complained {
        ngx_log_error!(NGX_LOG_EMERG, self.view().log, "{problem} in {place}");
        Complained
    }

    /// Says what is doubtful.
    pub(crate) fn warn(self, place: &Place, problem: fmt::Arguments<'_>) {
        ngx_log_error!(NGX_LOG_WARN, self.view().log, "{problem} in {place}");
    }

    /// The lines of the block that begins here.
    pub(crate) fn block(self) -> Result<Vec<Words>, Complained> {
        let mut lines: Vec<Words> = Vec::new();
        // SAFETY: the configuration is valid; its copy is what nginx reads the block with.
        let mut inside = unsafe { *self.as_ptr() };
        inside.handler = Some(take_line);
        inside.handler_conf = (&raw mut lines).cast();
        // SAFETY: nginx reads on in the file of `inside`, and calls `take_line` with the vector, which outlives this.
        match unsafe { ngx_conf_parse(&raw mut inside, core::ptr::null_mut()) } {
            NGX_CONF_OK => Ok(lines),
            _ => Err(Complained),
        }
    }
}

/// What a server says of client certificates. It is known while its locations are read; its value may come later.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AsksClients(NonNull<ngx_http_ssl_srv_conf_t>);

impl AsksClients {
    /// Of the server that is being merged.
    pub(crate) fn of(conf: Conf<'_>) -> Option<Self> {
        NgxHttpSslModule::server_conf(conf.view()).map(|server| Self(NonNull::from(server)))
    }

    /// Whether `ssl_verify_client` is off. `_` is what it is a part of, merged to its end.
    pub(crate) fn is_off(self, _: Conf<'_>) -> bool {
        // SAFETY: it lives as long as the configuration.
        unsafe { self.0.as_ref() }.verify == 0
    }
}

/// Takes one line of a block; those of a file that is included one by one, too.
unsafe extern "C" fn take_line(cf: *mut ngx_conf_t, _: *mut ngx_command_t, lines: *mut c_void) -> *mut c_char {
    // SAFETY: nginx hands on what `block` gave it.
    let (conf, lines) = unsafe { (Conf::from_raw(cf), lines.cast::<Vec<Words>>().as_mut()) };
    match (conf, lines) {
        (Some(conf), Some(lines)) => {
            let line = conf.words();
            if matches!(line.words.as_deref(), Some([name, _]) if name == "include") {
                // SAFETY: nginx's own directive, which takes these words and calls this function for each line it finds.
                return unsafe { ngx_conf_include(cf, core::ptr::null_mut(), core::ptr::null_mut()) };
            }
            lines.push(line);
            NGX_CONF_OK
        }
        _ => NGX_CONF_ERROR,
    }
}
