//! Where in the client somebody is, as the part of the address after `#`.

use tidings_view::Target;

/// A place that can be gone back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The list of conversations and nothing else.
    Home,
    /// A conversation.
    Talk(Target),
    /// One's account and this client's settings.
    Settings,
}

impl Place {
    /// The place that an address names. Anything unknown is home.
    pub fn parse(hash: &str) -> Place {
        let path = hash.trim_start_matches(['#', '/']);
        match path.split_once('/') {
            None if path == "public" => Place::Talk(Target::Public),
            None if path == "settings" => Place::Settings,
            Some(("with", user)) => user.parse().map_or(Place::Home, |user| Place::Talk(Target::Direct { user })),
            Some(("group", id)) => id.parse().map_or(Place::Home, |id| Place::Talk(Target::Group { id })),
            _ => Place::Home,
        }
    }

    /// Its address.
    pub fn hash(&self) -> String {
        match self {
            Place::Home => "#/".into(),
            Place::Talk(Target::Public) => "#/public".into(),
            Place::Talk(Target::Direct { user }) => format!("#/with/{user}"),
            Place::Talk(Target::Group { id }) => format!("#/group/{id}"),
            Place::Settings => "#/settings".into(),
        }
    }
}

/// The code in an invitation link: `https://server/#invite=CODE`.
pub fn invitation(hash: &str) -> Option<&str> {
    hash.strip_prefix("#invite=").filter(|code| !code.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_has_an_address() {
        let group = Target::Group { id: "a".repeat(52).parse().unwrap() };
        let direct = Target::Direct { user: "bob@s2".parse().unwrap() };
        let talks = [Target::Public, group, direct].map(Place::Talk);
        for place in talks.into_iter().chain([Place::Home, Place::Settings]) {
            assert_eq!(Place::parse(&place.hash()), place);
        }
        for odd in ["", "#", "#/with/", "#/with/BOB", "#/group/x", "#/nothing", "#invite=x"] {
            assert_eq!(Place::parse(odd), Place::Home);
        }
    }

    #[test]
    fn an_invitation_is_after_the_hash_where_no_server_sees_it() {
        assert_eq!(invitation("#invite=abc-def"), Some("abc-def"));
        assert_eq!((invitation("#invite="), invitation("#/public")), (None, None));
    }
}
