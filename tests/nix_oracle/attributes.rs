//! Structured attributes beside real Nix: what `nix-build` puts before a
//! builder must be what we render.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use nix_verify::nix::derivation::Derivation;
use nix_verify::nix::derivation::graph_text::{exported, graph_json, graph_text};
use nix_verify::nix::derivation::options::Options;
use nix_verify::nix::derivation::placeholder::{Rewrites, output_placeholder};
use nix_verify::nix::structured_attrs::StructuredAttrs;

use super::oracle::*;

/// JSON with everything that printers disagree about.
fn awkward_json() -> String {
    let mut random = fastrand::Rng::with_seed(8);
    let mut floats = vec![];
    for _ in 0..6000 {
        let value = f64::from_bits(random.u64(..));
        if value.is_finite() {
            floats.push(format!("{value:e}"));
        }
        // Short decimals at every size, and halves of the float range.
        let length = random.u32(1..18);
        let digits = random.u64(..10_u64.pow(length));
        floats.push(format!("{digits}e{}", random.i32(-320..290)));
        floats.push(format!("{}.{digits}", random.i32(-99999..99999)));
        floats.push(format!("{}", random.u64(..) >> random.u32(0..64)));
        floats.push(format!("{}", random.i64(..) >> random.u32(0..64)));
    }
    // Every power of two and its neighbours.
    for biased in 1..2047_u64 {
        for bits in (biased << 52) - 1..=(biased << 52) + 1 {
            floats.push(format!("{:e}", f64::from_bits(bits)));
        }
    }
    for exponent in -324..309 {
        floats.push(format!("1e{exponent}"));
        floats.push(format!("-9.999999999999999e{}", exponent.min(307)));
    }
    let mut scalars = String::new();
    let mut lists = String::new();
    for (index, value) in floats.iter().enumerate() {
        if index % 3 == 0 {
            write!(scalars, "\"n{index}\":{value},").unwrap();
        } else if index % 7 == 0 {
            write!(lists, "\"l{index}\":[1,{value},\"x\"],\"o{index}\":{{\"k\":{value}}},")
                .unwrap();
        }
    }
    let all = floats.join(",");
    let controls: String = (0..0x20_u32).map(|code| format!("\\u{code:04X}")).collect();
    format!(
        r#" {{ "floats":[{all}],{scalars}{lists}
        "ints":[0,-0,-1,2147483647,2147483648,-2147483648,-2147483649,4294967295,4294967296,
          9223372036854775807,9223372036854775808,-9223372036854775808,-9223372036854775809,
          18446744073709551615,18446744073709551616,1E2,1e+2,1E-2,0.0,-0.0,0e5,-0e-5],
        "max":18446744073709551615,"min":-9223372036854775808,"big":123456789012345678901234567890,
        "half":1.5,"two":2.0,"almost":16777216.5,"tiny":1e-50,"minus":-0.0,"third":0.1,"huge":1e308,
        "three_billion":3e9,"minus_three_billion":-3e9,"edge":2147483647.0,"beyond":2147483648.0,
        "controls":"{controls}\u007f","escapes":"\"\\\/\b\f\n\r\t","unicode":"é😀\u00e9\ud83d\ude00\u2028 \ufeff\uffff",
        "quote":"it's 'quoted'","":"empty key","a b":1,"1a":1,"_":1,"é":1,"A-B":1,"dup":1,"dup":[2],
        "t":true,"f":false,"n":null,"e":"","ea":[],"eo":{{}},"mixed":[1,null,true,false,"x y","'",1.0],
        "nested":[[]],"nested2":[{{}}],"deep":{{"a":{{"b":[[[[]]]]}}}},"o":{{"it's":null,"":false,"b c":"d'e","\n":1}},
        "of":{{"x":1.5}},"oo":{{"x":{{}}}},"placeholder":"{placeholder}","ph":{{"{placeholder}":"{placeholder}/x"}},
        "outputs":"replaced","exportReferencesGraph":[1],
        "PATH":"not the environment","name":"attrs","system":"x86_64-linux" }}
"#,
        placeholder = output_placeholder("out"),
    )
}

