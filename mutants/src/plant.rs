//! Writes all mutants of a file into it, each behind a switch.
//!
//! cargo-mutants builds the program anew for every mutant: a day for the two thousand of this engine.
//! Here the program is built once, and `crate::mutant::on(7)` says whether number 7 is the one to be.
//! What cannot be written so (in constants, or where types differ) is left to be built on its own.

use std::collections::HashMap;
use std::ops::Range;

use proc_macro2::{LineColumn, Span};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::plan::{Mutant, Place};

/// A file with switches.
pub struct Planted {
    /// Its text. Lines are those of the original.
    pub text: String,
    /// Where in `text` something was changed, in bytes, and for which mutants.
    pub regions: Vec<(Range<usize>, Vec<u32>)>,
    /// Functions that are `const` no more, and the mutants within.
    pub plain: Vec<(String, Vec<u32>)>,
}

/// Text to put in place of `del` bytes at `at`.
struct Edit {
    at: usize,
    del: usize,
    /// At one place closing edits come first, inner ones before outer ones; then opening ones, outer
    /// ones before inner ones.
    rank: (bool, isize),
    text: String,
}

struct Planter<'m> {
    by_start: HashMap<(usize, usize), Vec<&'m Mutant>>,
    edits: Vec<Edit>,
    /// Ranges of the original and their mutants.
    nodes: Vec<(Range<usize>, Vec<u32>)>,
    plain: Vec<(String, Vec<u32>)>,
    depth: isize,
}

/// Plants `mutants` into `source`, all of them of this file.
pub fn plant(source: &str, mutants: &[&Mutant]) -> Result<Planted, String> {
    let file = syn::parse_file(source).map_err(|e| e.to_string())?;
    let mut by_start: HashMap<(usize, usize), Vec<&Mutant>> = HashMap::new();
    for mutant in mutants {
        by_start.entry(key(mutant.span.start)).or_default().push(mutant);
    }
    let mut planter =
        Planter { by_start, edits: Vec::new(), nodes: Vec::new(), plain: Vec::new(), depth: 0 };
    planter.visit_file(&file);
    Ok(planter.apply(source))
}

fn key(place: Place) -> (usize, usize) {
    (place.line, place.column)
}

fn on(id: u32) -> String {
    format!("crate::mutant::on({id})")
}

fn start_of(span: Span) -> (usize, usize) {
    let LineColumn { line, column } = span.start();
    (line, column + 1)
}

