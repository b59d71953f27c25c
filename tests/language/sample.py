#!/usr/bin/env python3
"""Draws a random sample of comments, names and user-facing sentences for a language review."""

import argparse
import hashlib
import json
import re
import sys
from collections import Counter
from pathlib import Path

DESCRIPTION = """\
Draw 60 doc comments, 60 identifiers and 30 user-facing sentences for a language review, and print
them as Markdown tables with an empty verdict column.

The seed decides what is drawn. Use the hash of the commit under review: nobody can choose it, and
everybody can repeat the draw. The same tree and seed always give the same sample."""

EPILOG = """\
sources:
  doc comments   runs of /// or //! lines in api, cli, sandbox, tenancy, tests and worker
  identifiers    distinct names of functions, types, traits, constants, modules, enum variants and
                 fields in the same directories; methods of trait implementations are left out,
                 because the trait has named them
  sentences      a fixed number each of OpenAPI texts, CLI help, messages of the API, of the worker
                 and of the CLI, log messages, and alerts

how to review:
  A reviewer who does not know the project reads each row once, without opening the file, and
  writes into the verdict column:
    ok     understood at first reading
    no     not understood, or only after a second reading; followed by the reason
  Then count: the share of `no` in each table is the result.

examples:
  tests/language/sample.py $(git rev-parse HEAD) > review.md
  tests/language/sample.py $(git rev-parse HEAD) | less -S

  # the sample of an older commit
  git worktree add /tmp/older 1a2b3c4
  tests/language/sample.py --root /tmp/older 1a2b3c4
"""

CRATES = ["api", "cli", "sandbox", "tenancy", "tests", "worker"]
DOC_COMMENTS = 60
IDENTIFIERS = 60
# Sentences per source. A fixed number each, because OpenAPI texts alone would otherwise fill half of the sample.
SENTENCES = {
    "OpenAPI": 7,
    "CLI help": 6,
    "API message": 4,
    "worker message": 5,
    "CLI message": 2,
    "log": 4,
    "alert": 2,
}
MESSAGE_OF = {"api": "API message", "tenancy": "worker message", "worker": "worker message", "cli": "CLI message"}


# ---- the draw


def draw(seed, items, number, key):
    """Returns `number` items: those whose key has the smallest hash. Equal keys are told apart by their order."""
    seen = Counter()
    ranked = []
    for item in items:
        text = key(item)
        seen[text] += 1
        digest = hashlib.sha256(f"{seed}\0{text}\0{seen[text]}".encode()).hexdigest()
        ranked.append((digest, item))
    ranked.sort(key=lambda pair: pair[0])
    return [item for _, item in ranked[:number]]


def first_of_each(items, key):
    """Returns the first item of each key, in order."""
    return list({key(item): item for item in reversed(items)}.values())[::-1]


# ---- Rust source


class Source:
    """A Rust file: its text, its code with comments and the contents of strings blanked out, and its strings."""

    TOKEN = re.compile(
        r"""(?P<comment>//[^\n]*)
          | (?P<block>/\*)
          | (?P<raw>\b[bc]?r(?P<hashes>\#*)")
          | (?P<string>\b[bc]"|")
          | (?P<char>b?'(?:\\(?:x..|u\{[^}]*\}|.)|[^\\'\n])')
        """,
        re.VERBOSE,
    )

    def __init__(self, root, path):
        self.path = path.relative_to(root).as_posix()
        self.text = path.read_text(encoding="utf-8")
        self.lines = self.text.splitlines()
        # (offset, value) of each string literal.
        self.strings = []
        self.code = self._blank()

    def line_of(self, offset):
        return self.text.count("\n", 0, offset) + 1

    def _blank(self):
        text, code, at = self.text, [], 0
        while match := self.TOKEN.search(text, at):
            start = match.start()
            code.append(text[at:start])
            if match["comment"] or match["char"]:
                end = match.end()
            elif match["block"]:
                end = self._end_of_block(match.end())
            elif match["raw"]:
                end = text.find('"' + match["hashes"], match.end())
                self.strings.append((start, text[match.end() : end]))
                end += 1 + len(match["hashes"])
            else:
                closing = re.compile(r'(?:[^"\\]|\\.)*"', re.DOTALL).match(text, match.end())
                end = closing.end() if closing else len(text)
                self.strings.append((start, unescaped(text[match.end() : end - 1])))
            # Same length and same lines; the quotes of strings stay.
            blank = re.sub(r"[^\n]", " ", text[start:end])
            if match["raw"] or match["string"]:
                blank = '"' + blank[1:-1] + '"'
            code.append(blank)
            at = end
        code.append(text[at:])
        return "".join(code)

    def _end_of_block(self, at):
        depth = 1
        for match in re.compile(r"/\*|\*/").finditer(self.text, at):
            depth += 1 if match[0] == "/*" else -1
            if depth == 0:
                return match.end()
        return len(self.text)

    def closing(self, opening):
        """Returns the offset behind the bracket that closes the one at `opening`."""
        depth = 0
        for match in re.compile(r"[()\[\]{}]").finditer(self.code, opening):
            depth += 1 if match[0] in "([{" else -1
            if depth == 0:
                return match.end()
        return len(self.code)

    def spans(self, pattern):
        """Returns the range from each match, whose last character is a bracket, to the closing bracket."""
        matches = re.finditer(pattern, self.code)
        return [(match.start(), self.closing(match.end() - 1)) for match in matches]


