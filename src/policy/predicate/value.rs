//! A subject as CEL sees it: something whose fields can be asked for, and
//! nothing else. It cannot be searched, counted or gone through, so that what
//! is missing shows only as the error that it is.

use cel::ExecutionError;
use cel::common::traits::Indexer;
use cel::common::types::{CelBool, CelInt, CelList, CelString, Type};
use cel::common::value::{CowVal, Val};

use super::super::subject::{Field, Subject, Unknown, Value};

/// Most elements of a list, and most bytes of a text, that an expression is
/// given: no genuine fact comes near.
const MAX_LIST: usize = 10_000;
const MAX_TEXT: usize = 1 << 16;

static TYPE: Type = Type::new_unspecified_type("facts");

/// The facts of a subject.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'s>(pub &'s Subject);

impl Val for Facts<'_> {
    fn get_type(&self) -> &Type {
        &TYPE
    }

    fn cel_type() -> &'static Type {
        &TYPE
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(*self)
    }
}

impl Indexer for Facts<'_> {
    fn get<'b, 'v>(&'b self, name: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let name: &str = name
            .downcast_ref::<CelString>()
            .map(CelString::inner)
            .ok_or_else(|| ExecutionError::no_such_key("a field that is no text"))?;
        let field =
            Field::named(self.0.kind, name).ok_or_else(|| ExecutionError::no_such_key(name))?;
        let refuse = |why: &dyn std::fmt::Display| ExecutionError::function_error(name, why);
        let value = match self.0.value(field) {
            Ok(value) => value,
            Err(Unknown::Missing(_)) => return Err(ExecutionError::no_such_key(name)),
            Err(Unknown::Unusable { why, .. } | Unknown::Other(why)) => return Err(refuse(&why)),
        };
        Ok(match value {
            Value::Text(text) if text.len() > MAX_TEXT => {
                return Err(refuse(&format!("it has more than {MAX_TEXT} bytes")));
            }
            Value::Texts(list) if list.len() > MAX_LIST => {
                return Err(refuse(&format!("it has more than {MAX_LIST} elements")));
            }
            Value::Text(text) => CowVal::owned(CelString::from(text.clone())),
            Value::Number(number) | Value::Time(number) => CowVal::owned(CelInt::from(*number)),
            Value::Truth(truth) => CowVal::owned(CelBool::from(*truth)),
            Value::Texts(list) => {
                let list: Vec<Box<dyn Val + 'v>> = list
                    .iter()
                    .map(|text| -> Box<dyn Val + 'v> { Box::new(CelString::from(text.clone())) })
                    .collect();
                CowVal::owned(CelList::from(list))
            }
        })
    }

    fn steal<'v>(self: Box<Self>, name: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(name).map(CowVal::into_owned)
    }
}
