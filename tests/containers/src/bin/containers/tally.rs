//! Counts: what was sent, taken, refused and delivered, and what must never happen.
use crate::scenarios::Sign;
use secure_callbacks_containers::journal::Entry;
use secure_callbacks_containers::load::{Kind, LEFT, Order, Outcome, Sent, Through, VANISHED};
use std::collections::{HashMap, HashSet};

/// What came of one scenario through one proxy.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) scenario: &'static str,
    pub(crate) proxy: &'static str,
    /// Genuine callbacks.
    pub(crate) genuine: usize,
    /// Callbacks that must not be delivered: forged ones, and those that were never whole.
    pub(crate) forged: usize,
    /// Sendings in all.
    pub(crate) attempts: usize,
    /// Genuine callbacks that were taken in the end.
    pub(crate) accepted: usize,
    /// Callbacks whose last reply was a refusal (4xx).
    pub(crate) refused: usize,
    /// Attempts with genuine callbacks that got a 5xx or no reply.
    pub(crate) failed: usize,
    /// Genuine callbacks that the application answered below 500.
    pub(crate) delivered: usize,
    /// Delivered again although an answer below 500 had reached the proxy. Must be 0.
    pub(crate) again: usize,
    /// Never delivered although the sender went on for two minutes or until it was told 401. Must be 0.
    pub(crate) never: usize,
    /// Forged, and any byte of it delivered. Must be 0.
    pub(crate) forged_delivered: usize,
    /// Delivered again after an answer that was lost before it reached the proxy.
    pub(crate) answers_lost: usize,
    /// Idle connections held open.
    pub(crate) idle: usize,
    /// What is not as it must be.
    pub(crate) wrong: Vec<String>,
}

/// One delivery to the application.
struct Delivery<'a> {
    at: u64,
    number: usize,
    sha256: &'a str,
    answer: Option<(u64, u16)>,
}

/// Counts one load.
pub(crate) fn count(scenario: &'static str, order: &Order, outcome: &Outcome, journal: &[Entry], log: &str) -> Tally {
    let mut tally = Tally { scenario, proxy: order.through.service(), idle: outcome.idle, ..Tally::default() };
    let glimpsed: HashSet<&str> = journal.iter().map(Entry::id).collect();
    let deliveries = deliveries(journal);
    let answered = answered(order.through, log);
    let none = Vec::new();
    for sent in &outcome.sent {
        tally.attempts += sent.attempts.len();
        tally.refused += usize::from(matches!(sent.attempts.last().and_then(|last| last.status), Some(400..=499)));
        if matches!(sent.kind, Kind::Forged | Kind::Crawling) {
            tally.forged += 1;
            tally.forged_delivered += usize::from(glimpsed.contains(sent.id.as_str()));
            continue;
        }
        let reached = answered.get(sent.id.as_str()).map_or(&[][..], Vec::as_slice);
        tally.add_genuine(sent, deliveries.get(sent.id.as_str()).unwrap_or(&none), reached);
    }
    if tally.idle < order.idle {
        tally.wrong.push(format!("only {} of {} idle connections could be opened", tally.idle, order.idle));
    }
    tally
}

