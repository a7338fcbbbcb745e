//! `ticker verify`: compares the ticks of replicas.

mod compare;

use std::{
    collections::BTreeSet,
    io::{self, BufWriter, Write},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::Range,
    process::ExitCode,
    time::Duration,
};

use anyhow::bail;
use clap::Args;
use tokio_stream::StreamExt;

use self::compare::{Comparison, Difference, compare};
use super::{SecurityArgs, output, phrases::counted, usage};
use crate::{
    client::{Client, ClientError, Endpoint, TapeInfo},
    tick::{Tick, Time},
    timestamp,
};

/// The arguments of `ticker verify`.
#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// Symbols to compare, separated by spaces, such as RELIANCE BTC-USD; '*' stands for every instrument
    #[arg(required = true, value_name = "SYMBOL", value_parser = usage::parse_symbol)]
    pub symbols: Vec<String>,

    /// Address of a replica, at least two: repeat the flag or use commas. Each is compared with the first
    #[arg(
        long = "endpoint",
        env = "TICKER_ENDPOINT",
        value_name = "URL",
        value_delimiter = ',',
        required = true
    )]
    pub endpoints: Vec<Endpoint>,

    /// Time to begin at, such as 2026-11-20T09:15:00Z [default: one hour before the end]
    #[arg(long, env = "TICKER_FROM", value_name = "TIME", value_parser = timestamp::parse)]
    pub from: Option<Time>,

    /// Time to end before, in the same form [default, and at the latest: the present of every replica]
    #[arg(long, env = "TICKER_TO", value_name = "TIME", value_parser = timestamp::parse)]
    pub to: Option<Time>,

    /// TLS and tokens.
    #[command(flatten)]
    pub security: SecurityArgs,
}

/// A replica and the tape that it plays.
struct Replica {
    client: Client,
    tape: TapeInfo,
}

/// What to do when there is only one replica to compare.
const NAME_TWO: &str = "name two different replicas with --endpoint A --endpoint B";

/// Default span of the comparison.
const SPAN: Duration = Duration::from_secs(60 * 60);

/// Compares and prints a line for each symbol. The exit code is 1 when anything differs.
///
/// # Errors
/// A replica cannot be reached or refuses, or the lines cannot be written.
pub async fn run(args: VerifyArgs) -> anyhow::Result<ExitCode> {
    let checked = check_endpoints(&args.endpoints).and_then(|()| usage::check_times(args.from, args.to));
    checked.unwrap_or_else(|message| usage::exit_with_error(message));
    let mut replicas: Vec<Replica> = Vec::new();
    for endpoint in &args.endpoints {
        let client = Client::connect(&endpoint.clone().into(), args.security.settings()).await?;
        let address = canonical(client.address());
        if let Some(other) = replicas.iter().position(|other| canonical(other.client.address()) == address) {
            let other = &args.endpoints[other];
            usage::exit_with_error(format_args!(
                "{other} and {endpoint} are the same replica, {address}: {NAME_TWO}"
            ));
        }
        let tape = client.tape().await?;
        replicas.push(Replica { client, tape });
    }
    let times = times(&args, &replicas)?;
    let verified = verify(&args.symbols, &replicas, times, BufWriter::new(io::stdout().lock())).await;
    output::exit_code(verified.map(|same| if same { ExitCode::SUCCESS } else { ExitCode::FAILURE }))
}

/// What to compare: up to the present of all replicas.
fn times(args: &VerifyArgs, replicas: &[Replica]) -> anyhow::Result<Range<Time>> {
    let present = replicas.iter().map(|replica| replica.tape.time).min().unwrap_or_default();
    let to = args.to.unwrap_or(present).min(present);
    let from = args.from.unwrap_or_else(|| to.before(SPAN).unwrap_or_default());
    if from >= to {
        let (from, to) = (timestamp::show(from), timestamp::show(to));
        // --from is before --to, so the range is empty because of the present or of the year 1970.
        match args.from {
            Some(_) => bail!(
                "--from {from} is not before the present of the replicas, {to}: choose an earlier --from"
            ),
            None => bail!("there is nothing before {to}, where the comparison ends: choose a later --to"),
        }
    }
    Ok(from..to)
}

/// Checks that there are at least two endpoints and none is named twice.
fn check_endpoints(endpoints: &[Endpoint]) -> Result<(), String> {
    if endpoints.len() < 2 {
        return Err(format!("one replica cannot be compared: {NAME_TWO}"));
    }
    let again = endpoints.iter().enumerate().find(|(at, endpoint)| endpoints[..*at].contains(endpoint));
    again.map_or(Ok(()), |(_, endpoint)| Err(format!("{endpoint} is named twice: {NAME_TWO}")))
}

