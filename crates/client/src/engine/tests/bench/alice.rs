//! What alice does in groups, as a front end has it done.

use super::{Act, Bench, Person};
use crate::client::write;
use crate::crypto::{Closed, Crypto, Invited, OpenJob, Opening};
use crate::view::{Role, Target};
use std::sync::Arc;
use tidings_e2ee::mls::State;
use tidings_proto::draft::Erase;
use tidings_proto::frame::{RoomRef, RoomsReply};
use tidings_proto::membership::{Invite, Join, Leave, Remove, SetRole};
use tidings_proto::{Content, Genesis, Hash, Kind, LogName, SuiteName, UserName, cbor, limits};

/// The conversation that a group is.
pub fn target(genesis: &Genesis) -> Target {
    Target::Group { id: genesis.room() }
}

impl Bench {
    /// Alice makes a group; it is durable here, and not sent yet.
    pub fn makes_offline(&self, title: &str) -> Genesis {
        let (group, _) =
            write::group(&self.core.store, &self.core.crypto, Some(SuiteName::RsaJwe1), &Content::title(title).unwrap(), None).unwrap();
        self.core
            .store
            .rooms()
            .unwrap()
            .into_iter()
            .map(|room| room.genesis)
            .find(|genesis| Target::Group { id: genesis.room() } == group)
            .unwrap()
    }

    /// Alice makes a group.
    pub async fn makes(&mut self, title: &str) -> Genesis {
        let genesis = self.makes_offline(title);
        self.goes_on().await;
        self.settles().await;
        genesis
    }

    /// Alice makes a group, asks bob in, and he comes.
    pub async fn makes_with_bob(&mut self, title: &str) -> Genesis {
        let genesis = self.makes(title).await;
        self.asks(&genesis, &self.bob.user.clone(), Role::Member).await;
        self.settles().await;
        let tip = self.hub.does(&genesis, &self.bob, Act::Join);
        self.news(&genesis.log(), tip.seq).await;
        genesis
    }

    /// Bob makes a group, asks alice in, and she comes.
    pub async fn comes_to_bobs(&mut self, nonce: u8) -> Genesis {
        let genesis = self.is_asked_by_bob(nonce).await;
        self.joins(&genesis).await;
        self.settles().await;
        genesis
    }

    /// Bob makes a group and asks alice in; her server tells her of it.
    pub async fn is_asked_by_bob(&mut self, nonce: u8) -> Genesis {
        let genesis = super::group(&self.bob.user, nonce);
        self.hub.begin_group(&genesis, &self.bob);
        self.hub.does(&genesis, &self.bob, Act::Invite(&self.alice, tidings_proto::Role::Member));
        self.is_told_of(&genesis).await;
        genesis
    }

    /// Alice's server tells her of a room, now and on every link.
    pub async fn is_told_of(&mut self, genesis: &Genesis) {
        let room = RoomRef { hub: genesis.hub().clone(), genesis: genesis.clone() };
        self.hub.rooms.retain(|known| known != &room);
        self.hub.rooms.push(room.clone());
        self.comes(vec![RoomsReply { req: 0, rooms: vec![room], more: false }.into()]).await.unwrap();
    }

    /// Alice asks somebody in.
    pub async fn asks(&mut self, genesis: &Genesis, user: &UserName, role: Role) -> i64 {
        let invite = Invite { prev: Hash::ZERO, user: user.clone(), identity: Hash::ZERO, role: role.into() };
        self.does(genesis, Kind::Invite, cbor::encode(&invite)).await
    }

    /// Alice accepts an invitation.
    pub async fn joins(&mut self, genesis: &Genesis) -> i64 {
        self.does(genesis, Kind::Join, cbor::encode(&Join { prev: Hash::ZERO })).await
    }

    /// Alice goes, or declines.
    pub async fn leaves(&mut self, genesis: &Genesis) -> i64 {
        self.does(genesis, Kind::Leave, cbor::encode(&Leave { prev: Hash::ZERO })).await
    }

    /// Alice puts somebody out.
    pub async fn removes(&mut self, genesis: &Genesis, user: &UserName) -> i64 {
        self.does(genesis, Kind::Remove, cbor::encode(&Remove { prev: Hash::ZERO, user: user.clone(), lost_by: None })).await
    }

    /// Alice gives somebody another role.
    pub async fn sets_role(&mut self, genesis: &Genesis, user: &UserName, role: Role) -> i64 {
        let set = SetRole { prev: Hash::ZERO, user: user.clone(), role: role.into() };
        self.does(genesis, Kind::SetRole, cbor::encode(&set)).await
    }

    /// Alice gives a group another title.
    pub async fn calls(&mut self, genesis: &Genesis, title: &str) -> i64 {
        let row = write::message(
            &self.core.store,
            &self.core.crypto,
            Some(SuiteName::RsaJwe1),
            (&target(genesis), &Content::title(title).unwrap()),
            None,
        )
        .unwrap();
        self.goes_on().await;
        row
    }

    /// Alice erases one of a conversation's messages.
    pub async fn erases(&mut self, conversation: &Target, message: i64) -> i64 {
        let (_, seq, draft) = self.core.store.draft_at(message).unwrap().unwrap();
        let log = self.core.store.message(message).unwrap().unwrap().log;
        let body = cbor::encode(&Erase { seq, draft });
        let open = write::Open { kind: Kind::Erase, body: body.to_vec(), once: None };
        let row = open.write(&self.core.store, &self.alice.user, conversation, &log).unwrap();
        self.goes_on().await;
        row
    }

    async fn does(&mut self, genesis: &Genesis, kind: Kind, body: Vec<u8>) -> i64 {
        let open = write::Open { kind, body: body.to_vec(), once: None };
        let row = open.write(&self.core.store, &self.alice.user, &target(genesis), &genesis.log()).unwrap();
        self.goes_on().await;
        row
    }

    /// What a group is called here.
    pub fn title(&self, genesis: &Genesis) -> String {
        let (title, tag) = self.kept(genesis).title.unwrap_or_default();
        self.core.crypto.out_of_rest(&genesis.log(), Some(tag), &title).ok().and_then(|content| content.title).unwrap_or_default()
    }
}

/// What somebody makes of the sealed part of an invitation in their inbox.
pub async fn invitation(hub: &super::Hub, to: &Person) -> Option<Invited> {
    let log = LogName::Inbox(to.user.clone());
    let draft = hub.drafts(&log).into_iter().rfind(|draft| draft.kind == Kind::Invitation)?;
    let what =
        Closed::Invitation { author: hub.keys[&draft.author].clone(), invitation: cbor::decode(&draft.body, limits::DRAFT).unwrap() };
    match Crypto::new(&to.account).unwrap().open(&OpenJob { log, seq: 1, draft, what }, &State::new(&|_| Ok(None))).await.unwrap() {
        Opening::Invited(invited) => Some(invited),
        _ => None,
    }
}

/// What somebody makes of the newest entry of a room: its text, if it opens.
pub async fn reads(hub: &super::Hub, genesis: &Genesis, person: &Person) -> Option<String> {
    let draft = hub.drafts(&genesis.log()).pop()?;
    let (author, members) = (hub.keys[&draft.author].clone(), Arc::new(hub.members(genesis)));
    let what = Closed::Message { author, genesis: genesis.clone(), members, keys: Arc::new(hub.keys.clone()) };
    let crypto = Crypto::new(&person.account).unwrap();
    match crypto.open(&OpenJob { log: genesis.log(), seq: 1, draft, what }, &State::new(&|_| Ok(None))).await.unwrap() {
        Opening::Message(kept) => Some(kept.opened.content.text),
        _ => None,
    }
}
