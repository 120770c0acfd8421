"""The account API's error codes that the sandbox knows, in our own words.

github.com/Bandwidth/api-docs site/docs/numbers/errors.mdx and site/specs/numbers_v2.yml; 23030 and 23031
github.com/Bandwidth/cli internal/sip.
"""

from __future__ import annotations

MEANINGS: dict[int, str] = {
    1000: "internal server error",
    1001: "access denied: another account, a role that is missing, an API User after the end of Basic",
    1003: "a required element is missing",
    1005: "not allowed: the default realm cannot be made an ordinary one",
    1008: "not a valid value",
    1011: "too long",
    1015: "an entry of this name exists (only where names are unique)",
    1019: "bad request: the body is not the XML that is wanted",
    4022: "the account does not exist or is locked",
    12107: "the application is in use",
    12150: "the account lacks the HTTP voice feature",
    12666: "the realm still has SIP credentials",
    12673: "the realm's name has characters that are not allowed",
    12800: "a callback password without a user",
    12801: "the service type is not valid",
    12802: "the URL for inbound calls is missing",
    12803: "a malformed URL",
    12806: "the application has no name",
    12812: "credentials need https",
    12961: "a method other than GET or POST",
    12962: "an element of messaging on a voice application",
    12963: "a status method without its URL",
    12964: "the service type cannot be changed",
    12974: "a malformed URL (the other code for it)",
    12976: "the callback user cannot change without a password",
    12977: "a callback user without a password",
    13047: "CallbackTimeout is not 1 to 25",
    13048: "a fallback method without its URL",
    13049: "CallbackTimeout is not a whole number",
    13112: "realmfragment is too short (the other code for it)",
    13629: "there is no such application",
    23001: "a required element of a credential is missing",
    23002: "an element of a credential is too long; the text repeats its value",
    23003: "too many credentials in one request",
    23004: "UserName and Domain cannot be changed",
    23006: "the list of credentials is empty",
    23007: "there is no such credential on the account",
    23008: "there are no credentials",
    23009: "the credential exists on the account",
    23012: "page or size is wrong",
    23013: "the account lacks SipCredentialSettings",
    23014: "UserName (with Domain) has characters that are not allowed",
    23015: "Domain has characters that are not allowed",
    23016: "UserName (without Domain) has characters that are not allowed",
    23017: "no account has this realm",
    23018: "the realm is not the one meant, or another account's",
    23019: "the application is not on the account",
    23020: "the application id is no UUID",
    23021: "the account has no default realm",
    23022: "the realm is not active",
    23025: "there is no such credential on the realm",
    23026: "the credential exists on the realm",
    23030: "UserName was sent on update",
    23031: "RealmId was not sent on update",
    33001: "there is no such realm (on DELETE; GET and PUT answer 404 without a code)",
    33002: "the realm exists",
    33003: "the realm's name is too long",
    33004: "the account is not set up for SIP credentials",
    33005: "a realm cannot be renamed",
    33006: "the default realm cannot be deleted",
    33011: "realmfragment is too short",
}

_MESSAGING = "for messaging applications only, which the sandbox refuses (12801, 12962)"
_PEERS = "sites and SIP peers (Locations) are not imitated"
_OLDER = "an older code of another interface; the sandbox answers"
# Documented for these three APIs, and never answered here.
NOT_MET: dict[int, str] = {
    12103: _PEERS,
    12660: f"{_OLDER} 33003",
    12661: f"{_OLDER} 1003",
    12672: f"{_OLDER} 33002",
    12960: _MESSAGING,
    13065: _MESSAGING,
    13066: _MESSAGING,
    **dict.fromkeys(range(13646, 13653), _PEERS),
    13653: _PEERS,
    23010: f"{_OLDER} 23007",
    23011: f"{_OLDER} 23007",
}
