//! Shared memory, one for all workers: a policy's counters, and its replay tables.
//!
//! Nginx takes a zone of the same name and size in the next configuration for the same zone and leaves its memory as it
//! is. A policy's counters therefore have a zone of one fixed size, and each number of slots gives a table's zone a name
//! of its own. What a zone is for is part of the configuration that asks for it, where the next one finds it.

pub(crate) mod counters;
mod memory;
mod shape;
pub(crate) mod table;

pub(crate) use memory::Owner;
pub(crate) use shape::Shape;
