//! What a clone lacks and an agent may need.

use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;

use nix::libc;

use super::clone::Clone;
use crate::say;

/// Most files of attributes that are read.
const MAX_ATTRIBUTES: usize = 1000;
/// Most bytes of each.
const MAX_ATTRIBUTES_BYTES: u64 = 1024 * 1024;

impl Clone<'_> {
    /// Says what the clone lacks and the agent may need.
    pub(super) fn tell_of_what_is_missing(&self) {
        if self.dir.join(".gitmodules").is_file() {
            say!(
                "the repository has submodules, which are not cloned: `git submodule update --init` does it"
            );
        }
        if self.uses_lfs() {
            say!("the repository uses Git LFS: its files are pointers here, until `git lfs pull` gets them");
        }
    }

    /// Looks into all files of attributes, in any folder and of any encoding that has ASCII in it.
    fn uses_lfs(&self) -> bool {
        let files = ["ls-files", "-z", "--", ".gitattributes", "**/.gitattributes"];
        let Ok(listed) = self.try_git(files) else {
            return false;
        };
        let names = listed.stdout.split('\0').filter(|name| !name.is_empty());
        names.take(MAX_ATTRIBUTES).any(|name| {
            // Never a link or a device: git does not follow one either.
            let file = OpenOptions::new()
                .read(true)
                .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
                .open(self.dir.join(name));
            let mut text = Vec::new();
            let read = file.and_then(|file| file.take(MAX_ATTRIBUTES_BYTES).read_to_end(&mut text));
            // Windows writes two bytes for a letter.
            text.retain(|byte| *byte != 0);
            read.is_ok() && sets_lfs(&text)
        })
    }
}

/// Returns true if a line that is no comment sets the filter of LFS.
fn sets_lfs(attributes: &[u8]) -> bool {
    const FILTER: &[u8] = b"filter=lfs";
    // Marks of UTF-8 and of both orders of UTF-16 at the begin of a file.
    let marks: [&[u8]; 3] = [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"];
    let text = marks
        .iter()
        .find_map(|mark| attributes.strip_prefix(*mark))
        .unwrap_or(attributes);
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_start);
    lines.any(|line| !line.starts_with(b"#") && line.windows(FILTER.len()).any(|part| part == FILTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_sets_nothing() {
        for (text, sets) in [
            (&b"*.bin filter=lfs diff=lfs -text\n"[..], true),
            (b"# binary files\n\t*.bin  filter=lfs", true),
            (b"*.bin filter=lfs # is no comment\n", true),
            (b"# we do not use filter=lfs here\n*.bin -text\n", false),
            (b"*.txt text\r\n \t# filter=lfs\r\n", false),
            (b"\xef\xbb\xbf# filter=lfs\n", false),
            (b"\xff\xfe# filter=lfs\n*.bin filter=lfs\n", true),
            (b"", false),
        ] {
            assert_eq!(sets_lfs(text), sets, "{}", text.escape_ascii());
        }
    }
}
