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
        const FILTER: &[u8] = b"filter=lfs";
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
            read.is_ok() && text.windows(FILTER.len()).any(|part| part == FILTER)
        })
    }
}
