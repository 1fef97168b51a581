//! A verification as one HTML page: the verdict, what is proved and by whom, and the lineage drawn. It needs nothing else: no script, no
//! font, no picture from anywhere.

use std::fmt::{self, Write as _};

use super::steps::{Stage, Step, short};
use crate::units::Units;

/// The page's look. Chains hang on a line; the stages of one stand side by side, each pointing at the next.
const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#59636e;--line:#d1d9e0;--paper:#fff;--card:#f6f8fa;--good:#1a7f37;--bad:#cf222e}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9198a1;--line:#3d444d;--paper:#0d1117;--card:#151b23;--good:#3fb950;--bad:#f85149}}
*{box-sizing:border-box}
body{margin:0 auto;padding:2rem 1.25rem;max-width:64rem;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
h1{font-size:1.4rem;margin:0 0 .25rem}h2{font-size:1.05rem;margin:2rem 0 .75rem}
.verdict{border-left:.4rem solid var(--good);padding:.5rem 1rem;background:var(--card)}
.verdict.refuted,.verdict.unreadable{border-color:var(--bad)}
table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.3rem .75rem .3rem 0;border-bottom:1px solid var(--line)}
th{font-weight:600;white-space:nowrap;color:var(--soft)}td{overflow-wrap:anywhere}
code{font:13px/1.4 ui-monospace,monospace;overflow-wrap:anywhere}
ol{list-style:none;margin:0;padding:0 0 0 1.5rem;border-left:2px solid var(--line)}
li{position:relative;margin:0 0 1rem}
li:before{content:'';position:absolute;left:calc(-1.85rem - 1px);top:.45rem;width:.7rem;height:.7rem;border-radius:50%;background:var(--good)}
li.side:before{background:var(--paper);border:2px solid var(--line)}li.broken:before{background:var(--bad)}
.place{color:var(--soft);font-size:.85rem}
.stages{display:flex;flex-wrap:wrap;gap:.5rem 1.6rem;margin:.4rem 0}
.stage{position:relative;flex:1 1 13rem;border:1px solid var(--line);border-radius:.4rem;background:var(--card);padding:.5rem .75rem}
.stage+.stage:before{content:'\\2190';position:absolute;left:-1.4rem;top:.5rem;color:var(--soft)}
.stage b{display:block}.stage ul,.facts{margin:.25rem 0 0;padding-left:1.1rem}.stage li,.facts li{margin:0}
.stage li:before,.facts li:before{display:none}
.holds span{display:inline-block;border:1px solid var(--line);border-radius:1rem;padding:0 .6rem;margin:.1rem .3rem .1rem 0;font-size:.9rem}
footer{margin-top:2.5rem;color:var(--soft);font-size:.85rem}
@media print{body{max-width:none}li,.stage{break-inside:avoid}}
";

/// What a page shows.
#[derive(Debug)]
pub struct Page<'p> {
    /// The bundle's file.
    pub file: &'p str,
    /// The network.
    pub network: &'p str,
    /// verified, refuted or unreadable.
    pub verdict: &'p str,
    /// The verdict in a sentence.
    pub says: &'p str,
    /// What is proved, or what failed: names and values.
    pub rows: &'p [(&'static str, String)],
    /// The steps that hold, in order.
    pub steps: &'p [Step],
    /// Steps that came before these and are not shown.
    pub left_out: u64,
    /// The decimals by which amounts are shown.
    pub units: &'p Units,
}

/// Text as it stands in HTML.
struct Escaped<'t>(&'t str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            c => f.write_char(c),
        })
    }
}

