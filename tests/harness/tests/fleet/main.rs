//! Proxies that share one replay store: what one has taken, no other takes.
mod copies;
mod life;
mod site;
mod trouble;

use secure_callbacks_harness::suite::Suite;
use secure_callbacks_harness::tools::ProxyKind;

fn main() {
    let mut suite = Suite::new("fleet", 2);
    let kinds = sharing();
    for one in &kinds {
        life::add(&mut suite.on(*one), &kinds);
        trouble::add(&mut suite.on(*one));
    }
    copies::add(&mut suite, &kinds);
    suite.run(());
}

/// The kinds that share a store.
fn sharing() -> Vec<ProxyKind> {
    let nginx = ProxyKind::all().into_iter().find(|kind| kind.is_nginx());
    [ProxyKind::EnvoyModule].into_iter().chain(nginx).collect()
}
