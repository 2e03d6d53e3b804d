# What is in the image.
echo "uid: $(id -u)"
test -x /axon_entrypoint.sh && echo "entrypoint: yes"
grep -q '^[^:]*:[^:]*:61100:' /etc/passwd && echo "passwd: yes"
(echo x >/axon-verify) 2>/dev/null && echo "root: writable"
for dir in "$HOME" /tmp /workspace; do
  (echo x >"$dir/.axon-verify") 2>/dev/null && echo "writable: $dir"
done
for tool in git gh node make curl ssh; do
  command -v "$tool" >/dev/null && echo "tool: $tool"
done
echo "end: yes"
