//! A live market ticker: clients subscribe to symbols over gRPC and receive last traded prices.

pub mod contract;
pub mod grpc;
pub mod hub;
pub mod pacer;
pub mod tape;
pub mod tick;
