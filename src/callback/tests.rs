//! The life of a callback in any order of events, and each of its rules.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use proptest::prelude::*;
use secure_callbacks_support::Token;

use super::{Callback, Stage, Step};
use crate::code::{Code, Fault, Rejection};
use crate::conclusion::Outcome;
use crate::policy::PolicyConfig;
use crate::replay::{Answer, Reservation, Settled};
use crate::settlement::AnsweredBy;
use crate::token::TokenField;
use crate::verifier::{RequestHead, Verifier};

const NOW: i64 = 1_800_000_000;
const BODY: &[u8] = b"{\"event\":\"streamCreated\"}";
const OWNER: u32 = 7;

fn verifier(more: &str) -> Verifier {
    let account = format!(r#"{{"api_key":"a1b2c3d","secrets":["text:{}"]}}"#, secure_callbacks_support::token::SECRET);
    let json = format!(r#"{{"accounts":[{account}]{more}}}"#);
    Verifier::new(PolicyConfig::from_json(&json).and_then(|config| config.resolve(&())).unwrap())
}

fn bearer() -> String {
    format!("Bearer {}", Token::valid(BODY, NOW).sign())
}

fn head(callback: &mut Callback, verifier: &Verifier, good: bool) -> Step {
    let token = bearer();
    let token = if good { TokenField::Once(token.as_bytes()) } else { TokenField::Absent };
    callback.head(verifier, &RequestHead { token, content_length: None, line: None, connection: &() }, NOW)
}

/// A callback whose head is good and whose body is there.
fn with_body(verifier: &Verifier) -> Callback {
    let mut callback = Callback::default();
    assert!(matches!(head(&mut callback, verifier, true), Step::Hold));
    assert!(matches!(callback.body(verifier, BODY), Step::Hold));
    callback
}

/// The same, and the store has been asked.
fn reserving(verifier: &Verifier) -> (Callback, Reservation) {
    let mut callback = with_body(verifier);
    let Step::Reserve(reservation) = callback.end_of_body(verifier, OWNER, NOW) else { panic!("no reservation") };
    (callback, reservation)
}

/// The same, and it may go on.
fn cleared(verifier: &Verifier) -> (Callback, Reservation) {
    let (mut callback, reservation) = reserving(verifier);
    let (step, released) = callback.reserved(verifier, Answer::Fresh, NOW);
    assert_eq!((concluded(&step), released), (Some((Code::Accepted, true)), None));
    (callback, reservation)
}

/// The code of a conclusion, and whether it forwards.
fn concluded(step: &Step) -> Option<(Code, bool)> {
    match step {
        Step::Conclude(conclusion) => Some((conclusion.code, matches!(conclusion.outcome, Outcome::Forward(_)))),
        _ => None,
    }
}

const REJECTED: fn(Rejection) -> Option<(Code, bool)> = |rejection| Some((Code::Rejected(rejection), false));
const FAILED: fn(Fault) -> Option<(Code, bool)> = |fault| Some((Code::Failed(fault), false));

#[derive(Debug, Clone, Copy)]
enum Event {
    Head(bool),
    LengthAhead(u64),
    Body(bool),
    EndOfBody(i64),
    Reserved(Answer, i64),
    Answered(u16, AnsweredBy),
    BodyLost,
    Failed,
    NotForwarded,
    Gone,
}

fn event() -> impl Strategy<Value = Event> {
    let answer = prop_oneof![
        4 => Just(Answer::Fresh),
        1 => Just(Answer::Seen),
        1 => Just(Answer::InFlight),
        1 => Just(Answer::Full),
        1 => Just(Answer::Unavailable),
    ];
    let by = prop_oneof![
        3 => Just(AnsweredBy::Application),
        1 => Just(AnsweredBy::ContentHandler),
        1 => Just(AnsweredBy::Proxy),
    ];
    let later = || prop_oneof![5 => Just(0), 1 => Just(1000)];
    prop_oneof![
        4 => prop_oneof![4 => Just(true), 1 => Just(false)].prop_map(Event::Head),
        1 => prop_oneof![Just(1), Just(u64::MAX)].prop_map(Event::LengthAhead),
        3 => prop_oneof![4 => Just(true), 1 => Just(false)].prop_map(Event::Body),
        4 => later().prop_map(Event::EndOfBody),
        5 => (answer, later()).prop_map(|(answer, later)| Event::Reserved(answer, later)),
        3 => (prop_oneof![Just(100), Just(101), Just(200), Just(404), Just(500)], by)
            .prop_map(|(status, by)| Event::Answered(status, by)),
        1 => Just(Event::BodyLost),
        1 => Just(Event::Failed),
        1 => Just(Event::NotForwarded),
        1 => Just(Event::Gone),
    ]
}

/// What a careful host knows of one callback.
#[derive(Default)]
struct Model {
    /// The store was asked, and has not answered.
    asked: Option<Reservation>,
    /// The store has it, and nobody has settled it.
    held: Vec<Reservation>,
    reserved: usize,
    settled: usize,
    forwarded: usize,
    replied: usize,
    good_head: bool,
    body: Vec<u8>,
    was_fresh: bool,
    in_time: bool,
}

impl Model {
    fn settle(&mut self, settled: Option<Settled>) -> Result<(), TestCaseError> {
        let Some(Settled::Keep(reservation) | Settled::Release(reservation)) = settled else { return Ok(()) };
        let place = self.held.iter().position(|held| *held == reservation);
        prop_assert!(place.is_some(), "settled what the store does not have");
        self.held.remove(place.unwrap());
        self.settled += 1;
        Ok(())
    }

    fn take(&mut self, step: Step, enforces: bool) -> Result<(), TestCaseError> {
        match step {
            Step::Hold => {}
            Step::Continue => prop_assert!(self.forwarded == 1 && self.replied == 0, "passed without a clearance"),
            Step::Reserve(reservation) => {
                prop_assert_eq!(self.reserved, 0, "reserved twice");
                self.reserved += 1;
                self.asked = Some(reservation);
            }
            Step::Conclude(conclusion) => match conclusion.outcome {
                Outcome::Forward(_) => {
                    prop_assert_eq!((self.forwarded, self.replied), (0, 0), "forwarded late");
                    self.forwarded += 1;
                    prop_assert!(!enforces || conclusion.code == Code::Accepted, "{:?}", conclusion.code);
                    if conclusion.code == Code::Accepted {
                        prop_assert!(self.good_head && self.was_fresh && self.in_time && self.body == BODY);
                    }
                }
                Outcome::Reply(_) => {
                    prop_assert_eq!(self.replied, 0, "answered twice");
                    self.replied += 1;
                    prop_assert!(enforces || conclusion.code == Code::Failed(Fault::ProxyFailed));
                }
            },
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// Whatever happens in whatever order: nothing is forwarded without a good reason, nobody is answered twice, and what
    /// the store has is settled once.
    #[test]
    fn any_order_of_events(events in proptest::collection::vec(event(), 0..14), enforces in any::<bool>()) {
        let verifier = verifier(if enforces { "" } else { r#","mode":"report""# });
        let mut callback = Callback::default();
        let mut model = Model::default();
        for event in events.into_iter().chain([Event::Gone, Event::Reserved(Answer::Fresh, 0), Event::Gone]) {
            let step = match event {
                Event::Head(good) => {
                    let first = matches!(callback.0, Stage::Fresh);
                    model.good_head |= good && first;
                    head(&mut callback, &verifier, good)
                }
                Event::LengthAhead(bytes) => callback.length_ahead(&verifier, bytes),
                Event::Body(right) => {
                    let chunk = if right { BODY } else { b"another" };
                    if matches!(callback.0, Stage::Body(_)) {
                        model.body.extend(chunk);
                    }
                    callback.body(&verifier, chunk)
                }
                Event::EndOfBody(later) => callback.end_of_body(&verifier, OWNER, NOW + later),
                Event::Reserved(answer, later) => {
                    // A store answers what it was asked, once.
                    let Some(reservation) = model.asked.take() else { continue };
                    if answer == Answer::Fresh {
                        model.held.push(reservation);
                    }
                    (model.was_fresh, model.in_time) = (answer == Answer::Fresh, later == 0);
                    let (step, released) = callback.reserved(&verifier, answer, NOW + later);
                    model.settle(released)?;
                    step
                }
                Event::Answered(status, by) => {
                    model.settle(callback.answered(status, || by))?;
                    continue;
                }
                Event::BodyLost => callback.body_lost(&verifier),
                Event::Failed => callback.failed(&verifier),
                Event::NotForwarded => {
                    let (step, released) = callback.not_forwarded(&verifier, None);
                    model.settle(released)?;
                    step
                }
                Event::Gone => {
                    model.settle(callback.gone())?;
                    continue;
                }
            };
            model.take(step, enforces)?;
        }
        prop_assert!(model.held.is_empty(), "never settled");
        prop_assert!(model.settled <= 1);
    }
}

#[test]
fn each_answer_of_the_store_has_its_verdict() {
    let verifier = verifier("");
    for (answer, due) in [
        (Answer::Fresh, Some((Code::Accepted, true))),
        (Answer::Seen, REJECTED(Rejection::Replayed)),
        (Answer::InFlight, REJECTED(Rejection::ReplayInFlight)),
        (Answer::Full, FAILED(Fault::ReplayStoreFull)),
        (Answer::Unavailable, FAILED(Fault::ReplayStoreUnavailable)),
    ] {
        let (mut callback, _) = reserving(&verifier);
        let (step, released) = callback.reserved(&verifier, answer, NOW);
        assert_eq!((concluded(&step), released), (due, None), "{answer:?}");
    }
}

#[test]
fn an_answer_settles_once() {
    use AnsweredBy::{Application, ContentHandler, Proxy};
    let verifier = verifier("");
    for (answers, kept) in [
        (Vec::from([(200, Application)]), true),
        (Vec::from([(103, Application), (200, Application)]), true),
        (Vec::from([(103, Application), (500, Application)]), false),
        (Vec::from([(201, ContentHandler)]), true),
        (Vec::from([(403, Proxy)]), false),
        (Vec::from([(200, Proxy), (200, Application)]), false),
    ] {
        let (mut callback, reservation) = cleared(&verifier);
        let mut settled = Vec::new();
        for (status, by) in &answers {
            match callback.answered(*status, || *by) {
                Some(Settled::Keep(this)) => settled.push((true, this)),
                Some(Settled::Release(this)) => settled.push((false, this)),
                None => {}
            }
        }
        assert_eq!(callback.gone(), None, "{answers:?}");
        assert_eq!(settled, [(kept, reservation)], "{answers:?}");
    }
}

#[test]
fn what_nobody_answers_is_released() {
    let verifier = verifier("");
    let (mut callback, reservation) = cleared(&verifier);
    assert_eq!(callback.answered(100, || AnsweredBy::Application), None);
    assert_eq!(callback.gone(), Some(Settled::Release(reservation)));
    assert_eq!(callback.gone(), None);
}

/// Whether it was taken can't be told: nobody who sends it again is let through before the reservation lapses.
#[test]
fn what_is_abandoned_is_neither_kept_nor_released() {
    let (mut callback, _) = cleared(&verifier(""));
    callback.abandoned();
    assert!(!callback.awaits_answer());
    assert_eq!(callback.answered(200, || AnsweredBy::Application), None);
    assert_eq!(callback.gone(), None);
}

#[test]
fn a_store_that_answers_too_late_gives_it_back() {
    let verifier = verifier("");
    // The token is good to the last second of `max_age`, and no longer.
    for (late, due, released) in
        [(300, Some((Code::Accepted, true)), false), (301, REJECTED(Rejection::TokenExpired), true)]
    {
        let (mut callback, reservation) = reserving(&verifier);
        let (step, given_back) = callback.reserved(&verifier, Answer::Fresh, NOW + late);
        assert_eq!((concluded(&step), given_back), (due, released.then_some(Settled::Release(reservation))), "{late}");
    }
    // What is not there can't be given back.
    let (mut callback, _) = reserving(&verifier);
    let (step, given_back) = callback.reserved(&verifier, Answer::Seen, NOW + 301);
    assert_eq!((concluded(&step), given_back), (REJECTED(Rejection::TokenExpired), None));
}

#[test]
fn what_is_reserved_for_a_request_that_is_gone_is_given_back() {
    let verifier = verifier("");
    for fails in [false, true] {
        let (mut callback, reservation) = reserving(&verifier);
        if fails {
            assert_eq!(concluded(&callback.failed(&verifier)), FAILED(Fault::ProxyFailed));
        }
        assert_eq!(callback.gone(), None);
        let (step, given_back) = callback.reserved(&verifier, Answer::Fresh, NOW);
        assert_eq!((concluded(&step), given_back), (None, Some(Settled::Release(reservation))));
    }
}

#[test]
fn a_body_that_is_held_back_does_not_outlive_its_token() {
    let verifier = verifier("");
    let mut callback = with_body(&verifier);
    let step = callback.end_of_body(&verifier, OWNER, NOW + 301);
    assert_eq!(concluded(&step), REJECTED(Rejection::TokenExpired));
}

#[test]
fn a_host_that_fails_forwards_nothing_that_is_held() {
    let enforcing = verifier("");
    let mut callback = Callback::default();
    assert_eq!(concluded(&callback.failed(&enforcing)), FAILED(Fault::ProxyFailed));
    let mut callback = with_body(&enforcing);
    let Step::Conclude(conclusion) = callback.failed(&enforcing) else { panic!("no conclusion") };
    assert_eq!(conclusion.code, Code::Failed(Fault::ProxyFailed));
    assert_eq!(conclusion.identity.as_ref().map(crate::Identity::api_key), Some("a1b2c3d"));
    assert!(matches!(conclusion.outcome, Outcome::Reply(reply) if reply.status() == 503));
}

#[test]
fn report_mode_forwards_everything_but_what_carries_a_callers_headers() {
    let reporting = verifier(r#","mode":"report""#);
    let mut callback = Callback::default();
    let step = head(&mut callback, &reporting, false);
    assert_eq!(concluded(&step), Some((Code::Rejected(Rejection::TokenMissing), true)));
    let (step, _) = callback.not_forwarded(&reporting, None);
    assert_eq!(concluded(&step), FAILED(Fault::ProxyFailed));
    let (step, _) = callback.not_forwarded(&reporting, None);
    assert_eq!(concluded(&step), None, "once");
}

#[test]
fn a_callback_that_could_not_be_forwarded_is_given_back() {
    let verifier = verifier("");
    let (mut callback, reservation) = cleared(&verifier);
    let (step, given_back) = callback.not_forwarded(&verifier, None);
    assert_eq!((concluded(&step), given_back), (FAILED(Fault::ProxyFailed), Some(Settled::Release(reservation))));
    assert_eq!(callback.gone(), None);
}

#[test]
fn a_body_that_is_too_large_is_refused_before_it_is_there() {
    let verifier = verifier(r#","max_body_size":"10""#);
    let mut callback = Callback::default();
    head(&mut callback, &verifier, true);
    assert!(matches!(callback.length_ahead(&verifier, 10), Step::Hold));
    assert_eq!(concluded(&callback.length_ahead(&verifier, 11)), REJECTED(Rejection::BodyTooLarge));
    // What comes afterwards belongs to nobody.
    assert!(matches!(callback.body(&verifier, BODY), Step::Hold));
    assert!(matches!(callback.end_of_body(&verifier, OWNER, NOW), Step::Hold));
}

#[test]
fn a_body_that_is_lost_is_not_the_one_that_was_signed() {
    for (more, forwards) in [("", false), (r#","mode":"report","payload_hash":"ignored""#, true)] {
        let verifier = verifier(more);
        let mut callback = with_body(&verifier);
        let due = Some((Code::Rejected(Rejection::PayloadHashMismatch), forwards));
        assert_eq!(concluded(&callback.body_lost(&verifier)), due);
        assert_eq!(concluded(&callback.body_lost(&verifier)), None, "once");
    }
}

#[test]
fn without_replay_nothing_is_reserved() {
    let verifier = verifier(r#","replay":"off""#);
    let mut callback = with_body(&verifier);
    let step = callback.end_of_body(&verifier, OWNER, NOW);
    assert_eq!(concluded(&step), Some((Code::Accepted, true)));
    assert_eq!(callback.answered(200, || AnsweredBy::Application), None);
    assert_eq!(callback.gone(), None);
}

/// Who is named in a conclusion.
fn named(step: &Step) -> Option<&str> {
    match step {
        Step::Conclude(conclusion) => conclusion.identity.as_ref().map(crate::Identity::api_key),
        _ => None,
    }
}

#[test]
fn whoever_signed_it_is_named_in_every_failure() {
    let verifier = verifier("");
    assert_eq!(named(&with_body(&verifier).failed(&verifier)), Some("a1b2c3d"));
    assert_eq!(named(&with_body(&verifier).body_lost(&verifier)), Some("a1b2c3d"));
    assert_eq!(named(&reserving(&verifier).0.failed(&verifier)), Some("a1b2c3d"));
    let (mut callback, _) = reserving(&verifier);
    let (Step::Conclude(accepted), _) = callback.reserved(&verifier, Answer::Fresh, NOW) else { panic!("no verdict") };
    let (step, _) = callback.not_forwarded(&verifier, accepted.identity);
    assert_eq!(named(&step), Some("a1b2c3d"));
}

#[test]
fn a_failure_while_the_store_is_asked_is_answered_in_report_mode_too() {
    let reporting = verifier(r#","mode":"report""#);
    let (mut callback, _) = reserving(&reporting);
    assert_eq!(concluded(&callback.failed(&reporting)), FAILED(Fault::ProxyFailed));
}

#[test]
fn what_comes_out_of_order_changes_nothing() {
    let verifier = verifier("");
    // After the verdict everything goes the way it went.
    let (mut callback, reservation) = cleared(&verifier);
    assert!(matches!(head(&mut callback, &verifier, true), Step::Continue));
    assert!(matches!(callback.body(&verifier, BODY), Step::Continue));
    assert!(matches!(callback.length_ahead(&verifier, u64::MAX), Step::Continue));
    assert!(matches!(callback.end_of_body(&verifier, OWNER, NOW), Step::Continue));
    assert!(matches!(callback.failed(&verifier), Step::Continue));
    let (step, settled) = callback.reserved(&verifier, Answer::Seen, NOW);
    assert_eq!((concluded(&step), settled), (None, None));
    assert_eq!(callback.gone(), Some(Settled::Release(reservation)), "its reservation is still there");
    // Before the head there is no callback, and a second head is another one.
    let mut callback = Callback::default();
    assert_eq!(concluded(&callback.end_of_body(&verifier, OWNER, NOW)), FAILED(Fault::ProxyFailed));
    let mut callback = with_body(&verifier);
    assert_eq!(concluded(&head(&mut callback, &verifier, true)), FAILED(Fault::ProxyFailed));
    // A store that answers what nobody asked yet.
    let mut callback = with_body(&verifier);
    callback.reserved(&verifier, Answer::Fresh, NOW);
    assert!(matches!(callback.end_of_body(&verifier, OWNER, NOW), Step::Reserve(_)));
}

#[test]
fn a_host_learns_what_is_still_of_use() {
    let verifier = verifier("");
    assert!(!Callback::default().takes_body());
    assert!(with_body(&verifier).takes_body());
    let (mut callback, _) = reserving(&verifier);
    assert!(!callback.takes_body() && !callback.awaits_answer());
    callback.reserved(&verifier, Answer::Fresh, NOW);
    assert!(!callback.takes_body() && callback.awaits_answer());
    assert!(callback.answered(200, || AnsweredBy::Application).is_some());
    assert!(!callback.awaits_answer(), "it is settled");
}

#[test]
fn two_requests_of_one_callback_reserve_as_different_owners() {
    let verifier = verifier("");
    let mut other = with_body(&verifier);
    let Step::Reserve(second) = other.end_of_body(&verifier, OWNER + 1, NOW) else { panic!("no reservation") };
    assert_ne!(reserving(&verifier).1, second);
}
