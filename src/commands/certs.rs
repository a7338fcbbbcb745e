//! `ticker certs`: makes certificates for TLS and mutual TLS, for a first try and for a network of one's own.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::bail;
use clap::Args;
use rcgen::SanType;

use self::authority::{Authority, CLIENT, Issued};
use super::{
    output,
    output_files::{self, Readers},
    phrases::shell_word,
};

mod authority;

/// The flags of `ticker certs`.
#[derive(Args, Debug)]
pub struct CertsArgs {
    /// Directory to write ca.pem, ca-key.pem, server.pem, server-key.pem, client.pem and client-key.pem to; it is made if it
    /// is missing, and none of the files may exist yet
    #[arg(long, env = "TICKER_CERTS_OUT", value_name = "DIR")]
    pub out: PathBuf,

    /// DNS name or IP address under which clients reach the server, besides localhost, ticker, 127.0.0.1 and ::1; repeat the
    /// flag or use commas for several
    #[arg(
        id = "name",
        long = "name",
        env = "TICKER_CERTS_NAME",
        value_name = "NAME",
        value_delimiter = ',',
        value_parser = authority::parse_name
    )]
    pub names: Vec<SanType>,
}

/// A file to be made.
struct NewFile {
    path: PathBuf,
    contents: String,
    readers: Readers,
}

/// Makes an authority, a certificate for a server and one for a client, or nothing at all.
///
/// # Errors
/// One of the files is there already, or cannot be written.
pub fn run(args: CertsArgs) -> anyhow::Result<ExitCode> {
    let folder = args.out;
    make(&folder, args.names)?;
    let written = io::stdout().write_all(summary(&folder).as_bytes());
    output::exit_code(written.map(|()| ExitCode::SUCCESS).map_err(Into::into))
}

fn make(folder: &Path, names: Vec<SanType>) -> anyhow::Result<()> {
    let authority = Authority::new()?;
    let (server, client) = (authority.server(names)?, authority.client()?);
    let pairs = [("ca", &authority.own), ("server", &server), ("client", &client)];
    let files: Vec<_> = pairs.into_iter().flat_map(|(name, issued)| files_of(folder, name, issued)).collect();
    // A link that leads nowhere is there as well.
    if let Some(file) = files.iter().find(|file| file.path.symlink_metadata().is_ok()) {
        bail!(
            "{} is there already, and nothing is overwritten: name another directory with --out, or remove the old \
             certificates and keys first",
            file.path.display()
        );
    }
    output_files::make_folder(folder)?;
    for (at, file) in files.iter().enumerate() {
        if let Err(error) = output_files::create(&file.path, &file.contents, file.readers) {
            // A part of the files is useless, and would be in the way of the next attempt.
            for made in &files[..at] {
                let _ = fs::remove_file(&made.path);
            }
            return Err(error);
        }
    }
    Ok(())
}

fn files_of(folder: &Path, name: &str, issued: &Issued) -> [NewFile; 2] {
    [
        NewFile {
            path: folder.join(format!("{name}.pem")),
            contents: issued.certificate.clone(),
            readers: Readers::Everyone,
        },
        NewFile {
            path: folder.join(format!("{name}-key.pem")),
            contents: issued.key.clone(),
            readers: Readers::Owner,
        },
    ]
}

/// What was made, and the commands to try next.
fn summary(folder: &Path) -> String {
    let file = |name: &str| shell_word(&folder.join(name));
    let [ca, server, server_key, client, client_key] =
        ["ca.pem", "server.pem", "server-key.pem", "client.pem", "client-key.pem"].map(file);
    let ca_key = file("ca-key.pem");
    let days = authority::LIFETIME.as_secs() / (24 * 60 * 60);
    format!(
        "{ca}  certificate of a private CA, for clients to trust\n\
         {ca_key}  its key, which no server and no client needs\n\
         {server}  certificate of the server, for {days} days\n\
         {server_key}  its key\n\
         {client}  certificate of a client, {CLIENT}, for {days} days\n\
         {client_key}  its key\n\n\
         TLS:\n  \
         ticker serve --tls-cert {server} --tls-key {server_key}\n  \
         ticker watch RELIANCE --endpoint https://localhost:50051 --tls-ca {ca}\n  \
         grpcurl -cacert {ca} -d '{{\"symbol\":\"RELIANCE\"}}' localhost:50051 gogen.TickerStreamService/TickerStream\n\n\
         Mutual TLS:\n  \
         ticker serve --tls-cert {server} --tls-key {server_key} --tls-client-ca {ca}\n  \
         ticker watch RELIANCE --endpoint https://localhost:50051 --tls-ca {ca} --cert {client} --key {client_key}\n"
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const FILES: [&str; 6] =
        ["ca-key.pem", "ca.pem", "client-key.pem", "client.pem", "server-key.pem", "server.pem"];

    fn names_in(folder: &Path) -> Vec<String> {
        let entries = folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn six_files_are_made_and_only_the_owner_reads_the_keys() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("a/b");
        make(&folder, Vec::new()).unwrap();
        assert_eq!(names_in(&folder), FILES);
        for name in FILES {
            let path = folder.join(name);
            let text = fs::read_to_string(&path).unwrap();
            let mode = path.metadata().unwrap().permissions().mode() & 0o777;
            match name.contains("key") {
                true => assert!(text.starts_with("-----BEGIN PRIVATE KEY-----") && mode == 0o600, "{name}"),
                false => assert!(text.starts_with("-----BEGIN CERTIFICATE-----"), "{name}"),
            }
        }
    }

    #[test]
    fn nothing_is_overwritten_and_nothing_is_made_beside_a_file_that_is_there() {
        for name in FILES {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(name);
            fs::write(&path, "precious").unwrap();
            let error = make(folder.path(), Vec::new()).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{} is there already", path.display())), "{error}");
            assert_eq!(
                (names_in(folder.path()), fs::read_to_string(path).unwrap().as_str()),
                (vec![name.to_owned()], "precious")
            );
        }
    }

    #[test]
    fn the_commands_can_be_pasted_whatever_the_directory_is_called() {
        let text = summary(Path::new("my certs"));
        assert!(text.contains(
            "\n  ticker serve --tls-cert 'my certs/server.pem' --tls-key 'my certs/server-key.pem'\n"
        ));
        assert!(text.contains("\n  grpcurl -cacert 'my certs/ca.pem' "));
    }
}
