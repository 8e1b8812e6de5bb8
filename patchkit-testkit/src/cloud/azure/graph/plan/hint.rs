//! What the first filters of a pipeline say about the rows it can use.

use std::collections::HashSet;

use super::super::{
    Hints,
    ast::{Case, Compare, Expr, Literal, Named, Operator, Place, Sense, TextTest},
};

/// The hints of the leading `where`s, as far as they speak of the table's own columns.
pub(super) fn hints(operators: &[Operator]) -> Hints {
    let mut hints = Hints::default();
    for operator in operators {
        match operator {
            Operator::Where(condition) => note(&mut hints, condition),
            // What is computed besides does not change what `type` and `id` mean.
            Operator::Extend(values) if !values.iter().any(hides) => {}
            _ => break,
        }
    }
    hints
}

fn hides(value: &Named) -> bool {
    let name = match (&value.name, &value.expr) {
        (Some(name), _) => name.clone(),
        (None, expr) => super::expr::given_name(expr).unwrap_or_default(),
    };
    matches!(name.as_str(), "id" | "type" | "subscriptionId")
}

fn note(hints: &mut Hints, condition: &Expr) {
    if let Expr::And(sides) = condition {
        for side in sides {
            note(hints, side);
        }
        return;
    }
    if hints.beginnings.is_none() {
        hints.beginnings = beginnings(condition);
    }
    let Some((column, mut values)) = allowed(condition) else { return };
    // A row that is named twice is one row.
    let mut known = HashSet::new();
    values.retain(|value| known.insert(value.clone()));
    let hint = match column {
        "type" => &mut hints.types,
        "id" => &mut hints.ids,
        "subscriptionId" => &mut hints.subscriptions,
        _ => return,
    };
    match hint {
        // Both filters hold, so only what both allow is wanted.
        Some(before) => before.retain(|value| values.contains(value)),
        None => *hint = Some(values),
    }
}

/// The texts of which an id begins with one where a condition holds, in lower case.
fn beginnings(condition: &Expr) -> Option<Vec<String>> {
    match condition {
        Expr::Text(TextTest { place: Place::Start, .. }, Sense::Is, value, text) => {
            match (value.as_ref(), text.as_ref()) {
                // Beyond ASCII a text may have another length in lower case.
                (Expr::Name(name), Expr::Literal(Literal::Text(text)))
                    if name == "id" && text.is_ascii() =>
                {
                    Some(vec![text.to_ascii_lowercase()])
                }
                _ => None,
            }
        }
        Expr::Or(sides) => {
            let all: Option<Vec<_>> = sides.iter().map(beginnings).collect();
            all.map(|all| all.concat())
        }
        _ => None,
    }
}

/// The column a condition restricts, and the values it leaves, in lower case.
fn allowed(condition: &Expr) -> Option<(&str, Vec<String>)> {
    match condition {
        Expr::Compare(Compare::Equal | Compare::Alike, left, right) => {
            let ((Expr::Name(name), Expr::Literal(Literal::Text(text)))
            | (Expr::Literal(Literal::Text(text)), Expr::Name(name))) =
                (left.as_ref(), right.as_ref())
            else {
                return None;
            };
            Some((name, vec![text.to_lowercase()]))
        }
        Expr::Within(Case::Kept | Case::Ignored, Sense::Is, value, values) => {
            let Expr::Name(name) = value.as_ref() else { return None };
            let texts = values.iter().map(|value| match value {
                Expr::Literal(Literal::Text(text)) => Some(text.to_lowercase()),
                _ => None,
            });
            Some((name, texts.collect::<Option<_>>()?))
        }
        Expr::Or(sides) => {
            let mut sides = sides.iter().map(allowed);
            let (column, mut values) = sides.next()??;
            for side in sides {
                let (other, more) = side?;
                if other != column {
                    return None;
                }
                values.extend(more);
            }
            Some((column, values))
        }
        _ => None,
    }
}
