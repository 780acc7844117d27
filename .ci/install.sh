#!/bin/sh
# Brings the outside programs that the integration tests talk to, each at a pinned version, into the git-ignored
# .tools (Debian packages excepted). A step whose version is already there is skipped. Prints the seconds of each step.
set -eu
cd "$(dirname "$0")/.."

MINIO=v0.0.0-20260212201848-7aac2a2c5b7c
VERSITYGW=v1.8.0

mkdir -p .tools/bin

# Two runs at once must not write the same binary.
if [ -z "${WADI_INSTALL_LOCKED:-}" ] && command -v flock >/dev/null; then
	WADI_INSTALL_LOCKED=1 exec flock .tools/lock sh .ci/install.sh
fi

# step NAME FUNCTION: runs FUNCTION and prints the time it took.
step() {
	begin=$(date +%s)
	"$2"
	printf 'install %-22s %4ds\n' "$1" $(($(date +%s) - begin))
}

# fetch COMMAND...: runs a command that brings something over the network, up to four times with growing pauses. Registries and
# networks have bad minutes; what is wrong stays wrong and fails after half a minute.
fetch() {
	for pause in 2 8 20; do
		"$@" && return
		echo "install: $* failed; again in $pause s" >&2
		sleep "$pause"
	done
	"$@"
}

# has BINARY MODULE VERSION: .tools/bin/BINARY was built from MODULE at VERSION, by the Go toolchain in use.
has() {
	go version -m ".tools/bin/$1" 2>/dev/null | awk -v m="$2" -v v="$3" '$2 == m && $3 == v { found = 1 } END { exit !found }'
}

minio() {
	has minio github.com/minio/minio "$MINIO" ||
		fetch env GOBIN="$PWD/.tools/bin" go install "github.com/minio/minio@$MINIO"
}

versitygw() {
	has versitygw github.com/versity/versitygw "$VERSITYGW" ||
		fetch env GOBIN="$PWD/.tools/bin" go install "github.com/versity/versitygw/cmd/versitygw@$VERSITYGW"
}

# etcd comes from the requirement in go.mod: the tests run the version that `wadi dev` embeds.
etcd() {
	has etcd go.etcd.io/etcd/server/v3 "$(go list -m -f '{{.Version}}' go.etcd.io/etcd/server/v3)" ||
		fetch go build -o .tools/bin/etcd go.etcd.io/etcd/server/v3
}

# debian PACKAGE...: installs Debian packages, or says what to do.
debian() {
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo "install: on Debian, as root: apt-get update && apt-get install -y $*" >&2
		exit 1
	fi
	fetch apt-get update -q
	fetch env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}

# need COMMAND PACKAGE...: installs the packages when the command is missing.
need() {
	command -v "$1" >/dev/null && return
	shift
	debian "$@"
}

kcat() { need kcat kcat; }
protoc() { need protoc protobuf-compiler; }

python() {
	requirements=integration/clients/python/requirements.txt
	cmp -s "$requirements" .tools/venv/installed.txt && return
	python3 -c 'import ensurepip, venv' 2>/dev/null || debian python3 python3-venv
	rm -rf .tools/venv
	python3 -m venv .tools/venv
	fetch .tools/venv/bin/pip install --quiet -r "$requirements"
	cp "$requirements" .tools/venv/installed.txt
}

# maven PROJECT: compiles it and lays its libraries beside it, unless that was done for exactly these sources.
# The local repository may hold everything already: without the network first, then with it.
maven() {
	sources=$(cat "$1/pom.xml" $(find "$1" -path "$1/src/*" -name '*.java' | sort) | cksum)
	[ "$(cat "$1/target/installed" 2>/dev/null)" = "$sources" ] && return
	need javac default-jdk-headless
	need mvn maven
	rm -rf "$1/target"
	mvn -q -o -f "$1/pom.xml" compile >/dev/null 2>&1 || fetch mvn -q -f "$1/pom.xml" compile
	echo "$sources" >"$1/target/installed"
}

java() {
	maven integration/clients/java
	maven integration/clients/spring
	maven integration/streams/java
	maven integration/connect/java
	maven examples/java
}

# sarama and kafka-go live in a module of their own: Wadi requires neither.
goclients() { fetch go -C integration/clients/go build -o ../../../.tools/bin/clients .; }

node() {
	js=integration/clients/js
	cmp -s "$js/package-lock.json" "$js/node_modules/installed.json" && return
	need node nodejs
	need npm npm
	fetch npm --prefix "$js" ci --no-audit --no-fund --loglevel=error >/dev/null
	cp "$js/package-lock.json" "$js/node_modules/installed.json"
}

# kafka: Apache Kafka's broker and tools as jars, unless they were brought for exactly this list.
kafka() {
	pom=integration/kafka/pom.xml jars=.tools/kafka
	cmp -s "$pom" "$jars/installed.xml" && return
	need java default-jdk-headless
	need mvn maven
	rm -rf "$jars.new"
	mvn -q -o -B -f "$pom" dependency:copy-dependencies -DoutputDirectory="$PWD/$jars.new" >/dev/null 2>&1 ||
		fetch mvn -q -B -f "$pom" dependency:copy-dependencies -DoutputDirectory="$PWD/$jars.new"
	cp "$pom" "$jars.new/installed.xml"
	rm -rf "$jars"
	mv "$jars.new" "$jars"
}

# modules: what the tests and linters are built from, so that no later step waits for the network.
modules() {
	fetch go list -deps -test ./... >/dev/null
	fetch go -C integration/clients/go list -deps ./... >/dev/null
	fetch go list -modfile=tools/go.mod -deps tool >/dev/null
}

step modules modules
step etcd etcd
step minio minio
step versitygw versitygw
step kcat kcat
step protoc protoc
step confluent-kafka python
step kafka-clients java
step kafka kafka
step sarama+kafka-go goclients
step KafkaJS node
