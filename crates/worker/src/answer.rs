//! Each request as what the client core calls it.

use crate::serve::{Core, PROFILE};
use crate::words;
use std::path::Path;
use std::rc::Rc;
use tidings_client::view::Link;
use tidings_client::{Client, ClientError, Login, LoginSecret, Recover, RecoveryCode, Register, SuiteName, UserName, Zeroizing};
use tidings_view::ask::{Answer, Ask, Standing, Words};

/// Does what is asked.
pub async fn answer(core: &Rc<Core>, ask: Ask) -> Result<Answer, ClientError> {
    match ask {
        Ask::Standing => standing(core).await.map(Answer::Standing),
        Ask::Register { .. } | Ask::Login { .. } | Ask::Recover { .. } | Ask::Logout => come_or_go(core, ask).await,
        ask => with(&core.client()?, ask).await,
    }
}

/// Requests of somebody who has an account here.
async fn with(client: &Client, ask: Ask) -> Result<Answer, ClientError> {
    Ok(match ask {
        Ask::Rooms => Answer::Rooms(client.lines().await?),
        Ask::People => Answer::People(client.people().await?),
        Ask::Window { target, from, limit } => Answer::Window(client.window(&target, from, limit).await?),
        Ask::Members(target) => Answer::Members(client.members(&target).await?),
        Ask::Send { target, text, once } => Answer::Written(client.send_once(&target, &text, &once.0).await?),
        Ask::SendFile { target, name, media_type, bytes, text, once } => {
            Answer::Written(client.send_file_once(&target, &name, &media_type, bytes, &text, &once.0).await?)
        }
        Ask::File(message) => {
            let (file, bytes) = client.file(message).await?;
            Answer::File { file, bytes }
        }
        Ask::Retry(message) => Answer::Written(client.retry(message).await?),
        Ask::Discard(message) => done(client.discard(message).await)?,
        Ask::Erase { message, once } => Answer::Written(client.erase_once(message, &once.0).await?),
        Ask::Seen { target, message } => done(client.seen(&target, message).await)?,
        Ask::Draft { target, text } => done(client.set_draft(&target, &text).await)?,
        Ask::CreateGroup { title, classic, once } => {
            let suite = classic.then_some(SuiteName::RsaJwe1);
            Answer::Group(client.create_group_once(&title, suite, &once.0).await?)
        }
        Ask::Group { group, deed, once } => Answer::Written(client.deed_once(&group, deed, &once.0).await?),
        ask => about_keys(client, ask).await?,
    })
}

/// Keys, devices and what takes the password.
async fn about_keys(client: &Client, ask: Ask) -> Result<Answer, ClientError> {
    Ok(match ask {
        Ask::Compare(user) => Answer::Comparison(client.compare(&user).await?),
        Ask::SetVerified { user, verified } => done(client.set_verified(&user, verified).await)?,
        Ask::AcceptKey(user) => done(client.accept_key(&user).await)?,
        Ask::Devices => Answer::Devices(client.devices().await?),
        Ask::NameDevice { device, name } => done(client.name_device(&device, &name).await)?,
        Ask::Revoke { device, password } => new_words(client.revoke(&device, Zeroizing::new(password)).await?),
        Ask::ChangePassword { old, new } => done(client.change_password(Zeroizing::new(old), Zeroizing::new(new)).await)?,
        Ask::Unlock { password } => done(client.unlock(Zeroizing::new(password)).await)?,
        Ask::Words => client.words().await?.map_or(Answer::Done, Answer::Words),
        Ask::WordsConfirmed { words } => done(client.words_confirmed(&words).await)?,
        Ask::Notices(after) => Answer::Notices(client.notices(after).await?),
        _ => return Err(ClientError::OurBug("a request that nobody answers".into())),
    })
}

fn done(done: Result<(), ClientError>) -> Result<Answer, ClientError> {
    done.map(|()| Answer::Done)
}

fn new_words(code: RecoveryCode) -> Answer {
    Answer::Words(Words { words: code.words().to_owned(), sure: true })
}

async fn standing(core: &Rc<Core>) -> Result<Standing, ClientError> {
    let client = core.any_client();
    // Who is here already needs no more than is stored: however long the server says nothing, nobody waits for it.
    let site = match &client {
        Some(_) => core.known_site(),
        None => Some(core.site().await?),
    };
    let server = match (&site, &client) {
        (None, Some(client)) => client.me().server().clone(),
        (Some(site), _) => site.server()?,
        (None, None) => return Err(ClientError::OurBug("a server without a name".into())),
    };
    Ok(Standing {
        server,
        registration: site.as_ref().and_then(|site| site.registration.clone()),
        pinned: site.is_some_and(|site| site.pinned),
        me: client.as_ref().map(Client::me),
        fingerprint: match &client {
            Some(client) => client.my_fingerprint().await?,
            None => None,
        },
        link: client.as_ref().map_or(Link::Idle, Client::link),
        locked: client.as_ref().is_some_and(Client::is_locked),
        stopped: client.as_ref().and_then(Client::stopped).map(|why| words::of(&why, words::wrong_secret(&Ask::Standing))),
        words: match &client {
            Some(client) => client.words().await?.is_some(),
            None => false,
        },
    })
}

/// An account comes to this browser, or goes.
async fn come_or_go(core: &Rc<Core>, ask: Ask) -> Result<Answer, ClientError> {
    let _alone = core.coming.lock().await;
    if let Ask::Logout = ask {
        core.client()?.forget().await?;
        // Where this comes to nothing, it is of an account that nobody has here: the next one drops it.
        tidings_sealed::drop_all_kept().await.ok();
        core.has_none();
        return Ok(Answer::Done);
    }
    let endpoint = core.site().await?.endpoint()?;
    if let Some(client) = core.any_client() {
        return Err(ClientError::ProfileTaken { path: PROFILE.into(), user: client.me() });
    }
    let named = |local: &str| -> Result<UserName, ClientError> {
        let name = format!("{}@{}", local.trim(), endpoint.name);
        name.parse().map_err(|_| {
            ClientError::Usage(format!("this name cannot be used: {name}. Names have small letters and digits, with . - or _ between them"))
        })
    };
    let profile = Path::new(PROFILE);
    let answer = match ask {
        Ask::Register { local, password, code, device: device_name } => {
            let (user, password) = (named(&local)?, Zeroizing::new(password));
            new_words(tidings_client::register(Register { profile, endpoint, user, password, code, device_name }).await?)
        }
        Ask::Login { local, secret, recovery, device: device_name } => {
            let (user, secret) = (named(&local)?, Zeroizing::new(secret));
            let with = if recovery { LoginSecret::Recovery(secret) } else { LoginSecret::Password(secret) };
            tidings_client::login(Login { profile, endpoint, user, with, device_name }).await?;
            Answer::Done
        }
        Ask::Recover { local, words: code, password, device: device_name } => {
            let (user, words_now, password) = (named(&local)?, Zeroizing::new(code), Zeroizing::new(password));
            new_words(tidings_client::recover(Recover { profile, endpoint, user, words: words_now, password, device_name }).await?)
        }
        _ => return Err(ClientError::OurBug("a request that nobody answers".into())),
    };
    core.has(Client::open(profile)?).await?;
    Ok(answer)
}
