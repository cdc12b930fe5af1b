//! The requests of a plugin whose refusals wait. Their patience ends with the plugin's next tick: who sends a head and
//! no body has an answer, too.

use std::cell::RefCell;
use std::rc::Rc;

use super::{Filter, Flow, Host};

/// A filter that its request and its place among those that wait have in common.
type Shared<H> = Rc<RefCell<Filter<H>>>;

/// Those that wait now, by Envoy's number.
#[derive(Debug)]
pub struct Waiting<H: Host>(RefCell<Vec<(u32, Shared<H>)>>);

impl<H: Host> Default for Waiting<H> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<H: Host> Waiting<H> {
    /// Has all of them answer, each if `turn_to` has made the host's calls be about it.
    pub fn end(&self, turn_to: impl Fn(u32) -> bool) {
        // Taken out first: an answer may have the host call back.
        for (id, filter) in self.0.take() {
            if turn_to(id)
                && let Ok(mut filter) = filter.try_borrow_mut()
            {
                filter.stop_waiting();
            }
        }
    }

    fn add(&self, id: u32, filter: &Shared<H>) {
        self.0.borrow_mut().push((id, Rc::clone(filter)));
    }

    fn remove(&self, id: u32) {
        let mut waiting = self.0.borrow_mut();
        if let Some(place) = waiting.iter().position(|(other, _)| *other == id) {
            waiting.swap_remove(place);
        }
    }
}

/// One request, and the place where it waits.
#[derive(Debug)]
pub struct Request<H: Host> {
    id: u32,
    filter: Shared<H>,
    place: Rc<Waiting<H>>,
    waits: bool,
}

impl<H: Host> Request<H> {
    /// `id` is the host's number for it.
    pub fn new(id: u32, filter: Filter<H>, place: &Rc<Waiting<H>>) -> Self {
        Self { id, filter: Rc::new(RefCell::new(filter)), place: Rc::clone(place), waits: false }
    }

    /// Has the filter answer a call, and notes whether it waits afterwards. One call inside another is refused.
    pub fn call(&mut self, call: impl FnOnce(&mut Filter<H>) -> Flow) -> Flow {
        let Ok(mut filter) = self.filter.try_borrow_mut() else { return Flow::Hold };
        let flow = call(&mut filter);
        let waits = filter.is_waiting();
        drop(filter);
        self.note(waits);
        flow
    }

    fn note(&mut self, waits: bool) {
        if waits && !self.waits {
            self.place.add(self.id, &self.filter);
        } else if self.waits && !waits {
            self.place.remove(self.id);
        }
        self.waits = waits;
    }
}

impl<H: Host> Drop for Request<H> {
    fn drop(&mut self) {
        self.note(false);
    }
}
