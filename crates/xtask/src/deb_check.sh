# Run by `cargo xtask test deb` in a Debian that systemd has booted with the package in it.
exec >/root/check.log 2>&1
set -exEo pipefail
# What must fail: the shell itself overlooks a failure that is turned round.
not() { if "$@"; then return 1; fi; }
trap 'echo "the check failed, line $LINENO"; journalctl -n 30 --no-pager' ERR
as="runuser -u switchyard --"

# It is up because the package enabled it, and says itself that it serves.
systemctl is-active switchyard-gateway
systemctl show -p StatusText switchyard-gateway | grep 'serving'
systemctl show -p User switchyard-gateway | grep '=switchyard$'
systemd-analyze verify --man=no switchyard-gateway.service switchyard-gateway-tcp.socket switchyard-gateway-http.socket
systemd-analyze security --no-pager --threshold=20 switchyard-gateway.service | tail -n 1
# Within its confines it still finds the fast way to sockets, or says why not.
journalctl -u switchyard-gateway --no-pager | tee /root/journal | tail -n 20
not grep -iE 'denied|not permitted' /root/journal
test "$(stat -c %a:%U /var/lib/switchyard)" = 700:switchyard
test "$(stat -c %a:%U:%G /etc/switchyard/gateway.toml)" = 640:root:switchyard

# The doctor finds it, and finds it well.
$as switchyard-gateway doctor | tee /root/doctor
grep 'the running gateway is ready' /root/doctor
# Root would lock the gateway out of its own files.
not switchyard-gateway controllers
$as switchyard-gateway controllers | grep '1 Pump house'

# With the sockets held by systemd, a restart refuses nobody.
systemctl stop switchyard-gateway
systemctl start switchyard-gateway-tcp.socket switchyard-gateway-http.socket switchyard-gateway
ask() { exec 9<>"/dev/tcp/127.0.0.1/$1" && printf 'GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n' >&9 && grep -q '^ok' <&9; }
ask 7480
rm -f /run/enough
( attempts=0; until [ -e /run/enough ]; do ask 7480 || exit 1; exec 9<>/dev/tcp/127.0.0.1/7400 || exit 1; attempts=$((attempts + 1)); done; echo "$attempts attempts, none refused" ) &
dialling=$!
for _ in 1 2 3; do systemctl restart switchyard-gateway; done
touch /run/enough
wait $dialling

# What was installed with it.
for page in switchyard-gateway switchyard-gateway-doctor switchyard-gateway-account-add; do test -s /usr/share/man/man8/$page.8.gz; done
test -s /usr/share/bash-completion/completions/switchyard-gateway
dpkg -L switchyard-gateway | xargs ls -d >/dev/null

# An upgrade restarts it, and what somebody changed in the settings stays.
echo '# mine' >>/etc/switchyard/gateway.toml
systemctl show -p MainPID switchyard-gateway >/run/before
dpkg -i /root/switchyard-gateway_*.deb
systemctl is-active switchyard-gateway
systemctl show -p MainPID switchyard-gateway >/run/after
not cmp -s /run/before /run/after
grep '# mine' /etc/switchyard/gateway.toml

# The console is a package of its own.
dpkg -i /root/switchyard_*.deb
switchyard --version
test -s /usr/share/man/man1/switchyard.1.gz

# Removed it is gone; the keys stay, also after a purge.
dpkg -r switchyard-gateway
not systemctl is-active switchyard-gateway
test -s /var/lib/switchyard/switchyard.db
test -s /var/lib/switchyard/master.key
test -e /etc/switchyard/gateway.toml
dpkg -P switchyard-gateway
test -s /var/lib/switchyard/switchyard.db
test -s /var/lib/switchyard/master.key
test ! -e /etc/switchyard/gateway.toml
getent passwd switchyard
trap - ERR
echo 'all is well'
