//! Interim answers (1xx but 101) say nothing: the final one decides, also where nginx takes the interim one for it.
use crate::site::Site;
use crate::stage::{Stage, Tests};
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::upstream::{Answer, Delivery};
use secure_callbacks_support::Framing;
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn add(stage: &Arc<Stage>, tests: &mut Tests<'_>) {
    if !stage.kind.is_nginx() {
        return;
    }
    stage.test("an_interim_answer_before_a_500_lets_the_token_come_again", tests, before_500);
    stage.test("an_interim_answer_before_a_final_one_uses_the_token_up", tests, before_final);
    stage.test("an_interim_answer_alone_lets_the_token_come_again", tests, alone);
    stage.test("an_answer_of_101_uses_the_token_up", tests, switching);
}

const INTERIM: [&[u16]; 5] = [&[100], &[102], &[103], &[103, 103], &[100, 102, 103]];

fn before_500(site: &Site) -> Result<()> {
    for framing in [Framing::Length, Framing::H2] {
        for interim in INTERIM {
            let callback = Callback::new().framed(framing);
            site.upstream.script(&callback.id, [Answer::status(500).after_interim(interim), Answer::status(200)]);
            let reply = site.send(&callback);
            if framing == Framing::Length {
                let reply = reply?;
                ensure!(reply.status == 500, "{interim:?}: {} {}", reply.status, reply.text());
            }
            site.accepts(&callback, 2).with_context(|| format!("{framing:?}, again after {interim:?} and 500"))?;
            site.refuses(&callback)?;
        }
    }
    Ok(())
}

fn before_final(site: &Site) -> Result<()> {
    for status in [200, 302, 404] {
        for interim in INTERIM {
            let callback = Callback::new();
            site.upstream.script(&callback.id, [Answer::status(status).after_interim(interim)]);
            let reply = site.send(&callback)?;
            ensure!(reply.status == status, "{interim:?}: {} {}", reply.status, reply.text());
            site.refuses(&callback).with_context(|| format!("after {interim:?} and {status}"))?;
        }
    }
    Ok(())
}

fn alone(site: &Site) -> Result<()> {
    for interim in INTERIM {
        let callback = Callback::new();
        let reset = Answer::status(200).after_interim(interim).sent(Delivery::ResetBefore);
        site.upstream.script(&callback.id, [reset, Answer::status(200)]);
        // Nginx ends the connection in its own way, and the request only when the sender has ended it too.
        let _ = site.send(&callback);
        std::thread::sleep(Duration::from_millis(200));
        site.accepts(&callback, 2).with_context(|| format!("again after {interim:?} alone"))?;
        site.refuses(&callback)?;
    }
    Ok(())
}

/// 101 is final: no other answer follows it.
fn switching(site: &Site) -> Result<()> {
    let callback = Callback::new();
    site.upstream.script(&callback.id, [Answer::status(101).sent(Delivery::ResetMiddle)]);
    let asking = callback.clone().header("Upgrade", "websocket");
    let _ = site.send(&asking);
    ensure!(site.upstream.answered(&callback.id) == 1, "the head was not sent");
    site.refuses(&callback)
}
