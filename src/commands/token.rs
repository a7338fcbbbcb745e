//! `ticker token`: makes a token and the public key that it is verified with, where there is no identity provider.

use std::{
    io::{self, IsTerminal, Write},
    num::NonZeroU64,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, bail};
use clap::{Args, builder::NonEmptyStringValueParser};
use serde::Serialize;

use self::signing_key::SigningKey;
use super::{
    output,
    output_files::{self, Readers},
    phrases::shell_word,
    usage,
};
use crate::access::{Pattern, Scope, Tokens};

mod signing_key;

/// The flags of `ticker token`.
#[derive(Args, Clone, Debug)]
pub struct TokenArgs {
    /// Who the token is for
    #[arg(long, env = "TICKER_TOKEN_SUB", value_name = "NAME", value_parser = parse_subject)]
    pub sub: String,

    /// Scope, such as ticker:read, ticker:read:RELIANCE, ticker:read:NSE:*, ticker:publish, ticker:publish:NSE:* or ticker:admin;
    /// repeat the flag or use commas for several [default: ticker:read, unless --role is given]
    #[arg(
        id = "scope",
        long = "scope",
        env = "TICKER_TOKEN_SCOPE",
        value_name = "SCOPE",
        value_delimiter = ','
    )]
    pub scopes: Vec<Scope>,

    /// Role, whose scopes are in the file of `ticker serve --auth-roles`; repeat the flag or use commas for several
    #[arg(
        id = "role",
        long = "role",
        env = "TICKER_TOKEN_ROLE",
        value_name = "ROLE",
        value_delimiter = ',',
        value_parser = NonEmptyStringValueParser::new()
    )]
    pub roles: Vec<String>,

    /// Time until the token expires, from 1s to 87600h (ten years)
    #[arg(long, env = "TICKER_TOKEN_TTL", value_name = "DURATION", default_value = "1h", value_parser = usage::parse_ttl)]
    pub ttl: Duration,

    /// Who issues the token: the --auth-issuer of the server
    #[arg(
        long,
        env = "TICKER_AUTH_ISSUER",
        value_name = "TEXT",
        default_value = DEFAULT,
        value_parser = NonEmptyStringValueParser::new()
    )]
    pub issuer: String,

    /// Which service the token is for: the --auth-audience of the server
    #[arg(
        long,
        env = "TICKER_AUTH_AUDIENCE",
        value_name = "TEXT",
        default_value = DEFAULT,
        value_parser = NonEmptyStringValueParser::new()
    )]
    pub audience: String,

    /// Largest number of streams at the same time [default: that of the server]
    #[arg(long, env = "TICKER_TOKEN_MAX_STREAMS", value_name = "NUMBER", value_parser = usage::parse_count, allow_negative_numbers = true)]
    pub max_streams: Option<NonZeroU64>,

    /// Largest number of subscriptions at the same time [default: that of the server]
    #[arg(long, env = "TICKER_TOKEN_MAX_SYMBOLS", value_name = "NUMBER", value_parser = usage::parse_count, allow_negative_numbers = true)]
    pub max_symbols: Option<NonZeroU64>,

    /// Directory that keeps the key for other tokens (signing-key.pem), and gets jwks.json and NAME.token; it is made if it is
    /// missing. In the file name of the token, other characters than letters, digits, '.', '_' and '-' are replaced by '_'
    /// [default: the key is not kept]
    #[arg(long, env = "TICKER_TOKEN_OUT", value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// The issuer and the audience that `ticker serve` expects by default.
const DEFAULT: &str = "ticker";

/// The claims of a token. (RFC 7519, section 4.1, and for `scope` RFC 8693, section 4.2)
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    roles: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    max_streams: Option<NonZeroU64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_symbols: Option<NonZeroU64>,
}

/// A token, and the key that it is verified with.
struct Issued {
    jwks: String,
    token: String,
}

