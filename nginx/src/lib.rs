//! Vonage secure callbacks, verified inside Nginx: a dynamic module on the verifier core.
//!
//! The checks run in the access phase, after `allow` and `deny`, and hold the request until its body is read. Read it
//! in this order:
//!
//! 1. `module` and `hooks`: what nginx loads and calls. A panic ends at a hook, as a 503 and a log line.
//! 2. `conf`, `policy` and `replay`: the directives, and a policy with its share of the shared memory. `silence` and
//!    `unasked`: what the configuration would hide, and what nobody could pass.
//! 3. `access`, `context`, `settle`: the life of a callback; `shared_store`: what a fleet's store is asked.
//! 4. `variables` and `metrics`: what the operator sees.
//! 5. `host`: what the crate `ngx` lacks to put nginx's own structures behind safe functions. `unsafe` is there, in
//!    `module` and in `hooks` only.

mod access;
mod conf;
mod context;
mod hooks;
mod host;
mod metrics;
mod module;
mod policy;
mod replay;
mod secrets;
mod settle;
mod shared_store;
mod silence;
mod unasked;
mod variables;
