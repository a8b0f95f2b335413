//! What the cases build with: real programs of this machine with their
//! libraries, started through their own loader, for the sandbox has no /lib.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::nix::Nix;

/// Programs that write the formats the cases are about.
const PROGRAMS: [&str; 7] = ["ar", "as", "gzip", "ld", "perl", "tar", "zip"];

/// Object files that are linked.
const OBJECTS: usize = 8;

/// Puts the programs into the store as one tree: `bin/` with scripts that
/// start `libexec/` through `lib/`.
pub fn tools(nix: &Nix, dir: &Path, bb: &str) -> String {
    let tree = dir.join("tools");
    for part in ["bin", "libexec", "lib", "obj", "src"] {
        fs::create_dir_all(tree.join(part)).unwrap();
    }
    let mut libraries = BTreeSet::new();
    for name in PROGRAMS {
        let found = Command::new("which").arg(name).output().unwrap();
        let program = PathBuf::from(String::from_utf8(found.stdout).unwrap().trim());
        let program = program.canonicalize().unwrap_or_else(|_| panic!("{name} is installed"));
        fs::copy(&program, tree.join("libexec").join(name)).unwrap();
        libraries.extend(libraries_of(&program));
        let script = format!(
            "#!{bb}/bin/sh\nd=${{0%/bin/*}}\nexec $d/lib/ld.so --library-path $d/lib --argv0 {name} $d/libexec/{name} \"$@\"\n"
        );
        write_executable(&tree.join("bin").join(name), &script);
    }
    for library in libraries {
        let name = library.file_name().unwrap().to_str().unwrap().to_owned();
        let name = if name.starts_with("ld-linux") { "ld.so".to_owned() } else { name };
        fs::copy(&library, tree.join("lib").join(name)).unwrap();
    }
    for n in 0..OBJECTS {
        let source = format!(
            "const char *name_{n}(void) {{ return \"part {n} of the program\"; }}\nint value_{n}(int x) {{ return x * {} + {n}; }}\n",
            n * 3 + 1
        );
        compile(&tree, &format!("part{n}"), &source, &["-c", "-O1"]);
    }
    let start = "void _start(void) { for (;;) {} }\n";
    compile(&tree, "start", start, &["-c", "-O1"]);
    fs::write(
        tree.join("src/code.s"),
        "\t.text\n\t.globl f\nf:\n\tmovl $7, %eax\n\tret\n\t.size f, .-f\n",
    )
    .unwrap();
    uninitialised(&tree);
    nix.add(&tree)
}

/// A program that writes a structure of which it has set only one field.
fn uninitialised(tree: &Path) {
    let source = r#"
        #include <stdio.h>
        #include <string.h>
        #include <unistd.h>
        struct record { char name[8]; unsigned char rest[48]; };
        __attribute__((noinline)) static void before(int n) {
            void *volatile used[8];
            for (int i = 0; i < 8; i++) used[i] = (char *)&used[i] + n;
        }
        __attribute__((noinline)) static void save(FILE *to) {
            struct record r;
            strcpy(r.name, "record");
            fwrite(&r, sizeof r, 1, to);
        }
        int main(int argc, char **argv) {
            FILE *to = fopen(argv[1], "w");
            before(argc);
            save(to);
            return fclose(to);
        }
    "#;
    let file = tree.join("src/record.c");
    fs::write(&file, source).unwrap();
    let flags = ["-static", "-O1", "-w", "-fno-stack-protector", "-o"];
    let status = Command::new("gcc").args(flags).arg(tree.join("bin/record")).arg(&file).status();
    assert!(status.unwrap().success(), "gcc compiles record.c");
}

fn compile(tree: &Path, name: &str, source: &str, flags: &[&str]) {
    let file = tree.join("src").join(format!("{name}.c"));
    fs::write(&file, source).unwrap();
    let status = Command::new("gcc")
        .current_dir(tree.join("src"))
        .args(flags)
        .args(["-fno-stack-protector", "-o"])
        .arg(tree.join("obj").join(format!("{name}.o")))
        .arg(format!("{name}.c"))
        .status();
    assert!(status.unwrap().success(), "gcc compiles {name}");
}

/// The libraries that a program loads, and its loader.
fn libraries_of(program: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let paths = text.split_whitespace().filter(|word| word.starts_with('/'));
    paths.map(PathBuf::from).collect()
}

fn write_executable(path: &Path, content: &str) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
