//! `docs/configuration.md` and the schemas are what the tables say: made here, and compared with the files that are there.

use super::{CLIENT, SERVER};
use crate::layers::OTHER_VARIABLES;
use std::path::Path;
use tidings_setup::reference;

const INTRODUCTION: &str = "# Configuration

<!-- Made from the tables in crates/server/src/setup/keys.rs and crates/client/src/setup.rs. To make it anew:
     INSTA_UPDATE=always cargo test -p tidings reference -->

No file is needed to try things out: `tidings server` in an empty folder serves this machine, under the machine's name, and says what it
assumed. A server for others has a [`setup.json`](#setupjson):

```jsonc
{
  \"server_name\": \"s1\",
  \"listen\": \"0.0.0.0:5555\",
  \"registration\": \"invite\",
  \"mailing_address\": {
    // As `tidings peer show` prints it on s2.
    \"s2\": { \"address\": \"10.13.97.12:5555\", \"key\": \"51Tr…\" },
  },
}
```

and people may have a [`client_setup.json`](#client_setupjson), `{ \"server_ip\": \"10.13.84.131\" }`.

Both are JSON in UTF-8, with `// comments`, `/* comments */` and trailing commas. A key that is not known, a key that is there twice and a value
that does not fit are refused, with file, line, column and path:

```text
setup.json:3:3: listne: there is no such key; did you mean \"listen\"?
```

```console
$ tidings config check              # everything that is wrong, and what should be known; exit code 3 if anything is wrong
$ tidings config show --origin      # all settings that hold, and where each comes from
```

**Who wins.** What is preset < the file < `TIDINGS_…` variables < flags. Every key that is one text or number has a variable: `TIDINGS_` and the key's
path in capitals, like `TIDINGS_LISTEN` and `TIDINGS_LIMITS_GUESTS`; for `client_setup.json` the beginning is `TIDINGS_CLIENT_`. A variable that
begins with `TIDINGS_` and is none of ours is warned of.

**Editors** check and complete the files by [`setup.schema.json`](setup.schema.json) and [`client_setup.schema.json`](client_setup.schema.json):
name the schema under `\"$schema\"` in the file, or in the editor's settings.

";

fn page() -> String {
    let variables: String = OTHER_VARIABLES.iter().map(|(name, what)| format!("| `{name}` | {what} |\n")).collect();
    let (server, client) = (reference::page(&SERVER), reference::page(&CLIENT));
    format!("{INTRODUCTION}{server}\n{client}\n## Other variables\n\n| variable | |\n| --- | --- |\n{variables}")
}

/// Says whether the file is as it must be; writes it where that is asked for in the way in which snapshots are.
fn is_kept(file: &str, text: &str) -> bool {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(file);
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(&path, text).unwrap();
    }
    std::fs::read_to_string(&path).is_ok_and(|kept| kept == text)
}

#[test]
fn the_reference_page_and_the_schemas_are_what_the_tables_say() {
    let schema = |table| format!("{:#}\n", reference::schema(table));
    for (file, text) in
        [("configuration.md", page()), ("setup.schema.json", schema(&SERVER)), ("client_setup.schema.json", schema(&CLIENT))]
    {
        assert!(is_kept(file, &text), "docs/{file} is not what the tables say; INSTA_UPDATE=always cargo test -p tidings reference");
    }
}

/// A key that is told to be in the other file is there.
#[test]
fn what_belongs_elsewhere_is_there() {
    for (table, other) in [(&SERVER, &CLIENT), (&CLIENT, &SERVER)] {
        for (key, file) in table.elsewhere {
            assert!(*file == other.file && other.key(key).is_some() && table.key(key).is_none(), "{key}");
        }
    }
}
