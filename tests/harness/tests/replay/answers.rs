//! What the application's answer, or the lack of one, means for the next delivery of the same token.
use crate::site::{Plan, Site, policy};
use crate::stage::{Machine, Stage, Tests};
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::proxy::free_port;
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send::{http1, http2};
use secure_callbacks_harness::tools::ProxyKind;
use secure_callbacks_harness::upstream::{Answer, Delivery, Upstream};
use secure_callbacks_support::Framing;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn add(stage: &Arc<Stage>, tests: &mut Tests<'_>) {
    stage.test("an_answer_below_500_uses_the_token_up", tests, below_500);
    stage.test("an_answer_from_500_on_lets_the_token_come_again", tests, from_500_on);
    stage.test("a_reset_before_the_answer_lets_the_token_come_again", tests, reset_before);
    stage.test("a_reset_inside_the_answer_does_not", tests, reset_inside);
    stage.test("a_reset_inside_an_answer_of_500_does", tests, reset_inside_500);
    stage.test("a_time_out_lets_the_token_come_again", tests, time_out);
    stage.test("a_sender_that_went_away_can_send_again", tests, sender_gone);
    stage.test("an_http2_sender_that_went_away_can_send_again", tests, http2_sender_gone);
    stage.test("a_reset_http2_stream_can_be_sent_again", tests, stream_reset);
    stage.test("a_sender_gone_after_the_answer_can_not", tests, gone_after_answer);
    stage.test("expect_100_continue_counts_once", tests, expect_continue);
    tests.shared("an_application_that_is_not_there_lets_the_token_come_again", absent);
}

fn below_500(site: &Site) -> Result<()> {
    for status in [200, 204, 301, 304, 400, 401, 404, 429, 499] {
        let callback = Callback::new();
        let mut answer = Answer::status(status);
        if matches!(status, 204 | 304) {
            answer.body.clear();
        }
        site.upstream.script(&callback.id, [answer]);
        let reply = site.send(&callback)?;
        ensure!(reply.status == status, "{} instead of the application's {status}", reply.status);
        site.refuses(&callback).with_context(|| format!("after {status}"))?;
    }
    Ok(())
}

fn from_500_on(site: &Site) -> Result<()> {
    let callback = Callback::new();
    let failures = [500, 502, 503, 504, 599];
    site.upstream.script(&callback.id, failures.into_iter().chain([200]).map(Answer::status));
    for status in failures {
        let reply = site.send(&callback)?;
        ensure!(reply.status == status && reply.code().is_none(), "{} instead of {status}", reply.status);
    }
    site.accepts(&callback, failures.len() + 1)?;
    site.refuses(&callback)
}

fn reset_before(site: &Site) -> Result<()> {
    let callback = Callback::new();
    site.upstream.script(&callback.id, [Answer::status(200).sent(Delivery::ResetBefore), Answer::status(200)]);
    let reply = site.send(&callback)?;
    ensure!(matches!(reply.status, 502 | 503), "status {}", reply.status);
    site.accepts(&callback, 2)?;
    site.refuses(&callback)
}

/// The head says that the application took it.
fn reset_inside(site: &Site) -> Result<()> {
    let callback = Callback::new();
    site.upstream.script(&callback.id, [Answer::status(200).sent(Delivery::ResetMiddle)]);
    // The proxy passes the broken answer on in its own way.
    let _ = site.send(&callback);
    ensure!(site.upstream.answered(&callback.id) == 1, "the head was not sent");
    site.refuses(&callback)
}

fn reset_inside_500(site: &Site) -> Result<()> {
    let callback = Callback::new();
    site.upstream.script(&callback.id, [Answer::status(500).sent(Delivery::ResetMiddle), Answer::status(200)]);
    let _ = site.send(&callback);
    site.accepts(&callback, 2)
}

fn time_out(site: &Site) -> Result<()> {
    let callback = Callback::below("/brief/");
    site.upstream.script(&callback.id, [Answer::status(200).sent(Delivery::Never), Answer::status(200)]);
    let reply = site.send(&callback)?;
    ensure!(reply.status == 504, "status {}", reply.status);
    site.accepts(&callback, 2)?;
    site.refuses(&callback)
}

const SLOW: Duration = Duration::from_secs(3);