impl Tally {
    fn add_genuine(&mut self, sent: &Sent, deliveries: &[Delivery<'_>], reached: &[u64]) {
        self.genuine += 1;
        self.accepted += usize::from(sent.accepted());
        let failed = |status: Option<u16>| status.is_none_or(|status| status >= 500);
        let attempts = sent.attempts.iter().filter(|attempt| attempt.says != VANISHED && attempt.says != LEFT);
        self.failed += attempts.filter(|attempt| failed(attempt.status)).count();
        let taken = |delivery: &Delivery<'_>| delivery.answer.filter(|(_, status)| *status < 500);
        let first = deliveries.iter().filter_map(taken).map(|(at, _)| at).min();
        self.delivered += usize::from(first.is_some());
        if first.is_none() {
            self.never += 1;
            self.wrong.push(format!("{} was never delivered: {:?}", sent.id, sent.attempts));
            if sent.accepted() {
                self.wrong.push(format!("{} was accepted but the application did not take it", sent.id));
            }
        }
        for later in deliveries.iter().filter(|delivery| first.is_some_and(|first| delivery.at > first)) {
            // What the proxy was told before this delivery began, it had to remember.
            if reached.iter().any(|at| *at < later.at) {
                self.again += 1;
                self.wrong.push(format!("{} was delivered again: {:?}", sent.id, sent.attempts));
            } else {
                self.answers_lost += 1;
            }
        }
        if deliveries.iter().any(|delivery| delivery.sha256 != sent.sha256) {
            self.wrong.push(format!("{} arrived with another body", sent.id));
        }
    }

    /// Notes what is not as it must be.
    pub(crate) fn judge(&mut self, sign: Sign, may_lose_answers: bool) {
        if self.forged_delivered > 0 {
            self.wrong.push(format!("{} forged callbacks reached the application", self.forged_delivered));
        }
        if self.genuine == 0 || self.forged == 0 {
            self.wrong.push("nothing was sent".into());
        }
        if self.answers_lost > 0 && !may_lose_answers {
            self.wrong.push(format!("{} answers were lost where nothing could lose them", self.answers_lost));
        }
        match sign {
            Sign::Failures if self.failed == 0 => self.wrong.push("the fault had no effect".into()),
            Sign::NoFailures if self.failed > 0 => {
                self.wrong.push(format!("{} attempts failed where none should", self.failed));
            }
            _ => {}
        }
        for problem in &mut self.wrong {
            *problem = format!("{} through {}: {problem}", self.scenario, self.proxy);
        }
    }

    /// One line about it.
    pub(crate) fn line(&self) -> String {
        format!(
            "{}: {} sent, {} forged, {} attempts; {} accepted, {} refused, {} failed attempts; {} delivered, {} again, \
             {} never, {} forged delivered, {} answers lost",
            self.proxy,
            self.genuine,
            self.forged,
            self.attempts,
            self.accepted,
            self.refused,
            self.failed,
            self.delivered,
            self.again,
            self.never,
            self.forged_delivered,
            self.answers_lost
        )
    }
}

fn deliveries(journal: &[Entry]) -> HashMap<&str, Vec<Delivery<'_>>> {
    let mut found: HashMap<&str, Vec<Delivery<'_>>> = HashMap::new();
    for entry in journal {
        match entry {
            Entry::Glimpsed { .. } => {}
            Entry::Received(received) => {
                let delivery =
                    Delivery { at: received.at, number: received.number, sha256: &received.sha256, answer: None };
                found.entry(&received.id).or_default().push(delivery);
            }
            Entry::Answered { at, id, number, status } => {
                // Numbers begin anew when the application does: the last one is meant.
                let of_id = found.get_mut(id.as_str()).into_iter().flatten();
                if let Some(delivery) = of_id.rev().find(|delivery| delivery.number == *number) {
                    delivery.answer = Some((*at, *status));
                }
            }
        }
    }
    found
}

