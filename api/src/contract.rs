//! The contract between the operator and what runs in a Task's pod: paths, users, environment variables.
//!
//! Names that images written for axon rely on (`/axon_entrypoint.sh`, the first `AXON_*` variables, uid 61100,
//! `/workspace/repo`, `/axon/plugin`, the marker block) never change. The `*_FILE` variables carry what is too
//! long for an argument or an environment variable: Linux limits one string to 128 KiB.

/// Program that the agent container starts; its one argument is the prompt.
pub const ENTRYPOINT: &str = "/axon_entrypoint.sh";
/// User and group that every container of a Task runs as.
pub const UID: i64 = 61100;
/// Volume with the clone.
pub const WORKSPACE_DIR: &str = "/workspace";
/// The clone itself, and the agent's working directory when the Task has a Workspace.
pub const REPO_DIR: &str = "/workspace/repo";
/// Plugin tree: `<plugin>/skills/<skill>/SKILL.md` and `<plugin>/agents/<agent>.md`.
pub const PLUGIN_DIR: &str = "/axon/plugin";
/// Mount path of the Task's own ConfigMap, when it has one.
pub const INPUT_DIR: &str = "/axon/input";
/// Mount path of Secrets of MCP servers: `<n>/headers` and `<n>/env`, one file per key.
pub const MCP_SECRETS_DIR: &str = "/axon/mcp";
/// Mount path of the SSH key and the known hosts, when the repository is reached by SSH with a Secret.
pub const SSH_DIR: &str = "/axon/ssh";
/// Mount path of the token of a GitHub App, when the Workspace has one. The kubelet brings renewed tokens there.
pub const GITHUB_DIR: &str = "/axon/github";
/// Mount path of the CA of a Workspace's Secret, when the repository is reached by HTTPS.
pub const CA_DIR: &str = "/axon/ca";
/// Key of the Secret that has the CA, and so the file's name below [`CA_DIR`].
pub const CA_KEY: &str = "ca.crt";
/// Home directory, an emptyDir: the root file system is read-only.
pub const HOME_DIR: &str = "/home/agent";
/// Kubernetes' default path of the termination message.
pub const TERMINATION_LOG: &str = "/dev/termination-log";

/// Keys of the Task's ConfigMap, and so file names below [`INPUT_DIR`].
pub mod input {
    /// The prompt, byte for byte.
    pub const PROMPT: &str = "prompt";
    /// Agent instructions.
    pub const AGENTS_MD: &str = "agents.md";
    /// MCP servers: `{"mcpServers": {NAME: {...}}}`.
    pub const MCP_SERVERS: &str = "mcp.json";
    /// Plugins: the JSON form of `AgentConfigSpec.plugins`.
    pub const PLUGINS: &str = "plugins.json";
    /// Files to write into the clone: the JSON form of `WorkspaceSpec.files`.
    pub const FILES: &str = "files.json";
    /// The suffix of a file's key when the file is packed; see [`crate::gzip`].
    pub const PACKED: &str = ".gz";
}

/// SSH: keys of the Secret, and so file names below [`SSH_DIR`].
pub mod ssh {
    /// The private key, as in Kubernetes' own `kubernetes.io/ssh-auth`.
    pub const PRIVATE_KEY: &str = "ssh-privatekey";
    /// Lines of known_hosts, as `ssh-keyscan` prints them.
    pub const KNOWN_HOSTS: &str = "known_hosts";
    /// The SSH command of git. It reaches known hosts only and never asks a question.
    pub const COMMAND: &str = "ssh -i /axon/ssh/ssh-privatekey -o IdentitiesOnly=yes \
        -o UserKnownHostsFile=/axon/ssh/known_hosts -o StrictHostKeyChecking=yes -o BatchMode=yes \
        -o ConnectTimeout=30 -o ServerAliveInterval=15 -o ServerAliveCountMax=4";
}

/// Names of the containers of a Task's pod.
pub mod container {
    /// The init container that clones, prepares the branch and writes files.
    pub const WORKSPACE: &str = "workspace";
    /// The container that runs the agent.
    pub const AGENT: &str = "agent";
}

