//! From messages to a call.

use remora_model::{Call, Incomplete, Protocol, Span, ValueRef, field};

use super::connection::Open;
use super::names;
use crate::{Context, fields::Fields};

/// Fields of a call at most.
const MAX_FIELDS: usize = 23;

/// Values of all lists together that fit on the stack.
const FEW: usize = 64;

/// Reports a call. `user` is who has bound.
pub(super) fn emit(
    call: &Open,
    user: &[u8],
    summary: &mut Vec<u8>,
    incomplete: Option<Incomplete>,
    cx: &mut Context<'_>,
) {
    let request = call.asked.map(|_| &call.request);
    let answer = call.answered.map(|_| &call.answer);
    let tag = request.map(|r| r.tag).or(answer.map(|a| a.tag)).unwrap_or_default();
    let operation = names::operation(tag).map(|o| o.name);

    let attributes = request.map_or(&[][..], |r| &r.attributes);
    let referrals = answer.map_or(&[][..], |a| &a.referrals);
    let controls = [request.map_or(&[][..], |r| &r.controls), answer.map_or(&[][..], |a| &a.controls)];
    let asked = |span: Span| request.map_or(&b""[..], |r| r.text(span));
    let answered = |span: Span| answer.map_or(&b""[..], |a| a.text(span));
    // A control that both sides use stands in the list once.
    let new = |c: &&Span| !controls[0].iter().any(|known| asked(*known) == answered(**c));
    let texts = attributes
        .iter()
        .map(|s| asked(*s))
        .chain(referrals.iter().map(|s| answered(*s)))
        .chain(controls[0].iter().map(|s| asked(*s)))
        .chain(controls[1].iter().filter(new).map(|s| answered(*s)));
    let upper = attributes.len() + referrals.len() + controls[0].len() + controls[1].len();
    let mut few = [&b""[..]; FEW];
    let mut many = Vec::new();
    let mut count = 0;
    if upper <= FEW {
        for (slot, text) in few.iter_mut().zip(texts) {
            *slot = text;
            count += 1;
        }
    } else {
        many.extend(texts);
        count = many.len();
    }
    let all = if upper <= FEW { few.get(..count).unwrap_or_default() } else { &many };
    let (attributes, rest) = all.split_at(attributes.len());
    let (referrals, controls) = rest.split_at(referrals.len());

    write_summary(call, summary);
    let oid = call.request.text(call.request.oid);
    let oid = if oid.is_empty() { answered(call.answer.oid) } else { oid };
    let code = answer.and_then(|a| a.code);
    // Some that are missing would not be counted.
    let counted = !matches!(incomplete, Some(Incomplete::Gap | Incomplete::NoRequest));
    let fields = [
        (field::LDAP_TYPE, operation.map(ValueRef::str)),
        (field::LDAP_SUMMARY, some(summary)),
        (field::LDAP_MESSAGE_ID, Some(ValueRef::Int(call.id().into()))),
        (field::LDAP_DN, request.filter(|r| has_dn(r.tag)).map(|r| ValueRef::Text(r.text(r.dn)))),
        (field::LDAP_USER, some(user)),
        (field::LDAP_VERSION, request.and_then(|r| r.version).map(ValueRef::Int)),
        (field::LDAP_AUTH_METHOD, request.and_then(|r| r.auth).map(ValueRef::str)),
        (field::LDAP_SASL_MECHANISM, some(asked(call.request.mechanism))),
        (field::LDAP_SCOPE, request.and_then(|r| r.scope).map(ValueRef::str)),
        (field::LDAP_FILTER, some(asked(call.request.filter))),
        (field::LDAP_ATTRIBUTES, list(attributes)),
        (field::LDAP_NEW_RDN, some(asked(call.request.new_rdn))),
        (field::LDAP_NEW_SUPERIOR, some(asked(call.request.new_superior))),
        (field::LDAP_EXTENSION, some(names::object(oid))),
        (field::LDAP_CONTROLS, list(controls)),
        (field::LDAP_ENTRIES, answer.filter(|_| is_search(tag) && counted).map(|a| ValueRef::Int(a.entries))),
        (field::LDAP_REFERRALS, list(referrals)),
        (field::LDAP_RESULT_CODE, code.map(ValueRef::Int)),
        (field::LDAP_RESULT, code.and_then(names::result).map(ValueRef::str)),
        (field::LDAP_MATCHED_DN, some(answered(call.answer.matched))),
        (field::LDAP_ERROR_MESSAGE, some(answered(call.answer.message))),
        (field::LDAP_REQUEST_BODY, request.and_then(|r| some(r.ldif.text()))),
        (field::LDAP_RESPONSE_BODY, answer.and_then(|a| some(a.ldif.text()))),
    ];
    let mut present = Fields::<MAX_FIELDS>::default();
    for (id, value) in fields {
        if let Some(value) = value {
            present.add(id, value);
        }
    }
    let failed = code.is_some_and(|c| !names::is_success(c));
    cx.emit(&Call {
        failed,
        client_error: failed && code.is_some_and(names::blames_client),
        incomplete,
        fields: present.as_slice(),
        ..cx.exchange(Protocol::Ldap, call.asked, call.answered)
    });
}

/// True for operations on an entry, whose name may be empty: that of the root.
fn has_dn(tag: u8) -> bool {
    matches!(
        tag,
        names::BIND
            | names::SEARCH
            | names::MODIFY
            | names::ADD
            | names::DELETE
            | names::MODIFY_DN
            | names::COMPARE
    )
}

fn is_search(tag: u8) -> bool {
    matches!(tag, names::SEARCH | names::SEARCH_DONE | names::ENTRY | names::REFERENCE)
}

/// What was asked, in a line.
fn write_summary(call: &Open, out: &mut Vec<u8>) {
    out.clear();
    let mut add = |text: &[u8]| {
        if !text.is_empty() {
            if !out.is_empty() {
                out.push(b' ');
            }
            out.extend_from_slice(text);
        }
    };
    if call.asked.is_none() {
        add(names::object(call.answer.text(call.answer.oid)));
        return;
    }
    let r = &call.request;
    add(names::object(r.text(r.oid)));
    add(r.text(r.dn));
    add(r.scope.unwrap_or_default().as_bytes());
    add(r.text(r.filter));
    add(r.text(r.new_rdn));
    add(r.text(r.new_superior));
    let auth = if r.mechanism.len > 0 { r.text(r.mechanism) } else { r.auth.unwrap_or_default().as_bytes() };
    add(auth);
    if r.tag != names::SEARCH {
        r.attributes.iter().take(8).for_each(|a| add(r.text(*a)));
    }
    if let Some(id) = r.abandoned {
        let mut digits = [0; 11];
        add(decimal(id.unsigned_abs(), &mut digits));
    }
}

/// The digits of a number.
fn decimal(mut n: u32, digits: &mut [u8; 11]) -> &[u8] {
    let mut at = digits.len();
    loop {
        at = at.saturating_sub(1);
        if let Some(slot) = digits.get_mut(at) {
            *slot = b'0' + (n % 10) as u8;
        }
        n /= 10;
        if n == 0 {
            return digits.get(at..).unwrap_or_default();
        }
    }
}

fn some(text: &[u8]) -> Option<ValueRef<'_>> {
    (!text.is_empty()).then_some(ValueRef::Text(text))
}

fn list<'a>(list: &'a [&'a [u8]]) -> Option<ValueRef<'a>> {
    (!list.is_empty()).then_some(ValueRef::List(list))
}
