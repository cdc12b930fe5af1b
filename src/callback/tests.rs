//! The life of a callback in any order of events, and each of its rules.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use proptest::prelude::*;
use secure_callbacks_support::Token;

use super::{Callback, Stage, Step, Store};
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
    /// A store was asked, and has not answered.
    asked: Option<Store>,
    /// The proxy's own table has it, and nobody has settled it.
    is_here: bool,
    /// The shared store has it, or may have it.
    is_there: bool,
    /// What was reserved: of one callback always the same.
    reservation: Option<Reservation>,
    settled: usize,
    forwarded: usize,
    replied: usize,
    good_head: bool,
    body: Vec<u8>,
    may_pass: bool,
}

impl Model {
    fn settle(&mut self, settled: Option<Settled>) -> Result<(), TestCaseError> {
        use Settled::{Keep, KeepHere, Release, ReleaseHere};
        let Some(settled) = settled else { return Ok(()) };
        let (Keep(it) | Release(it) | KeepHere(it) | ReleaseHere(it)) = settled;
        prop_assert_eq!(Some(it), self.reservation, "settled what no store has");
        // To give back what is not there changes nothing.
        prop_assert!(
            self.is_here || matches!(settled, Release(_) | ReleaseHere(_)),
            "kept what the table does not have"
        );
        prop_assert!(settled.is_everywhere() || !self.is_there, "the shared store still has it");
        self.settled += 1;
        // A store that has not answered yet is told after it was asked.
        (self.asked, self.is_here, self.is_there) = (None, false, false);
        Ok(())
    }

