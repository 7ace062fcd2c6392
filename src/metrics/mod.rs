//! The provider's statistics for Prometheus, over HTTP. They are those of the property `stats`, from the same snapshot.

mod http;
mod page;
mod server;

pub use page::{About, page};
pub use server::Server;

/// Where the metrics are.
pub const PATH: &str = "/metrics";

/// OpenMetrics 1.0, which Prometheus reads since 2.5.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