/// When an answer below 500 of the application had reached the proxy, by id, as its access log says.
fn answered(through: Through, log: &str) -> HashMap<&str, Vec<u64>> {
    let mut found: HashMap<&str, Vec<u64>> = HashMap::new();
    for line in log.lines().filter_map(|line| line.strip_prefix("callback ")) {
        let field = |name: &str| line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        let good = match through {
            Through::Nginx => {
                field("upstream").and_then(|status| status.parse().ok()).is_some_and(|status: u16| status < 500)
            }
            // Anything of the application's answer makes these details begin so.
            Through::Envoy | Through::EnvoyModule => {
                let from_app =
                    |details: &str| details.starts_with("via_upstream") || details.contains("after_response_started");
                let status = field("status").and_then(|status| status.parse().ok());
                field("upstream").is_some_and(from_app) && status.is_some_and(|status: u16| status < 500)
            }
        };
        let at = field("at").and_then(|at| at.parse::<f64>().ok());
        let took = field("took").and_then(|took| took.parse::<f64>().ok()).unwrap_or(0.0);
        let id = secure_callbacks_harness::ids::find(line.as_bytes()).next();
        if let (true, Some(at), Some(id)) = (good, at, id) {
            found.entry(id).or_default().push((at * 1000.0 + took) as u64);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use secure_callbacks_containers::behaviour::Behaviour;
    use secure_callbacks_containers::journal::Received;
    use secure_callbacks_containers::load::Attempt;

    const ID: &str = "scid0123456789abcdef";

    fn order() -> Order {
        let behaviours = vec![Behaviour::Plain];
        let (through, patience) = (Through::Nginx, 120);
        Order {
            through,
            seconds: 1,
            per_second: 1,
            behaviours,
            patience,
            vanishing: 0,
            leaving: 0,
            crawling: 0,
            idle: 0,
        }
    }

    fn sent(kind: Kind, statuses: &[Option<u16>]) -> Outcome {
        let attempt = |status: &Option<u16>| Attempt { at: 1, status: *status, says: String::new() };
        let attempts = statuses.iter().map(attempt).collect();
        Outcome { sent: vec![Sent { id: ID.into(), kind, sha256: "a".into(), attempts }], idle: 0 }
    }

    fn received(at: u64, number: usize) -> Entry {
        let (path, sha256) = (format!("/callbacks/{ID}/plain"), "a".to_owned());
        Entry::Received(Received { at, id: ID.into(), number, path, sha256, identity: Vec::new() })
    }

    fn answered_with(at: u64, number: usize, status: u16) -> Entry {
        Entry::Answered { at, id: ID.into(), number, status }
    }

    #[test]
    fn a_retry_after_a_failure_is_delivered_once() {
        let journal = [received(10, 1), answered_with(11, 1, 503), received(20, 2), answered_with(21, 2, 200)];
        let tally = count("x", &order(), &sent(Kind::Genuine, &[Some(503), Some(200)]), &journal, "");
        assert_eq!((tally.accepted, tally.delivered, tally.again, tally.never, tally.failed), (1, 1, 0, 0, 1));
        assert!(tally.wrong.is_empty(), "{:?}", tally.wrong);
    }

    #[test]
    fn a_second_delivery_counts_by_what_the_proxy_knew() {
        let journal = [received(10, 1), answered_with(11, 1, 200), received(20, 2), answered_with(21, 2, 200)];
        let outcome = sent(Kind::Genuine, &[None, Some(200)]);
        let line =
            |at: &str| format!("callback /callbacks/{ID}/plain at={at} status=200 upstream=200 result=accepted\n");
        let known = count("x", &order(), &outcome, &journal, &(line("0.012") + &line("0.022")));
        assert_eq!((known.again, known.answers_lost), (1, 0));
        let lost = count("x", &order(), &outcome, &journal, &line("0.022"));
        assert_eq!((lost.again, lost.answers_lost), (0, 1));
    }

    #[test]
    fn what_is_never_answered_is_never_delivered() {
        let outcome = sent(Kind::Genuine, &[None, Some(401)]);
        assert_eq!(count("x", &order(), &outcome, &[received(10, 1)], "").never, 1);
    }

    #[test]
    fn a_glimpse_of_a_forged_callback_is_a_delivery() {
        let glimpse = Entry::Glimpsed { at: 10, id: ID.into() };
        let mut tally = count("x", &order(), &sent(Kind::Forged, &[Some(401)]), &[glimpse], "");
        tally.judge(Sign::NoFailures, false);
        assert_eq!(tally.forged_delivered, 1);
        assert!(!tally.wrong.is_empty());
    }
}