fn outputs_of(drv: &Derivation) -> (BTreeMap<String, String>, Rewrites) {
    let mut rewrites = Rewrites::default();
    let mut outputs = BTreeMap::new();
    for (name, output) in &drv.outputs {
        let path = store().full(output.path().unwrap());
        rewrites.insert(output_placeholder(name), path.as_str());
        outputs.insert(name.clone(), path);
    }
    (outputs, rewrites)
}

/// Builds `file`, whose builder copies the attribute files to `out`, and
/// compares them with ours.
fn compare_attrs(nix: &Oracle, file: &Path, with_graphs: bool) {
    let drv_path = nix.run("nix-instantiate", &[file.to_str().unwrap()]).remove(0);
    let drv = Derivation::parse(&fs::read(nix.real(&drv_path)).unwrap(), &store()).unwrap();
    let out = nix.run("nix-build", &["--no-out-link", file.to_str().unwrap()]).remove(0);
    let (outputs, rewrites) = outputs_of(&drv);
    let options = Options::of(&drv, &store()).unwrap();
    let (nodes, drvs) = nix.graph();
    let mut graphs = BTreeMap::new();
    for (name, roots) in &options.export_references_graph {
        let paths = exported(roots, &nodes, &drvs).unwrap();
        graphs.insert(name.clone(), graph_json(&paths, &nodes, &store(), false).unwrap());
    }
    assert_eq!(!graphs.is_empty(), with_graphs);
    let prepared = options.structured_attrs.unwrap().prepare(&outputs, &graphs);
    for (name, ours) in [(".attrs.json", prepared.to_json()), (".attrs.sh", prepared.to_shell())] {
        let ours = rewrites.apply(ours.as_bytes());
        let theirs = fs::read(nix.real(&out).join(name)).unwrap();
        if ours != theirs {
            let at = ours.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
            let near = |bytes: &[u8]| {
                let end = bytes.len().min(at + 60);
                String::from_utf8_lossy(&bytes[at.saturating_sub(60)..end]).into_owned()
            };
            panic!("{name} at byte {at}:\nours   {}\ntheirs {}", near(&ours), near(&theirs));
        }
    }
}

const COPY: &str = r#"system = "x86_64-linux"; builder = "${bb}/bin/sh";
  args = [ "-c" "${bb}/bin/mkdir ${placeholder "out"}; ${bb}/bin/cp /build/.attrs.json /build/.attrs.sh ${placeholder "out"}" ];"#;

#[test]
fn attribute_files_are_the_bytes_nix_writes() {
    let Some(nix) = oracle() else { return };
    nix.write("attrs.json", awkward_json());
    let file = nix.write(
        "json.nix",
        format!(
            "let bb = ./bb; in derivation {{ name = \"attrs\"; {COPY} \
             __json = builtins.readFile ./attrs.json; }}"
        ),
    );
    compare_attrs(&nix, &file, false);

    let file = nix.write(
        "evaluated.nix",
        format!(
            r#"let bb = ./bb; in derivation {{ name = "evaluated"; {COPY} __structuredAttrs = true;
               outputs = [ "out" ]; a = [ 1 2.5 1.0e25 1.0e-7 0.1 100000.0 1234567.0 true false null "x'y" ];
               b = {{ c = [ ]; d = "é\n"; e.f = 1; }}; g = 9223372036854775807; h = -1; i = bb; "j k" = 1;
               l = {{ m = "n"; o = 2; p = null; }}; q = placeholder "out"; }}"#
        ),
    );
    compare_attrs(&nix, &file, false);
}