    fn ask(&mut self, store: Store, reservation: Reservation) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.is_here, store == Store::Shared, "the own table first, then the shared store, each once");
        prop_assert_eq!(self.reservation.replace(reservation).unwrap_or(reservation), reservation);
        self.asked = Some(store);
        // Whoever asks does not know what the store has done before it answers.
        self.is_there = store == Store::Shared;
        Ok(())
    }

    /// A store answers what it was asked, once. Whether it was asked anything.
    fn answer(&mut self, answer: Answer, in_time: bool, has_shared: bool, is_optional: bool) -> bool {
        let Some(store) = self.asked.take() else { return false };
        match store {
            Store::Own => self.is_here = answer == Answer::Fresh,
            // One that can't be understood may have it all the same.
            Store::Shared => self.is_there = matches!(answer, Answer::Fresh | Answer::Unavailable),
        }
        let is_last = store == Store::Shared || !has_shared;
        let is_good =
            answer == Answer::Fresh || (store == Store::Shared && answer == Answer::Unavailable && is_optional);
        self.may_pass = in_time && is_last && is_good;
        true
    }

    fn take(&mut self, step: Step, enforces: bool) -> Result<(), TestCaseError> {
        match step {
            Step::Hold => {}
            Step::Continue => prop_assert!(self.forwarded == 1 && self.replied == 0, "passed without a clearance"),
            Step::Reserve(reservation) => self.ask(Store::Own, reservation)?,
            Step::ReserveShared(reservation) => self.ask(Store::Shared, reservation)?,
            Step::Conclude(conclusion) => match conclusion.outcome {
                Outcome::Forward(_) => {
                    prop_assert_eq!((self.forwarded, self.replied), (0, 0), "forwarded late");
                    self.forwarded += 1;
                    prop_assert!(!enforces || conclusion.code == Code::Accepted, "{:?}", conclusion.code);
                    if conclusion.code == Code::Accepted {
                        prop_assert!(self.good_head && self.may_pass && self.body == BODY);
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

/// `replay_store` of a policy: none, one that is needed, one that is not.
const STORES: [&str; 3] = [
    "",
    r#","replay_store":{"url":"redis://127.0.0.1"}"#,
    r#","replay_store":{"url":"redis://127.0.0.1","on_failure":"local"}"#,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8192))]

    /// Whatever happens in whatever order: nothing is forwarded without a good reason, nobody is answered twice, and what
    /// the stores have is settled once.
    #[test]
    fn any_order_of_events(
        events in proptest::collection::vec(event(), 0..16),
        enforces in any::<bool>(),
        store in 0..STORES.len(),
    ) {
        let verifier = verifier(&format!("{}{}", STORES[store], if enforces { "" } else { r#","mode":"report""# }));
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
                    if !model.answer(answer, later == 0, store > 0, store == 2) {
                        continue;
                    }
                    let (step, settled) = callback.reserved(&verifier, answer, NOW + later);
                    model.settle(settled)?;
                    step
                }
                Event::Answered(status, by) => {
                    model.settle(callback.answered(status, || by))?;
                    continue;
                }
                Event::BodyLost => callback.body_lost(&verifier),
                Event::Failed => callback.failed(&verifier),
                Event::NotForwarded => {
                    let (step, settled) = callback.not_forwarded(&verifier, None);
                    model.settle(settled)?;
                    step
                }
                Event::Gone => {
                    model.settle(callback.gone())?;
                    continue;
                }
            };
            model.take(step, enforces)?;
        }
        prop_assert!(!model.is_here && !model.is_there, "never settled");
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
                Some(here) => panic!("{here:?}"),
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

#[test]
fn a_store_that_answers_too_late_gives_it_back() {
    let verifier = verifier("");
    // The token is good to the last second of `max_age`, and no longer.
    for (late, due, released) in
        [(300, Some((Code::Accepted, true)), false), (301, REJECTED(Rejection::TokenExpired), true)]
    {
        let (mut callback, reservation) = reserving(&verifier);
        let (step, given_back) = callback.reserved(&verifier, Answer::Fresh, NOW + late);
        assert_eq!(
            (concluded(&step), given_back),
            (due, released.then_some(Settled::ReleaseHere(reservation))),
            "{late}"
        );
    }
    // What is not there can't be given back.
    let (mut callback, _) = reserving(&verifier);
    let (step, given_back) = callback.reserved(&verifier, Answer::Seen, NOW + 301);
    assert_eq!((concluded(&step), given_back), (REJECTED(Rejection::TokenExpired), None));
}

/// A callback whose own table has taken it, and whose shared store is asked.
fn asking(verifier: &Verifier) -> (Callback, Reservation) {
    let (mut callback, reservation) = reserving(verifier);
    let (step, settled) = callback.reserved(verifier, Answer::Fresh, NOW);
    assert!(matches!(step, Step::ReserveShared(this) if this == reservation) && settled.is_none());
    (callback, reservation)
}

#[test]
fn what_the_own_table_has_seen_is_refused_without_asking() {
    let verifier = verifier(STORES[1]);
    for (answer, due) in [
        (Answer::Seen, REJECTED(Rejection::Replayed)),
        (Answer::InFlight, REJECTED(Rejection::ReplayInFlight)),
        (Answer::Full, FAILED(Fault::ReplayStoreFull)),
        (Answer::Unavailable, FAILED(Fault::ReplayStoreUnavailable)),
    ] {
        let (mut callback, _) = reserving(&verifier);
        let (step, settled) = callback.reserved(&verifier, answer, NOW);
        assert_eq!((concluded(&step), settled), (due, None), "{answer:?}");
    }
}

#[test]
fn each_answer_of_the_shared_store_has_its_verdict_and_its_end() {
    use Settled::{KeepHere, Release, ReleaseHere};
    for (store, answer, due, end) in [
        (1, Answer::Fresh, Some((Code::Accepted, true)), None),
        (1, Answer::Seen, REJECTED(Rejection::Replayed), Some(KeepHere as fn(Reservation) -> Settled)),
        (1, Answer::InFlight, REJECTED(Rejection::ReplayInFlight), Some(ReleaseHere)),
        (1, Answer::Unavailable, FAILED(Fault::ReplayStoreUnavailable), Some(Release)),
        (2, Answer::Unavailable, Some((Code::Accepted, true)), None),
        (2, Answer::Seen, REJECTED(Rejection::Replayed), Some(KeepHere)),
    ] {
        let verifier = verifier(STORES[store]);
        let (mut callback, reservation) = asking(&verifier);
        let (step, settled) = callback.reserved(&verifier, answer, NOW);
        assert_eq!((concluded(&step), settled), (due, end.map(|end| end(reservation))), "{answer:?}");
        let released = end.is_none().then_some(Release(reservation));
        assert_eq!(callback.gone(), released, "{answer:?}");
    }
}

#[test]
fn what_may_be_reserved_for_a_request_that_is_gone_is_given_back() {
    let verifier = verifier(STORES[1]);
    for fails in [false, true] {
        let (mut callback, reservation) = asking(&verifier);
        if fails {
            assert_eq!(concluded(&callback.failed(&verifier)), FAILED(Fault::ProxyFailed));
        }
        assert_eq!(callback.gone(), Some(Settled::Release(reservation)));
        let (step, settled) = callback.reserved(&verifier, Answer::Fresh, NOW);
        assert_eq!((concluded(&step), settled), (None, None), "once");
    }
}

#[test]
fn a_shared_store_that_answers_too_late_gives_it_back() {
    let verifier = verifier(STORES[1]);
    for (answer, end) in [
        (Answer::Fresh, Settled::Release as fn(Reservation) -> Settled),
        (Answer::Seen, Settled::KeepHere),
        (Answer::Unavailable, Settled::Release),
    ] {
        let (mut callback, reservation) = asking(&verifier);
        let (step, settled) = callback.reserved(&verifier, answer, NOW + 301);
        assert_eq!((concluded(&step), settled), (REJECTED(Rejection::TokenExpired), Some(end(reservation))));
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