impl fmt::Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, verdict) = (Escaped(self.file), Escaped(self.verdict));
        writeln!(f, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">")?;
        writeln!(f, "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">")?;
        let policy = "default-src 'none'; style-src 'unsafe-inline'";
        writeln!(f, "<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">")?;
        writeln!(f, "<title>{verdict}: {file}</title>\n<style>{STYLE}</style>\n</head>\n<body>")?;
        writeln!(
            f,
            "<header class=\"verdict {verdict}\">\n<h1>{verdict}</h1>\n<p>{}</p>\n</header>",
            Escaped(self.says)
        )?;
        writeln!(f, "<h2>{}</h2>\n<table>", if self.verdict == "verified" { "What is proved" } else { "What failed" })?;
        for (name, value) in self.rows {
            writeln!(f, "<tr><th>{}</th><td>{}</td></tr>", Escaped(name), Escaped(value))?;
        }
        writeln!(f, "</table>\n<h2>Step by step</h2>")?;
        if self.left_out > 0 {
            writeln!(f, "<p>{} earlier steps held as well and are not drawn.</p>", self.left_out)?;
        }
        writeln!(f, "<ol>")?;
        self.steps.iter().try_for_each(|step| self.step(f, step))?;
        if self.verdict != "verified" {
            writeln!(f, "<li class=\"broken\"><strong>{verdict}</strong> {}</li>", Escaped(self.says))?;
        }
        writeln!(f, "</ol>\n<footer>{file}, against the genesis of network {}.", Escaped(self.network))?;
        writeln!(
            f,
            "Each dot is a step that holds, each entry of a lineage stands on the one above it; arrows lead from a stage to the one that it names.</footer>\n</body>\n</html>"
        )
    }
}

impl Page<'_> {
    fn step(&self, f: &mut fmt::Formatter<'_>, step: &Step) -> fmt::Result {
        let is_side = ["listings", "sources"].iter().any(|kind| step.place.starts_with(kind));
        let class = if is_side { " class=\"side\"" } else { "" };
        let (what, place) = (Escaped(&step.what), Escaped(&step.place));
        writeln!(f, "<li{class}><div>{what} <span class=\"place\">{place}</span></div>")?;
        if !step.stages.is_empty() {
            writeln!(f, "<div class=\"stages\">")?;
            step.stages.iter().try_for_each(|stage| write_stage(f, stage))?;
            writeln!(f, "</div>")?;
        }
        write_facts(f, &step.facts, " class=\"facts\"")?;
        if let Some(holds) = &step.holds {
            write!(f, "<div class=\"holds\">holds ")?;
            self.units.lines(holds).iter().try_for_each(|line| write!(f, "<span>{}</span>", Escaped(line)))?;
            writeln!(f, "</div>")?;
        }
        writeln!(f, "</li>")
    }
}

fn write_stage(f: &mut fmt::Formatter<'_>, stage: &Stage) -> fmt::Result {
    let (kind, signer) = (Escaped(stage.kind), Escaped(&stage.signer));
    write!(
        f,
        "<div class=\"stage\"><b>{kind}</b><code title=\"{}\">{}</code>",
        Escaped(&stage.link),
        short(&stage.link)
    )?;
    write!(
        f,
        "<div>signed by {signer}, key <code title=\"{}\">{}</code></div>",
        Escaped(&stage.key),
        short(&stage.key)
    )?;
    write_facts(f, &stage.facts, "")?;
    writeln!(f, "</div>")
}

fn write_facts(f: &mut fmt::Formatter<'_>, facts: &[String], class: &str) -> fmt::Result {
    if facts.is_empty() {
        return Ok(());
    }
    write!(f, "<ul{class}>")?;
    facts.iter().try_for_each(|fact| write!(f, "<li>{}</li>", Escaped(fact)))?;
    writeln!(f, "</ul>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_of_the_ledger_becomes_markup() {
        let evil = "<script>alert('&\"')</script>";
        let step =
            Step { place: evil.to_owned(), what: evil.to_owned(), facts: vec![evil.to_owned()], ..Step::default() };
        let page = Page {
            file: evil,
            network: evil,
            verdict: "refuted",
            says: evil,
            rows: &[("Found", evil.to_owned())],
            steps: &[step],
            left_out: 3,
            units: &Units::default(),
        };
        let text = page.to_string();
        assert!(!text.contains("<script"), "{text}");
        assert_eq!(text.matches("&lt;script&gt;alert(&#39;&amp;&quot;&#39;)&lt;/script&gt;").count(), 9, "{text}");
        assert!(text.contains("3 earlier steps"));
    }
}
