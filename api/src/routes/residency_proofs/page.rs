//! Page of a residency proof: plain HTML for auditors, which prints well.

use freehold_tenancy::residency_proof::{Block, ProofDocument, Section, SignedProof, format_time, sections, verdict};

const STYLE: &str = "body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#111}\
    h1{font-size:1.6em}h2{font-size:1.2em;margin-top:1.8em}\
    strong{font-size:1.1em}.verdict{border:3px solid #1a7f37;padding:.6em 1em}.verdict.no{border-color:#b3261e}\
    table{border-collapse:collapse;width:100%;font-size:.85em}\
    th,td{border:1px solid #999;padding:.3em .5em;text-align:left;vertical-align:top;overflow-wrap:anywhere}\
    pre{white-space:pre-wrap;overflow-wrap:anywhere;border:1px solid #999;padding:.5em;font-size:.75em}\
    @media print{body{margin:0;max-width:none;font-size:11pt}h2{break-after:avoid}tr,.verdict{break-inside:avoid}}\
    @page{margin:2cm}";

/// Returns the page of a proof.
pub(super) fn render(document: &ProofDocument, proof: &SignedProof) -> String {
    let title = format!("Residency proof of {} ({})", document.environment, document.tenant_id);
    let mut page = Page::default();
    page.0 += "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">";
    page.element("title", &title);
    page.element("style", STYLE);
    page.0 += "</head><body>\n";
    page.element("h1", &title);
    page.0 += if document.conforms { "<div class=\"verdict\">" } else { "<div class=\"verdict no\">" };
    page.element("strong", verdict(document));
    if !document.reasons.is_empty() {
        page.list(&document.reasons);
    }
    page.element("p", &format!("Observed at {}.", format_time(document.observed_at)));
    page.0 += "</div>\n";
    for section in sections(document).iter().chain([&verification(proof)]) {
        page.element("h2", section.title);
        for block in &section.blocks {
            page.block(block);
        }
    }
    page.0 += "</body></html>\n";
    page.0
}

/// Returns the section that says how to verify the document, with the signed text.
fn verification(proof: &SignedProof) -> Section {
    let blocks = vec![
        Block::Paragraph(
            "This page is not signed itself. The signed document has the same content; save the text below as a file \
             and verify it. The program `freehold` needs neither an account nor a connection for this."
                .to_owned(),
        ),
        Block::Verbatim(
            "freehold proof verify residency-proof.jws --public-key KEY --installation INSTALLATION".to_owned(),
        ),
        Block::Paragraph(format!(
            "Obtain the public key and the id of the installation from another source than this page. Id of the \
             key: {}. Any other program that verifies a JWS with EdDSA (RFC 7515, RFC 8037) works, too.",
            proof.key_id
        )),
        Block::Verbatim(proof.jws.clone()),
    ];
    Section { title: "How to verify this document", blocks }
}

/// HTML that is being written. All texts are escaped.
#[derive(Default)]
struct Page(String);

impl Page {
    fn element(&mut self, name: &str, text: &str) {
        let text = escape(text);
        for part in ["<", name, ">", &text, "</", name, ">\n"] {
            self.0 += part;
        }
    }

    fn list(&mut self, items: &[String]) {
        self.0 += "<ul>\n";
        for item in items {
            self.element("li", item);
        }
        self.0 += "</ul>\n";
    }

    fn block(&mut self, block: &Block) {
        match block {
            Block::Paragraph(text) => self.element("p", text),
            Block::Verbatim(text) => self.element("pre", text),
            Block::List(items) => self.list(items),
            Block::Table { headings, rows } => {
                self.0 += "<table><thead><tr>\n";
                for heading in headings {
                    self.element("th", heading);
                }
                self.0 += "</tr></thead><tbody>\n";
                for row in rows {
                    self.0 += "<tr>\n";
                    for cell in row {
                        self.element("td", cell);
                    }
                    self.0 += "</tr>\n";
                }
                self.0 += "</tbody></table>\n";
            }
        }
    }
}

/// Escapes the characters that have a meaning in HTML.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        let mut page = Page::default();
        let hostile = "<script>alert('x')</script> & \"y\"".to_owned();
        for block in [
            Block::Paragraph(hostile.clone()),
            Block::Verbatim(hostile.clone()),
            Block::List(vec![hostile.clone()]),
            Block::Table { headings: vec!["<b>"], rows: vec![vec![hostile]] },
        ] {
            page.block(&block);
        }
        let page = page.0;
        assert!(!page.contains("<script") && !page.contains("<b>") && !page.contains("\"y\""), "{page}");
        assert_eq!(page.matches("&lt;script&gt;alert(&#39;x&#39;)").count(), 4);
    }
}
