//! Variables of the environment that look like settings of this program and are none, most likely because they are misspelt.

use std::{collections::BTreeSet, ffi::OsStr, fmt};

use clap::CommandFactory;

use super::Cli;
use crate::{similar_name::similar_name, telemetry};

/// A variable `TICKER_…` that this program does not read.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownVariable {
    name: String,
    /// The variable with the most similar name, if one is similar.
    nearest: Option<String>,
}

/// What the names of all variables of this program begin with.
const PREFIX: &str = "TICKER_";

/// The unknown ones among variables, by name and value.
///
/// Kubernetes gives every container variables of the Services of its namespace, and those of a Service called `ticker` begin
/// like our own (`TICKER_PORT`, `TICKER_SERVICE_HOST`). They are not reported.
pub fn unknown_variables<N, V>(variables: impl IntoIterator<Item = (N, V)>) -> Vec<UnknownVariable>
where
    N: AsRef<OsStr>,
    V: AsRef<OsStr>,
{
    let variables = variables.into_iter().filter_map(|(name, value)| {
        let (name, value) = (name.as_ref().to_string_lossy(), value.as_ref().to_string_lossy());
        (name.starts_with(PREFIX) && !is_of_kubernetes(&name, &value)).then(|| name.into_owned())
    });
    let mut variables = variables.peekable();
    // Most processes have none, and then the flags need not be looked up.
    if variables.peek().is_none() {
        return Vec::new();
    }
    let known = known_variables();
    let unknown = variables.filter(|name| !known.contains(name));
    let mut unknown: Vec<_> =
        unknown.map(|name| UnknownVariable { nearest: nearest(&name, &known), name }).collect();
    unknown.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    unknown
}

/// The variables of the flags of all commands, and that of the log.
fn known_variables() -> BTreeSet<String> {
    let mut known = BTreeSet::from([telemetry::VARIABLE.to_owned()]);
    for command in Cli::command().get_subcommands() {
        let variables = command.get_arguments().filter_map(|flag| flag.get_env()?.to_str());
        known.extend(variables.map(str::to_owned));
    }
    known
}

/// Whether Kubernetes makes such a variable for a Service: `NAME_SERVICE_HOST`, `NAME_SERVICE_PORT`,
/// `NAME_SERVICE_PORT_WEB`, `NAME_PORT`, whose value is an address, `NAME_PORT_80_TCP` and `NAME_PORT_80_TCP_ADDR`.
fn is_of_kubernetes(name: &str, value: &str) -> bool {
    let is_port = |rest: &str| {
        let (number, protocol) = rest.split_once('_').unwrap_or_default();
        number.parse::<u16>().is_ok()
            && ["TCP", "UDP", "SCTP"].iter().any(|known| protocol.starts_with(known))
    };
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || name.ends_with("_PORT") && value.contains("://")
        || name.split_once("_PORT_").is_some_and(|(_, rest)| is_port(rest))
}

/// The known variable that is most similar. The prefix, which all have, does not count.
fn nearest(name: &str, known: &BTreeSet<String>) -> Option<String> {
    let rest = |name| str::strip_prefix(name, PREFIX).unwrap_or_default();
    let nearest = similar_name(rest(name), known.iter().map(|known| rest(known)))?;
    Some(format!("{PREFIX}{nearest}"))
}

impl fmt::Display for UnknownVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not a variable of ticker", self.name)?;
        match &self.nearest {
            Some(nearest) => write!(f, "; did you mean {nearest}?"),
            None => write!(f, "; each command lists its variables with --help"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(variables: &[(&str, &str)]) -> Vec<String> {
        unknown_variables(variables.iter().copied()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_misspelt_variable_is_named_with_the_nearest_right_one() {
        for (misspelt, meant) in [
            ("TICKER_LISTN", "TICKER_LISTEN"),
            ("TICKER_LISTEN_ADDRESS", "TICKER_LISTEN"),
            ("TICKER_SEDE", "TICKER_SEED"),
            ("TICKER_MAX_CONNECTION", "TICKER_MAX_CONNECTIONS"),
            ("TICKER_ENDPOINTS", "TICKER_ENDPOINT"),
            ("TICKER_LOGS", "TICKER_LOG"),
            ("TICKER_log_format", "TICKER_LOG_FORMAT"),
            ("TICKER_LOGFORMAT", "TICKER_LOG_FORMAT"),
        ] {
            let expected = format!("{misspelt} is not a variable of ticker; did you mean {meant}?");
            assert_eq!(told(&[(misspelt, "1")]), [expected]);
        }
        let expected =
            "TICKER_XYZZY is not a variable of ticker; each command lists its variables with --help";
        assert_eq!(told(&[("TICKER_XYZZY", ""), ("PATH", "/bin"), ("TICKERS", "2")]), [expected]);
    }

    #[test]
    fn the_variables_of_flags_and_of_the_log_are_known() {
        assert_eq!(told(&[("TICKER_LOG", "debug"), ("TICKER_SEED", "2"), ("TICKER_OUT", "a.csv")]), [""; 0]);
    }

    #[test]
    fn the_variables_that_kubernetes_makes_for_services_are_not_reported() {
        let mut variables = Vec::new();
        for service in ["TICKER", "TICKER_HEADLESS"] {
            for (rest, value) in [
                ("SERVICE_HOST", "10.96.0.12"),
                ("SERVICE_PORT", "50051"),
                ("SERVICE_PORT_GRPC", "50051"),
                ("PORT", "tcp://10.96.0.12:50051"),
                ("PORT_50051_TCP", "tcp://10.96.0.12:50051"),
                ("PORT_50051_TCP_PROTO", "tcp"),
                ("PORT_50051_TCP_PORT", "50051"),
                ("PORT_50051_TCP_ADDR", "10.96.0.12"),
                ("PORT_53_UDP", "udp://10.96.0.12:53"),
            ] {
                variables.push((format!("{service}_{rest}"), value));
            }
        }
        assert_eq!(unknown_variables(variables), []);
        // Somebody who sets a port by hand means another variable.
        assert_eq!(told(&[("TICKER_PORT", "50051"), ("TICKER_PORT_NUMBER", "1")]).len(), 2);
    }
}
