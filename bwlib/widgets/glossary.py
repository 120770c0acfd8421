"""The guide's words, each in a sentence or two: as a tooltip beside a word, and all of them as a list.

A `title` is not reached by keyboard or touch; the list is, and says the same. Pure but for `show_glossary`.
"""

from __future__ import annotations

import re
from html import escape

from bwlib.errors import SettingsError
from bwlib.widgets import card, show

#: as the guide writes it -> what it means here
WORDS = {
    "BXML": "The XML by which your application answers a webhook: it tells Bandwidth what to do next on the call, "
    "such as to speak a sentence or to gather digits.",
    "caller id": "The number that the called side sees. It leaves the PBX as the From user of the trunk, "
    "and should be a number of this account, in E.164.",
    "codec": "How sound becomes packets. The trunk offers G.711 (ulaw, then alaw): telephone quality, 64 kbit/s.",
    "DID": "Direct inward dialling: a phone number that leads into a PBX. The guide's calls come in by a SIP URI, "
    "so they need none.",
    "digest": "How SIP proves a password without sending it: the challenge (401 or 407) is hashed with user, realm and "
    "password. The hash of user, realm and password alone (HA1) is as good as the password, so it is a secret.",
    "DTMF": "The tones of a phone's keys. On the trunk they travel as events in RTP (RFC 4733); "
    "the application gets them as digits in a webhook.",
    "E.164": "A phone number as the whole world writes it: +, country code, number, without spaces, "
    "such as +19195550100.",
    "extension": "A phone's account at the PBX, with a short number such as 101. "
    "The phone registers at the PBX with it.",
    "INVITE": "The SIP request that begins a call. The realm answers the first one with 407, which asks for "
    "credentials; the second one has them.",
    "outbound route": "The PBX's rule for which dialled numbers leave by which trunk, and how they are rewritten.",
    "qualify": "How a PBX asks again and again (OPTIONS) whether the far end of a trunk is there. "
    "It is off here: a far end that does not answer would be taken for dead, and no call would be sent to it.",
    "readback": "This project's own application: it answers Bandwidth's webhooks and keeps them, so that a test call "
    "can be judged.",
    "realm": "A name at Bandwidth that SIP credentials belong to. You give a short name, Bandwidth makes a full host "
    "name (FQDN) of it: the trunk sends its calls there, and every digest is made with it.",
    "registration": "A SIP client telling a server, for a while, where it can be called. "
    "The phone registers at the PBX; the trunk must not register at the realm, it only authenticates its calls.",
    "RTP": "How the sound of a call travels: 50 small packets a second each way, beside the SIP messages and by a way "
    "of their own.",
    "SDP": "The part of an INVITE and of its answer that says where the sound is to be sent (its lines c= and m=) and "
    "in which codecs.",
    "SIP credential": "A user name and a password in a realm, bound to an application: "
    "calls that authenticate with it go to that application.",
    "SRV": "A DNS record that names the host and the port of a service. The realm's has Bandwidth's SIP port, "
    "so the trunk is given none.",
    "trunk": "The PBX's line to the outside: here to the realm, over SIP, with user name and password, "
    "without registration.",
    "webhook": "An HTTP request (POST) by which Bandwidth tells your application what happens on a call: initiate, "
    "answer, gather, disconnect. The answer to it may hold BXML.",
}
_LINE = "text-decoration:underline dotted;cursor:help"
TITLE = "The guide's words"


def meaning(term: str) -> str:
    """What a word means. Raises: SettingsError for a word that is not in the list."""
    found = next((said for word, said in WORDS.items() if word.lower() == term.lower()), None)
    if found is None:
        raise SettingsError(f"explain {term!r}", "it is not in the glossary", f"use one of: {', '.join(WORDS)}")
    return found


def explain(term: str, shown: str = "", *, in_form: bool = False) -> str:
    """The word with its meaning as a tooltip, as HTML for an output, a widget or a Markdown cell.

    shown: how it stands in the sentence ("trunks"). JupyterLab's sanitizer keeps abbr and title and drops tabindex; in
    an output and in a widget the word can be reached by the keyboard as well. in_form: not so, because between two
    fields it would only be in the way of whoever goes from one to the next.
    """
    stop = "" if in_form else ' tabindex="0"'
    return f'<abbr title="{escape(meaning(term))}"{stop} style="{_LINE}">{escape(shown or term)}</abbr>'


def explained(text: str, *, in_form: bool = False) -> str:
    """A sentence as HTML, each word of the list with its tooltip where it first stands."""
    seen: set[str] = set()

    def mark(found: re.Match[str]) -> str:
        word = found[1].lower()
        if word in seen:
            return escape(found[0])
        seen.add(word)
        return explain(found[1], found[0], in_form=in_form)

    parts, end = [], 0
    for found in _ANY.finditer(text):
        parts += [escape(text[end : found.start()]), mark(found)]
        end = found.end()
    return "".join([*parts, escape(text[end:])])


# The longest first: "SIP credential" before any word within it. A plural is the same word.
_ANY = re.compile(rf"\b({'|'.join(map(re.escape, sorted(WORDS, key=len, reverse=True)))})s?\b(?!\.\w)", re.IGNORECASE)


def used_in(text: str) -> dict[str, str]:
    """The words of the list that stand in a text, in their order there, with what they mean."""
    found = {match[1].lower(): None for match in _ANY.finditer(text)}
    as_written = {word.lower(): word for word in WORDS}
    return {as_written[word]: WORDS[as_written[word]] for word in found}


def show_explained(title: str, text: str) -> None:
    """A sentence or two under a title, and one click away what the words in it mean."""
    words = used_in(text)
    html, lines = card.heading(title) + f"<div>{explained(text)}</div>", [title, f"  {text}"]
    if words:
        html += card.folded("words", card.facts(words.items(), "", plain=True))
        lines += ["  words:", *(f"    {word}: {said}" for word, said in words.items())]
    show.show_html(card.frame(html), "\n".join(map(show.one_line, lines)))


def glossary() -> tuple[str, str]:
    """All words as HTML and as text."""
    words = sorted(WORDS.items(), key=lambda pair: pair[0].lower())
    rows = "".join(
        f'<dt style="font-weight:600;margin-top:.5em">{escape(word)}</dt>'
        f'<dd style="margin:0 0 0 1.5em">{escape(said)}</dd>'
        for word, said in words
    )
    html = card.frame(card.heading(TITLE) + f'<dl style="margin:.3em 0 0">{rows}</dl>')
    return html, "\n".join([TITLE, *(f"  {word}: {said}" for word, said in words)])


def show_glossary() -> None:
    """The whole list, for eyes, keyboard and screen reader alike."""
    show.show_html(*glossary())
