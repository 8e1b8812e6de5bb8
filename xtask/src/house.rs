//! `cargo xtask house`: the rules that no other tool checks.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use ignore::WalkBuilder;

use crate::{manifest, workspace::Workspace};

/// Longer files need a reason in DESIGN.md.
const LONG: usize = 600;

/// Longer files are not to be, whatever the reason.
const TOO_LONG: usize = 1_000;

/// What people read: generated data may be as long as it is.
const READ: [&str; 8] = ["css", "html", "js", "md", "py", "rs", "sh", "sql"];

/// Grows with the project's age.
const ENDLESS: &str = "CHANGELOG.md";

/// The words for "there is another page", in the clouds' spellings.
const PAGING: [&str; 5] =
    ["next_token", "NextToken", "next_link", "nextLink", "next_continuation_token"];

/// Where paging is at home, besides the files that hand the words to [`PAGING_LOOP`]. The testkit and
/// the tests play the service's side of it.
const PAGING_FILES: [&str; 2] = ["page.rs", "client.rs"];
/// The one loop over pages.
const PAGING_LOOP: &str = "paginate(";
const PAGING_CRATES: [&str; 3] = ["patchkit-testkit", "tests", "xtask"];

/// Every breach, as `file:line: rule`.
pub(crate) fn check(workspace: &Workspace) -> Result<Vec<String>> {
    let design = fs::read_to_string(workspace.root.join("DESIGN.md")).unwrap_or_default();
    let mut findings = Vec::new();
    let mut files = 0_usize;
    for entry in
        WalkBuilder::new(&workspace.root).require_git(false).sort_by_file_name(Ord::cmp).build()
    {
        let entry = entry.context("walking the workspace")?;
        let path = entry.path();
        let extension = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
        if !entry.file_type().is_some_and(|kind| kind.is_file()) || !READ.contains(&extension) {
            continue;
        }
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let path = path.strip_prefix(&workspace.root).unwrap_or(path);
        files += 1;
        findings.extend(length(path, &text, &design));
        findings.extend(ignored_examples(path, &text));
        findings.extend(paging(path, &text));
    }
    for member in &workspace.members {
        findings.extend(manifest::check_member(&workspace.root, &member.dir)?);
    }
    findings.extend(manifest::check_root(&workspace.root)?);
    eprintln!("{files} files and {} manifests read", workspace.members.len() + 1);
    Ok(findings)
}

fn length(path: &Path, text: &str, design: &str) -> Option<String> {
    let (lines, path) = (text.lines().count(), path.display().to_string());
    if path == ENDLESS {
        return None;
    }
    if lines > TOO_LONG {
        return Some(format!("{path}: {lines} lines, more than {TOO_LONG}: split it by subject"));
    }
    (lines > LONG && !has_reason(&path, design)).then(|| {
        format!("{path}: {lines} lines, more than {LONG}: split it, or say why in DESIGN.md")
    })
}

/// A reason is a line of DESIGN.md that begins `` - `path`: `` and goes on.
fn has_reason(path: &str, design: &str) -> bool {
    let entry = format!("- `{path}`:");
    design.lines().any(|line| {
        line.trim_start().strip_prefix(&entry).is_some_and(|reason| !reason.trim().is_empty())
    })
}

fn ignored_examples(path: &Path, text: &str) -> Vec<String> {
    let prose = path.extension().is_some_and(|it| it == "md");
    numbered(text)
        .filter(|(_, line)| {
            let line = line.trim_start();
            let doc = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"));
            let Some(doc) = doc.or(prose.then_some(line)) else { return false };
            let Some(tags) = doc.trim_start().strip_prefix("```") else { return false };
            tags.split([',', ' ']).any(|tag| tag == "ignore" || tag.starts_with("ignore-"))
        })
        .map(|(at, _)| {
            let path = path.display();
            format!("{path}:{at}: an ignored example is not compiled: let it run, or use `no_run`")
        })
        .collect()
}

fn paging(path: &Path, text: &str) -> Vec<String> {
    let first = path.iter().next().unwrap_or_default();
    let at_home = text.contains(PAGING_LOOP)
        || PAGING_FILES.iter().any(|it| path.ends_with(it))
        || PAGING_CRATES.iter().any(|it| first == *it)
        || path.components().any(|it| it.as_os_str() == "tests");
    if at_home || path.extension().is_none_or(|it| it != "rs") {
        return Vec::new();
    }
    numbered(text)
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .filter_map(|(at, line)| {
            let word = PAGING.iter().find(|it| line.contains(**it))?;
            let path = path.display();
            Some(format!("{path}:{at}: `{word}`: take patchkit_core::paginate"))
        })
        .collect()
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(at, line)| (at + 1, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_needs_a_reason_in_the_design() {
        let (path, text) = (Path::new("a/src/big.rs"), "x\n".repeat(LONG + 1));
        assert!(length(path, &"x\n".repeat(LONG), "").is_none());
        assert!(length(path, &text, "").is_some());
        assert!(length(path, &text, "- `a/src/big.rs`:").is_some());
        assert!(length(path, &text, "- `a/src/big.rs`: one table").is_none());
        assert!(length(path, &text, "- `b/src/big.rs`: one table").is_some());
        let text = "x\n".repeat(TOO_LONG + 1);
        assert!(length(path, &text, "- `a/src/big.rs`: one table").is_some());
    }

    #[test]
    fn an_ignored_example_is_found_in_docs_and_prose() {
        let fence = "```";
        for (path, text) in [
            ("a.rs", format!("/// {fence}ignore\n/// x\n/// {fence}\n")),
            ("a.rs", format!("    //! {fence}rust,ignore\n")),
            ("a.md", format!("{fence}rust, ignore-windows\n")),
        ] {
            assert_eq!(ignored_examples(Path::new(path), &text).len(), 1, "{text}");
        }
        for text in [format!("/// {fence}no_run\n"), format!("// {fence}ignore\n")] {
            assert!(ignored_examples(Path::new("a.rs"), &text).is_empty(), "{text}");
        }
    }

    #[test]
    fn paging_is_only_at_home_in_client_and_where_the_one_loop_is_used() {
        let loops = "while let Some(token) = reply.next_token {}\n";
        assert_eq!(paging(Path::new("patchkit-aws/src/fleet.rs"), loops).len(), 1);
        assert!(paging(Path::new("patchkit-aws/src/client.rs"), loops).is_empty());
        assert!(paging(Path::new("patchkit-testkit/src/ssm.rs"), loops).is_empty());
        assert!(paging(Path::new("patchkit-aws/tests/it/ssm.rs"), loops).is_empty());
        let handed = "paginate(\"aws\", \"List\", |token| async { Ok((rows, page.next_token)) })\n";
        assert!(paging(Path::new("patchkit-aws/src/fleet.rs"), handed).is_empty());
        let told = "// the service repeats NextToken on an empty page\n";
        assert!(paging(Path::new("patchkit-aws/src/fleet.rs"), told).is_empty());
    }
}
