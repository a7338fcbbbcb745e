//! The RPCs of the server, told by the paths of their requests.

use http::Uri;

/// An RPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Rpc {
    /// `gogen.TickerStreamService/TickerStream`.
    GogenTickerStream,
    /// `ticker.v1.TickerStreamService/TickerStream`.
    TickerStream,
    /// `ticker.v1.TickerStreamService/Watch`.
    Watch,
    /// `ticker.v1.TickerStreamService/Publish`.
    Publish,
    /// `ticker.v1.TickerStreamService/PublishStream`.
    PublishStream,
    /// `ticker.v1.TickerStreamService/ListInstruments`.
    ListInstruments,
    /// `ticker.v1.TickerStreamService/GetLastPrices`.
    GetLastPrices,
    /// `ticker.v1.TickerStreamService/GetTape`.
    GetTape,
    /// `ticker.v1.TickerStreamService/ListTicks`.
    ListTicks,
    /// `ticker.v1.TickerStreamService/ListCandles`.
    ListCandles,
    /// `ticker.v1.TickerStreamService/DigestTicks`.
    DigestTicks,
    /// `grpc.health.v1.Health/Check`.
    HealthCheck,
    /// `grpc.health.v1.Health/Watch`.
    HealthWatch,
    /// `grpc.reflection.v1.ServerReflection/ServerReflectionInfo`.
    Reflection,
    /// `grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo`.
    ReflectionAlpha,
    /// What is not there.
    Other,
}

impl Rpc {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 16] = [
        Self::GogenTickerStream,
        Self::TickerStream,
        Self::Watch,
        Self::Publish,
        Self::PublishStream,
        Self::ListInstruments,
        Self::GetLastPrices,
        Self::GetTape,
        Self::ListTicks,
        Self::ListCandles,
        Self::DigestTicks,
        Self::HealthCheck,
        Self::HealthWatch,
        Self::Reflection,
        Self::ReflectionAlpha,
        Self::Other,
    ];

    /// The RPC of a request with this path.
    pub fn of_path(path: &str) -> Self {
        let name = path.strip_prefix('/').unwrap_or_default();
        Self::ALL.into_iter().find(|rpc| rpc.name() == name).unwrap_or(Self::Other)
    }

    /// The path of its requests.
    pub fn path(self) -> Uri {
        // Names are made of letters, digits, dots and slashes.
        Uri::try_from(format!("/{}", self.name())).unwrap_or_default()
    }

    /// Its full name; `other` for [`Self::Other`].
    pub fn name(self) -> &'static str {
        match self {
            Self::GogenTickerStream => "gogen.TickerStreamService/TickerStream",
            Self::TickerStream => "ticker.v1.TickerStreamService/TickerStream",
            Self::Watch => "ticker.v1.TickerStreamService/Watch",
            Self::Publish => "ticker.v1.TickerStreamService/Publish",
            Self::PublishStream => "ticker.v1.TickerStreamService/PublishStream",
            Self::ListInstruments => "ticker.v1.TickerStreamService/ListInstruments",
            Self::GetLastPrices => "ticker.v1.TickerStreamService/GetLastPrices",
            Self::GetTape => "ticker.v1.TickerStreamService/GetTape",
            Self::ListTicks => "ticker.v1.TickerStreamService/ListTicks",
            Self::ListCandles => "ticker.v1.TickerStreamService/ListCandles",
            Self::DigestTicks => "ticker.v1.TickerStreamService/DigestTicks",
            Self::HealthCheck => "grpc.health.v1.Health/Check",
            Self::HealthWatch => "grpc.health.v1.Health/Watch",
            Self::Reflection => "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            Self::ReflectionAlpha => "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            Self::Other => "other",
        }
    }

    /// Whether it streams ticks.
    pub fn streams_ticks(self) -> bool {
        matches!(self, Self::GogenTickerStream | Self::TickerStream | Self::Watch)
    }

    /// Whether it ends only when the client or the server has had enough: its duration says nothing about the server's speed.
    pub fn is_stream(self) -> bool {
        self.streams_ticks()
            || matches!(
                self,
                Self::Publish
                    | Self::PublishStream
                    | Self::HealthWatch
                    | Self::Reflection
                    | Self::ReflectionAlpha
                    | Self::Other
            )
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::contract::DESCRIPTORS;

    #[test]
    fn every_rpc_of_the_contract_is_known_by_its_path() {
        let files = prost_types::FileDescriptorSet::decode(DESCRIPTORS).unwrap();
        let mut known = 0;
        for file in &files.file {
            for service in &file.service {
                for method in &service.method {
                    let name = format!("{}.{}/{}", file.package(), service.name(), method.name());
                    let rpc = Rpc::of_path(&format!("/{name}"));
                    assert_eq!(rpc.name(), name);
                    let streams_ticks = method.server_streaming() && rpc != Rpc::PublishStream;
                    let is_stream = method.server_streaming() || method.client_streaming();
                    assert_eq!((rpc.streams_ticks(), rpc.is_stream()), (streams_ticks, is_stream), "{name}");
                    known += 1;
                }
            }
        }
        assert_eq!(known + 5, Rpc::ALL.len());
        assert!(Rpc::ALL.into_iter().enumerate().all(|(place, rpc)| rpc as usize == place));
    }
}
