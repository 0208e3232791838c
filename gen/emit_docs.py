"""The reference page of the protocol from the message specifications."""


def page(messages, errors):
    return ""
