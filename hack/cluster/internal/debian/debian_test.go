package debian

import "testing"

const stanzas = `# comment
Types: deb
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb-src
URIs: http://mirror.example/debian
Suites: bookworm
Components: main

Types: deb
URIs: https://vendor.example/apt
Suites: nodistro
Components: main
`

const lines = `
# deb http://old.example/debian bookworm main
deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/security bookworm-security main contrib # why
deb-src http://mirror.example/debian bookworm main
`

func TestAnImageInheritsTheReleasesSourcesOnly(t *testing.T) {
	all := append(parseStanzas(stanzas), parseLines(lines)...)
	sources := ForSuite(all, "bookworm")
	want := `deb http://mirror.example/debian bookworm main
deb http://mirror.example/debian bookworm-updates main
deb http://mirror.example/security bookworm-security main contrib
`
	if got := List(sources); got != want {
		t.Errorf("got:\n%s", got)
	}
	if mirror, err := Mirror(sources, "bookworm"); err != nil || mirror != "http://mirror.example/debian" {
		t.Errorf("got %q, %v", mirror, err)
	}
	if _, err := Mirror(ForSuite(all, "sid"), "sid"); err == nil {
		t.Error("a mirror was found for a suite the machine has no source for")
	}
}

func TestOnlyFetchSettingsAreKept(t *testing.T) {
	dump := `APT::Install-Recommends "1";
Acquire::Check-Valid-Until "false";
Acquire::http "";
Acquire::http::Proxy "http://127.0.0.1:3142";
Acquire::IndexTargets::deb::Packages::Optional "0";
DPkg::Post-Invoke:: "rm -rf x";
`
	got := fetchSettings(dump)
	if want := "Acquire::Check-Valid-Until \"false\";\nAcquire::http::Proxy \"http://127.0.0.1:3142\";\n"; got != want {
		t.Errorf("got:\n%s", got)
	}
	if proxy := Proxy(got); proxy != "http://127.0.0.1:3142" {
		t.Errorf("got %q", proxy)
	}
}
