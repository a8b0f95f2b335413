//! References that name one place and others.

use super::*;

fn attributes(text: &str) -> Attributes<'_> {
    text.split_whitespace()
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap();
            let attr = Attr {
                key: Span::default(),
                span: Span::default(),
                value: Attribute::Text(value.into()),
            };
            (name.into(), attr)
        })
        .collect()
}

fn compare(original: &str, locked: &str) -> Comparison {
    FlakeRef(&attributes(original)).compare(FlakeRef(&attributes(locked)))
}

#[test]
fn one_place_is_known_by_several_names() {
    for (original, locked) in [
        ("type=github owner=NixOS repo=nixpkgs", "type=github owner=nixos repo=Nixpkgs rev=1"),
        ("type=github owner=a repo=b host=GitHub.com", "type=github owner=a repo=b"),
        ("type=git url=https://h/a.git", "type=git url=https://H/a/"),
        ("type=git url=ssh://git@h/a", "type=git url=ssh://h/a"),
        ("type=git url=https://github.com/A/b", "type=git url=https://github.com/a/B.git"),
        (
            "type=tarball url=https://flakehub.com/f/NixOS/nixpkgs/0.1.tar.gz",
            "type=tarball url=https://api.flakehub.com/f/pinned/NixOS/nixpkgs/0.1.1/x/source.tar.gz",
        ),
        (
            "type=tarball url=https://channels.nixos.org/nixos-unstable/nixexprs.tar.xz",
            "type=tarball url=https://releases.nixos.org/nixos/unstable/x/nixexprs.tar.xz",
        ),
        (
            "type=tarball url=https://git.clan.lol/clan/core/archive/main.tar.gz",
            "type=tarball url=https://git.clan.lol/api/v1/repos/clan/core/archive/x.tar.gz",
        ),
        (
            "type=tarball url=https://git.example/g/sub/p/-/archive/main/p.tar.gz",
            "type=tarball url=https://git.example/G/sub/p/-/archive/x/p-x.tar.gz",
        ),
        (
            "type=tarball url=https://h/latest.tar.gz",
            "type=tarball url=https://h/store/x.tar.gz?rev=x&narHash=y",
        ),
        (
            "type=tarball url=https://nixos.org/channels/nixpkgs-unstable/nixexprs.tar.xz",
            "type=tarball url=https://releases.nixos.org/nixpkgs/nixpkgs-25.11pre1.x/nixexprs.tar.xz",
        ),
        (
            "type=tarball url=https://channels.nixos.org/nixos-24.11-small/nixexprs.tar.xz",
            "type=tarball url=https://releases.nixos.org/nixos/24.11-small/x/nixexprs.tar.xz",
        ),
        (
            "type=tarball url=https://gitlab.com/g/sub/p/-/archive/main/p.tar.gz",
            "type=tarball url=https://gitlab.com/api/v4/projects/G%2fsub%2Fp/repository/archive.tar.gz?sha=x",
        ),
        (
            "type=tarball url=https://h/api/v4/projects/a%2Fb/repository/archive?sha=main",
            "type=tarball url=https://h/a/b/-/archive/x/b-x.tar.gz",
        ),
        (
            "type=tarball url=https://h/api/v4/projects/17/repository/archive.tar.gz?sha=main",
            "type=tarball url=https://h/api/v4/projects/17/repository/archive.tar.gz?sha=x",
        ),
        ("type=git url=https://h/a?submodules=1", "type=git url=https://h/a?submodules=1&rev=x"),
        ("type=path path=./a", "type=path path=a/"),
    ] {
        assert_eq!(compare(original, locked), Comparison::Same, "{original} {locked}");
    }
    assert_eq!(compare("type=indirect id=nixpkgs", "type=github owner=x"), Comparison::Open);
}

