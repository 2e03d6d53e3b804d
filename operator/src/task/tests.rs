//! Any bytes of a report, on their way into the status, the record and the metrics.

use axon_api::money::Money;
use axon_api::outputs::{Report, parse_marker_block};
use axon_api::shown::make_storable;
use axon_api::usage::{Usage, stored_tokens};
use axon_api::{TaskPhase, TaskReason, TaskStatus};
use jiff::Timestamp;
use proptest::prelude::*;

use super::fixtures::task;
use crate::metrics::Metrics;
use crate::task::apply::record::record_of;
use crate::task::decide::failure;
use crate::task::decide::prices::PriceTable;
use crate::task::decide::status::{enter, record_attempt};
use crate::task::observe::pod::{ContainerView, Ended, PodView};

/// Reports that are nearly right, and any other text.
fn messages() -> impl Strategy<Value = String> {
    let text = "(inf|NaN|-?[0-9]{1,25}|1e308|[^\"\\\\]{0,20})";
    let number = "(-?[0-9]{1,20}|1e99|\"7\"|null|\\[\\])";
    let report = (text, number, number, text, text).prop_map(|(cost, input, output, message, line)| {
        format!(
            r#"{{"axon":1,"final":true,"message":"{message}","usage":{{"costUSD":"{cost}","inputTokens":{input},"outputTokens":{output}}},"outputs":["cost-usd: {line}","k: {line}","{line}"]}}"#
        )
    });
    let bytes = prop::collection::vec(any::<u8>(), 0..200);
    prop_oneof![4 => report, 1 => bytes.prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())]
}

fn is_bounded(usage: &Usage) -> bool {
    let money = [&usage.cost_usd, &usage.estimated_cost_usd];
    let tokens = [
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
    ];
    money
        .into_iter()
        .flatten()
        .all(|text| Money::parse(text).is_some())
        && tokens
            .into_iter()
            .flatten()
            .all(|count| stored_tokens(count).is_some())
}

proptest! {
    #[test]
    fn any_report_ends_in_a_status_that_can_be_written_and_in_finite_metrics(
        messages in prop::collection::vec((messages(), 0..3_i32), 1..20),
    ) {
        let table = PriceTable::parse("models: {'*': {input: 1000000, output: 1000000}}").unwrap();
        let mut task = task("t");
        task.spec.model = Some("m".into());
        let mut status = TaskStatus::default();
        for (index, (message, exit_code)) in messages.iter().enumerate() {
            let report = Report::parse(message).map(Box::new);
            let ended = Ended {
                exit_code: *exit_code,
                message: if report.is_some() { String::new() } else { message.clone() },
                report,
                ..Ended::default()
            };
            let pod = PodView {
                name: format!("p{index}"),
                agent: ContainerView::Terminated(ended.clone()),
                ..PodView::default()
            };
            let log = format!("---AXON_OUTPUTS_START---\ncost-usd: {message}\n{message}\n---AXON_OUTPUTS_END---\n");
            let failure = failure::of_pod(&pod);
            let words = failure.as_ref().map(|failure| failure.message.clone()).unwrap_or_default();
            record_attempt(&mut status, &pod, &ended, failure, &parse_marker_block(&log), table.price_of(&task));
            status = enter(&status, TaskPhase::Failed, TaskReason::AgentError, &words, None, Timestamp::UNIX_EPOCH);
        }
        let usages = status.attempts.iter().filter_map(|attempt| attempt.usage.as_ref()).chain(&status.usage);
        prop_assert!(usages.into_iter().all(is_bounded), "{:?}", status.usage);
        let mut written = serde_json::to_value(&status).unwrap();
        let before = written.clone();
        make_storable(&mut written);
        prop_assert_eq!(written, before, "every text can be stored as it is");
        let record = record_of(&task, &status).unwrap();
        prop_assert_eq!(&record.spec.usage, &status.usage);
        let metrics = Metrics::new();
        metrics.entered(&task, &status);
        metrics.entered(&task, &status);
        for line in metrics.text().lines().filter(|line| line.contains("_total{")) {
            let value: f64 = line.rsplit_once(' ').unwrap().1.parse().unwrap();
            prop_assert!(value.is_finite() && value >= 0.0, "{}", line);
        }
    }
}
