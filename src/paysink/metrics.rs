//! Metrics, while a stream runs.

use std::sync::Arc;

use super::StreamiumPaySink;
use super::settings::Checked;
use crate::messages::post_report;
use crate::metrics::{About, PATH, Server, page};
use crate::report::{Report, Severity};
use crate::session::Published;
use crate::session::provider::ProviderStats;

/// Serves them where an address is set, and says where. That it can't be done keeps nobody from watching.
pub fn start(
    element: &StreamiumPaySink,
    checked: &Checked,
    stats: Published<ProviderStats>,
) -> Option<Server> {
    let address = checked.metrics?;
    let about = About {
        stream: checked.options.stream.to_string(),
        network: checked.options.network.to_string(),
    };
    let server = Server::start(address, Arc::new(move || page(&about, stats.read())));
    let report = Report::new("metrics");
    let report = match &server {
        Ok(server) => {
            let url = format!("http://{}{PATH}", server.address());
            report
                .text_field("url", &url)
                .say(format!("Metrics are at {url}."))
        }
        Err(error) => report
            .text_field("reason", error)
            .severity(Severity::Warning)
            .say(format!(
                "There are no metrics: {address} (metrics-address) can't be listened at, {error}. The stream goes on."
            )),
    };
    post_report(element, &report);
    server.ok()
}
