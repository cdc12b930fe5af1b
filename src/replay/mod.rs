//! Replays: remembering the callbacks that were accepted, for as long as their tokens could be accepted again.

mod census;
pub mod generations;
mod layout;
mod reservation;
pub mod shared;
mod slot;
mod store;
mod table;
#[cfg(test)]
mod tests;
mod window;

pub use census::Census;
pub use layout::Layout;
pub use reservation::{Key, PENDING_SECONDS, Reservation};
pub use slot::{Place, SLOT_BYTES, Slot};
pub use store::{Answer, NoStore, ReplayStore, Settled};
pub use table::Table;
pub use window::Window;