/// Environment variables of the pod.
pub mod env {
    /// Agent type, always set.
    pub const AGENT_TYPE: &str = "AXON_AGENT_TYPE";
    /// Model, when the Task names one.
    pub const MODEL: &str = "AXON_MODEL";
    /// Branch to work on, when the Task names one.
    pub const BRANCH: &str = "AXON_BRANCH";
    /// `spec.ref` of the Workspace, when it names one.
    pub const BASE_BRANCH: &str = "AXON_BASE_BRANCH";
    /// `Base` if configuration of the checked-out tree is not to count; absent otherwise.
    pub const TRUST: &str = "AXON_TRUST";
    /// Go duration after which an agent that prints nothing is to be ended, when the Task names one.
    pub const STALL_TIMEOUT: &str = "AXON_STALL_TIMEOUT";
    /// US dollars that this pod may spend, as a decimal number, when the Task has a cap on money.
    pub const MAX_COST_USD: &str = "AXON_MAX_COST_USD";
    /// Tokens of all kinds that this pod may use, when the Task has a cap on tokens.
    pub const MAX_TOKENS: &str = "AXON_MAX_TOKENS";
    /// Prices of the Task's model, as JSON with `input`, `output`, `cacheRead` and `cacheWrite`: decimal texts of US dollars
    /// per million tokens. Set together with [`MAX_COST_USD`], where the operator's price table knows the model.
    pub const PRICE: &str = "AXON_PRICE";
    /// File with the prompt, set when the prompt is too long for an argument.
    pub const PROMPT_FILE: &str = "AXON_PROMPT_FILE";
    /// Agent instructions, when they fit an environment variable.
    pub const AGENTS_MD: &str = "AXON_AGENTS_MD";
    /// File with the agent instructions.
    pub const AGENTS_MD_FILE: &str = "AXON_AGENTS_MD_FILE";
    /// MCP servers as JSON, when they fit an environment variable.
    pub const MCP_SERVERS: &str = "AXON_MCP_SERVERS";
    /// File with the MCP servers as JSON.
    pub const MCP_SERVERS_FILE: &str = "AXON_MCP_SERVERS_FILE";
    /// Directory of the Secrets that MCP servers refer to, when one does.
    pub const MCP_SECRETS_DIR: &str = "AXON_MCP_SECRETS_DIR";
    /// Directory of the plugin tree.
    pub const PLUGIN_DIR: &str = "AXON_PLUGIN_DIR";
    /// Directory of the SSH key and the known hosts, when the repository is reached by SSH with a Secret.
    pub const SSH_DIR: &str = "AXON_SSH_DIR";
    /// Name of that Secret, for messages.
    pub const SSH_SECRET: &str = "AXON_SSH_SECRET";
    /// Git's own variable for how it starts `ssh`.
    pub const GIT_SSH_COMMAND: &str = "GIT_SSH_COMMAND";
    /// Repository URL, when the Task has a Workspace.
    pub const REPO: &str = "AXON_REPO";
    /// `off` if the host is not to be asked whether it takes pushes; from `podOverrides.env`.
    pub const PUSH_CHECK: &str = "AXON_PUSH_CHECK";
    /// Directory of the Task's own ConfigMap; init container only.
    pub const INPUT_DIR: &str = "AXON_INPUT_DIR";
    /// Token for git and for GitHub's API.
    pub const GITHUB_TOKEN: &str = "GITHUB_TOKEN";
    /// File with the token that is good now, set when the token is renewed while the Task runs. It wins over the others.
    pub const GITHUB_TOKEN_FILE: &str = "AXON_GITHUB_TOKEN_FILE";
    /// File with the certificate of the CA that vouches for the git host, PEM. There may be no such file.
    pub const CA_FILE: &str = "AXON_CA_FILE";
    /// The same token, as `gh` reads it for github.com and ghe.com.
    pub const GH_TOKEN: &str = "GH_TOKEN";
    /// The same token, as `gh` reads it for any other host.
    pub const GH_ENTERPRISE_TOKEN: &str = "GH_ENTERPRISE_TOKEN";
    /// Host for `gh`, when it is not github.com.
    pub const GH_HOST: &str = "GH_HOST";
}

/// Longest text (bytes) that goes into one argument or environment variable; longer text goes by file.
/// Linux's limit is 131,072 with the terminating NUL and, for a variable, its name.
pub const MAX_INLINE_BYTES: usize = 96 * 1024;

/// Returns `text` so that the kubelet, which expands `$(NAME)` in args and env values, gives back `text` itself.
///
/// The kubelet reads `$$` as an escaped `$` wherever it stands (see
/// `k8s.io/kubernetes/third_party/forked/golang/expansion`). Every `$` is doubled, also where it need not be by that
/// rule: kubelets before 1.34.4 take the one byte after a single `$` for a character and spoil what is not ASCII.
#[must_use]
pub fn escape_expansion(text: &str) -> String {
    text.replace('$', "$$")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The kubelet's rule, restated: `$$` is `$`, `$(NAME)` of a known NAME is its value, all else is itself, but that
    /// older ones make a character of a single byte after `$`.
    fn kubelet_expand(input: &str) -> String {
        let bytes = input.as_bytes();
        let mut out = Vec::new();
        let mut i = 0;
        while i < bytes.len() {
            if bytes[i] != b'$' || i + 1 >= bytes.len() {
                out.push(bytes[i]);
                i += 1;
                continue;
            }
            match bytes[i + 1] {
                b'$' => {
                    out.push(b'$');
                    i += 2;
                }
                b'(' => match bytes[i + 2..].iter().position(|c| *c == b')') {
                    Some(len) => {
                        out.extend(b"EXPANDED");
                        i += 3 + len;
                    }
                    None => {
                        out.extend(b"$(");
                        i += 2;
                    }
                },
                other => {
                    out.push(b'$');
                    out.extend(char::from(other).to_string().as_bytes());
                    i += 2;
                }
            }
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn the_ssh_command_names_the_files_of_the_mount() {
        for file in [ssh::PRIVATE_KEY, ssh::KNOWN_HOSTS] {
            assert!(ssh::COMMAND.contains(&format!("{SSH_DIR}/{file}")), "{file}");
        }
    }

    #[test]
    fn known_shapes_survive_the_kubelet() {
        for text in [
            "$(GITHUB_TOKEN)",
            "$$(X)",
            "$$$(X)",
            "$",
            "$$",
            "a$b",
            "$(",
            "$()",
            "${X}",
            "cost: $5 $(",
            "$$$$",
            "R$\u{a0}5,00",
            "US$–",
            "100$。",
            "$“x”",
        ] {
            assert_eq!(kubelet_expand(&escape_expansion(text)), text, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_survives_the_kubelet(text in "[$()A-Z a{}é€。\u{a0}]{0,40}") {
            prop_assert_eq!(kubelet_expand(&escape_expansion(&text)), text);
        }
    }
}
