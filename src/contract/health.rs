//! The messages of `grpc.health.v1.Health/Check`, for the client. The server has them from a crate.

/// Which service to ask about; empty for the server as a whole.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    pub service: String,
}

/// A `ServingStatus`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    pub status: i32,
}