#[test]
fn another_place_is_seen() {
    for (original, locked, what) in [
        ("type=github owner=a repo=b", "type=github owner=c repo=b", "owner"),
        ("type=github owner=a repo=b", "type=github owner=a repo=c", "repo"),
        ("type=github owner=a repo=b", "type=github owner=a repo=b host=evil", "host"),
        ("type=github owner=a repo=b", "type=gitlab owner=a repo=b", "type"),
        ("type=github owner=a repo=b", "type=git url=file:///home/me/b", "type"),
        ("type=github owner=a repo=b dir=x", "type=github owner=a repo=b", "dir"),
        ("type=git url=https://h/a", "type=git url=http://h/a", "url"),
        ("type=git url=https://h/a", "type=git url=https://h/A", "url"),
        ("type=tarball url=https://h/a.tar", "type=tarball url=https://g/a.tar", "url"),
        ("type=tarball url=https://h/a.tar", "type=tarball url=http://h/a.tar", "url"),
        (
            "type=tarball url=https://flakehub.com/f/NixOS/nixpkgs/0.1.tar.gz",
            "type=tarball url=https://api.flakehub.com/f/pinned/evil/nixpkgs/0.1.1/x/source.tar.gz",
            "url",
        ),
        (
            "type=tarball url=https://github.com/a/b/archive/main.tar.gz",
            "type=tarball url=https://github.com/c/b/archive/main.tar.gz",
            "url",
        ),
        // A branch of another project that is named like this one.
        (
            "type=tarball url=https://github.com/a/b/archive/main.tar.gz",
            "type=tarball url=https://github.com/evil/x/archive/refs/heads/a/b/y.tar.gz",
            "url",
        ),
        (
            "type=tarball url=https://github.com/a/b/archive/main.tar.gz",
            "type=tarball url=https://github.com/a/b/../../evil/x/archive/main.tar.gz",
            "url",
        ),
        (
            "type=tarball url=https://h/latest.tar.gz",
            "type=tarball url=https://h/a/%2E%2e/x.tar.gz",
            "url",
        ),
        (
            "type=tarball url=https://git.example/a/b/-/archive/main/b.tar.gz",
            "type=tarball url=https://git.example/evil/b/-/archive/main/b.tar.gz",
            "url",
        ),
        (
            "type=tarball url=https://git.example/api/v1/repos/a/b/archive/main.tar.gz",
            "type=tarball url=https://git.example/evil/b/archive/main.tar.gz",
            "url",
        ),
        (
            "type=tarball url=https://bitbucket.org/a/b/get/main.tar.gz",
            "type=tarball url=https://bitbucket.org/evil/b/get/main.tar.gz",
            "url",
        ),
        // GitLab's API: another project, or what is no archive of one.
        (
            "type=tarball url=https://gitlab.com/api/v4/projects/17/repository/archive.tar.gz",
            "type=tarball url=https://gitlab.com/api/v4/projects/666/repository/archive.tar.gz",
            "url",
        ),
        (
            "type=tarball url=https://gitlab.com/api/v4/projects/17/packages/generic/p/1/f.tar.gz",
            "type=tarball url=https://gitlab.com/api/v4/projects/17/packages/generic/evil/1/f.tar.gz",
            "url",
        ),
        (
            "type=tarball url=https://gitlab.com/a/b/-/archive/main/b.tar.gz",
            "type=tarball url=https://gitlab.com/api/v4/projects/evil%2Fb/repository/archive.tar.gz",
            "url",
        ),
        (
            "type=tarball url=https://gitlab.com/a/b/-/archive/main/b.tar.gz",
            "type=tarball url=https://gitlab.com/api/v4/projects/a%2F..%2Fb/repository/archive.tar.gz",
            "url",
        ),
        (
            "type=tarball url=https://gitlab.com/a/b/-/archive/main/b.tar.gz",
            "type=tarball url=https://gitlab.com/api/v4/projects/a%2Fb/../evil%2Fb/repository/archive.tar.gz",
            "url",
        ),
        (
            "type=tarball url=https://gitlab.com/a/b/-/archive/main/b.tar.gz",
            "type=tarball url=https://gitlab.com/api/v4/projects/a%252Fb/repository/archive.tar.gz",
            "url",
        ),
        (
            "type=tarball url=https://gitlab.com/a/b/-/archive/main/b.tar.gz",
            "type=tarball url=https://gitlab.com/api/v4/projects/a%2Fb/repository/archive.tar.gz?path=x",
            "url",
        ),
        (
            "type=tarball url=https://h/latest.tar.gz",
            "type=tarball url=https://h/api/v4/projects/666/repository/archive.tar.gz",
            "url",
        ),
        // Which thing is meant can stand behind the question mark.
        (
            "type=tarball url=https://h/get?project=a",
            "type=tarball url=https://h/get?project=evil",
            "url",
        ),
        (
            "type=tarball url=https://h/get?project=a",
            "type=tarball url=https://h/get/?project=a&project=evil",
            "url",
        ),
        ("type=git url=https://h/git?p=a", "type=git url=https://h/git?p=evil", "url"),
        ("type=git url=https://h/a", "type=git url=https://h/a?submodules=1", "submodules"),
        // Another channel than the one asked for.
        (
            "type=tarball url=https://channels.nixos.org/nixos-unstable/nixexprs.tar.xz",
            "type=tarball url=https://releases.nixos.org/nixos/16.03/x/nixexprs.tar.xz",
            "url",
        ),
        ("type=path path=./a", "type=path path=./b", "path"),
    ] {
        assert_eq!(compare(original, locked), Comparison::Differs(what), "{original} {locked}");
    }
}

#[test]
fn references_are_shown_as_nix_writes_them() {
    for (text, shown) in [
        ("type=github owner=a repo=b ref=main rev=1", "github:a/b/main"),
        ("type=github owner=a repo=b host=h dir=d", "github:a/b?host=h&dir=d"),
        ("type=git url=https://u:p@h/a ref=x", "git+https://***@h/a?ref=x"),
        ("type=git url=git+ssh://h/a", "git+ssh://h/a"),
        ("type=tarball url=https://h/a.tgz", "https://h/a.tgz"),
        ("type=indirect id=nixpkgs ref=x", "flake:nixpkgs/x"),
        ("type=path path=../..", "path:../.."),
    ] {
        assert_eq!(FlakeRef(&attributes(text)).show(), shown);
    }
}

#[test]
fn owners_and_hosts_are_read() {
    for (text, host, owner) in [
        ("type=sourcehut owner=~a repo=b", Some("git.sr.ht"), Some(("~a", "b"))),
        ("type=git url=https://u@H:8443/a/b.git", Some("h"), Some(("a", "b"))),
        ("type=git url=git@host:a/b", Some("host"), None),
        (
            "type=tarball url=https://gitlab.com/api/v4/projects/g%2Fs%2Fp/repository/archive.zip",
            Some("gitlab.com"),
            Some(("g", "p")),
        ),
        ("type=path path=/x", None, None),
        (
            "type=tarball url=https://flakehub.com/f/A/b/1.tar.gz",
            Some("flakehub.com"),
            Some(("A", "b")),
        ),
    ] {
        let attributes = attributes(text);
        let reference = FlakeRef(&attributes);
        assert_eq!(reference.host().as_deref(), host, "{text}");
        assert_eq!(reference.owner_and_repo(), owner.or(reference.owner_and_repo()), "{text}");
    }
}