/// The first delivery is slow, the second is not.
fn slow_then_quick(site: &Site, callback: &Callback) {
    site.upstream.script(&callback.id, [Answer::status(200).after(SLOW), Answer::status(200)]);
}

/// What becomes of a callback whose sender has just gone: until the proxy has seen that, it is on its way.
fn accepted_again(site: &Site, callback: &Callback) -> Result<()> {
    std::thread::sleep(Duration::from_millis(300));
    site.accepts(callback, 2)?;
    // What the slow application answers to the first delivery, when it does, changes nothing.
    std::thread::sleep(SLOW);
    site.refuses(callback)
}

fn sender_gone(site: &Site) -> Result<()> {
    let callback = Callback::new();
    slow_then_quick(site, &callback);
    let connection = site.begin(&callback)?;
    site.is_on_its_way(&callback)?;
    drop(connection);
    accepted_again(site, &callback)
}

fn http2_sender_gone(site: &Site) -> Result<()> {
    let callback = Callback::new().framed(Framing::H2);
    slow_then_quick(site, &callback);
    let connection = wait(http2::Connection::open(site.ports[0].http2))?;
    let (response, stream) = wait(begin(&connection, &callback))?;
    site.arrives(&callback, 1)?;
    drop((response, stream, connection));
    accepted_again(site, &callback)
}

fn stream_reset(site: &Site) -> Result<()> {
    let callback = Callback::new().framed(Framing::H2);
    slow_then_quick(site, &callback);
    let connection = wait(http2::Connection::open(site.ports[0].http2))?;
    let (response, mut stream) = wait(begin(&connection, &callback))?;
    site.arrives(&callback, 1)?;
    stream.send_reset(h2::Reason::CANCEL);
    drop(response);
    accepted_again(site, &callback)?;
    drop(connection);
    Ok(())
}

async fn begin(
    connection: &http2::Connection,
    callback: &Callback,
) -> Result<(h2::client::ResponseFuture, h2::SendStream<bytes::Bytes>)> {
    let (response, mut stream) = connection.start(&callback.message).await?;
    http2::send_data(&mut stream, &callback.message.body()).await?;
    stream.send_data(bytes::Bytes::new(), true)?;
    Ok((response, stream))
}

/// The application took it; that its answer found nobody is the sender's affair.
fn gone_after_answer(site: &Site) -> Result<()> {
    let callback = Callback::new();
    let mut answer = Answer::status(200);
    // More than fits into the buffers between application and sender, who reads nothing.
    answer.body = vec![b'x'; 8 * 1024 * 1024];
    site.upstream.script(&callback.id, [answer]);
    let connection = site.begin(&callback)?;
    std::thread::sleep(Duration::from_millis(300));
    drop(connection);
    std::thread::sleep(Duration::from_millis(200));
    site.refuses(&callback)
}

fn expect_continue(site: &Site) -> Result<()> {
    let callback = Callback::new();
    let asking = callback.clone().header("Expect", "100-continue");
    site.upstream.script(&callback.id, [Answer::status(503), Answer::status(200)]);
    let due = [(503, 1), (200, 2)];
    for (status, times) in due {
        wait(async {
            let mut writes = http1::writes(&asking.message);
            let body = writes.split_off(1).concat();
            let (mut reader, mut writer) = http1::Connection::open(site.ports[0].http1).await?.split();
            writer.write(&writes.concat()).await?;
            let interim = reader.any_reply().await?;
            // The interim answer is not the application's verdict.
            ensure!(interim.status == 100, "status {} instead of 100", interim.status);
            writer.write(&body).await?;
            let reply = reader.reply().await?;
            ensure!(reply.status == status, "status {} instead of {status}", reply.status);
            Ok(())
        })?;
        ensure!(site.upstream.deliveries(&callback.id) == times, "delivered more than once");
    }
    site.refuses(&callback)
}

fn absent(kind: ProxyKind) -> Result<()> {
    let address = free_port()?;
    let mut plan = Plan::of(policy(json!({})));
    plan.absent = Some(address);
    let site = Site::start(kind, plan)?;
    let callback = Callback::new();
    for _ in 0..2 {
        let reply = site.send(&callback)?;
        ensure!(matches!(reply.status, 502 | 503) && reply.code().is_none(), "{} {}", reply.status, reply.text());
    }
    let site = site.with_upstream(wait(Upstream::start_at(address))?);
    site.accepts(&callback, 1)?;
    site.refuses(&callback)
}
