//! What a command is told from outside, in layers: presets, a setup file, `TIDINGS_…` variables, flags. The later ones win.

use crate::cli::{Global, ServerArguments};
use crate::failure::Failure;
use crate::{profile, secret};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use tidings_client::ClientSetup;
use tidings_client::setup::TABLE as CLIENT;
use tidings_proto::ServerName;
use tidings_server::identity::Identity;
use tidings_server::setup::{Setup, TABLE as SERVER};
use tidings_setup::{Problem, Settings, Table};

/// The variables that stand for no key of a file, and what they do.
pub const OTHER_VARIABLES: [(&str, &str); 6] = [
    ("TIDINGS_SETUP", "the setup file, as `--setup`"),
    ("TIDINGS_PROFILE", "the folder of your account on this device, as `--profile`"),
    (secret::VARIABLE, "your password, where neither `--password-file` nor `--password-stdin` is given"),
    (
        secret::NEW_VARIABLE,
        "the new password, where `password` and `recover` are given neither `--new-password-file` nor `--new-password-stdin`",
    ),
    ("TIDINGS_LOG", "what is logged to standard error, like `debug` or `tidings_server=trace`; JSON where that is no terminal"),
    ("NO_COLOR", "no colours, if it is set to anything"),
];

/// A warning about each variable that begins like ours and is none.
pub fn unknown_variables() -> Vec<Problem> {
    tidings_setup::unknown_variables(&[&SERVER, &CLIENT], &OTHER_VARIABLES.map(|(name, _)| name), &variables())
}

fn variables() -> Vec<(OsString, OsString)> {
    std::env::vars_os().collect()
}

/// The file that was named, or the one of the table's own name in this folder.
pub fn file(global: &Global, table: &Table) -> Option<PathBuf> {
    let here = || Some(PathBuf::from(table.file)).filter(|file| file.exists());
    global.setup.clone().or_else(here)
}

fn file_and_variables(global: &Global, table: &'static Table) -> Settings {
    let mut settings = Settings::new(table);
    if let Some(file) = file(global, table) {
        settings.load(&file);
    }
    settings.variables(&variables());
    settings
}

/// All layers of a server.
pub fn of_server(global: &Global, flags: &ServerArguments) -> Result<Settings, Failure> {
    let mut settings = file_and_variables(global, &SERVER);
    if let Some(name) = &flags.name {
        settings.flag("server_name", name.as_str());
    }
    if let Some(listen) = flags.listen {
        settings.flag("listen", &listen.to_string());
    }
    if let Some(data) = &flags.data {
        settings.flag("data", data.to_str().ok_or_else(|| Failure::usage("--data: the folder's name is not UTF-8"))?);
    }
    // Where there is no home folder either, whoever needs this says so.
    if let Ok(data) = profile::data_folder("server") {
        settings.assume("data", &data.display().to_string());
    }
    if settings.path().is_none() {
        settings.assume("listen", "127.0.0.1:5555");
        let data = settings.read("data", str::parse::<PathBuf>);
        settings.assume("server_name", &assumed_name(data.as_deref()));
    }
    Ok(settings)
}

/// What a server is called where nobody says it: as it was before, or as the machine is if that is a server name as it stands.
fn assumed_name(data: Option<&Path>) -> String {
    let before = data.and_then(Identity::name_in).map(|name| name.to_string());
    let machine = || rustix::system::uname().nodename().to_str().ok().filter(|name| name.parse::<ServerName>().is_ok()).map(str::to_owned);
    before.or_else(machine).unwrap_or_else(|| "localhost".into())
}

/// A server's setup, by all layers.
pub fn server(global: &Global, flags: &ServerArguments) -> Result<(Setup, Settings), Failure> {
    let mut settings = of_server(global, flags)?;
    let setup = tidings_server::setup::read(&mut settings)?;
    Ok((setup, settings))
}

/// The server's folder.
pub fn data(setup: &Setup) -> Result<PathBuf, Failure> {
    setup.data.clone().map_or_else(|| profile::data_folder("server"), Ok)
}

/// All layers of a client; the flags by their keys.
pub fn of_client(global: &Global, flags: &[(&str, Option<&str>)]) -> Settings {
    let mut settings = file_and_variables(global, &CLIENT);
    for (key, value) in flags {
        value.iter().for_each(|value| settings.flag(key, value));
    }
    settings
}

/// Where the home server is, by all layers.
pub fn client(global: &Global, flags: &[(&str, Option<&str>)]) -> Result<ClientSetup, Failure> {
    Ok(ClientSetup::read(&mut of_client(global, flags))?)
}
