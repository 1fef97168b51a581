//! Derives `Canonical`, by which a type is read from its one encoding in one pass (`chain-format/src/canonical.rs`), from the very attributes
//! that say how it is written: minicbor's `#[n(…)]` and `#[cbor(…)]`. So the number of a field stands in one place.
//!
//! It knows what the records use and no more: maps, arrays, `flat` and `index_only` enums. Anything else does not compile.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Attribute, Data, DataEnum, DeriveInput, Error, Field, Fields, LitInt, LitStr, Path, Result, Type};

/// The highest number of a field: those above are encoded in more than the byte that is looked for.
const NUMBER_MAX: u8 = 23;

/// Derives `Canonical`.
#[proc_macro_derive(Canonical, attributes(n, b, cbor))]
pub fn derive_canonical(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = syn::parse_macro_input!(input as DeriveInput);
    derived(&input).unwrap_or_else(|e| e.to_compile_error()).into()
}

fn derived(input: &DeriveInput) -> Result<TokenStream> {
    let form = Form::of(&input.attrs)?;
    let read = match (&input.data, form) {
        (Data::Struct(data), Form::Map) => map(&data.fields)?,
        (Data::Struct(data), Form::Array) => {
            let (count, fields) = array(&data.fields)?;
            quote!(from.array_of(#count)?; ::core::option::Option::Some(Self #fields))
        }
        (Data::Enum(data), Form::Flat) => flat(data)?,
        (Data::Enum(data), Form::Index) => index(data)?,
        _ => return Err(Error::new_spanned(&input.ident, "a form that no record uses")),
    };
    let name = &input.ident;
    let (_, own, bounds) = input.generics.split_for_impl();
    let mut generics = input.generics.clone();
    if generics.lifetimes().next().is_none() {
        generics.params.insert(0, syn::parse_quote!('b));
    }
    generics.type_params_mut().for_each(|param| {
        param.default = None;
        param.bounds.push(syn::parse_quote!(crate::canonical::Canonical<'b>));
    });
    let (generics, ..) = generics.split_for_impl();
    Ok(quote! {
        impl #generics crate::canonical::Canonical<'b> for #name #own #bounds {
            #[inline]
            fn read(from: &mut crate::canonical::Reader<'b>) -> ::core::option::Option<Self> { #read }
        }
    })
}

/// How a type is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A struct as its fields in order.
    Array,
    /// A struct as its fields by their numbers, without those that are `None`.
    Map,
    /// A variant as its number and its fields.
    Flat,
    /// A variant as its number.
    Index,
}

impl Form {
    fn of(attributes: &[Attribute]) -> Result<Self> {
        let mut form = Self::Array;
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("cbor")) {
            let name: Path = attribute.parse_args()?;
            form = match () {
                () if name.is_ident("map") => Self::Map,
                () if name.is_ident("flat") => Self::Flat,
                () if name.is_ident("index_only") => Self::Index,
                () => return Err(Error::new_spanned(name, "an attribute that no record uses")),
            };
        }
        Ok(form)
    }
}

/// The number that stands in `#[n(…)]`, or in `#[b(…)]` where something is borrowed.
fn number(attributes: &[Attribute], of: &impl quote::ToTokens) -> Result<u8> {
    let numbered = attributes.iter().find(|a| a.path().is_ident("n") || a.path().is_ident("b"));
    let numbered = numbered.ok_or_else(|| Error::new_spanned(of, "a number is missing"))?;
    numbered.parse_args::<LitInt>()?.base10_parse()
}

/// Whether a field is written by `minicbor::bytes`: a byte string that is a `Vec<u8>` in memory.
fn is_bytes(field: &Field) -> Result<bool> {
    let mut bytes = false;
    for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("cbor")) {
        attribute.parse_nested_meta(|meta| {
            let with: LitStr = meta.value()?.parse()?;
            bytes = meta.path.is_ident("with") && with.value() == "minicbor::bytes";
            if bytes { Ok(()) } else { Err(meta.error("an attribute that no record uses")) }
        })?;
    }
    Ok(bytes)
}

fn is_optional(field: &Field) -> bool {
    let Type::Path(path) = &field.ty else { return false };
    path.path.segments.last().is_some_and(|segment| segment.ident == "Option")
}

/// The fields by their numbers, which ascend as they are written.
fn map(fields: &Fields) -> Result<TokenStream> {
    let mut numbered = Vec::new();
    for field in fields {
        let number = number(&field.attrs, field)?;
        if number > NUMBER_MAX {
            return Err(Error::new_spanned(field, "a number above 23"));
        }
        numbered.push((number, field));
    }
    numbered.sort_by_key(|(number, _)| *number);
    let (mut reads, mut names) = (Vec::new(), Vec::new());
    for (key, field) in numbered {
        let name = field.ident.as_ref().ok_or_else(|| Error::new_spanned(field, "a map's fields have names"))?;
        reads.push(match (is_optional(field), is_bytes(field)?) {
            (true, true) => quote! {
                let #name = from.optional::<::minicbor::bytes::ByteVec>(&mut left, #key)?.map(::core::convert::Into::into);
            },
            (true, false) => quote!(let #name = from.optional(&mut left, #key)?;),
            (false, false) => quote!(let #name = from.field(&mut left, #key)?;),
            (false, true) => return Err(Error::new_spanned(field, "bytes that no record uses")),
        });
        names.push(name);
    }
    Ok(quote! {
        let mut left = from.map()?;
        #(#reads)*
        (left == 0).then_some(Self { #(#names),* })
    })
}

/// How many fields there are, and what reads them one after the other.
fn array(fields: &Fields) -> Result<(u64, TokenStream)> {
    let mut expected = 0_u8;
    for field in fields {
        if number(&field.attrs, field)? != expected || is_optional(field) || is_bytes(field)? {
            return Err(Error::new_spanned(field, "the fields of an array are there, in order"));
        }
        expected = expected.saturating_add(1);
    }
    let read = quote!(crate::canonical::Canonical::read(from)?);
    let reads = match fields {
        Fields::Named(named) => {
            let names = named.named.iter().map(|field| &field.ident);
            quote!({ #(#names: #read),* })
        }
        Fields::Unnamed(unnamed) => {
            let each = unnamed.unnamed.iter().map(|_| &read);
            quote!(( #(#each),* ))
        }
        Fields::Unit => quote!(),
    };
    Ok((u64::from(expected), reads))
}

fn flat(data: &DataEnum) -> Result<TokenStream> {
    let mut arms = Vec::new();
    for variant in &data.variants {
        let (number, name) = (u64::from(number(&variant.attrs, variant)?), &variant.ident);
        let (count, fields) = array(&variant.fields)?;
        let count = count.saturating_add(1);
        arms.push(quote!((#count, #number) => Self::#name #fields,));
    }
    let parts = format_ident!("parts");
    Ok(quote! {
        let #parts = (from.array()?, from.unsigned()?);
        ::core::option::Option::Some(match #parts { #(#arms)* _ => return ::core::option::Option::None })
    })
}

fn index(data: &DataEnum) -> Result<TokenStream> {
    let mut arms = Vec::new();
    for variant in &data.variants {
        let (number, name) = (u64::from(number(&variant.attrs, variant)?), &variant.ident);
        arms.push(quote!(#number => Self::#name,));
    }
    Ok(quote! {
        ::core::option::Option::Some(match from.unsigned()? { #(#arms)* _ => return ::core::option::Option::None })
    })
}
