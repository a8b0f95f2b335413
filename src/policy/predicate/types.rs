//! What an expression may say, found out before it is ever evaluated: names,
//! types, functions and how much work it is.
//!
//! CEL evaluates what is of the wrong type or misspelt to an error or, in a
//! comparison, to `false`. Both are found here instead, so that a mistake in a
//! policy is an error of the policy and never an answer. `has()` is refused:
//! with it an expression could hold because something is missing.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, LiteralValue, operators};

use super::super::subject::{Field, Kind, Type};
use super::super::suggest::suggest;

/// Deepest expression: evaluation recurses, some kilobytes a level.
const MAX_DEPTH: usize = 100;

/// What evaluates only inside comprehensions, made by their macros.
const NOT_STRICTLY_FALSE: &str = "@not_strictly_false";

/// Functions and operators that are understood, for suggestions.
const FUNCTIONS: [&str; 14] = [
    "age_days",
    "all",
    "contains",
    "endsWith",
    "exists",
    "exists_one",
    "filter",
    "glob",
    "map",
    "signed_by",
    "size",
    "spdx_ok",
    "startsWith",
    "version_cmp",
];

/// The type of a part of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ty {
    Text,
    Number,
    Truth,
    Time,
    List(Box<Ty>),
    /// What an empty list holds: fits everything.
    Any,
}

impl Ty {
    fn name(&self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Number => "a number".to_owned(),
            Self::Truth => "true or false".to_owned(),
            Self::Time => "a time".to_owned(),
            Self::List(of) => format!("a list ({} each)", of.name()),
            Self::Any => "anything".to_owned(),
        }
    }

    fn of(kind: Type) -> Self {
        match kind {
            Type::Text => Self::Text,
            Type::Number => Self::Number,
            Type::Truth => Self::Truth,
            Type::Time => Self::Time,
            Type::Texts => Self::List(Box::new(Self::Text)),
        }
    }

    fn list(of: Self) -> Self {
        Self::List(Box::new(of))
    }

    /// Whether both can be of one type, and which.
    fn meet(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Any, one) | (one, Self::Any) => Some(one.clone()),
            (Self::List(a), Self::List(b)) => Some(Self::list(a.meet(b)?)),
            (a, b) => (a == b).then(|| a.clone()),
        }
    }
}

/// What is wrong with an expression, and the node that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defect {
    /// The node.
    pub node: u64,
    /// What is wrong.
    pub message: String,
}

/// The checker, with the names that hold where it is.
pub struct Checker {
    kind: Kind,
    names: Vec<(String, Ty)>,
    depth: usize,
}

type Checked = Result<Ty, Defect>;

fn defect<T>(node: &IdedExpr, message: impl Into<String>) -> Result<T, Defect> {
    Err(Defect { node: node.id, message: message.into() })
}

impl Checker {
    /// For expressions that speak about things of a kind.
    pub const fn new(kind: Kind) -> Self {
        Self { kind, names: Vec::new(), depth: 0 }
    }