def unescaped(literal):
    literal = re.sub(r"\\\n\s*", "", literal)
    escapes = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}
    literal = re.sub(r"\\u\{([0-9a-fA-F_]+)\}", lambda match: chr(int(match[1].replace("_", ""), 16)), literal)
    return re.sub(r"\\(.)", lambda match: escapes.get(match[1], match[1]), literal)


def rust_sources(root):
    paths = [path for crate in CRATES for path in (root / crate).rglob("*.rs")]
    return [Source(root, path) for path in sorted(paths, key=lambda path: path.relative_to(root).as_posix())]


# ---- doc comments


def doc_comments(source):
    """Returns (place, text, declaration) of each run of `///` or `//!` lines."""
    found, marker_before = [], None
    for number, line in enumerate(source.lines, 1):
        match = re.match(r"\s*(///(?!/)|//!)(.*)", line)
        marker = match[1] if match else None
        if match and marker == marker_before:
            place, text, item = found[-1]
            found[-1] = (place, f"{text} {match[2].strip()}".strip(), item)
        elif match:
            item = source.path if marker == "//!" else declaration_after(source.lines, number)
            found.append((f"{source.path}:{number}", match[2].strip(), item))
        marker_before = marker
    return found


def declaration_after(lines, number):
    """Returns the first line after the comment that is neither a comment nor an attribute."""
    for line in lines[number:]:
        if not re.match(r"\s*(//|#\[|\)\]|$)", line):
            return line.strip().rstrip("{").strip()
    return ""


# ---- identifiers


ITEM = re.compile(r"(?<![*<,&'])\b(fn|struct|enum|trait|const|static|mod)\s+(?:mut\s+)?([A-Za-z_]\w*)")
IMPL_OF_TRAIT = r"\bimpl\b[^{};]*?\bfor\s+(?!<)[^{};]*\{"
# Entries of a macro that builds types: `Ready = "ready",` and `404 "not_found" NotFound: "…";`.
MACRO_ENTRY = re.compile(r'^\s*(?:([A-Z]\w*)\s*=\s*"|\d+\s+"[^"]*"\s+([A-Z]\w*)\s*:)', re.MULTILINE)
# Attributes and visibility, then the name and the character that follows.
MEMBER = re.compile(r"\s*(?:#\s*\[[^\]]*\]\s*)*(?:pub(?:\s*\([^)]*\))?\s+)?(?:r#)?([A-Za-z_]\w*)\s*(.)?")
KEYWORDS = {"fn", "unsafe", "async", "extern", "mut", "move"}


def identifiers(source):
    """Returns (name, kind, place, declaration) of each declared name."""
    found = []
    given_by_traits = source.spans(IMPL_OF_TRAIT)

    def add(name, kind, offset):
        if name == "_" or name in KEYWORDS:
            return
        number = source.line_of(offset)
        found.append((name, kind, f"{source.path}:{number}", source.lines[number - 1].strip()))

    for match in ITEM.finditer(source.code):
        kind, name = match.groups()
        if re.search(r"[<,]\s*$", source.code[: match.start()]) and kind == "const":
            continue  # a generic parameter
        if kind in ("fn", "const") and any(start < match.start() < end for start, end in given_by_traits):
            continue
        add(name, kind, match.start(2))
        if kind in ("struct", "enum"):
            opening = re.compile(r"[^{};(]*\{").match(source.code, match.end())
            if opening:
                members(source, opening.end() - 1, kind, add)
    for match in MACRO_ENTRY.finditer(source.code):
        group = 1 if match[1] else 2
        add(match[group], "macro entry", match.start(group))
    return found


