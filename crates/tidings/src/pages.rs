//! Man pages and shell completions, made of what clap knows about the command line.

use crate::cli::{self, Pages, PagesArguments};
use crate::failure::Failure;
use clap::ValueEnum;
use clap_complete::Shell;
use std::path::Path;

/// Runs the command.
pub fn run(arguments: &PagesArguments) -> Result<u8, Failure> {
    let folder = &arguments.folder;
    write(arguments.what, folder).map_err(|error| Failure::config(format!("{}: {error}", folder.display())))?;
    Ok(0)
}

/// One page for each command, `tidings-room-new.1`; or one file for each shell.
fn write(what: Pages, folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    if what == Pages::Man {
        return clap_mangen::generate_to(cli::command(), folder);
    }
    Shell::value_variants().iter().try_for_each(|shell| {
        clap_complete::generate_to(*shell, &mut cli::command(), "tidings", folder)?;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn written(what: Pages) -> BTreeMap<String, String> {
        let folder = tempfile::tempdir().unwrap();
        write(what, &folder.path().join("made/on/the/way")).unwrap();
        let files = std::fs::read_dir(folder.path().join("made/on/the/way")).unwrap().map(|file| file.unwrap());
        files.map(|file| (file.file_name().into_string().unwrap(), std::fs::read_to_string(file.path()).unwrap())).collect()
    }

    /// Every command that is shown, by its words: `["room", "new"]`, with its options.
    fn commands(command: &clap::Command, words: &[String], all: &mut Vec<(Vec<String>, Vec<String>)>) {
        let options = command.get_arguments().filter(|option| !option.is_hide_set());
        let options = options.filter_map(|option| option.get_long()).map(|long| format!("--{long}")).collect();
        all.push((words.to_vec(), options));
        for below in command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help") {
            commands(below, &[words, &[below.get_name().to_owned()]].concat(), all);
        }
    }

    fn all() -> Vec<(Vec<String>, Vec<String>)> {
        let (mut command, mut all) = (cli::command(), Vec::new());
        command.build();
        commands(&command, &[], &mut all);
        assert!(all.len() > 30, "the control: what is there is seen");
        all
    }

    #[test]
    fn every_command_has_a_man_page_with_its_options() {
        let pages = written(Pages::Man);
        let all = all();
        for (words, options) in &all {
            let page = &pages[&format!("{}.1", [&["tidings".to_owned()], &words[..]].concat().join("-"))];
            // In the source of a page a hyphen is escaped.
            let text = page.replace("\\-", "-");
            for option in options {
                assert!(text.contains(option.as_str()), "{words:?} {option}");
            }
        }
        assert_eq!(pages.len(), all.len(), "{:?}", pages.keys());
    }

    #[test]
    fn every_shell_completes_every_command_and_option() {
        let files = written(Pages::Completions);
        assert_eq!(files.len(), 5, "{:?}", files.keys());
        for (words, options) in all() {
            for (file, text) in &files {
                for word in words.iter().chain(&options) {
                    assert!(text.contains(word.trim_start_matches('-')), "{file}: {words:?} {word}");
                }
            }
        }
    }
}
