//! Which profile, which server, and who holds the profile: this process, or another one that is asked instead.

use crate::ask::{self, Ask};
use crate::beside;
use crate::cli::{At, Global};
use crate::failure::Failure;
use crate::layers;
use crate::look::Look;
use crate::out::{Out, To};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tidings_client::{Client, ClientError, Endpoint, UserName};
use tokio::time::Instant;

/// How long a command waits for another one that holds the profile and answers no questions.
const PATIENCE: Duration = Duration::from_secs(10);

/// The folder of this person's data (XDG Base Directory Specification), `tidings/<what>` in it.
pub fn data_folder(what: &str) -> Result<PathBuf, Failure> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map(|data| data.join("tidings").join(what))
        .ok_or_else(|| Failure::config("neither HOME nor XDG_DATA_HOME is set: say where with --profile DIR or --data DIR"))
}

/// The profile's folder.
pub fn folder(global: &Global) -> Result<PathBuf, Failure> {
    global.profile.clone().map_or_else(|| data_folder("profile"), Ok)
}

/// The home server of `user`: as `client_setup.json`, variables and flags say, or else under its own name.
pub fn endpoint(global: &Global, at: &At, user: &UserName) -> Result<Endpoint, Failure> {
    let setup = layers::client(global, &[("server_ip", at.server.as_deref()), ("server_key", at.server_key.as_deref())])?;
    let endpoint = setup.endpoint(user);
    if &endpoint.name != user.server() {
        let (name, other) = (&endpoint.name, user.server());
        return Err(Failure::config(format!("client_setup.json is for the server {name}, and {user} is on {other}")));
    }
    Ok(endpoint)
}

/// Does what is asked with the profile's client: in this process, or in the one that holds the profile already.
pub async fn perform(global: &Global, ask: Ask) -> Result<u8, Failure> {
    start_log("warn")?;
    let folder = folder(global)?;
    let look = Look::of_stdout(global.json);
    let deadline = Instant::now() + PATIENCE;
    loop {
        match Client::open(&folder) {
            Ok(client) => return with_own(global, &folder, client, ask, look).await,
            Err(ClientError::ProfileBusy(_)) => {}
            Err(error) => return Err(error.into()),
        }
        if let Some(code) = beside::ask(&folder, &ask, look).await? {
            return Ok(code);
        }
        if Instant::now() > deadline {
            return Err(ClientError::ProfileBusy(folder).into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn with_own(global: &Global, folder: &Path, client: Client, ask: Ask, look: Look) -> Result<u8, Failure> {
    // What was said on purpose, not a file that happens to lie here, says where the server is now.
    let named = global.setup.is_some() || std::env::var_os("TIDINGS_CLIENT_SERVER_IP").is_some();
    let address = if named { layers::client(global, &[])?.server_ip } else { None };
    if let Some(address) = address.filter(|address| *address != client.endpoint().address) {
        client.set_address(&address).await?;
    }
    if !ask.is_local() {
        client.connect();
    }
    // Only a command that stays is worth asking; whoever comes beside a short one waits for its end.
    let others = matches!(ask, Ask::Tail { .. }).then(|| beside::listen(folder, &client)).flatten();
    let done = ask::answer(&client, ask, &mut Out { look, to: To::Stdout }).await;
    drop(others);
    client.close().await;
    done
}

/// Why the client has stopped trying to reach its server, if it has: a key that changed, a device that is not listed any more.
pub async fn given_up(client: &Client) -> Option<ClientError> {
    let error = client.linked(Duration::ZERO).await.err()?;
    (!error.is_passing() && !matches!(error, ClientError::Store(_))).then_some(error)
}

/// Logs go to stderr: for people on a terminal, as JSON otherwise. `TIDINGS_LOG` sets the level, like `debug` or `tidings_server=trace`.
pub fn start_log(level: &str) -> Result<(), Failure> {
    use std::io::IsTerminal;
    use tracing_subscriber::EnvFilter;
    let filter = match std::env::var("TIDINGS_LOG") {
        Ok(wanted) => EnvFilter::try_new(&wanted).map_err(|error| Failure::config(format!("TIDINGS_LOG: {error}")))?,
        Err(_) => EnvFilter::new(level),
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // It can be set only once in a process, and it is.
    let _ = if std::io::stderr().is_terminal() { log.with_target(false).with_ansi(colour).try_init() } else { log.json().try_init() };
    layers::unknown_variables().iter().for_each(|unknown| tracing::warn!("{unknown}"));
    Ok(())
}
