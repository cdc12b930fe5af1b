//! The shared replay store, for hosts that have sockets: Redis or Valkey, asked from one thread.
//!
//! ```text
//! host's threads    ask, tell ──▶ queue ──┐                      ┌──▶ Observer::answered ──▶ take
//!                                         ▼                      │
//! store's thread            one turn after the other for a key ──┴──▶ one connection (of a cluster: one a node)
//! ```
//!
//! - Equal [`Settings`] share a thread and a connection in a process. The thread is the only one, but for a second one
//!   while a host name is looked up; it takes no signals, installs no handlers and logs nothing.
//! - What is told of one key reaches the store in the order in which it was told, also over a new connection; different
//!   keys are on their way at once.
//! - Every question is answered, once: by the store, or with [`Answer::Unavailable`](secure_callbacks::Answer) once its
//!   time is over, counted from [`Store::ask`]. A keep or a release that can't be delivered is tried again for a minute.
//! - After five failures in a row the store is not asked, but for one probe a second
//!   ([`Circuit`](secure_callbacks::replay::shared::Circuit)).
//!
//! # Processes
//! A [`Store`] belongs to the process that started it: **fork first, then start**. In a process that was forked
//! afterwards a copy of it has no thread, so it takes nothing ([`NotAsked`]), and dropping it does nothing; starting one
//! there starts a thread of its own.
//!
//! # What the store must be
//! Redis 7.0 or later, or Valkey (`SET … NX GET` is what older ones lack), with a policy of `noeviction`. A user needs
//! `set`, `get`, `del` and `eval` on keys with the prefix, and `select` for another database than the first.
//!
//! # Trust
//! With `rediss://` the server's certificate is checked against the machine's certificate authorities: those of the file
//! `SSL_CERT_FILE` and of the directories `SSL_CERT_DIR` (environment variables, also for one of your own), otherwise
//! where the system has them (Debian: `/etc/ssl/certs`). Passwords are in no message and in no `Debug`.

mod client;
mod failure;
mod link;
mod observer;
mod settings;
mod store;
mod thread;
mod turns;
mod worker;

pub use observer::Observer;
pub use settings::Settings;
pub use store::{MOST_WAITING, NotAsked, Store};