def members(source, opening, kind, add):
    """Adds the fields of a struct, or the variants of an enum and their fields."""
    code = source.code
    for start, end in segments(code, opening + 1, source.closing(opening) - 1):
        member = MEMBER.match(code, start, end)
        if not member:
            continue
        if kind == "enum":
            add(member[1], "variant", member.start(1))
            if member[2] == "{":
                members(source, member.start(2), "struct", add)
        elif member[2] == ":":
            add(member[1], "field", member.start(1))


def segments(code, start, end):
    """Splits a range at commas outside brackets."""
    depth, begin = 0, start
    for at in range(start, end):
        character = code[at]
        if character in "([{<":
            depth += 1
        elif character in ")]}" or (character == ">" and code[at - 1] not in "-="):
            depth -= 1
        elif character == "," and depth == 0:
            yield begin, at
            begin = at + 1
    yield begin, end


# ---- user-facing sentences


LOG = r"\b(?:trace|debug|info|warn|error)!\s*\("
# Strings that no user reads.
INTERNAL = [
    r"\bsqlx::query\w*!?\s*\(",
    r"\bquery\w*!\s*\(",
    r"\.expect(?:_err)?\s*\(",
    r"\b(?:panic|unreachable|todo|assert|assert_eq|assert_ne|debug_assert|debug_assert_eq)!\s*\(",
    r"#!?\[",
]
SQL = re.compile(
    r"(?:/\*.*?\*/)?\s*(?:select|insert into|update|delete from|with|create|alter|lock|set|listen|notify|copy)\b.*"
    r"\b(?:from|into|set|where|values|table|returning)\b",
    re.IGNORECASE | re.DOTALL,
)


NO_SENTENCE = ("<", '{"', "--", "text/")


def is_sentence(text):
    words = re.findall(r"[A-Za-z][a-z]+", re.sub(r"\{[^}]*\}", "", text))
    first = text.split()[0] if text.split() else ""
    return len(words) >= 3 and first != text and "://" not in first and not first.startswith(NO_SENTENCE)


def strings_of_code(source):
    """Returns (kind, place, text) of log messages and of other sentences that reach a user."""
    crate = source.path.split("/")[0]
    is_shipped = source.path.startswith(f"{crate}/src/") and not re.search(r"/tests?\b|/testing\b", source.path)
    if crate not in MESSAGE_OF or not is_shipped:
        return []
    tests = source.spans(r"#\[cfg\(test\)\]\s*(?:pub(?:\([^)]*\))?\s+)?mod\s+\w+\s*\{")
    logs = source.spans(LOG)
    # `#[error("…")]` is a message.
    internal = [
        (start, end)
        for pattern in INTERNAL
        for start, end in source.spans(pattern)
        if not source.code.startswith("#[error", start)
    ]

    def within(offset, ranges):
        return any(start < offset < end for start, end in ranges)

    found = []
    for offset, text in source.strings:
        text = " ".join(text.split())
        if not is_sentence(text) or within(offset, tests) or within(offset, internal):
            continue
        if SQL.match(text):
            continue
        kind = "log" if within(offset, logs) else MESSAGE_OF[crate]
        found.append((kind, f"{source.path}:{source.line_of(offset)}", text))
    return found


def openapi_sentences(root):
    """Returns the sentences of all descriptions and summaries; examples and tables are left out."""
    path, found, skipped = "openapi/openapi.json", [], None
    for number, line in enumerate((root / path).read_text(encoding="utf-8").splitlines(), 1):
        indent = len(line) - len(line.lstrip())
        if skipped is not None:
            skipped = None if indent <= skipped else skipped
        elif re.match(r'\s*"(?:example|examples|default|enum)": [\[{]$', line):
            skipped = indent
        elif match := re.match(r'\s*"(?:description|summary)": (".*"),?$', line):
            text = re.sub(r"^\|.*$", "", json.loads(match[1]), flags=re.MULTILINE)
            # Paragraphs and list items are sentences of their own; other line breaks are spaces.
            for sentence in re.split(r"\n\s*\n|\n(?=[-*] )|(?<=[.!?])\s+(?=[A-Z`*])", text):
                if sentence.strip():
                    found.append(("OpenAPI", f"{path}:{number}", " ".join(sentence.split())))
    return found


