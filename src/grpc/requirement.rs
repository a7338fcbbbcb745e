//! What each RPC needs of its caller.

use super::{Rpc, status::Failure};
use crate::access::Grant;

/// What an RPC needs of its caller, when callers have to authenticate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// Nothing.
    Nothing,
    /// A token, whatever it allows.
    Token,
    /// A scope of `ticker:read`.
    Read,
    /// The scope `ticker:publish`.
    Publish,
}

impl Rpc {
    /// What the RPC needs of its caller. There is no default: a new RPC has to be added here.
    pub fn requirement(self) -> Requirement {
        match self {
            Self::HealthCheck => Requirement::Nothing,
            Self::HealthWatch | Self::Reflection | Self::ReflectionAlpha | Self::Other => Requirement::Token,
            Self::GogenTickerStream
            | Self::TickerStream
            | Self::Watch
            | Self::ListInstruments
            | Self::GetLastPrices
            | Self::GetTape
            | Self::ListTicks
            | Self::ListCandles
            | Self::DigestTicks => Requirement::Read,
            Self::Publish | Self::PublishStream => Requirement::Publish,
        }
    }
}

impl Requirement {
    /// Whether a grant is enough.
    ///
    /// # Errors
    /// The scope that is missing.
    pub(super) fn check(self, grant: &Grant) -> Result<(), Failure> {
        match self {
            Self::Read if !grant.reads_something() => Err(Failure::Forbidden("ticker:read")),
            Self::Publish if !grant.publishes_something() => Err(Failure::Forbidden("ticker:publish")),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message;

    use super::*;

    #[test]
    fn every_method_of_every_service_needs_something_that_was_decided() {
        let sets = [
            crate::contract::DESCRIPTORS,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ];
        let mut open = BTreeSet::new();
        for set in sets {
            let files = prost_types::FileDescriptorSet::decode(set).unwrap();
            for file in &files.file {
                for service in &file.service {
                    for method in &service.method {
                        let name = format!("{}.{}/{}", file.package(), service.name(), method.name());
                        let rpc = Rpc::of_path(&format!("/{name}"));
                        assert_ne!(rpc, Rpc::Other, "{name} has no requirement of its own");
                        if rpc.requirement() == Requirement::Nothing {
                            open.insert(name);
                        }
                    }
                }
            }
        }
        assert_eq!(open.into_iter().collect::<Vec<_>>(), ["grpc.health.v1.Health/Check"]);
        assert_eq!(Rpc::Other.requirement(), Requirement::Token);
    }
}