impl<'m> Planter<'m> {
    fn at(&self, span: Span, genre: &str) -> Vec<&'m Mutant> {
        let all = self.by_start.get(&start_of(span)).map_or(&[][..], |v| v);
        all.iter().copied().filter(|m| m.genre == genre).collect()
    }

    fn open(&mut self, at: usize, text: String) {
        self.edits.push(Edit { at, del: 0, rank: (true, self.depth), text });
    }

    fn close(&mut self, at: usize, text: String) {
        self.edits.push(Edit { at, del: 0, rank: (false, -self.depth), text });
    }

    fn swap(&mut self, range: Range<usize>, text: String) {
        let del = range.len();
        self.edits.push(Edit { at: range.start, del, rank: (true, self.depth), text });
    }

    fn node(&mut self, range: Range<usize>, mutants: &[&Mutant]) {
        self.nodes.push((range, mutants.iter().map(|m| m.id).collect()));
    }

    /// `before` and `after` a value, with a choice between what mutants and the original make of it.
    fn choice(mutants: &[&Mutant], mutated: impl Fn(&str) -> String, original: &str) -> String {
        let arms: String = mutants
            .iter()
            .map(|m| format!("if {} {{ {} }} else ", on(m.id), mutated(&m.replacement)))
            .collect();
        format!("{arms}{{ {original} }}")
    }

    /// A switch cannot be asked in a `const fn`: it is made a plain one, if something in it changes.
    fn function(&mut self, signature: &syn::Signature, block: &syn::Block) -> bool {
        if let Some(word) = &signature.constness {
            let lines = block.span().start().line..=block.span().end().line;
            let within = self.by_start.iter().filter(|((line, _), _)| lines.contains(line));
            let ids: Vec<u32> =
                within.flat_map(|(_, mutants)| mutants.iter().map(|m| m.id)).collect();
            if ids.is_empty() {
                return false;
            }
            self.swap(word.span().byte_range(), String::new());
            self.plain.push((signature.ident.to_string(), ids));
        }
        self.body(block);
        true
    }

    fn body(&mut self, block: &syn::Block) {
        let Some(first) = block.stmts.first() else { return };
        let mutants = self.at(first.span(), "FnValue");
        let at = first.span().byte_range().start;
        for mutant in &mutants {
            self.open(at, format!("if {} {{ return {}; }} ", on(mutant.id), mutant.replacement));
        }
        self.node(at..at, &mutants);
    }

    fn binary(&mut self, node: &syn::ExprBinary) {
        let mutants = self.at(node.op.span(), "BinaryOperator");
        if mutants.is_empty() || has_let(&node.left) || has_let(&node.right) {
            return;
        }
        let (whole, op) = (node.span().byte_range(), node.op.span().byte_range());
        let id = mutants[0].id;
        use syn::BinOp::*;
        match node.op {
            And(_) | Or(_) => {
                // The right side is evaluated, or not, as the operator in force has it.
                let goes_on = if matches!(node.op, And(_)) { "^" } else { "==" };
                self.open(whole.start, "(match (".into());
                self.swap(op, format!(") {{ __l => if __l {goes_on} {} {{ ", on(id)));
                self.close(whole.end, " } else { __l } })".into());
            }
            AddAssign(_) | SubAssign(_) | MulAssign(_) | DivAssign(_) | RemAssign(_)
            | BitXorAssign(_) | BitAndAssign(_) | BitOrAssign(_) | ShlAssign(_) | ShrAssign(_) => {
                // The place on the left cannot be named twice where it is long; a macro-free way is
                // to take a reference to it.
                let original = token(&node.op);
                let chosen = Self::choice(
                    &mutants,
                    |op| format!("*__l {op} __r"),
                    &format!("*__l {original} __r"),
                );
                self.open(whole.start, "{ let __l = &mut (".into());
                self.swap(op, "); let __r = (".into());
                self.close(whole.end, format!("); {chosen} }}"));
            }
            _ => {
                let compares = matches!(node.op, Eq(_) | Ne(_) | Lt(_) | Le(_) | Gt(_) | Ge(_));
                let (by, star) = if compares { ("&", "*") } else { ("", "") };
                let original = token(&node.op);
                let chosen = Self::choice(
                    &mutants,
                    |op| format!("{star}__l {op} {star}__r"),
                    &format!("{star}__l {original} {star}__r"),
                );
                self.open(whole.start, format!("(match ({by}("));
                self.swap(op, format!("), {by}("));
                self.close(whole.end, format!(")) {{ (__l, __r) => {chosen} }})"));
            }
        }
        self.node(whole, &mutants);
    }

    fn unary(&mut self, node: &syn::ExprUnary) {
        let mutants = self.at(node.op.span(), "UnaryOperator");
        if mutants.is_empty() || has_let(&node.expr) {
            return;
        }
        let (whole, op) = (node.span().byte_range(), node.op.span().byte_range());
        let sign = if matches!(node.op, syn::UnOp::Not(_)) { "!" } else { "-" };
        let chosen = Self::choice(&mutants, |_| "__v".into(), &format!("{sign}__v"));
        self.open(whole.start, "(match (".into());
        self.swap(op, String::new());
        self.close(whole.end, format!(") {{ __v => {chosen} }})"));
        self.node(whole, &mutants);
    }

    fn arm(&mut self, arm: &syn::Arm) {
        let deleted = self.at(arm.span(), "MatchArm");
        let Some((_, guard)) = &arm.guard else {
            if let Some(mutant) = deleted.first() {
                let end = arm.pat.span().byte_range().end;
                self.close(end, format!(" if !{}", on(mutant.id)));
                self.node(end..end, &deleted);
            }
            return;
        };
        if has_let(guard) {
            return;
        }
        let guards = self.at(guard.span(), "MatchArmGuard");
        let range = guard.span().byte_range();
        let is = |wanted: &str| {
            let found = guards.iter().find(|m| m.replacement == wanted);
            found.map_or("false".into(), |m| on(m.id))
        };
        let there = deleted.first().map_or("true".into(), |m| format!("!{}", on(m.id)));
        self.open(range.start, format!("{there} && ({} || (!{} && (", is("true"), is("false")));
        self.close(range.end, ")))".into());
        self.node(range, &[guards, deleted].concat());
    }

    fn apply(mut self, source: &str) -> Planted {
        self.edits.sort_by_key(|edit| (edit.at, edit.rank));
        let mut text = String::new();
        let mut from = 0;
        for edit in &self.edits {
            text += &source[from..edit.at];
            text += &edit.text;
            from = edit.at + edit.del;
        }
        text += &source[from..];
        // Where a byte of the original is now, `with` or without what is put in just there.
        let moved = |at: usize, with: bool| {
            let before = self.edits.iter().filter(|e| e.at < at || (with && e.at == at));
            before.fold(at, |now, edit| now + edit.text.len() - edit.del)
        };
        let regions = self.nodes.iter().filter(|(_, mutants)| !mutants.is_empty());
        let regions = regions.map(|(range, mutants)| {
            (moved(range.start, false)..moved(range.end, true), mutants.clone())
        });
        let regions = regions.collect();
        Planted { text, regions, plain: self.plain }
    }
}

