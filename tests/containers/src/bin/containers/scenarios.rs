//! The faults, each under a load of callbacks, and in what order.
use crate::faults::{APP, Fault, SENDER};
use crate::site::Site;
use crate::tally::{self, Tally};
use anyhow::{Context, Result};
use secure_callbacks_containers::behaviour::Behaviour;
use secure_callbacks_containers::load::{Order, Outcome, Through};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// One thing that goes wrong.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    orders: Vec<Order>,
    /// Faults, and when after the beginning of the load.
    faults: Vec<(f32, Fault)>,
    /// What must be seen for the scenario to mean anything.
    sign: Sign,
    /// Whether an answer of the application can be lost on its way to the proxy, which no proxy can know of.
    may_lose_answers: bool,
}

/// What must have happened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// Some attempts failed and were made again.
    Failures,
    /// Not one genuine callback had to be sent twice.
    NoFailures,
}

fn order(through: Through) -> Order {
    Order {
        through,
        seconds: 8,
        per_second: 30,
        behaviours: vec![Behaviour::Plain],
        patience: 120,
        vanishing: 0,
        leaving: 0,
        crawling: 0,
        idle: 0,
    }
}

fn each(change: impl Fn(Order) -> Order) -> Vec<Order> {
    Through::ALL.into_iter().map(|through| change(order(through))).collect()
}

/// What runs side by side, one after the other.
pub(crate) fn all() -> Vec<Vec<Scenario>> {
    use Behaviour::{FailOnce, HalfOnce, Plain, ResetOnce, Slow, StuckOnce};
    let crowded = |order: Order| Order { seconds: 12, vanishing: 20, crawling: 20, idle: 500, ..order };
    let crowd = |through| Scenario {
        name: "slow, vanishing and 500 idle clients",
        orders: vec![crowded(order(through))],
        faults: vec![],
        sign: Sign::NoFailures,
        may_lose_answers: false,
    };
    let drained = |name, through: Through| Scenario {
        name,
        orders: vec![Order { seconds: 10, ..order(through) }],
        faults: vec![
            (2.0, Fault::Drain(through.service())),
            (5.0, Fault::Stop(through.service())),
            (5.2, Fault::Start(through.service())),
        ],
        sign: Sign::Failures,
        may_lose_answers: false,
    };
    vec![
        vec![Scenario {
            name: "the app stops, then comes back",
            orders: each(|order| Order { seconds: 10, ..order }),
            faults: vec![(2.0, Fault::Stop("app")), (6.0, Fault::Start("app"))],
            sign: Sign::Failures,
            may_lose_answers: true,
        }],
        vec![Scenario {
            name: "the app's network is cut for 5 s",
            orders: each(|order| Order { seconds: 10, ..order }),
            faults: vec![(2.0, Fault::Cut(APP)), (7.0, Fault::Mend(APP))],
            sign: Sign::Failures,
            may_lose_answers: true,
        }],
        vec![Scenario {
            // The proxies go on with what they have, and can tell nobody how it ended.
            name: "the sender's network is cut for 5 s",
            orders: each(|order| Order { seconds: 10, behaviours: vec![Slow, Plain, FailOnce], ..order }),
            faults: vec![(2.0, Fault::Cut(SENDER)), (7.0, Fault::Mend(SENDER))],
            sign: Sign::Failures,
            may_lose_answers: false,
        }],
        vec![Scenario {
            name: "the sender goes away while the app has it",
            orders: each(|order| Order { leaving: 100, ..order }),
            faults: vec![],
            sign: Sign::NoFailures,
            may_lose_answers: false,
        }],
        vec![Scenario {
            name: "the app answers slowly, or not in time",
            orders: each(|order| Order { behaviours: vec![Slow, Plain, StuckOnce, FailOnce], ..order }),
            faults: vec![],
            sign: Sign::Failures,
            may_lose_answers: false,
        }],
        vec![Scenario {
            name: "the app resets before or in its answer",
            orders: each(|order| Order { seconds: 6, behaviours: vec![ResetOnce, Plain, HalfOnce], ..order }),
            faults: vec![],
            sign: Sign::Failures,
            may_lose_answers: false,
        }],
        vec![Scenario {
            // It forgets what it knew, so nothing is refused as a replay of what it was about to deliver.
            name: "the proxy is killed and restarted",
            orders: each(|order| Order { seconds: 10, behaviours: vec![Plain, Plain, Slow], ..order }),
            faults: vec![
                (3.0, Fault::Kill("envoy")),
                (3.1, Fault::Kill("envoy-module")),
                (3.2, Fault::Kill("nginx")),
                (5.0, Fault::Start("envoy")),
                (5.1, Fault::Start("envoy-module")),
                (5.2, Fault::Start("nginx")),
            ],
            sign: Sign::Failures,
            may_lose_answers: true,
        }],
        vec![
            Scenario {
                name: "Nginx reloads, four times",
                orders: vec![Order { seconds: 10, behaviours: vec![Plain, Slow], ..order(Through::Nginx) }],
                faults: [2.0, 4.0, 6.0, 8.0].map(|at| (at, Fault::ReloadNginx)).to_vec(),
                sign: Sign::NoFailures,
                may_lose_answers: false,
            },
            drained("Envoy drains, then restarts", Through::Envoy),
            drained("Envoy with the module drains, then restarts", Through::EnvoyModule),
        ],
        vec![
            Scenario {
                name: "a worker of Nginx is killed",
                orders: vec![Order {
                    // Its reservations lapse after a minute: until then their callbacks get 503, and then come through.
                    behaviours: vec![Plain, Slow],
                    ..order(Through::Nginx)
                }],
                faults: vec![(4.0, Fault::KillWorker)],
                sign: Sign::Failures,
                may_lose_answers: true,
            },
            crowd(Through::Envoy),
        ],
        vec![crowd(Through::EnvoyModule)],
        vec![crowd(Through::Nginx)],
    ]
}

