#!/bin/sh
# Every check that needs no test run: format, vet, staticcheck, import rules, generated code. Runs all of them and
# fails when one has.
set -u
cd "$(dirname "$0")/.."
failed=0

# sources SUFFIX: the files that are tracked or about to be.
sources() {
	git ls-files -co --exclude-standard "*$1" | while read -r file; do
		if [ -f "$file" ]; then echo "$file"; fi
	done
}

unformatted=$(sources .go | xargs gofmt -l)
if [ -n "$unformatted" ]; then
	echo "gofmt -w these:"
	echo "$unformatted"
	failed=1
fi

go vet ./... || failed=1
go -C integration/clients/go vet ./... || failed=1
go tool -modfile=tools/go.mod staticcheck ./... || failed=1
staticcheck=$(go tool -modfile=tools/go.mod -n staticcheck)
(cd integration/clients/go && "$staticcheck" ./...) || failed=1
go test ./internal/importrules || failed=1

# The generated code must be what the .proto files give, and nothing generated may be left without its .proto. The
# version of protoc stands in a comment and may differ.
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
code() {
	if [ -f "$1" ]; then sed '/^\/\/.*protoc  *v[0-9]/d' "$1"; fi
}
if sh .ci/generate.sh "$fresh"; then
	for file in $( (sources .pb.go && cd "$fresh" && find . -name '*.pb.go') | sed 's|^\./||' | sort -u); do
		[ "$(code "$file" | cksum)" = "$(code "$fresh/$file" | cksum)" ] || {
			echo "$file differs from what its .proto gives: go tool task generate"
			failed=1
		}
	done
else
	failed=1
fi

exit $failed
