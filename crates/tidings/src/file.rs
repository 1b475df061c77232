//! `tidings file`: small files, sealed inside of messages. What a saved file is called is decided in `save`.

use crate::ask::{self, Ask};
use crate::cli::{FileCommand, FileSaveArguments, FileSendArguments, Global, Wait};
use crate::failure::Failure;
use crate::look;
use crate::out::Out;
use crate::settle::{Until, Written, settle};
use crate::{profile, save as write};
use data_encoding::BASE64;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::json;
use std::io::Read;
use std::path::Path;
use tidings_client::Client;
use tidings_client::view::MessageId;
use tidings_proto::limits;

/// A file that is sent.
#[derive(Clone, Serialize, Deserialize)]
pub struct Sent {
    name: String,
    media_type: String,
    #[serde(serialize_with = "as_base64", deserialize_with = "from_base64")]
    bytes: Vec<u8>,
}

fn as_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&BASE64.encode(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    BASE64.decode(String::deserialize(deserializer)?.as_bytes()).map_err(D::Error::custom)
}

/// Runs the command.
pub async fn run(global: &Global, command: FileCommand) -> Result<u8, Failure> {
    match command {
        FileCommand::Send(FileSendArguments { to, file, text, away }) => {
            ask::check_target(&to)?;
            if to == "public" {
                return Err(Failure::usage("a file travels sealed: send it to a person or to a group"));
            }
            let file = load(&file)?;
            profile::perform(global, Ask::SendFile { to, file, text: text.join(" "), wait: away.wait }).await
        }
        FileCommand::Save(FileSaveArguments { id, to }) => {
            // Whoever holds the profile may be in another folder.
            let folder = std::path::absolute(to.as_deref().unwrap_or(Path::new(".")))?;
            profile::perform(global, Ask::SaveFile { id, folder }).await
        }
    }
}

fn load(path: &Path) -> Result<Sent, Failure> {
    let why = |error: std::io::Error| Failure::config(format!("{}: {error}", path.display()));
    // A pipe or a device would be opened for ever, or change something.
    if !std::fs::metadata(path).map_err(why)?.is_file() {
        return Err(Failure::config(format!("{} is no file", path.display())));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(why)?.take(limits::FILE as u64 + 1).read_to_end(&mut bytes).map_err(why)?;
    if bytes.len() > limits::FILE {
        let most = limits::FILE / 1024;
        return Err(Failure::usage(format!("{} is too large: a file inside a message has at most {most} KiB", path.display())));
    }
    let name = path.file_name().map_or_else(|| "file".into(), |name| name.to_string_lossy().into_owned());
    Ok(Sent { media_type: media_type(&name).into(), name, bytes })
}

/// What a file is by its ending: a hint for other front ends.
fn media_type(name: &str) -> &'static str {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    match &*ending {
        "txt" | "log" => "text/plain",
        "md" => "text/markdown",
        "csv" => "text/csv",
        "html" | "htm" => "text/html",
        "json" => "application/json",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "svg" => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

/// Sends a file.
pub async fn send(client: &Client, to: &str, file: Sent, text: &str, wait: Wait, out: &mut Out) -> Result<u8, Failure> {
    let until = Until::new(wait);
    let to = ask::target(client, to, until).await?;
    let id = client.send_file(&to, &file.name, &file.media_type, file.bytes, text).await?;
    settle(client, Written { id, room: Some(&to), user: None, done: "sent".into() }, until, out).await
}

/// Saves a message's file in `folder`.
pub async fn save(client: &Client, id: i64, folder: &Path, out: &mut Out) -> Result<u8, Failure> {
    let (file, bytes) = client.file(MessageId(id)).await?;
    let path = write::save(folder, &file.name, &bytes)
        .map_err(|error| Failure::config(format!("nothing can be saved in {}: {error}", folder.display())))?;
    let saved = json!({ "id": id, "path": path, "name": file.name, "media_type": file.media_type, "size": bytes.len() });
    out.done(&format!("saved {}, {}", path.display(), look::size(bytes.len())), "saved", &saved).await?;
    Ok(0)
}
