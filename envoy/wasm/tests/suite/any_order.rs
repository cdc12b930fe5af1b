//! Callbacks in orders that Envoy does not have, with fields that no client sends.

use proptest::prelude::*;
use secure_callbacks_envoy::host::Flow;

use super::fake::{Shared, protection};
use super::filter::{arrive, request};

#[derive(Debug, Clone)]
enum Any {
    Head(bool),
    Body(usize, bool),
    Trailers,
    Response(u16),
    Done,
}

fn any_step() -> impl Strategy<Value = Any> {
    prop_oneof![
        3 => any::<bool>().prop_map(Any::Head),
        5 => (0..40usize, any::<bool>()).prop_map(|(size, end)| Any::Body(size, end)),
        2 => Just(Any::Trailers),
        1 => prop_oneof![Just(200u16), Just(500)].prop_map(Any::Response),
        1 => Just(Any::Done),
    ]
}

proptest! {
    /// Whatever comes in whatever order: nothing goes on but an accepted callback, and nobody is answered twice.
    #[test]
    fn never_forwards_without_acceptance(
        steps in proptest::collection::vec(any_step(), 0..12),
        names in proptest::collection::vec((any::<Vec<u8>>(), any::<Vec<u8>>()), 0..4),
        good in any::<bool>(),
        signed in 0..40usize,
    ) {
        let bytes: Vec<u8> = (0..40).collect();
        let shared = Shared::default();
        let protection = protection(r#""replay_capacity": 16"#, &shared);
        let envoy = request(&shared, &bytes[..signed]);
        if good {
            envoy.0.headers.borrow_mut().extend(names.clone());
        } else {
            *envoy.0.headers.borrow_mut() = names.clone();
        }
        *envoy.0.trailers.borrow_mut() = names;
        let mut filter = envoy.filter(&protection);
        let mut sent = 0;
        for step in steps {
            let flow = match step {
                Any::Head(end) => filter.request_headers(end),
                Any::Body(size, end) => {
                    sent = sent.max(size);
                    arrive(&envoy, &mut filter, &bytes[..sent], end)
                }
                Any::Trailers => filter.request_trailers(),
                Any::Response(status) => {
                    envoy.answers(status, "via_upstream");
                    filter.response_headers();
                    Flow::Hold
                }
                Any::Done => {
                    filter.done();
                    Flow::Hold
                }
            };
            if flow == Flow::Continue {
                prop_assert_eq!(envoy.counted(), ["accepted"]);
                prop_assert!(good);
            }
            prop_assert!(envoy.counted().len() <= 1);
            prop_assert!(envoy.replies().len() <= 1);
        }
    }
}
