//! Statuses of gRPC as those of HTTP, and errors as JSON.

use http::StatusCode;
use serde::Serialize;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::contract::RpcCode;

/// An error as the client is told: `{"error":{"code":404,"status":"NOT_FOUND","message":"…"}}`.
#[derive(Serialize)]
struct ErrorBody<'a> {
    error: ErrorDetail<'a>,
}

#[derive(Serialize)]
struct ErrorDetail<'a> {
    code: u16,
    status: &'a str,
    message: &'a str,
}

/// The body that tells the client of an error.
pub(super) fn error_json(http: StatusCode, code: RpcCode, message: &str) -> String {
    let error = ErrorDetail { code: http.as_u16(), status: code.as_str(), message };
    // A number and texts always have a JSON form.
    serde_json::to_string(&ErrorBody { error }).unwrap_or_default()
}

/// The status of HTTP for a code of gRPC, as Google's APIs map them.
pub(super) fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        // The client has gone, so nobody reads it.
        Code::Cancelled | Code::Unknown | Code::Internal | Code::DataLoss => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
    }
}

/// The value of `Retry-After` for a status with `google.rpc.RetryInfo`: whole seconds, rounded up.
pub(super) fn retry_after(status: &Status) -> Option<u64> {
    let delay = status.get_details_retry_info()?.retry_delay?;
    Some(delay.as_secs().saturating_add(u64::from(delay.subsec_nanos() > 0)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderMap;
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn an_error_has_its_http_status_and_is_told_as_json() {
        let message = "unknown symbol \"TCZ\"\n; did you mean TCS?";
        let error = error_json(StatusCode::NOT_FOUND, RpcCode::NotFound, message);
        let expected = r#"{"error":{"code":404,"status":"NOT_FOUND","message":"unknown symbol \"TCZ\"\n; did you mean TCS?"}}"#;
        assert_eq!(error, expected);
        for (code, status) in [
            (Code::InvalidArgument, 400),
            (Code::Unauthenticated, 401),
            (Code::PermissionDenied, 403),
            (Code::NotFound, 404),
            (Code::ResourceExhausted, 429),
            (Code::Internal, 500),
            (Code::Unimplemented, 501),
            (Code::Unavailable, 503),
            (Code::DeadlineExceeded, 504),
        ] {
            assert_eq!(http_status(code).as_u16(), status, "{code:?}");
        }
    }

    #[test]
    fn an_error_that_says_when_to_try_again_has_whole_seconds() {
        let after = |delay| {
            let details = ErrorDetails::with_retry_info(Some(delay));
            let status = Status::with_error_details(Code::Unavailable, "", details);
            // As it arrives: in headers.
            let response = status.into_http::<()>();
            retry_after(&Status::from_header_map(response.headers()).unwrap())
        };
        assert_eq!(after(Duration::from_millis(100)), Some(1));
        assert_eq!(after(Duration::from_secs(1)), Some(1));
        assert_eq!(after(Duration::from_millis(1_001)), Some(2));
        assert_eq!(retry_after(&Status::unavailable("")), None);
        assert!(Status::from_header_map(&HeaderMap::new()).is_none());
    }
}