/// Normalizes an address: an IPv4-mapped IPv6 address becomes the IPv4 address, and the unspecified address becomes the
/// loopback address, which is what it connects to.
fn canonical(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip().to_canonical() {
        ip if !ip.is_unspecified() => ip,
        ip if ip.is_ipv4() => Ipv4Addr::LOCALHOST.into(),
        _ => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}

async fn verify(
    symbols: &[String],
    replicas: &[Replica],
    times: Range<Time>,
    mut to: impl Write,
) -> anyhow::Result<bool> {
    for Replica { client, tape } in replicas {
        writeln!(to, "{}  tape {}  at {}", client.endpoint(), tape.id, timestamp::show(tape.time))?;
    }
    let mut same = true;
    if replicas.iter().any(|replica| replica.tape.id != replicas[0].tape.id) {
        same = false;
        writeln!(to, "the tapes differ: seed, instruments or engine version are not the same")?;
    }
    let (listed, unlisted) = listed(symbols, replicas).await?;
    for (symbol, endpoint) in unlisted {
        same = false;
        writeln!(to, "{symbol:<12}  is not listed by {endpoint}")?;
    }
    writeln!(to, "from {} to {}", timestamp::show(times.start), timestamp::show(times.end))?;
    let (mut ticks, mut differing) = (0, 0);
    for symbol in &listed {
        let Comparison { count, digest, differences } = compare(symbol, replicas, &times).await?;
        ticks += count;
        let found =
            if differences.is_empty() { format!("{digest:.12}  the same") } else { "differ".to_owned() };
        writeln!(to, "{symbol:<12} {:>16}  {found}", counted(count, "tick"))?;
        differing += usize::from(!differences.is_empty());
        differences.iter().try_for_each(|difference| show(difference, &mut to))?;
        to.flush()?;
    }
    write!(to, "{} of {}: ", counted(ticks, "tick"), counted(listed.len() as u64, "symbol"))?;
    match (same, differing) {
        // No tick was compared, so this is not a success.
        (true, 0) if ticks == 0 => writeln!(to, "there is nothing to compare; choose other times")?,
        (true, 0) => writeln!(to, "the replicas are the same")?,
        (false, 0) => writeln!(to, "the ticks are the same, the tapes are not")?,
        (_, 1) => writeln!(to, "1 symbol differs")?,
        _ => writeln!(to, "{differing} symbols differ")?,
    }
    to.flush()?;
    Ok(same && differing == 0 && ticks > 0)
}

/// The symbols to compare, each once. Then those of `*` that a replica does not list, with that replica.
async fn listed(
    symbols: &[String],
    replicas: &[Replica],
) -> anyhow::Result<(Vec<String>, Vec<(String, Endpoint)>)> {
    let mut all: Vec<String> = Vec::new();
    for symbol in symbols.iter().filter(|symbol| *symbol != "*") {
        if !all.contains(symbol) {
            all.push(symbol.clone());
        }
    }
    let mut unlisted = Vec::new();
    if !symbols.iter().any(|symbol| symbol == "*") {
        return Ok((all, unlisted));
    }
    let mut lists = Vec::new();
    for Replica { client, .. } in replicas {
        let symbols = client.instruments().filter_map(|instrument| match instrument {
            Ok(instrument) if instrument.is_for_tests() => None,
            instrument => Some(instrument.map(|instrument| instrument.symbol.to_string())),
        });
        let list: BTreeSet<String> = symbols.collect::<Result<_, ClientError>>().await?;
        lists.push((client.endpoint(), list));
    }
    let union: BTreeSet<&String> = lists.iter().flat_map(|(_, list)| list).collect();
    for symbol in union {
        let mut without = lists.iter().filter(|(_, list)| !list.contains(symbol)).peekable();
        if without.peek().is_none() && !all.contains(symbol) {
            all.push(symbol.clone());
        }
        unlisted.extend(without.map(|(endpoint, _)| (symbol.clone(), (*endpoint).clone())));
    }
    Ok((all, unlisted))
}

/// The first tick that differs, as each of the two has it.
fn show(difference: &Difference, to: &mut impl Write) -> io::Result<()> {
    let sequence = difference.sequence;
    for (endpoint, tick) in &difference.sides {
        match tick {
            Some(Tick { time, price, quantity, .. }) => {
                let time = timestamp::show_with_decimals(*time, 9);
                let quantity = if *quantity == 0 { "-".to_owned() } else { quantity.to_string() };
                writeln!(to, "  {endpoint}  tick {sequence}  {time}  {price}  {quantity}")?;
            }
            None => writeln!(to, "  {endpoint}  tick {sequence}  is not there")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_spellings_of_one_address_are_one_replica() {
        let canonical = |text: &str| canonical(text.parse().unwrap()).to_string();
        for text in ["127.0.0.1:50051", "0.0.0.0:50051", "[::ffff:127.0.0.1]:50051", "[::ffff:0.0.0.0]:50051"]
        {
            assert_eq!(canonical(text), "127.0.0.1:50051", "{text}");
        }
        assert_eq!(canonical("[::]:50051"), "[::1]:50051");
        assert_eq!(canonical("10.0.0.1:50052"), "10.0.0.1:50052");
    }

    #[test]
    fn it_takes_two_different_replicas() {
        let check = |texts: &[&str]| {
            check_endpoints(&texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>())
        };
        assert_eq!(check(&["a:1", "a:2"]), Ok(()));
        assert!(check(&["a:1"]).unwrap_err().starts_with("one replica cannot be compared"));
        let twice = "http://a:1 is named twice: name two different replicas with --endpoint A --endpoint B";
        assert_eq!(check(&["a:1", "b:1", "http://a:1/"]), Err(twice.to_owned()));
    }
}
