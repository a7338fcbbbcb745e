//! The stream of a feed, which is made if it is not there.

use async_nats::jetstream::{
    self,
    stream::{Config, DiscardPolicy, Info, RetentionPolicy, StorageType},
};
use sha2::{Digest, Sha256};
use tracing::{info, warn};

use super::{NatsError, subject};
use crate::feed::NatsSettings;

/// Makes the stream if it is not there, and checks it.
///
/// # Errors
/// JetStream does not answer, or the stream is not one for a feed.
pub(super) async fn open(context: &jetstream::Context, settings: &NatsSettings) -> Result<Info, NatsError> {
    let request = |action, source: async_nats::Error| NatsError::Request {
        action,
        stream: settings.stream.clone(),
        source,
    };
    let opened = match context.get_stream(&settings.stream).await {
        Err(error) if is_not_found(&error) => match context.create_stream(of_feed(settings)).await {
            Ok(created) => {
                info!(stream = settings.stream, "the stream was made");
                Ok(created)
            }
            // Another replica with other settings may have made it.
            Err(error) => {
                context.get_stream(&settings.stream).await.map_err(|_| request("make", error.into()))
            }
        },
        opened => opened.map_err(|error| request("open", error.into())),
    }?;
    let info = opened.cached_info().clone();
    match problem(&info.config) {
        Some(problem) => Err(NatsError::Unfit { stream: settings.stream.clone(), problem }),
        None => {
            if info.config.max_age != settings.retention {
                let (given, kept) = (settings.retention, info.config.max_age);
                warn!(
                    ?given,
                    ?kept,
                    "--feed-nats-retention is not that of the stream: the stream keeps its own"
                );
            }
            Ok(info)
        }
    }
}

/// The `tape_id` of a stream: one that is made anew has another one.
pub(super) fn tape_id(info: &Info) -> String {
    let created = info.created.unix_timestamp_nanos();
    let digest = Sha256::digest(format!("{} {created}", info.config.name));
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn of_feed(settings: &NatsSettings) -> Config {
    Config {
        name: settings.stream.clone(),
        description: Some("Ticks of `ticker serve --feed nats://…`".to_owned()),
        subjects: vec![subject::all(&settings.stream)],
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        discard: DiscardPolicy::Old,
        max_age: settings.retention,
        max_messages: -1,
        max_bytes: -1,
        max_messages_per_subject: -1,
        max_consumers: -1,
        num_replicas: settings.replicas,
        // Sequences would begin again, or have holes.
        deny_delete: true,
        deny_purge: true,
        ..Config::default()
    }
}

/// What makes a stream unfit for a feed, and what to do.
fn problem(config: &Config) -> Option<String> {
    let ours = subject::all(&config.name);
    if !config.subjects.iter().any(|pattern| subject::covers(pattern, &ours)) {
        return Some(format!(
            "its subjects are {:?}: add {ours}, or choose another stream with --feed-nats-stream",
            config.subjects
        ));
    }
    let change = "choose another stream with --feed-nats-stream";
    if config.retention != RetentionPolicy::Limits {
        return Some(format!("its retention must be by limits, and is {:?}: {change}", config.retention));
    }
    if config.mirror.is_some() || config.sealed {
        return Some(format!("it is a mirror or sealed, so that nothing can be published: {change}"));
    }
    config.no_ack.then(|| "it acknowledges nothing: set no_ack to false".to_owned())
}

fn is_not_found(error: &jetstream::context::GetStreamError) -> bool {
    use jetstream::{ErrorCode, context::GetStreamErrorKind};
    matches!(error.kind(), GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_fit_only_if_it_takes_and_keeps_all_subjects() {
        let fit = Config {
            name: "t".to_owned(),
            subjects: vec!["x".to_owned(), "t.>".to_owned()],
            ..Config::default()
        };
        assert_eq!(problem(&fit), None);
        let unfit = [
            Config { subjects: vec!["t.A".to_owned()], ..fit.clone() },
            Config { retention: RetentionPolicy::WorkQueue, ..fit.clone() },
            Config { sealed: true, ..fit.clone() },
            Config { no_ack: true, ..fit },
        ];
        for unfit in unfit {
            assert!(problem(&unfit).is_some(), "{unfit:?}");
        }
    }
}