/// Runs what runs side by side; one tally for each scenario and proxy.
pub(crate) async fn run(site: &Site, slot: Vec<Scenario>) -> Result<Vec<Tally>> {
    site.healthy().await?;
    let scenarios = slot.iter().map(|scenario| one(site, scenario));
    let mut tallies = Vec::new();
    for outcome in join(scenarios.collect()).await {
        tallies.extend(outcome?);
    }
    Ok(tallies)
}

async fn one(site: &Site, scenario: &Scenario) -> Result<Vec<Tally>> {
    println!("scenario: {}", scenario.name);
    let loads = scenario.orders.iter().map(|order| load(site, order)).collect();
    let (outcomes, faults) = tokio::join!(join(loads), faults(site, &scenario.faults));
    faults.with_context(|| scenario.name)?;
    site.healthy().await.with_context(|| scenario.name)?;
    let journal = site.journal().await?;
    let mut tallies = Vec::new();
    for (order, outcome) in scenario.orders.iter().zip(outcomes) {
        let outcome = outcome.with_context(|| scenario.name)?;
        let log = site.log(order.through.service()).await?;
        let mut tally = tally::count(scenario.name, order, &outcome, &journal, &log);
        tally.judge(scenario.sign, scenario.may_lose_answers);
        println!("  {}", tally.line());
        tallies.push(tally);
    }
    Ok(tallies)
}

async fn load(site: &Site, order: &Order) -> Result<Outcome> {
    let said = site.sender(&["load", &serde_json::to_string(order)?]).await?;
    serde_json::from_str(&said).context("what the sender reports")
}

async fn faults(site: &Site, faults: &[(f32, Fault)]) -> Result<()> {
    let start = Instant::now();
    for (at, fault) in faults {
        sleep_until(start + Duration::from_secs_f32(*at)).await;
        fault.happen(site).await.with_context(|| format!("{fault:?}"))?;
    }
    Ok(())
}

/// All at once, results in order.
async fn join<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut ready = true;
        for (future, output) in &mut futures {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(done) => *output = Some(done),
                    std::task::Poll::Pending => ready = false,
                }
            }
        }
        if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    futures.into_iter().filter_map(|(_, output)| output).collect()
}