    /// The type of an expression.
    ///
    /// # Errors
    /// Whatever in it has no meaning here.
    pub fn check(&mut self, node: &IdedExpr) -> Checked {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return defect(node, format!("it nests deeper than {MAX_DEPTH} levels"));
        }
        let found = match &node.expr {
            Expr::Literal(LiteralValue::Boolean(_)) => Ok(Ty::Truth),
            Expr::Literal(LiteralValue::Int(_)) => Ok(Ty::Number),
            Expr::Literal(LiteralValue::String(_)) => Ok(Ty::Text),
            Expr::Literal(_) => {
                defect(node, "only texts, whole numbers, true and false may stand here")
            }
            Expr::Ident(name) => self.ident(node, name),
            Expr::Select(select) if select.test => defect(
                node,
                "has() is not allowed: with it a rule could hold because something is missing; \
                 a rule whose facts are missing denies by itself",
            ),
            Expr::Select(select) => match &select.operand.expr {
                Expr::Ident(root) if self.local(root).is_none() => {
                    self.field(node, root, &select.field)
                }
                _ => defect(node, format!("nothing here has a field '{}'", select.field)),
            },
            Expr::List(list) => {
                if !list.optional_indices.is_empty() {
                    return defect(node, "optional elements are not allowed");
                }
                let mut of = Ty::Any;
                for element in &list.elements {
                    let ty = self.check(element)?;
                    of = self.both(element, &of, &ty)?;
                }
                Ok(Ty::list(of))
            }
            Expr::Call(call) => self.call(node, call),
            Expr::Comprehension(comprehension) => self.comprehension(node, comprehension),
            Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {
                defect(node, "maps and structures are not allowed")
            }
        };
        self.depth -= 1;
        found
    }

    fn local(&self, name: &str) -> Option<&Ty> {
        self.names.iter().rev().find(|(one, _)| one == name).map(|(_, ty)| ty)
    }

    fn ident(&self, node: &IdedExpr, name: &str) -> Checked {
        if let Some(ty) = self.local(name) {
            return Ok(ty.clone());
        }
        if name == self.kind.name() {
            let kind = self.kind;
            return defect(node, format!("'{kind}' has to be followed by a field: {kind}.name"));
        }
        defect(node, self.unknown_root(name))
    }

    fn unknown_root(&self, name: &str) -> String {
        match Kind::named(name) {
            Some(_) => format!(
                "in this rule things are called '{}', not '{name}' (the scope decides)",
                self.kind
            ),
            None => {
                let near = suggest(name, [self.kind.name()]);
                format!("there is no '{name}' here{near} (expected '{}.…')", self.kind)
            }
        }
    }

    fn field(&self, node: &IdedExpr, root: &str, field: &str) -> Checked {
        if root != self.kind.name() {
            return defect(node, self.unknown_root(root));
        }
        match Field::named(self.kind, field) {
            Some(field) => Ok(Ty::of(field.kind())),
            None => {
                let known = self.kind.fields().iter().map(|field| field.name());
                let near = suggest(field, known);
                defect(node, format!("'{root}' has no field '{field}'{near}"))
            }
        }
    }

    /// The one type of two things that have to be alike.
    fn both(&self, node: &IdedExpr, a: &Ty, b: &Ty) -> Checked {
        match a.meet(b) {
            Some(ty) => Ok(ty),
            None => {
                defect(node, format!("{} and {} cannot stand together here", a.name(), b.name()))
            }
        }
    }

    /// An argument that has to be of a type.
    fn want(&mut self, node: &IdedExpr, wanted: &Ty) -> Checked {
        let found = self.check(node)?;
        match found.meet(wanted) {
            Some(ty) => Ok(ty),
            None => defect(node, format!("this is {} (expected {})", found.name(), wanted.name())),
        }
    }

    fn call(&mut self, node: &IdedExpr, call: &CallExpr) -> Checked {
        let name = call.func_name.as_str();
        if let Some(target) = &call.target {
            return self.method(node, name, target, &call.args);
        }
        match (name, call.args.as_slice()) {
            (operators::LOGICAL_AND | operators::LOGICAL_OR, args) => {
                for one in args {
                    self.want(one, &Ty::Truth)?;
                }
                Ok(Ty::Truth)
            }
            (operators::LOGICAL_NOT | NOT_STRICTLY_FALSE, [one]) => self.want(one, &Ty::Truth),
            (operators::CONDITIONAL, [test, yes, no]) => {
                self.want(test, &Ty::Truth)?;
                let (yes, other) = (self.check(yes)?, self.check(no)?);
                self.both(no, &yes, &other)
            }
            (operators::EQUALS | operators::NOT_EQUALS, [a, b]) => {
                let (left, right) = (self.check(a)?, self.check(b)?);
                if matches!(self.both(b, &left, &right)?, Ty::List(_) | Ty::Any) {
                    return defect(node, "lists cannot be compared; use 'in', all() or exists()");
                }
                Ok(Ty::Truth)
            }
            (
                operators::LESS
                | operators::LESS_EQUALS
                | operators::GREATER
                | operators::GREATER_EQUALS,
                [a, b],
            ) => {
                let (left, right) = (self.check(a)?, self.check(b)?);
                match self.both(b, &left, &right)? {
                    Ty::Number | Ty::Time => Ok(Ty::Truth),
                    Ty::Text => defect(
                        node,
                        "texts have no order; versions are compared by version_cmp(a, b) < 0",
                    ),
                    other => defect(node, format!("{} has no order", other.name())),
                }
            }
            (operators::ADD, [a, b]) => {
                // What the macros make of map() and filter().
                if let Expr::Ident(name) = &a.expr
                    && name.starts_with('@')
                {
                    let (left, right) = (self.check(a)?, self.check(b)?);
                    return self.both(b, &left, &right);
                }
                self.want(a, &Ty::Number)?;
                self.want(b, &Ty::Number)
            }
            (
                operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE | operators::MODULO,
                [a, b],
            ) => {
                self.want(a, &Ty::Number)?;
                self.want(b, &Ty::Number)
            }
            (operators::NEGATE, [one]) => self.want(one, &Ty::Number),
            (operators::IN, [one, list]) => {
                let one = self.check(one)?;
                self.want(list, &Ty::list(one))?;
                Ok(Ty::Truth)
            }
            (operators::INDEX, [list, at]) => {
                self.want(at, &Ty::Number)?;
                match self.check(list)? {
                    Ty::List(of) => Ok(*of),
                    other => defect(list, format!("{} has no elements", other.name())),
                }
            }
            ("size", [one]) => self.size(one),
            ("spdx_ok", [text, allowed]) => {
                self.want(text, &Ty::Text)?;
                self.literals(allowed)
            }
            ("version_cmp", [a, b]) => {
                self.want(a, &Ty::Text)?;
                self.want(b, &Ty::Text)?;
                Ok(Ty::Number)
            }
            ("age_days", [time]) => {
                self.want(time, &Ty::Time)?;
                Ok(Ty::Number)
            }
            ("signed_by", [keys, patterns]) => {
                self.want(keys, &Ty::list(Ty::Text))?;
                self.literals(patterns)
            }
            ("glob", [text, pattern]) => {
                self.want(text, &Ty::Text)?;
                self.want(pattern, &Ty::Text)?;
                Ok(Ty::Truth)
            }
            _ => self.no_function(node, name, call.args.len()),
        }
    }

    fn method(
        &mut self,
        node: &IdedExpr,
        name: &str,
        target: &IdedExpr,
        args: &[IdedExpr],
    ) -> Checked {
        match (name, args) {
            ("size", []) => self.size(target),
            ("contains" | "startsWith" | "endsWith", [part]) => {
                self.want(target, &Ty::Text)?;
                self.want(part, &Ty::Text)?;
                Ok(Ty::Truth)
            }
            _ => self.no_function(node, name, args.len()),
        }
    }

    fn size(&mut self, of: &IdedExpr) -> Checked {
        match self.check(of)? {
            Ty::Text | Ty::List(_) => Ok(Ty::Number),
            other => defect(of, format!("{} has no size", other.name())),
        }
    }

    /// A list of texts that stand here as they are and are not empty.
    fn literals(&mut self, node: &IdedExpr) -> Checked {
        let Expr::List(list) = &node.expr else {
            return defect(node, "a list of texts has to stand here, as [\"one\", \"two\"]");
        };
        if list.elements.is_empty() {
            return defect(node, "an empty list allows nothing; name at least one");
        }
        self.want(node, &Ty::list(Ty::Text))?;
        Ok(Ty::Truth)
    }

    fn no_function(&self, node: &IdedExpr, name: &str, count: usize) -> Checked {
        let message = match name {
            "matches" => "matches() is not allowed, for its cost cannot be bounded; \
                          use glob(text, \"a*\"), startsWith, endsWith or contains"
                .to_owned(),
            "has" => {
                "has() takes a field, and is not allowed: a rule whose facts are missing denies"
                    .to_owned()
            }
            _ if FUNCTIONS.contains(&name) => {
                format!("'{name}' is not used like this (with {count} arguments)")
            }
            _ => format!("there is no function '{name}'{}", suggest(name, FUNCTIONS)),
        };
        defect(node, message)
    }

    fn comprehension(&mut self, node: &IdedExpr, it: &ComprehensionExpr) -> Checked {
        if it.iter_var2.is_some() {
            return defect(node, "a list is gone through with one name, not two");
        }
        if it.iter_var == self.kind.name() {
            return defect(node, format!("'{}' already means something else", it.iter_var));
        }
        let of = match self.check(&it.iter_range)? {
            Ty::List(of) => *of,
            other => return defect(&it.iter_range, format!("{} is no list", other.name())),
        };
        let start = self.check(&it.accu_init)?;
        let names = self.names.len();
        self.names.push((it.iter_var.clone(), of));
        self.names.push((it.accu_var.clone(), start.clone()));
        self.want(&it.loop_cond, &Ty::Truth)?;
        let step = self.check(&it.loop_step)?;
        let accu = self.both(&it.loop_step, &start, &step)?;
        self.names.truncate(names);
        self.names.push((it.accu_var.clone(), accu));
        let result = self.check(&it.result);
        self.names.truncate(names);
        result
    }
}
