//! How long a file and a function may be.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Block, Item, Meta};

use super::Finding;

/// Lines of a production file that are neither blank nor part of a `#[cfg(test)]` item.
const FILE_LINES: usize = 420;
/// Lines between the braces of a function.
const FUNCTION_LINES: usize = 60;
/// A comment with this word and a reason excuses a long function.
const EXCUSE: &str = "long:";

pub(super) fn check(text: &str, file: &syn::File) -> Vec<Finding> {
    let lines: Vec<&str> = text.lines().collect();
    let mut visitor =
        Visitor { lines: &lines, test_lines: vec![false; lines.len()], found: vec![] };
    visitor.visit_file(file);
    let Visitor { test_lines, mut found, .. } = visitor;

    let counted = |(line, is_test): (&&str, &bool)| !is_test && !line.trim().is_empty();
    let count = lines.iter().zip(&test_lines).filter(|&pair| counted(pair)).count();
    if count > FILE_LINES {
        found.push((1, format!("file of {count} lines, limit {FILE_LINES}")));
    }
    found
}

struct Visitor<'a> {
    lines: &'a [&'a str],
    /// For each line, whether it belongs to a `#[cfg(test)]` item.
    test_lines: Vec<bool>,
    found: Vec<Finding>,
}

impl Visitor<'_> {
    /// Checks a function that starts (attributes included) at line `first` and has body `block`.
    fn function(&mut self, name: &syn::Ident, first: usize, block: &Block) {
        let open = block.brace_token.span.open().start().line;
        let close = block.brace_token.span.close().start().line;
        let length = (close - open).saturating_sub(1);
        if length > FUNCTION_LINES && !self.excused(first, open) {
            let what = format!(
                "function `{name}` of {length} lines, limit {FUNCTION_LINES} \
                 (or a comment `// {EXCUSE} reason` just above it)"
            );
            self.found.push((name.span().start().line, what));
        }
    }

    /// Whether a comment just above line `first`, or between it and the first line of the body,
    /// gives the reason. Lines count from 1; the body opens on line `open`.
    fn excused(&self, first: usize, open: usize) -> bool {
        let above = self.lines[..first - 1].iter().rev();
        let above = above.take_while(|line| line.trim_start().starts_with("//"));
        let within = &self.lines[first - 1..self.lines.len().min(open + 1)];
        above.chain(within).any(|line| {
            let comment = line.split_once("//").map_or("", |(_, comment)| comment);
            comment.split_once(EXCUSE).is_some_and(|(_, reason)| !reason.trim().is_empty())
        })
    }
}

impl<'ast> Visit<'ast> for Visitor<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if attributes(item).iter().any(is_cfg_test) {
            let span = item.span();
            self.test_lines[span.start().line - 1..span.end().line].fill(true);
        } else {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_fn(&mut self, f: &'ast syn::ItemFn) {
        self.function(&f.sig.ident, f.span().start().line, &f.block);
        visit::visit_item_fn(self, f);
    }

    fn visit_impl_item_fn(&mut self, f: &'ast syn::ImplItemFn) {
        self.function(&f.sig.ident, f.span().start().line, &f.block);
        visit::visit_impl_item_fn(self, f);
    }

    fn visit_trait_item_fn(&mut self, f: &'ast syn::TraitItemFn) {
        if let Some(block) = &f.default {
            self.function(&f.sig.ident, f.span().start().line, block);
        }
        visit::visit_trait_item_fn(self, f);
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        _ => &[],
    }
}

/// `#[cfg(test)]` or `#[cfg(all(test, ...))]`; anything else is production code in some build.
fn is_cfg_test(attribute: &Attribute) -> bool {
    let Meta::List(list) = &attribute.meta else { return false };
    let condition = list.tokens.to_string().replace(' ', "");
    list.path.is_ident("cfg") && (condition == "test" || condition.starts_with("all(test,"))
}