/// `let` in a condition: what is around it cannot be taken apart.
fn has_let(expr: &syn::Expr) -> bool {
    match expr {
        syn::Expr::Let(_) => true,
        syn::Expr::Binary(node) => has_let(&node.left) || has_let(&node.right),
        syn::Expr::Unary(node) => has_let(&node.expr),
        _ => false,
    }
}

fn token(op: &syn::BinOp) -> String {
    use syn::BinOp::*;
    let text = match op {
        Add(_) => "+",
        Sub(_) => "-",
        Mul(_) => "*",
        Div(_) => "/",
        Rem(_) => "%",
        And(_) => "&&",
        Or(_) => "||",
        BitXor(_) => "^",
        BitAnd(_) => "&",
        BitOr(_) => "|",
        Shl(_) => "<<",
        Shr(_) => ">>",
        Eq(_) => "==",
        Lt(_) => "<",
        Le(_) => "<=",
        Ne(_) => "!=",
        Ge(_) => ">=",
        Gt(_) => ">",
        AddAssign(_) => "+=",
        SubAssign(_) => "-=",
        MulAssign(_) => "*=",
        DivAssign(_) => "/=",
        RemAssign(_) => "%=",
        BitXorAssign(_) => "^=",
        BitAndAssign(_) => "&=",
        BitOrAssign(_) => "|=",
        ShlAssign(_) => "<<=",
        ShrAssign(_) => ">>=",
        _ => "",
    };
    text.to_owned()
}

impl<'ast> Visit<'ast> for Planter<'_> {
    fn visit_item_fn(&mut self, node: &'ast syn::ItemFn) {
        if self.function(&node.sig, &node.block) {
            visit::visit_item_fn(self, node);
        }
    }

    fn visit_impl_item_fn(&mut self, node: &'ast syn::ImplItemFn) {
        if self.function(&node.sig, &node.block) {
            visit::visit_impl_item_fn(self, node);
        }
    }

    fn visit_trait_item_fn(&mut self, node: &'ast syn::TraitItemFn) {
        if let Some(block) = &node.default {
            self.body(block);
        }
        visit::visit_trait_item_fn(self, node);
    }

    // What is computed by the compiler cannot be switched.
    fn visit_item_const(&mut self, _: &'ast syn::ItemConst) {}
    fn visit_impl_item_const(&mut self, _: &'ast syn::ImplItemConst) {}
    fn visit_item_static(&mut self, _: &'ast syn::ItemStatic) {}
    fn visit_type_array(&mut self, _: &'ast syn::TypeArray) {}
    fn visit_expr_repeat(&mut self, node: &'ast syn::ExprRepeat) {
        self.visit_expr(&node.expr);
    }
    fn visit_expr_const(&mut self, _: &'ast syn::ExprConst) {}

    fn visit_expr(&mut self, node: &'ast syn::Expr) {
        self.depth += 1;
        match node {
            syn::Expr::Binary(binary) => self.binary(binary),
            syn::Expr::Unary(unary) => self.unary(unary),
            // "Not all patterns are covered" is said of the whole `match`.
            syn::Expr::Match(node) => {
                let arms = node.arms.iter().flat_map(|arm| self.at(arm.span(), "MatchArm"));
                let deleted: Vec<_> = arms.collect();
                self.node(node.span().byte_range(), &deleted);
            }
            _ => {}
        }
        visit::visit_expr(self, node);
        self.depth -= 1;
    }

    fn visit_arm(&mut self, node: &'ast syn::Arm) {
        self.depth += 1;
        self.arm(node);
        visit::visit_arm(self, node);
        self.depth -= 1;
    }
}