/// Makes a token and prints the JWKS on one line and the token on the next.
///
/// # Errors
/// The token would be too long, or the files of the directory cannot be read or written.
pub fn run(args: TokenArgs) -> anyhow::Result<ExitCode> {
    let Issued { jwks, token } = issue(&args)?;
    let mut stdout = io::stdout();
    let written = stdout.write_all(format!("{jwks}\n{token}\n").as_bytes());
    if written.is_ok() && stdout.is_terminal() {
        // Only a hint: standard error may be closed.
        let _ = io::stderr().write_all(hint(&args).as_bytes());
    }
    output::exit_code(written.map(|()| ExitCode::SUCCESS).map_err(Into::into))
}

fn issue(args: &TokenArgs) -> anyhow::Result<Issued> {
    let key = match &args.out {
        None => SigningKey::new()?,
        Some(folder) => {
            output_files::make_folder(folder)?;
            SigningKey::of_file(&folder.join("signing-key.pem"))?
        }
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let token = key.sign(&Claims::new(args, now.context("the clock of this machine is before 1970")?))?;
    if token.len() > Tokens::LONGEST {
        bail!(
            "the token would have {} bytes, and a server accepts at most {}: use fewer scopes, a prefix such as \
             ticker:read:NSE:*, or a role",
            token.len(),
            Tokens::LONGEST
        );
    }
    let jwks = key.jwks()?;
    if let Some(folder) = &args.out {
        output_files::replace(&folder.join("jwks.json"), &format!("{jwks}\n"), Readers::Everyone)?;
        output_files::replace(&token_file(folder, &args.sub), &format!("{token}\n"), Readers::Owner)?;
    }
    Ok(Issued { jwks, token })
}

impl<'a> Claims<'a> {
    fn new(args: &'a TokenArgs, now: Duration) -> Self {
        let TokenArgs { sub, scopes, roles, ttl, issuer, audience, max_streams, max_symbols, out: _ } = args;
        let everything = [Scope::Read(Pattern::All)];
        let scopes = match scopes.is_empty() && roles.is_empty() {
            true => &everything[..],
            false => scopes,
        };
        let scopes: Vec<_> = scopes.iter().map(ToString::to_string).collect();
        Self {
            iss: issuer,
            sub,
            aud: audience,
            iat: now.as_secs(),
            exp: now.as_secs() + ttl.as_secs(),
            scope: (!scopes.is_empty()).then(|| scopes.join(" ")),
            roles,
            max_streams: *max_streams,
            max_symbols: *max_symbols,
        }
    }
}

/// The file of a token, whose name has only characters that every shell and file system takes as they are.
fn token_file(folder: &Path, subject: &str) -> PathBuf {
    let kept = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    let name: String = subject.chars().map(|letter| if kept(letter) { letter } else { '_' }).collect();
    folder.join(format!("{name}.token"))
}

/// What the two lines are for.
fn hint(args: &TokenArgs) -> String {
    match &args.out {
        None => "\nThe first line is for a file that `ticker serve --auth-jwks FILE` reads, the second for one that `ticker watch \
                 --token-file FILE` reads.\nThe key that signed the token is not kept; --out DIR keeps it for other tokens.\n"
            .to_owned(),
        Some(folder) => format!(
            "\n  ticker serve --auth-jwks {}\n  ticker list --token-file {}\n",
            shell_word(&folder.join("jwks.json")),
            shell_word(&token_file(folder, &args.sub))
        ),
    }
}

fn parse_subject(text: &str) -> Result<String, String> {
    match (1..=Tokens::LONGEST_SUBJECT).contains(&text.len()) && !text.contains(char::is_control) {
        true => Ok(text.to_owned()),
        false => Err(format!("expected 1 to {} bytes without control characters", Tokens::LONGEST_SUBJECT)),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use clap::Parser;

    use super::*;
    use crate::access::{Audience, KeySet, Plan, Refusal, Roles, Token};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: TokenArgs,
    }

    fn args(line: &str) -> TokenArgs {
        Line::try_parse_from(format!("token {line}").split(' ')).unwrap().args
    }

    /// What `ticker serve` makes of a token, with the role `analyst`.
    fn verified(token: &str, jwks: &str) -> Result<Token, Refusal> {
        let audience = Audience { issuer: DEFAULT.to_owned(), audience: DEFAULT.to_owned() };
        let roles: Roles = "[roles]\nanalyst = ['ticker:read:NSE:*']".parse().unwrap();
        Tokens::new(audience, KeySet::parse(jwks).unwrap(), roles).verify(token)
    }

    fn accepted(line: &str) -> Token {
        let Issued { jwks, token } = issue(&args(line)).unwrap();
        verified(&token, &jwks).unwrap()
    }

    #[test]
    fn the_token_is_accepted_with_the_jwks_and_allows_what_was_asked_for() {
        let may_read = |token: &Token, symbol: &str| token.grant.may_read(&symbol.parse().unwrap());
        let token = accepted("--sub ana");
        assert_eq!((&*token.subject, token.plan), ("ana", Plan::default()));
        assert!(
            token.grant.reads_everything() && !token.grant.is_admin() && !token.grant.publishes_something()
        );
        let left = token.expires.duration_since(SystemTime::now()).unwrap();
        assert!((3590..=3600).contains(&left.as_secs()), "{left:?}");

        let token = accepted("--sub ana --scope ticker:read:TCS --scope ticker:admin,ticker:publish");
        assert!(may_read(&token, "TCS") && !may_read(&token, "TCSX"));
        assert!(token.grant.is_admin() && token.grant.publishes_something());

        let token = accepted("--sub ana --role analyst --max-streams 2 --max-symbols 10");
        assert!(may_read(&token, "NSE:TCS") && !may_read(&token, "TCS"), "a role brings no default scope");
        assert_eq!(token.plan, Plan { max_streams: Some(2), max_symbols: Some(10) });
    }

    #[test]
    fn a_token_of_another_issuer_audience_or_key_is_refused() {
        for (flags, refusal) in [("--issuer other", Refusal::Issuer), ("--audience other", Refusal::Audience)]
        {
            let Issued { jwks, token } = issue(&args(&format!("--sub ana {flags}"))).unwrap();
            assert_eq!(verified(&token, &jwks).unwrap_err(), refusal);
        }
        let [one, other] = [(); 2].map(|()| issue(&args("--sub ana")).unwrap());
        assert_eq!(verified(&one.token, &other.jwks).unwrap_err(), Refusal::UnknownKey);
    }

    #[test]
    fn a_directory_keeps_the_key_for_the_next_token() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("auth");
        let issued = |subject: &str| {
            let args = TokenArgs { out: Some(folder.clone()), sub: subject.to_owned(), ..args("--sub x") };
            issue(&args).unwrap()
        };
        let (first, second) = (issued("ana"), issued("../bob smith"));
        assert_eq!(first.jwks, second.jwks);
        let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        assert_eq!(text("jwks.json").trim_end(), first.jwks);
        assert_eq!(text("ana.token").trim_end(), first.token);
        assert_eq!(text(".._bob_smith.token").trim_end(), second.token);
        assert_eq!(folder.read_dir().unwrap().count(), 4);
        for name in ["signing-key.pem", "ana.token"] {
            let mode = folder.join(name).metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        for token in [&first.token, &second.token, &issued("ana").token] {
            assert!(verified(token, &first.jwks).is_ok());
        }
    }

    #[test]
    fn a_token_that_a_server_would_refuse_is_not_made() {
        let scopes: Vec<_> = (0..200).map(|n| format!("ticker:read:SYMBOL{n}")).collect();
        let error = issue(&args(&format!("--sub ana --scope {}", scopes.join(",")))).map(drop).unwrap_err();
        assert!(error.to_string().contains("at most 4096: use fewer scopes"), "{error}");
        for (flags, told) in [
            ("--sub ana --scope ticker:raed", "it is no scope of this service"),
            ("--sub ana --scope ticker:read:", "names no symbols"),
            ("--sub ana --ttl 0s", "from 1s to 87600h"),
            ("--sub ana --ttl 87601h", "from 1s to 87600h"),
            ("--sub ana --max-streams 0", "from 1 on"),
            ("--sub ", "1 to 255 bytes"),
        ] {
            let line = format!("token {flags}");
            let error = Line::try_parse_from(line.split(' ')).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(told), "{flags}: {error}");
        }
    }
}
