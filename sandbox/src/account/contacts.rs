//! GetAlternateContact, PutAlternateContact and DeleteAlternateContact.

use serde::{Deserialize, Serialize};
use winterbaume_account::wire;
use winterbaume_core::MockResponse;

use crate::world::{AwsError, Request, State};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlternateContact {
    pub name: String,
    pub title: String,
    pub email: String,
    pub phone: String,
}

pub(super) fn get(state: &State, account: &str, request: &Request) -> Result<MockResponse, AwsError> {
    let input: wire::GetAlternateContactRequest = request.json()?;
    let kind = input.alternate_contact_type;
    let contact = state.accounts.get(account).and_then(|account| account.alternate_contacts.get(&kind));
    let contact = contact.cloned().ok_or_else(not_found)?;
    Ok(wire::serialize_get_alternate_contact_response(&wire::GetAlternateContactResponse {
        alternate_contact: Some(wire::AlternateContact {
            alternate_contact_type: Some(kind),
            email_address: Some(contact.email),
            name: Some(contact.name),
            phone_number: Some(contact.phone),
            title: Some(contact.title),
        }),
    }))
}

pub(super) fn put(state: &mut State, account: &str, request: &Request) -> Result<MockResponse, AwsError> {
    let input: wire::PutAlternateContactRequest = request.json()?;
    let contact = AlternateContact {
        name: input.name,
        title: input.title,
        email: input.email_address,
        phone: input.phone_number,
    };
    if let Some(account) = state.accounts.get_mut(account) {
        account.alternate_contacts.insert(input.alternate_contact_type, contact);
    }
    Ok(wire::serialize_put_alternate_contact_response())
}

pub(super) fn delete(state: &mut State, account: &str, request: &Request) -> Result<MockResponse, AwsError> {
    let input: wire::DeleteAlternateContactRequest = request.json()?;
    let contacts = state.accounts.get_mut(account).map(|account| &mut account.alternate_contacts);
    contacts.and_then(|contacts| contacts.remove(&input.alternate_contact_type)).ok_or_else(not_found)?;
    Ok(wire::serialize_delete_alternate_contact_response())
}

fn not_found() -> AwsError {
    AwsError::new("ResourceNotFoundException", "No contact of the inputted alternate contact type found.").status(404)
}