def help_sentences(root):
    """Returns the texts of the help snapshots: about texts, commands, options and closing remarks."""
    found = []
    for snapshot in sorted((root / "tests/tests/cli/help").glob("*.snap")):
        path = snapshot.relative_to(root).as_posix()
        # The text follows the snapshot's own header.
        lines = snapshot.read_text(encoding="utf-8").splitlines()
        block, begin, section = [], 0, ""

        def close():
            text = " ".join(block)
            if len(text.split()) > 1:
                found.append(("CLI help", f"{path}:{begin}", text))
            block.clear()

        for number, line in enumerate(lines[lines.index("---", 1) + 1 :], lines.index("---", 1) + 2):
            text = line.strip()
            entry = re.match(r"  (?:- )?([\w-]+):?\s{2,}(\S.*)|\s+- \w+:\s+(\S.*)", line)
            is_option = re.match(r"  (?: {2}| {4})?[-<\[]", line)
            is_note = re.match(r"Usage:|\[(?:default|env|aliases)\b", text)
            if not text or is_option or is_note or text.endswith(":"):
                close()
                section = text if text.endswith(":") and line[0] != " " else section
            elif section.startswith("Example") and line.startswith("  "):
                close()
            elif section == "Exit codes:" or text.startswith(("Print ", "freehold ")):
                close()
            elif entry:
                close()
                begin = number
                block.append(entry[2] or entry[3])
            else:
                begin = begin if block else number
                block.append(text)
        close()
    return found


def alert_sentences(root):
    """Returns summary and description of each alert."""
    path = "deploy/prometheus/alerts.yaml"
    lines = (root / path).read_text(encoding="utf-8").splitlines()
    matches = ((number, re.match(r"\s*(?:summary|description): (.+)", line)) for number, line in enumerate(lines, 1))
    return [("alert", f"{path}:{number}", match[1].strip("\"'")) for number, match in matches if match]


def sentences(root, sources):
    found = openapi_sentences(root) + help_sentences(root) + alert_sentences(root)
    for source in sources:
        found += strings_of_code(source)
    return first_of_each(found, key=lambda sentence: sentence[2])


# ---- output


def cell(text):
    return " ".join(text.split()).replace("|", "\\|")


def code(text):
    fence = "``" if "`" in text else "`"
    space = " " if "`" in text else ""
    return f"{fence}{space}{cell(text)}{space}{fence}"


def table(title, columns, rows):
    print(f"\n## {title}\n")
    print(f"| # | {' | '.join(columns)} | verdict |")
    print("|---|" + "---|" * (len(columns) + 1))
    for number, row in enumerate(rows, 1):
        print(f"| {number} | {' | '.join(row)} | |")


def main():
    parser = argparse.ArgumentParser(
        description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("seed", help="hash of the commit under review")
    parser.add_argument(
        "--root",
        type=Path,
        metavar="DIR",
        default=Path(__file__).resolve().parents[2],
        help="root of the tree to draw from [default: the tree of this script]",
    )
    arguments = parser.parse_args()
    seed, root = arguments.seed, arguments.root.resolve()
    if not (root / "openapi/openapi.json").is_file():
        parser.error(f"--root must be the root of a Freehold tree; {root} has no openapi/openapi.json")

    sources = rust_sources(root)
    comments = [comment for source in sources for comment in doc_comments(source)]
    names = first_of_each([name for source in sources for name in identifiers(source)], key=lambda name: name[:2])
    texts = sentences(root, sources)

    print(f"# Language sample, seed {seed}\n")
    print(f"Drawn from {len(comments)} doc comments, {len(names)} identifiers and {len(texts)} user-facing sentences.")
    # Without the line number: an edit elsewhere in the file leaves the sample as it is.
    drawn = draw(seed, comments, DOC_COMMENTS, key=lambda comment: comment[0].split(":")[0] + "\0" + comment[1])
    rows = [(place, cell(text), code(item)) for place, text, item in drawn]
    table("Doc comments", ["place", "text", "declaration"], rows)
    drawn = draw(seed, names, IDENTIFIERS, key=lambda name: "\0".join(name[:2]))
    rows = [(code(name), kind, place, code(declaration)) for name, kind, place, declaration in drawn]
    table("Identifiers", ["name", "kind", "place", "declaration"], rows)
    drawn = []
    for kind, number in SENTENCES.items():
        drawn += draw(seed, [text for text in texts if text[0] == kind], number, key=lambda text: text[2])
    rows = [(kind, place, cell(text)) for kind, place, text in drawn]
    table("User-facing sentences", ["kind", "place", "text"], rows)


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:
        sys.stderr.close()