#[test]
fn references_graphs_are_the_bytes_nix_writes() {
    let Some(nix) = oracle() else { return };
    let graph = r#"
      bb = ./bb;
      mk = attrs: derivation ({ system = "x86_64-linux"; builder = "${bb}/bin/sh"; PATH = "${bb}/bin"; } // attrs);
      low = mk { name = "low"; outputs = [ "out" "dev" ]; args = [ "-c" "echo $out $dev > $out; echo x > $dev" ]; };
      high = mk { name = "high"; args = [ "-c" "echo $out ${low} ${bb} > $out" ]; };
      text = builtins.toFile "text" "see ${bb}";
    "#;
    let file = nix.write(
        "structured-graph.nix",
        format!(
            r#"let {graph} in derivation {{ name = "graphs"; {COPY} __structuredAttrs = true;
               exportReferencesGraph = {{ all = [ high text ]; "one" = [ low.dev ]; none = [ ]; drvs = [ high.drvPath ]; }}; }}"#
        ),
    );
    compare_attrs(&nix, &file, true);

    let file = nix.write(
        "plain-graph.nix",
        format!(
            r#"let {graph} in mk {{ name = "plain"; exportReferencesGraph = [ "g.one-1" high "_two" low.dev "text" text "drvs" high.drvPath ];
               args = [ "-c" "mkdir $out; cp g.one-1 _two text drvs $out" ]; }}"#
        ),
    );
    let file = file.to_str().unwrap();
    let drv_path = nix.run("nix-instantiate", &[file]).remove(0);
    let drv = Derivation::parse(&fs::read(nix.real(&drv_path)).unwrap(), &store()).unwrap();
    let out = nix.run("nix-build", &["--no-out-link", file]).remove(0);
    let options = Options::of(&drv, &store()).unwrap();
    assert_eq!(options.export_references_graph.len(), 4);
    let (nodes, drvs) = nix.graph();
    for (name, roots) in &options.export_references_graph {
        let paths = exported(roots, &nodes, &drvs).unwrap();
        let ours = graph_text(&paths, &nodes, &store()).unwrap();
        let theirs = fs::read_to_string(nix.real(&out).join(name)).unwrap();
        assert_eq!(ours, theirs, "{name}");
    }
}

/// What counts as JSON is what Nix takes for JSON.
#[test]
fn the_same_json_is_refused() {
    let Some(nix) = oracle() else { return };
    let texts = [
        "{}",
        " {} ",
        "\u{feff}{}",
        "{\"a\":1,}",
        "{\"a\":01}",
        "{\"a\":-}",
        "{\"a\":1.}",
        "{\"a\":.5}",
        "{\"a\":1e}",
        "{\"a\":+1}",
        "{\"a\":1e400}",
        "{\"a\":-1e400}",
        "{\"a\":1e-400}",
        "{\"a\":NaN}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\\udc00\"}",
        "{\"a\":\"\\ud800\\u0041\"}",
        "{\"a\":\"\\u00E9\"}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"\t\"}",
        "{\"a\":\"\u{7f}\"}",
        "{\"a\":1} x",
        "{\"a\":1}{}",
        "// c\n{}",
        "{\"a\" 1}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":[1,]}",
        "{\"a\":[,1]}",
        "{\"a\":truE}",
        "{\"a\":nul}",
        "",
        "[",
        "{\"a\":\"\\/\"}",
        "{\"a\":0e0}",
        "{\"a\":\"\\u12\"}",
        "\u{b}{}",
        "{\"a\":1\u{a0}}",
    ];
    let mut expr = "let bb = ./bb; mk = name: json: derivation { inherit name; __json = json; "
        .to_owned()
        + COPY
        + " }; in [";
    for (index, text) in texts.iter().enumerate() {
        nix.write(&format!("text-{index}"), text);
        write!(expr, "(mk \"text-{index}\" (builtins.readFile ./text-{index}))").unwrap();
    }
    nix.write("bytes", b"{\"a\":\"\xff\"}");
    nix.write("overlong", b"{\"a\":\"\xc0\x80\"}");
    nix.write("half", b"{\"a\":\"\xed\xa0\x80\"}");
    for name in ["bytes", "overlong", "half"] {
        write!(expr, "(mk \"{name}\" (builtins.readFile ./{name}))").unwrap();
    }
    let file = nix.write("texts.nix", expr + "]");
    let file = file.to_str().unwrap();
    let drvs = nix.run("nix-instantiate", &[file]);
    assert_eq!(drvs.len(), texts.len() + 3);
    for drv_path in drvs {
        let drv = Derivation::parse(&fs::read(nix.real(&drv_path)).unwrap(), &store()).unwrap();
        let text = drv.variable("__json").unwrap();
        let ours = StructuredAttrs::parse(text);
        let theirs = nix.command("nix-store").args(["--realise", &drv_path]).output().unwrap();
        let shown = String::from_utf8_lossy(text);
        let errors = String::from_utf8_lossy(&theirs.stderr);
        assert_eq!(ours.is_ok(), theirs.status.success(), "{shown}\n{ours:?}\n{errors}");
        assert_eq!(ours.is_ok(), !errors.contains("cannot process __json"), "{shown} {errors}");
    }
}
