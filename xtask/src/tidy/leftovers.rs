//! Words and macros that say "not finished".

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};

use super::Finding;

// In two halves, so that this file does not offend against itself.
const WORDS: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];
const MACROS: [&str; 3] = ["todo", "unimplemented", "dbg"];

/// Finds the words anywhere in the text: in comments, in documentation, in strings.
pub(super) fn in_comments(text: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        for word in words.filter(|word| WORDS.contains(word)) {
            found.push((index + 1, format!("`{word}` left in")));
        }
    }
    found
}

/// Finds macros that panic as unfinished or print for debugging, and tests switched off.
pub(super) fn in_code(text: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Ok(tokens) = text.parse::<TokenStream>() {
        walk(tokens, &mut found);
    }
    found
}

fn walk(tokens: TokenStream, found: &mut Vec<Finding>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (index, token) in tokens.iter().enumerate() {
        let next = tokens.get(index + 1);
        match token {
            TokenTree::Ident(name) if is_leftover(name) && next.is_some_and(is_bang) => {
                found.push((name.span().start().line, format!("`{name}!` left in")));
            }
            TokenTree::Punct(hash) if hash.as_char() == '#' && next.is_some_and(is_ignore) => {
                let what = "`#[ignore]`: a test that never runs";
                found.push((hash.span().start().line, what.into()));
            }
            TokenTree::Group(group) => walk(group.stream(), found),
            _ => {}
        }
    }
}

fn is_leftover(name: &Ident) -> bool {
    MACROS.iter().any(|leftover| name == leftover)
}

fn is_bang(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == '!')
}

/// `[ignore]` and `[ignore = "reason"]`, the bracket of the attribute.
fn is_ignore(token: &TokenTree) -> bool {
    let TokenTree::Group(group) = token else { return false };
    let first = group.stream().into_iter().next();
    group.delimiter() == Delimiter::Bracket
        && matches!(first, Some(TokenTree::Ident(name)) if name == "ignore")
}
