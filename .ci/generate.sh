#!/bin/sh
# generate.sh [DIR]: writes the Go code of every .proto file under DIR (default: in place). Needs protoc, which the
# install task brings; protoc-gen-go comes from tools/go.mod.
set -eu
cd "$(dirname "$0")/.."
out=${1:-.}

command -v protoc >/dev/null || {
	echo "generate: protoc is missing: go tool task install" >&2
	exit 1
}

plugin=$(go tool -modfile=tools/go.mod -n protoc-gen-go)
for file in $(git ls-files -co --exclude-standard '*.proto'); do
	[ -f "$file" ] || continue
	protoc --plugin=protoc-gen-go="$plugin" --go_out="$out" --go_opt=paths=source_relative "$file"
done
