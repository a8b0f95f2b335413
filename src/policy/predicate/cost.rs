//! How many steps an evaluation takes at most, counted beforehand: CEL has no
//! loops but over lists, and lists are only those of the expression and of
//! the facts.

use cel::IdedExpr;
use cel::common::ast::Expr;

use super::super::subject::{Field, Kind, Subject};

/// Bytes of text that count as one step where a function reads them.
const TEXT: u64 = 64;

/// The most steps that evaluating `node` on `subject` takes.
pub fn cost(node: &IdedExpr, kind: Kind, subject: &Subject) -> u64 {
    let inside = |one: &IdedExpr| cost(one, kind, subject);
    let sum = |all: &mut dyn Iterator<Item = u64>| all.fold(0_u64, u64::saturating_add);
    let more = match &node.expr {
        Expr::Select(select) => {
            let length = Field::named(kind, &select.field)
                .and_then(|field| subject.as_text(field).ok())
                .map_or(0, |text| u64::try_from(text.len()).unwrap_or(u64::MAX) / TEXT);
            length.saturating_add(length_of(node, kind, subject))
        }
        Expr::List(list) => sum(&mut list.elements.iter().map(inside)),
        Expr::Call(call) => sum(&mut call.target.iter().map(|one| inside(one)))
            .saturating_add(sum(&mut call.args.iter().map(inside))),
        Expr::Comprehension(it) => {
            let each = inside(&it.loop_cond).saturating_add(inside(&it.loop_step));
            inside(&it.iter_range)
                .saturating_add(inside(&it.accu_init))
                .saturating_add(inside(&it.result))
                .saturating_add(each.saturating_mul(length_of(&it.iter_range, kind, subject)))
        }
        _ => 0,
    };
    more.saturating_add(1)
}

/// The most elements of the list that `node` gives.
fn length_of(node: &IdedExpr, kind: Kind, subject: &Subject) -> u64 {
    match &node.expr {
        Expr::List(list) => u64::try_from(list.elements.len()).unwrap_or(u64::MAX),
        Expr::Select(select) => Field::named(kind, &select.field)
            .and_then(|field| subject.as_texts(field).ok())
            .map_or(0, |list| u64::try_from(list.len()).unwrap_or(u64::MAX)),
        // map() and filter() give no more than they go through.
        Expr::Comprehension(it) => length_of(&it.iter_range, kind, subject),
        Expr::Call(call) => {
            call.args.iter().map(|one| length_of(one, kind, subject)).fold(0, u64::saturating_add)
        }
        // A name inside a comprehension stands for an element.
        _ => 0,
    }
}
