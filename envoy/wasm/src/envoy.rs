//! Envoy, as the rest of the filter sees it: the only file that makes host calls.

use std::convert::Infallible;
use std::time::Duration;

use proxy_wasm::types::{BufferType, LogLevel, MapType, MetricType};
use secure_callbacks::{Answer, Code, ReplayStore, Reservation, Settled, UnixSeconds, fault};
use secure_callbacks_envoy::host::{Attribute, Host, HostFailed, Part, Response};

use crate::abi::{self, Status};
use crate::attributes;
use crate::logger;
use crate::metrics::{MetricId, Metrics, Registry};
use crate::pairs;
use crate::replay::Tables;
use crate::shared_data::{SharedData, SharedDataFailed, Swap};

/// The host of one call: which request or plugin it is about is Envoy's to know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Envoy;

impl Envoy {
    /// The plugin's configuration, as it arrived; empty if there is none.
    pub(crate) fn plugin_configuration() -> Vec<u8> {
        abi::buffer(BufferType::PluginConfiguration, 0, usize::MAX).unwrap_or_default()
    }

    /// Writes to the log what Envoy's present level lets through.
    pub(crate) fn follow_log_level() {
        logger::follow();
    }

    /// Has panics logged only by their place in the code, and `then` done before the sandbox ends.
    pub(crate) fn report_panics(then: fn()) {
        std::panic::set_hook(Box::new(move |info| {
            // Without a log there is nowhere to say it.
            let _ = abi::log(LogLevel::Critical, &fault::line(info.location()));
            then();
        }));
    }

    /// Asks for a call every so often.
    pub(crate) fn tick_every(period: Duration) {
        let period = u32::try_from(period.as_millis()).unwrap_or(u32::MAX);
        if abi::set_tick_period(period).is_err() {
            log::error!(
                "secure_callbacks: no ticks: the gauge of replay entries stays at 0, and reservations do not lapse"
            );
        }
    }

    /// How many bytes of the present request Envoy has received: its head's, as names and values, and its body's.
    pub(crate) fn received() -> Option<u64> {
        let bytes = abi::property("request\0total_size").ok()?;
        bytes.try_into().ok().map(u64::from_le_bytes)
    }

    /// Sets a gauge.
    pub(crate) fn set_gauge(metric: MetricId, value: u64) {
        // A metric that can't be written is no reason to do anything else differently.
        let _ = abi::record_metric(metric, value);
    }
}

const fn map_type(part: Part) -> MapType {
    match part {
        Part::Headers => MapType::HttpRequestHeaders,
        Part::Trailers => MapType::HttpRequestTrailers,
    }
}

fn failed(_: Status) -> HostFailed {
    HostFailed
}

impl Host for Envoy {
    type Metrics = Metrics;
    type Store = Tables;
    type SharedStore = Infallible;

    fn time(&self) -> Duration {
        // Without a clock every token is from the future.
        Duration::from_nanos(abi::nanoseconds().unwrap_or(0))
    }

    fn each_field(&self, part: Part, show: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), HostFailed> {
        let serialized = abi::map(map_type(part)).map_err(failed)?;
        pairs::read(&serialized, show).ok_or(HostFailed)
    }

    fn add_header(&self, name: &str, value: &str) -> Result<(), HostFailed> {
        abi::add_map_value(MapType::HttpRequestHeaders, name.as_bytes(), value.as_bytes()).map_err(failed)
    }

    fn remove_field(&self, part: Part, name: &[u8]) -> Result<(), HostFailed> {
        abi::remove_map_value(map_type(part), name).map_err(failed)
    }

    fn body(&self, start: usize, length: usize, show: &mut dyn FnMut(&[u8])) -> Result<(), HostFailed> {
        show(&abi::buffer(BufferType::HttpRequestBody, start, length).map_err(failed)?);
        Ok(())
    }

    fn reply(&self, response: &Response<'_>) -> Result<(), HostFailed> {
        let headers = pairs::write(&response.headers);
        abi::send_local_response(response.status, response.details, response.body, &headers).map_err(failed)
    }

    fn response_status(&self) -> Option<u16> {
        let status = abi::map_value(MapType::HttpResponseHeaders, b":status").ok()?;
        str::from_utf8(&status).ok()?.parse().ok()
    }

    fn attribute(&self, attribute: Attribute) -> Option<Vec<u8>> {
        abi::property(attributes::path(attribute)).ok()
    }

    fn set_state(&self, key: &str, value: &str) {
        // The access log lacks it then; the request is decided all the same.
        let _ = abi::set_property(key, value);
    }

    fn count(&self, metrics: &Metrics, code: Code) {
        if let Some(counter) = metrics.requests(code) {
            let _ = abi::increment_metric(counter);
        }
    }

    fn reserve(&self, store: &Tables, reservation: &Reservation, now: UnixSeconds) -> Answer {
        store.on(self).reserve(reservation, now)
    }

    fn settle(&self, store: &Tables, settled: &Settled, now: UnixSeconds) {
        store.on(self).settle(settled, now);
    }

    fn reserve_shared(&self, store: &Infallible, _: &Reservation) -> bool {
        match *store {}
    }

    fn settle_shared(&self, store: &Infallible, _: &Settled, _: UnixSeconds) {
        match *store {}
    }
}

impl SharedData for Envoy {
    fn load(&self, key: &str) -> Result<Option<(Vec<u8>, u32)>, SharedDataFailed> {
        match abi::shared_data(key) {
            Ok(found) => Ok(Some(found)),
            Err(Status::NOT_FOUND) => Ok(None),
            Err(_) => Err(SharedDataFailed),
        }
    }

    fn swap(&self, key: &str, value: &[u8], stamp: u32) -> Result<Swap, SharedDataFailed> {
        match abi::set_shared_data(key, value, stamp) {
            Ok(()) => Ok(Swap::Done),
            Err(Status::CAS_MISMATCH) => Ok(Swap::Lost),
            Err(_) => Err(SharedDataFailed),
        }
    }
}

impl Registry for Envoy {
    fn counter(&self, name: &str) -> Option<MetricId> {
        abi::define_metric(MetricType::Counter, name).ok()
    }

    fn gauge(&self, name: &str) -> Option<MetricId> {
        abi::define_metric(MetricType::Gauge, name).ok()
    }
}
