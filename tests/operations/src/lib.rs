//! Only the suite in `tests/` matters here: the runbook, rotation, metrics, alert rules and the dashboard.
