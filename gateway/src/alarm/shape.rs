//! How the API's document tells of ids, and of what is one thing or another.

use super::{
    people::ContactId,
    plan::Whom,
    rule::{CONTROLLERS_MAX, Scope},
};
use std::borrow::Cow;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Object, ObjectBuilder, RefOr, Schema,
        schema::{AdditionalProperties, Array, ArrayBuilder, OneOfBuilder, SchemaType, Type},
    },
};

/// The latest moment that is told: the largest whole number that every JSON reader has.
pub(crate) const TIME_MS_MAX: u64 = (1 << 53) - 1;

fn whole(least: i64, most: u64) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::Integer))
        .minimum(Some(least))
        .maximum(Some(most))
}

/// A number of 32 bits, from 1.
pub(crate) fn id() -> Object {
    whole(1, u64::from(u32::MAX)).build()
}

/// Some of those.
pub(crate) fn ids(least: usize, most: usize) -> Array {
    ArrayBuilder::new()
        .items(id())
        .min_items(Some(least))
        .max_items(Some(most))
        .build()
}

/// Days of the week.
pub(crate) fn days() -> Array {
    ArrayBuilder::new()
        .items(whole(1, 7))
        .min_items(Some(1))
        .max_items(Some(7))
        .build()
}

/// An object with one field and no other.
fn only(name: &str, of: impl Into<RefOr<Schema>>) -> Object {
    ObjectBuilder::new()
        .property(name, of)
        .required(name)
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
        .build()
}

fn text(most: usize) -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::String))
        .min_length(Some(1))
        .max_length(Some(most))
        .build()
}

impl PartialSchema for ContactId {
    fn schema() -> RefOr<Schema> {
        id().into()
    }
}

impl ToSchema for ContactId {
    fn name() -> Cow<'static, str> {
        "ContactId".into()
    }
}

impl PartialSchema for Whom {
    fn schema() -> RefOr<Schema> {
        let name = text(super::people::NAME_BYTES_MAX);
        OneOfBuilder::new()
            .item(only("on_call", name))
            .item(only("contact", id()))
            .into()
    }
}

impl ToSchema for Whom {
    fn name() -> Cow<'static, str> {
        "Whom".into()
    }
}

impl PartialSchema for Scope {
    fn schema() -> RefOr<Schema> {
        let everywhere = ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .enum_values(Some(["everywhere"]));
        OneOfBuilder::new()
            .item(everywhere)
            .item(only("site", id()))
            .item(only("tag", text(super::people::NAME_BYTES_MAX)))
            .item(only("controllers", ids(1, CONTROLLERS_MAX)))
            .into()
    }
}

impl ToSchema for Scope {
    fn name() -> Cow<'static, str> {
        "Scope".into()
    }
}
