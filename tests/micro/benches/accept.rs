//! The accept path and its parts. Natively, and in node's V8, which is Envoy's engine too:
//!
//! ```sh
//! cargo bench -p secure-callbacks-micro
//! CARGO_TARGET_WASM32_WASIP1_RUNNER="node --no-warnings $PWD/tests/micro/wasi.mjs" \
//!     cargo bench -p secure-callbacks-micro --target wasm32-wasip1
//! ```
#![allow(clippy::expect_used)] // A measurement of nothing has to stop.

#[cfg(not(target_family = "wasm"))]
use divan::AllocProfiler;
use divan::Bencher;
use divan::counter::BytesCount;
use secure_callbacks::{Answer, Callback as Life, Rejection, Settled};
use secure_callbacks_micro::{Callback, NOW, SHORT_BODY, headers, site};

#[cfg(not(target_family = "wasm"))]
#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

/// Up to the default `max_body_size`.
const BODIES: [usize; 4] = [SHORT_BODY, 4 << 10, 64 << 10, 1 << 20];

fn main() {
    divan::main();
}

#[divan::bench]
fn accept(bencher: Bencher) {
    let (mut site, callback) = (site(), Callback::good(SHORT_BODY));
    bencher.bench_local(|| callback.accept(&mut site));
}

/// The head, each time up to one check further: what a step costs is the difference to the one before.
mod head {
    use super::*;

    fn refused(bencher: Bencher, callback: &Callback, rejection: Rejection) {
        let site = site();
        assert_eq!(callback.start(&site).err(), Some(rejection));
        bencher.bench_local(|| callback.start(&site).err());
    }

    #[divan::bench]
    fn a_token(bencher: Bencher) {
        let callback = Callback::made(SHORT_BODY, |token| token.header("alg", "none"));
        refused(bencher, &callback, Rejection::AlgorithmNotAllowed);
    }

    #[divan::bench]
    fn b_claims(bencher: Bencher) {
        let callback = Callback::made(SHORT_BODY, |token| token.claim("api_key", "zzzzzzz"));
        refused(bencher, &callback, Rejection::AccountUnknown);
    }

    #[divan::bench]
    fn c_signature(bencher: Bencher) {
        let callback = Callback::made(SHORT_BODY, |token| token.secret("another secret than the site's"));
        refused(bencher, &callback, Rejection::SignatureInvalid);
    }

    #[divan::bench]
    fn d_whole(bencher: Bencher) {
        let (site, callback) = (site(), Callback::good(SHORT_BODY));
        bencher.bench_local(|| callback.start(&site).expect("a good head"));
    }
}

#[divan::bench(args = BODIES)]
fn payload_hash(bencher: Bencher, size: usize) {
    let (site, callback) = (site(), Callback::good(size));
    bencher
        .counter(BytesCount::new(size))
        .with_inputs(|| callback.start(&site).expect("a good head"))
        .bench_local_values(|pending| callback.end(pending));
}

#[divan::bench]
fn reserve_and_release(bencher: Bencher) {
    let (mut site, callback) = (site(), Callback::good(SHORT_BODY));
    let authentic = callback.end(callback.start(&site).expect("a good head"));
    let reservation = authentic.reservation(1, NOW).expect("replay is on");
    bencher.bench_local(|| {
        assert_eq!(site.reserve(&reservation), Answer::Fresh);
        site.settle(&Settled::Release(reservation));
    });
}

#[divan::bench]
fn identity_headers(bencher: Bencher) {
    let (mut site, callback) = (site(), Callback::good(SHORT_BODY));
    let conclusion = callback.conclude(&mut site, &mut Life::default());
    bencher.bench_local(|| headers(&conclusion));
}
