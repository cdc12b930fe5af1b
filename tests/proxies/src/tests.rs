//! What a good file is, and what is told of a bad one.

use super::*;

#[test]
fn the_file_is_good() {
    check().expect("proxies.toml");
}

#[test]
fn what_is_wrong_with_an_entry_is_told() {
    let good = TEXT.rsplit_once("[[proxy]]").expect("an entry").1;
    for (from, to, told) in [
        ("version", "versions", "unknown field `versions`"),
        ("debian = ", "suite = ", "no source of this form"),
        ("nginx-module", "filter", "not those of such a proxy"),
        ("debian = ", "pypi = ", "not those of such a proxy"),
        ("debian = ", "system = ", "there must be one nginx whose source is `system`, and there are 2"),
        ("1.30.6", "1.28.3", "there must be one nginx-1.28.3, and there are 2"),
        ("suites = ", "# ", "nothing is left for `all`"),
    ] {
        assert!(good.contains(from), "{from}");
        let problem = read(&TEXT.replace(good, &good.replace(from, to))).expect_err(told);
        assert!(problem.contains(told), "{from} -> {to}: {problem}");
    }
}

#[test]
fn a_suite_may_be_narrowed_to_part_of_its_tests() {
    let narrowed = all().iter().find(|proxy| proxy.product == Product::Envoy).expect("an Envoy");
    let suites: Vec<_> = narrowed.further_suites(false).collect();
    assert_eq!(suites, [("vectors", None), ("hosts", Some("answered_by")), ("hosts", Some("too_old_for_the_module"))]);
    assert_eq!(envoy().expect("an Envoy").further_suites(true).count(), 0);
}

#[test]
fn some_suites_run_only_where_all_is_to_be_run() {
    let proxy = all().iter().rfind(|proxy| !proxy.all.is_empty()).expect("one with `all`");
    let [few, every] = [false, true].map(|everything| proxy.further_suites(everything).collect::<Vec<_>>());
    assert_eq!(few, [("vectors", None), ("hosts", None), ("tls", None)]);
    assert_eq!(every, [("vectors", None), ("hosts", None), ("tls", None), ("replay", None)]);
}
