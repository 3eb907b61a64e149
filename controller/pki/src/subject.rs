//! Names of certificates, written again exactly as they were.

use rcgen::{DistinguishedName, DnType, DnValue, string::Ia5String, string::PrintableString};
use x509_parser::der_parser::asn1_rs::Tag;
use x509_parser::prelude::X509Certificate;

/// A name has something in it that cannot be written again.
#[derive(Debug, thiserror::Error)]
#[error("name of the authority has a part that cannot be written again")]
pub(crate) struct SubjectError;

/// Returns the subject of a certificate for another one.
pub(crate) fn of(certificate: &X509Certificate<'_>) -> Result<DistinguishedName, SubjectError> {
    let mut name = DistinguishedName::new();
    for part in certificate.subject().iter() {
        let mut attributes = part.iter();
        let (Some(attribute), None) = (attributes.next(), attributes.next()) else {
            return Err(SubjectError);
        };
        let kind = attribute.attr_type().iter().ok_or(SubjectError)?;
        let text = std::str::from_utf8(attribute.attr_value().data);
        let text = text.map_err(|_error| SubjectError)?;
        let value = match attribute.attr_value().header.tag() {
            Tag::Utf8String => DnValue::Utf8String(text.to_owned()),
            Tag::PrintableString => PrintableString::try_from(text)
                .map(DnValue::PrintableString)
                .map_err(|_error| SubjectError)?,
            Tag::Ia5String => Ia5String::try_from(text)
                .map(DnValue::Ia5String)
                .map_err(|_error| SubjectError)?,
            _ => return Err(SubjectError),
        };
        name.push(DnType::CustomDnType(kind.collect()), value);
    }
    Ok(name)
}
