//! The windows of one capacity, a key of shared data each.

use secure_callbacks::UnixSeconds;
use secure_callbacks::replay::{Key, Layout, SLOT_BYTES, Window};
use secure_callbacks::{Answer, Reservation};

use crate::shared_data::{SharedData, key, make, update};

/// The digits of a window's number in its key.
const DIGITS: [u8; 16] = *b"0123456789abcdef";

/// How many: enough for the windows of any 32-bit capacity.
const DIGIT_COUNT: u32 = 8;

/// Where the windows of one capacity are.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Table {
    layout: Layout,
    prefix: String,
}

impl Table {
    pub(super) fn new(policy: &str, capacity: u32) -> Self {
        let layout = Layout::for_capacity(capacity);
        let (windows, slots) = (layout.windows(), layout.window_slots());
        Self { layout, prefix: key(policy, &format!("{windows}x{slots}/")) }
    }

    /// Makes every window that is not there. A key of its own tells the next worker that all are; `None` if shared data
    /// does not work.
    pub(super) fn make(&self, data: &impl SharedData) -> Option<()> {
        let all_made = format!("{}made", self.prefix);
        if data.load(&all_made).ok()?.is_some() {
            return Some(());
        }
        let empty = self.empty_window();
        (0..self.windows()).try_for_each(|window| make(data, &self.window_key(window), &empty))?;
        make(data, &all_made, b"1")
    }

    pub(super) fn windows(&self) -> usize {
        self.layout.windows()
    }

    /// Different for tables of different keys.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.layout.windows(), self.layout.window_slots())
    }

    pub(super) fn reserve(&self, data: &impl SharedData, reservation: &Reservation, now: UnixSeconds) -> Answer {
        let reserve = |window: &mut Window<'_, _>| match window.reserve(reservation, now) {
            // A slot looks the same whether its callback was taken or is on its way (`InFlight`).
            Answer::InFlight => (Answer::Seen, false),
            answer => (answer, answer == Answer::Fresh),
        };
        self.change(data, reservation.key(), reserve).unwrap_or(Answer::Unavailable)
    }

    pub(super) fn keep(&self, data: &impl SharedData, reservation: &Reservation, now: UnixSeconds) {
        self.change(data, reservation.key(), |window| ((), window.keep(reservation, now).is_some()));
    }

    /// `None` if shared data does not work; then it is still there.
    pub(super) fn release(&self, data: &impl SharedData, reservation: &Reservation, now: UnixSeconds) -> Option<()> {
        self.change(data, reservation.key(), |window| ((), window.release(reservation, now).is_some()))
    }

    /// How many callbacks one window remembers; `None` if shared data does not work.
    pub(super) fn live(&self, data: &impl SharedData, window: usize, now: UnixSeconds) -> Option<usize> {
        match data.load(&self.window_key(window)).ok()? {
            Some((mut bytes, _)) => Some(self.window(&mut bytes)?.live(now)),
            None => Some(0),
        }
    }

    /// Written by hand, because it is part of every request and formatting takes its time.
    fn window_key(&self, window: usize) -> String {
        let mut key = String::with_capacity(self.prefix.len().saturating_add(DIGIT_COUNT as usize));
        key.push_str(&self.prefix);
        for place in (0..DIGIT_COUNT).rev() {
            let digit = DIGITS.get(window >> (4 * place) & 0xf);
            key.push(char::from(digit.copied().unwrap_or_default()));
        }
        key
    }

    fn empty_window(&self) -> Vec<u8> {
        vec![0; self.layout.window_slots().saturating_mul(SLOT_BYTES)]
    }

    /// Changes the window of a callback; `change` says whether it changed anything.
    fn change<A>(
        &self,
        data: &impl SharedData,
        callback: Key,
        change: impl Fn(&mut Window<'_, [u8; SLOT_BYTES]>) -> (A, bool),
    ) -> Option<A> {
        update(data, &self.window_key(self.layout.window_index(callback)), |present| {
            let mut bytes = present.unwrap_or_else(|| self.empty_window());
            let (answer, changed) = change(&mut self.window(&mut bytes)?);
            Some((answer, changed.then_some(bytes)))
        })
    }

    /// A window in its bytes; `None` if they are no window of this layout.
    fn window<'b>(&self, bytes: &'b mut [u8]) -> Option<Window<'b, [u8; SLOT_BYTES]>> {
        let (slots, rest) = bytes.as_chunks_mut();
        (rest.is_empty() && slots.len() == self.layout.window_slots()).then(|| Window::new(slots))
    }
}
